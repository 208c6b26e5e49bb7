"""The switch of nameservers: made once, seen at the parent, taken back likewise, by hand where it must."""

import pytest

from runbook.changes.delegation.switching import plan_switch, read_switched
from runbook.errors import Parked, StepFailed
from tests.memory_worlds import ENVIRONMENT


def changes(world):
    return len(world.world.part("namecheap").table("changes"))


def by_hand(step):
    """Let a person be the registrar."""
    domain = ENVIRONMENT.domains["omnihub.dev"]
    manual = domain.model_copy(update={"registrar": "manual", "registered_at": "the registrar's page"})
    step.environment = lambda: ENVIRONMENT.model_copy(update={"domains": {"omnihub.dev": manual}})
    return step


def test_a_switch_is_seen_in_the_book_and_at_every_server_of_the_parent(world, migration, change):
    """From the old names to the new ones, each as one line of text."""
    step = world.step()
    assert change.observe(step) == change.before() == "ns1.vercel-dns.com, ns2.vercel-dns.com"
    change.apply(step)
    assert change.observe(step) == change.after()
    assert world.delegated_to() == set(migration.old.nameservers)  # a book is not the world
    change.verify(step, None)
    assert world.delegated_to() == set(migration.new.nameservers)
    assert changes(world) == 1


def test_done_again_it_is_not_made_again(world, change):
    """Whatever a kill leaves: the book is asked before it is written."""
    step = world.step()
    change.apply(step)
    change.apply(step)
    change.verify(step, None)
    assert changes(world) == 1


def test_the_way_back_is_seen_at_the_parent_and_says_until_when_caches_hold_on(world, migration, change):
    """Its health tells what no undo can hasten."""
    step = world.step()
    change.apply(step)
    change.verify(step, None)
    change.undo(step)
    assert world.delegated_to() == set(migration.old.nameservers)
    [health] = change.health(step)
    assert health.status == "passed"
    assert "let go until" in health.observed


def test_a_registrar_without_an_api_parks_with_instructions_and_goes_on_when_it_is_done(
    world, migration, change
):
    """The person's deed is seen at the parent; nothing is asked of them twice."""
    step = by_hand(world.step())
    with pytest.raises(Parked, match="put in exactly these 2"):
        change.apply(step)
    assert change.observe(step) == change.before()
    world.world.play("person-switches-nameservers")
    world.pass_s(300)
    assert change.observe(step) == change.after()
    assert change.apply(step).found


def test_the_deadline_follows_from_what_was_observed_and_says_which_it_is(world, migration, change):
    """The parent's NS, then the longest record; against the plan's 48 hours."""
    step = world.step()
    change.apply(step)
    change.verify(step, None)
    switched = read_switched(step, migration, None)
    kept_s = migration.deadlines.delegation_ttl_s + migration.deadlines.longest_record_s
    assert (switched.ends_at - switched.seen_at).total_seconds() == kept_s
    assert "the parent's NS" in switched.why
    assert "longer than the plan's 48 h" in switched.why


def test_nothing_is_planned_where_somebody_else_has_been(world, migration, change):
    """The registrar has other nameservers than those the zone is to be moved from."""
    step = world.step()
    change.apply(step)
    with pytest.raises(StepFailed, match="begin anew"):
        plan_switch(step, migration)
