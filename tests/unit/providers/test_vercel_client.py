"""Vercel's client where no world is needed: what is served, what is lowered, lists cut at a time."""

from datetime import UTC, datetime

import pytest

from runbook.clock import VirtualClock
from runbook.errors import SurprisingReply
from runbook.providers.vercel import Record, above, served
from runbook.providers.vercel.api import Api, Paging
from runbook.step import Step

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def record(name, kind, value, *, system=False, ttl_s=60, key="rec_1"):
    return Record(id=key, name=name, type=kind, value=value, ttl_s=ttl_s, system=system, created_at=None)


def test_an_own_address_is_served_instead_of_the_systems():
    """The listing shows both; nameservers answer the own one. CAA records stand together."""
    records = [
        record("a.example.", "ALIAS", "cname.vercel-dns.com.", system=True),
        record("a.example.", "A", "203.0.113.9", ttl_s=300),
        record("a.example.", "A", "203.0.113.8", ttl_s=120),
        record("*.a.example.", "CNAME", "cname.vercel-dns.com.", system=True),
        record("a.example.", "CAA", '0 issue "x.org"', system=True),
        record("a.example.", "CAA", '0 issue "y.org"'),
    ]
    found = {(one.name, one.type): (one.ttl_s, one.values) for one in served(records)}
    assert found == {
        ("a.example.", "A"): (120, ("203.0.113.8", "203.0.113.9")),
        ("*.a.example.", "CNAME"): (60, ("cname.vercel-dns.com.",)),
        ("a.example.", "CAA"): (60, ('0 issue "x.org"', '0 issue "y.org"')),
    }


def test_only_own_records_above_are_lowered():
    """The system's have no TTL to edit, and what is low enough is left alone."""
    records = [
        record("a.example.", "A", "203.0.113.9", ttl_s=3600, key="high"),
        record("a.example.", "AAAA", "2001:db8::1", ttl_s=300, key="same"),
        record("a.example.", "CAA", '0 issue "x.org"', ttl_s=3600, system=True, key="theirs"),
    ]
    assert above(records, 300) == {"high": 300}


def paged(times, *, size):
    """Return a fetch over items created at `times` (ms), as Vercel cuts its lists."""
    items = sorted(range(len(times)), key=lambda item: -times[item])

    def fetch(query):
        left = [item for item in items if times[item] < query.get("until", 10**14)]
        more = len(left) > size
        return [str(item) for item in left[:size]], Paging(next=times[left[size - 1]] if more else None)

    return fetch


@pytest.fixture
def api():
    return Api(http=None, step=Step(clock=VirtualClock(NOW)), team="t")


@pytest.mark.parametrize("size", [3, 4, 5, 7, 9])
def test_a_list_is_whole_wherever_it_is_cut(api, size):
    """Items of one millisecond on both sides of a cut are all there, each once."""
    times = [9, 8, 8, 7, 6, 5, 5, 4, 3]
    found = api.pages("read_records", paged(times, size=size), key=str)
    assert sorted(map(int, found)) == list(range(len(times)))


@pytest.mark.parametrize("times", [[5] * 8 + [4], [6, 5, 5, 5, 4]])
def test_a_page_full_of_one_millisecond_is_told(api, times):
    """Whether there are more of it cannot be known: that is an error, never a short list."""
    with pytest.raises(SurprisingReply, match="read_records"):
        api.pages("read_records", paged(times, size=3), key=str)


def test_looks_come_at_once_then_ever_less_often_and_at_the_end(api):
    """The first look is now, the last one at the deadline, none later."""
    clock = api.step.clock
    until = NOW.replace(second=30)
    at_s = [(moment - NOW).total_seconds() for moment in api.moments(until=until)]
    assert at_s == [0, 1, 3, 7, 15, 23, 30]
    assert clock.now() == until
    assert list(api.moments(until=NOW)) == [until]
