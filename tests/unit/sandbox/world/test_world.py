"""A world: it remembers through kills, its clock only goes forward, its faults do what they say."""

import json
from datetime import timedelta
from typing import ClassVar

import pytest

from runbook.errors import InputError, StepFailed, UnknownName
from runbook.sandbox.world.faults import FAULTS, Fault
from runbook.sandbox.world.part import Answer, Call, Part, Route
from runbook.sandbox.world.world import BEGINS, World

HOUR = timedelta(hours=1)


class Toy(Part):
    """Counts; what is asked for `later` is done an hour on."""

    name = "toy"
    mounts = ("toy",)
    scenarios: ClassVar = {"flood": "a thousand at once"}

    def routes(self):
        yield Route("GET", "/toy/count", "read", lambda _call: Answer(200, self.count()))
        yield Route("POST", "/toy/count", "add", self.add)
        yield Route("POST", "/toy/{what}/later", "later", self.put_off)
        yield Route("GET", "/toy/fixed/later", "fixed", lambda _call: Answer(200, "fixed"))
        for one in ("x", "y"):
            said = Answer(200, one)
            yield Route("GET", "/toy/all", f"do_{one}", lambda _call, a=said: a, select=("do", one))
        yield Route("GET", "/toy/all", "do", lambda _call: Answer(400))

    def count(self):
        return self.table("counts").get("all", {"n": 0})["n"]

    def add(self, _call):
        self.table("counts").put("all", {"n": self.count() + 1})
        return Answer(201, self.count())

    def put_off(self, call):
        self.later("add", after=HOUR, what=call.args["what"])
        return Answer(202)

    def on_due(self, _what, data):
        self.add(None)
        self.table("done").put(self.token(8), {"at": self.now.isoformat(), **data})

    def play(self, _scenario):
        self.table("counts").put("all", {"n": 1000})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


@pytest.fixture
def world(path):
    made = World(path, kinds=[Toy])
    yield made
    made.state.close()


def ask(world, method, path):
    return world.answer(Call(method, path))


def add(world):
    return ask(world, "POST", "/toy/count")


def count(world):
    return ask(world, "GET", "/toy/count").answer.body


def again(path):
    """The world as a new process finds it, whatever became of the old one."""
    return World(path, kinds=[Toy])


def test_every_reply_is_on_disk_before_it_leaves(world, path):
    """A world that is killed after any reply is taken up there: state, clock, what is due, faults, ids."""
    add(world)
    ask(world, "POST", "/toy/x%2Fy/later")
    world.advance(timedelta(minutes=59))
    world.set_fault(Fault(name="status", times=3))
    add(world)
    found = again(path)
    assert found.dump() == world.dump()
    assert found.clock.now() == BEGINS + timedelta(minutes=59)
    assert found.faults.listed() == world.faults.listed() != []
    found.faults.lift()
    found.advance(HOUR)
    assert count(found) == 2
    assert [doc["what"] for doc in found.part("toy").table("done").values()] == ["x/y"]
    found.state.close()


def test_what_is_due_is_done_at_its_time(world):
    """The clock stops where there is work, in the order of time, wherever it is asked to go."""
    ask(world, "POST", "/toy/a/later")
    world.advance(timedelta(minutes=10))
    ask(world, "POST", "/toy/b/later")
    world.advance(timedelta(days=30))
    done = [(doc["what"], doc["at"]) for doc in world.part("toy").table("done").values()]
    later = BEGINS + HOUR
    assert done == [("a", later.isoformat()), ("b", (later + timedelta(minutes=10)).isoformat())]


