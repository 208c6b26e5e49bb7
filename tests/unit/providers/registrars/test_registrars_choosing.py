"""Choosing a registrar, and what holds for each of them: nothing asked twice, nothing believed unseen."""

from datetime import timedelta
from pathlib import Path

import pytest

from runbook.clock import VirtualClock
from runbook.errors import InputError, Parked, UnknownName, VendorUnavailable
from runbook.plan import load_environment
from runbook.plan.environment import Domain
from runbook.providers import registrars
from runbook.providers.registrars import choosing
from runbook.providers.registrars.interface import Nameservers, normal
from runbook.providers.registrars.manual import Manual
from runbook.step import Step
from tests.dns_servers import served
from tests.dns_worlds import ZONE
from tests.unit.providers.conftest import NOON

ROOT = Path(__file__).parents[4]
OLD, NEW = ("a.old.example.", "b.old.example."), ("a.new.example.", "b.new.example.")


class Book:
    """A registrar whose book takes `after` looks to show what it was given."""

    name = "book"

    def __init__(self, *, after=0):
        self.names, self.pending, self.after, self.given = OLD, None, after, []

    def read(self, _step, zone):
        if self.pending and self.after == 0:
            self.names = self.pending
        elif self.pending:
            self.after -= 1
        return Nameservers(zone=zone, registrar=self.name, names=self.names)

    def give(self, _step, _zone, names, *, before):
        self.given.append((names, before))
        self.pending = names

    def losses(self, _step, _zone):
        return ()


@pytest.fixture
def step():
    return Step(clock=VirtualClock(NOON), environment=lambda: load_environment(ROOT, "sandbox"))


@pytest.fixture
def use(monkeypatch):
    """Have a registrar chosen, whatever environment.yaml says."""

    def choose(registrar):
        monkeypatch.setattr(choosing, "registrar_of", lambda _step, _zone: registrar)
        return registrar

    return choose


@pytest.mark.parametrize(
    ("zone", "name"),
    [("omnihub.dev", "namecheap"), ("omnihub.dev.", "namecheap"), ("OMNIHUB.net", "godaddy")],
)
def test_environment_yaml_chooses(step, zone, name):
    """However the zone is written."""
    assert choosing.registrar_of(step, zone).name == name


def test_a_domain_that_is_not_ours_is_named(step):
    """With what would be right, and where it stands."""
    with pytest.raises(UnknownName, match=r"omnihub\.dev.*environment\.yaml under `domains`"):
        choosing.registrar_of(step, "omnihub.de")


@pytest.mark.parametrize(
    "fields",
    [{"registrar": "manual"}, {"registrar": "namecheap", "registered_at": "x"}, {"registrar": "gandi"}],
)
def test_a_domain_is_described_whole(fields):
    """A person must be told where; an API needs no such words."""
    try:
        found = Domain(**fields)
    except ValueError:
        return
    assert list(found.wrongs())


def test_a_change_is_handed_over_once_and_seen(step, use):
    """The book that lags is looked at again, on the run's clock; it is not told twice."""
    book = use(Book(after=3))
    handed = registrars.apply_nameservers(step, zone="omnihub.dev", nameservers=reversed(NEW))
    assert (handed.before, handed.after, handed.found) == (OLD, NEW, False)
    assert book.given == [(NEW, OLD)]
    assert step.clock.now() > NOON


def test_what_stands_is_left_alone(step, use):
    """In any order, with or without the dot, in any case."""
    book = use(Book())
    handed = registrars.apply_nameservers(
        step, zone="omnihub.dev", nameservers=["B.old.example", "a.OLD.example."]
    )
    assert handed.found
    assert book.given == []


def test_a_yes_that_does_not_show_is_no_success(step, use):
    """Accepted and not done ends as an error that names both."""
    use(Book(after=10_000))
    with pytest.raises(VendorUnavailable, match=r"still shows a\.old\.example\..*expected a\.new\.example\."):
        registrars.apply_nameservers(step, zone="omnihub.dev", nameservers=NEW, within_s=120)
    assert step.clock.now() - NOON == timedelta(seconds=120)


