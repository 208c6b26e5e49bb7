"""Upstash: our database and its stats; data over REST, in pipelines and transactions."""

from datetime import timedelta

import pytest
import requests
from upstash_redis import Redis
from upstash_redis.errors import UpstashError

from runbook.providers import upstash
from runbook.providers.connect import connect
from runbook.providers.upstash import DATA
from runbook.sandbox.vendors.upstash.emulator import DATABASE
from tests.contract.table import Case, Foreign, Refusal, Vendor

TEXTS = {"plan": "pro", "grüße": "schöne"}


def command(world, *words):
    """Run a command past our client; return status and reply."""
    token = world.secrets()["upstash"]["rest_token"]
    headers = {"Authorization": f"Bearer {token}"}
    reply = requests.post(f"{world.url}/upstash-data/", json=list(words), headers=headers, timeout=5)
    return reply.status_code, reply.json()


def held(world, key):
    return command(world, "GET", key)[1]["result"]


def count_held(world):
    return sum(held(world, key) is not None for key in ("probe", *TEXTS))


def arrange_probe(world, step):
    command(world, "SET", "probe", "there")


def removed(world):
    return int(held(world, "probe") is None)


def expect_stats(stats, world):
    assert stats.requests_this_month >= stats.requests_today > 0
    assert 0 < stats.cost_usd_this_month < 20


def to_come(world, step, day=11, hour=5):
    """Move the world to a day of the next month."""
    first = (world.now().replace(day=1) + timedelta(days=32)).replace(day=1)
    world.advance_to(first.replace(day=day, hour=hour, minute=0, second=0, microsecond=0))


def read_bill(step):
    return upstash.read_charges(step, month=step.clock.now().date())


def expect_bill(charges, world):
    """Ten days and five hours of about 0.3 USD a day."""
    (charge,) = charges
    assert charge.until - charge.since == timedelta(days=10, hours=5)
    assert 2.2 < charge.cost_usd < 3.5
    assert (charge.source, charge.recurring) == ("billed", False)


def expect_database(found, world):
    assert (found.id, found.state, found.plan) == (DATABASE, "active", "payg")


def run_pipeline(step):
    """A pipeline with a command that fails, as somebody's text stands where a number should."""
    with connect(step, DATA) as http:
        return upstash._entries(http, "run_pipeline", "/pipeline", [["PING"], ["INCR", "probe"]])


def run_nonsense(step):
    with connect(step, DATA) as http:
        return upstash._run(http, ["NONSENSE", "1"])


def sdk_uses_the_data(world):
    token = world.secrets()["upstash"]["rest_token"]
    with Redis(url=f"{world.url}/upstash-data", token=token, allow_telemetry=False) as redis:
        assert redis.ping() == "PONG"
        assert redis.set("theirs", "ünï", ex=60) is True
        assert redis.get("theirs") == "ünï"
        assert 0 < redis.ttl("theirs") <= 60
        assert redis.set("theirs", "other", nx=True) is not True
        assert [redis.incr("count"), redis.incrby("count", 4)] == [1, 5]
        assert redis.mget("theirs", "none") == ["ünï", None]
        both = redis.pipeline().set("a", "1").get("a").exec()
        assert both == [True, "1"]
        assert redis.multi().incr("a").get("a").exec() == [2, "2"]
        assert redis.delete("theirs", "a", "count") == 3
        redis.set("word", "text")
        with pytest.raises(UpstashError, match="not an integer"):
            redis.incr("word")


VENDOR = Vendor(
    name="upstash",
    specs={"/upstash": "upstash-management", "/upstash-data": "upstash-redis-rest"},
    cases=[
        Case(
            "databases are listed",
            do=upstash.read_databases,
            expect=lambda found, world: expect_database(found[0], world),
        ),
        Case("the database is read", do=upstash.read_database, expect=expect_database),
        Case("stats and bill are read", do=upstash.read_stats, expect=expect_stats),
        Case("the bill is read", arrange=to_come, do=read_bill, expect=expect_bill),
        Case(
            "a bill of nothing yet",
            arrange=lambda world, step: to_come(world, step, 1, 0),
            do=read_bill,
            expect=lambda charges, _world: [one.cost_usd for one in charges] == [None],
        ),
        Case("the database answers", do=upstash.read_answer, expect=lambda answers, _world: answers is True),
        Case(
            "a value is put",
            do=lambda step: upstash.apply_value(step, key="probe", value="here", ttl_s=3600),
            expect=lambda value, world: value == held(world, "probe") == "here",
            effect=count_held,
        ),
        Case(
            "values are put all or none",
            do=lambda step: upstash.apply_values(step, values=TEXTS),
            expect=lambda values, world: values == {key: held(world, key) for key in TEXTS} == TEXTS,
            effect=count_held,
        ),
        Case(
            "values are read",
            arrange=arrange_probe,
            do=lambda step: upstash.read_values(step, keys=["probe", "none"]),
            expect=lambda values, _world: values == {"probe": "there", "none": None},
        ),
        Case(
            "a value is read",
            arrange=arrange_probe,
            do=lambda step: upstash.read_value(step, key="probe"),
            expect=lambda value, _world: value == "there",
        ),
        Case(
            "a value is removed",
            arrange=arrange_probe,
            do=lambda step: upstash.apply_removal(step, key="probe"),
            expect=lambda gone, world: gone and held(world, "probe") is None,
            effect=removed,
        ),
    ],
    refusals=[
        Refusal("a failing command inside a pipeline", arrange=arrange_probe, do=run_pipeline, code="ERR"),
        Refusal("a command that is none", do=run_nonsense, code=""),
        Refusal(
            "a database of Vercel's marketplace",
            arrange=lambda world, _step: world.play("upstash-marketplace"),
            do=upstash.read_stats,
            code="",
        ),
    ],
    foreign=[Foreign("upstash-redis uses the data", sdk_uses_the_data)],
    let_be={"POST /upstash-data → ": "the SDK leaves the slash at the root away"},
)