def test_the_clock_never_goes_back(world):
    """A time gone by is no error, a negative advance is."""
    world.advance(HOUR)
    world.advance_to(BEGINS)
    assert world.clock.now() == BEGINS + HOUR
    with pytest.raises(InputError, match="backwards"):
        world.advance(-HOUR)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_effect_or_not_and_is_over(world, name):
    """Each is what the table in faults.py says; it hits as often as it was told to."""
    world.set_fault(Fault(name=name, vendor="toy", call="add"))
    outcome = add(world)
    done = name in ("status-after", "latency", "cut-after", "truncated", "malformed", "stale")
    assert count(world) == int(done)
    assert outcome.fault == ("" if name == "stale" else name)
    add(world)
    world.faults.lift()
    assert count(world) == int(done) + 1


def test_a_stale_read_is_of_when_the_fault_was_set(world):
    """It shows what was there then, to reads only, and what is really there afterwards."""
    add(world)
    world.set_fault(Fault(name="stale", times=2))
    add(world)
    assert [count(world), count(world), count(world)] == [1, 1, 2]


def test_what_is_accepted_and_not_done_looks_done(world):
    """The reply is that of success."""
    world.set_fault(Fault(name="accepted"))
    outcome = add(world)
    assert (outcome.answer.status, outcome.answer.body, count(world)) == (201, 1, 0)


def test_a_document_changed_in_place_is_found_out(world):
    """What was not put is not on disk."""
    add(world)
    assert world.state.unsaved() == []
    world.part("toy").table("counts")["all"]["n"] = 5
    assert world.state.unsaved() == ["toy/counts"]


def test_ids_are_the_same_in_every_rehearsal(world):
    """A report of a drill can be compared with the next one's."""
    other = World(None, kinds=[Toy])
    mine, theirs = ([w.part("toy").token(10) for _ in range(3)] for w in (world, other))
    assert mine == theirs
    assert len(set(mine)) == 3


def test_reset_makes_it_new(world):
    """What was remembered, what is due and the faults are gone; the clock stays."""
    add(world)
    ask(world, "POST", "/toy/a/later")
    world.advance(timedelta(minutes=1))
    world.reset()
    world.advance(HOUR * 2)
    assert count(world) == 0
    assert world.clock.now() == BEGINS + timedelta(hours=2, minutes=1)


def test_fixed_segments_go_before_names(world):
    """`batch` is no record's id; another method on the same path is its own route."""
    assert ask(world, "GET", "/toy/fixed/later").call == "fixed"
    assert ask(world, "POST", "/toy/fixed/later").call == "later"
    assert ask(world, "GET", "/toy/nothing").answer.status == 404
    assert ask(world, "GET", "/nobody").answer.status == 404


def test_an_unknown_scenario_or_part_is_named(world):
    """With what would be right."""
    world.play("flood")
    assert count(world) == 1000
    with pytest.raises(UnknownName, match="flood"):
        world.play("flod")
    with pytest.raises(UnknownName, match="toy"):
        world.part("dns")


def test_a_state_file_that_is_none_is_named(path):
    """With what to do about it."""
    path.write_text("no database at all, but long enough to look like one " * 20)
    with pytest.raises(StepFailed, match="runbook sandbox down"):
        World(path, kinds=[Toy])


def test_a_call_knows_its_fields_whatever_their_form():
    """JSON object, form, or nothing."""
    form = Call("POST", "/", headers={"Content-Type": "application/x-www-form-urlencoded"}, body=b"a=1&b=")
    data = Call("POST", "/", headers={"Content-Type": "application/json"}, body=json.dumps({"a": 1}).encode())
    assert (form.fields(), data.fields()) == ({"a": "1", "b": ""}, {"a": 1})
    assert Call("POST", "/", headers={"Content-Type": "application/json"}, body=b"[1]").fields() == {}


def test_a_query_may_choose_the_route(world):
    """A vendor with one path for everything: each operation has its name, its faults and its effect."""
    world.set_fault(Fault(name="status", vendor="toy", call="do_y"))
    asked = [Call("GET", "/toy/all", query=[("a", "1"), ("do", what)]) for what in ("x", "y", "z")]
    found = [world.answer(call) for call in asked]
    assert [(one.call, one.answer.status) for one in found] == [("do_x", 200), ("do_y", 503), ("do", 400)]