@pytest.mark.parametrize("names", [(), ("a.example",), ("a.example", "A.example."), ("a..b", "c.example")])
def test_two_good_names_are_needed_before_anything_is_asked(step, use, names):
    """One nameserver would be none soon; no registrar is asked to say so."""
    book = use(Book())
    with pytest.raises(InputError):
        registrars.apply_nameservers(step, zone="omnihub.dev", nameservers=names)
    assert book.given == []


def test_a_person_is_told_exactly_what_to_do():
    """Where, which domain, what stands there, what to put in, what comes next, and the way back."""
    hand = Manual("Gandi, admin.gandi.net, account omnihub", network=None)
    with pytest.raises(Parked) as parked:
        hand.give(None, "omnihub.dev.", NEW, before=OLD)
    text = str(parked.value)
    for words in (
        "Log in at Gandi, admin.gandi.net, account omnihub",
        "Open omnihub.dev and its nameservers",
        "exactly these 2",
        "a.new.example\n       b.new.example\n",
        "The way back is the same with a.old.example, b.old.example",
        "Resume the run",
    ):
        assert words in text
    assert parked.value.exit_code == 75


@pytest.fixture
def parent(monkeypatch):
    """A small DNS on loopback, and its network as the environment's."""
    with served() as found:
        monkeypatch.setattr(choosing, "network_of", lambda _step: found.network)
        yield found


def hand_of(parent, monkeypatch):
    hand = Manual("Gandi", parent.network)
    monkeypatch.setattr(choosing, "registrar_of", lambda _step, _zone: hand)


def test_by_hand_is_believed_when_the_parent_says_so(parent, monkeypatch):
    """Parked until the delegation is what was asked for; then it is found, and proven."""
    hand_of(parent, monkeypatch)
    new = parent.world.servers("cloudflare")
    with pytest.raises(Parked):
        registrars.apply_nameservers(parent.step, zone=ZONE, nameservers=new)
    parent.world.switch("cloudflare")
    handed = registrars.apply_nameservers(parent.step, zone=ZONE, nameservers=new)
    assert (handed.found, handed.registrar) == (True, "manual")
    assert registrars.read_published(parent.step, zone=ZONE, nameservers=new).nameservers == normal(new)


def test_a_parent_that_has_not_heard_is_waited_for_and_given_up(parent, monkeypatch):
    """On the run's clock; the error says what the parent says instead."""
    hand_of(parent, monkeypatch)
    began = parent.step.clock.now()
    with pytest.raises(VendorUnavailable, match=r"it says ns1\.vercel-dns\.com\."):
        registrars.read_published(
            parent.step, zone=ZONE, nameservers=parent.world.servers("cloudflare"), within_s=900
        )
    assert parent.step.clock.now() - began == timedelta(seconds=900)


def test_half_of_the_parent_is_no_proof(parent, monkeypatch):
    """A server of the parent that says nothing could still send people to the old side."""
    hand_of(parent, monkeypatch)
    old = parent.world.servers("vercel")
    registrars.read_published(parent.step, zone=ZONE, nameservers=old)
    parent.world.internet.break_server("b.gtld-servers.net.", mute=True)
    with pytest.raises(VendorUnavailable, match=r"silent: b\.gtld-servers\.net\."):
        registrars.read_published(parent.step, zone=ZONE, nameservers=old, within_s=0)


def test_the_resolvers_named_are_asked():
    """Outside the sandbox, those of environment.yaml."""
    step = Step(environment=lambda: load_environment(ROOT, "production"))
    assert [one.host for one in registrars.network_of(step).resolvers] == ["1.1.1.1", "8.8.8.8", "9.9.9.9"]
