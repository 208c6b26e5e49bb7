"""The migration from beginning to end, in the sandbox's world, with users at every resolver who watch it."""

from datetime import timedelta
from itertools import pairwise

import pytest

from runbook import catalogue, opening
from runbook.account import summarize
from runbook.journal import read_journal
from tests.moving import delegated, execute_until, messages, prepared
from tests.project import ROOT


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """Migrate once, with users asking from before the pre-configuration on; give what is left of it."""
    folder, patch = tmp_path_factory.mktemp("moved"), pytest.MonkeyPatch()
    patch.setenv("RUNBOOK_ROOT", str(ROOT))
    patch.setenv("RUNBOOK_OUTPUTS", str(folder / "outputs"))
    patch.setenv("RUNBOOK_WORLD", "")
    with prepared(folder, scenarios=["users-ask"]) as (world, preconfiguration):
        patch.setattr(opening, "_open_runs", {})
        notebook = catalogue.find(ROOT, "dns_migration").path
        names = execute_until(notebook, {"run_id": "m1", "preconfiguration": preconfiguration})
        summary = summarize(read_journal(folder / "outputs/m1/journal.jsonl"))
        yield world, names, summary
    patch.undo()


def test_no_user_sees_a_wrong_or_missing_answer_in_any_second(moved):
    """Users at every resolver ask for every name in every second of two days; none is told anything else."""
    told = moved[0].status()["parts"]["users"]
    assert told["wrong"] == 0, told
    assert told["answers"] > 5_000  # heard where an answer can change, which covers every second


def test_the_run_ends_done_and_everybody_has_moved(moved):
    """Watched until the last cache has let go, with the numbers that the report goes by."""
    _, _, summary = moved
    assert (summary.status, summary.exit_code) == ("done", 0)
    assert summary.numbers["users_new_percent"].value == 100
    assert 47 < summary.numbers["all_moved_h"].value <= 48.2
    assert not [check for check in summary.checks if check.status == "failed"]


def test_nameservers_are_switched_once(moved):
    """The registrar is told once, and the parent names Cloudflare's."""
    servers, changes = delegated(moved[0])
    assert changes == 1
    assert servers.count("cloudflare") == 2


def test_looks_are_dense_at_first_and_reach_to_the_end(moved):
    """Every minute for ten minutes, then ever less often, never further apart than an hour."""
    _, names, _ = moved
    looks, switched = names["looks"], names["switched"]
    apart = [(b.at - a.at).total_seconds() for a, b in pairwise(looks)]
    assert apart[:9] == [60.0] * 9
    assert max(apart) == 3600
    assert looks[-1].at == switched.ends_at


def test_shares_only_grow_and_child_and_parent_caches_end_in_their_time(moved):
    """No resolver goes back; those that go by the zone's own NS let go within its day, all within two."""
    _, names, _ = moved
    users = [one.numbers["users_new"] for one in names["looks"]]
    assert users == sorted(users)
    day = [one for one in names["looks"] if (one.at - names["switched"].seen_at).total_seconds() <= 86_400]
    assert 0.2 < day[-1].numbers["users_new"] < 1


def test_people_are_told_at_the_start_every_four_hours_and_at_the_end(moved):
    """Every message once: the beginning, one for each stretch of four hours, the end."""
    said = [text for text in messages(moved[0]) if "migration" in text]
    assert len(said) == len(set(said))
    assert "begins" in said[0]
    assert "is complete" in said[-1]
    assert len([text for text in said if ", at 2026" in text]) == 12


def test_a_record_led_astray_later_is_mended_and_users_have_it_within_its_ttl(moved, monkeypatch):
    """dns_failure finds it by itself; from the record's TTL on nobody hears the wrong answer any more."""
    world, _, _ = moved
    monkeypatch.setattr(opening, "_open_runs", {})
    world.play("wrong-record-at-cloudflare")
    world.advance(timedelta(minutes=10))
    assert world.status()["parts"]["users"]["wrong"] > 0  # the users can tell
    names = execute_until(catalogue.find(ROOT, "dns_failure").path, {"run_id": "f1", "migration": "m1"})
    assert names["diagnosis"].case == "wrong records"
    assert names["diagnosis"].way == "mend the records"
    assert names["mended"].took_s < 600
    wrong = world.status()["parts"]["users"]["wrong"]
    world.advance(timedelta(hours=2))
    assert world.status()["parts"]["users"]["wrong"] == wrong
    assert delegated(world)[1] == 1  # no nameserver was touched for it


def test_in_mode_plan_everything_is_looked_at_and_nothing_is_switched(tmp_path, monkeypatch):
    """The plan is shown, what depends on it is left out, and the run ends done."""
    monkeypatch.setenv("RUNBOOK_ROOT", str(ROOT))
    monkeypatch.setenv("RUNBOOK_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("RUNBOOK_WORLD", "")
    monkeypatch.setattr(opening, "_open_runs", {})
    with prepared(tmp_path) as (world, preconfiguration):
        notebook = catalogue.find(ROOT, "dns_migration").path
        execute_until(notebook, {"run_id": "m2", "mode": "plan", "preconfiguration": preconfiguration})
        summary = summarize(read_journal(tmp_path / "outputs/m2/journal.jsonl"))
        assert summary.status == "done"
        assert {step.title for step in summary.steps if step.status == "skipped"} >= {"the world follows"}
        assert delegated(world) == ("ns1.vercel-dns.com., ns2.vercel-dns.com., no DS", 0)
