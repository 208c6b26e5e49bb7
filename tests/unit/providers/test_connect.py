"""From a step and environment.yaml to a session: address, secrets, and what is said when one lacks."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from runbook.errors import InputError, UnknownName, VendorRefused
from runbook.plan import load_environment
from runbook.plan.environment import Vendor
from runbook.providers.connect import connect, vendor_id
from runbook.providers.dialect import Dialect
from runbook.step import Rehearsal, Step
from tests.unit.providers.conftest import NOON, TOKEN

ROOT = Path(__file__).parents[3]
PLAIN = Dialect(
    vendor="toy",
    mount="/toy",
    secrets=("token",),
    authorize=lambda secrets: {"Authorization": f"Bearer {secrets['token']}"},
)


def step_with(vendor, *, secret=lambda name: f"value of {name}", **more):
    """A step of a production whose only vendor is `toy`."""
    environment = load_environment(ROOT, "production").model_copy(update={"vendors": {"toy": vendor}})
    return Step(environment=lambda: environment, secret=secret, **more)


def rehearsed(secrets, url="http://127.0.0.1:9"):
    reach = Rehearsal(url=url, secrets={"toy": secrets})
    return step_with(Vendor(base_url=None), rehearsal=lambda: reach)


def test_without_an_address_the_sandbox_answers():
    """Below the vendor's mount, with the world's made-up secrets, and only those that are asked for."""
    with connect(rehearsed({"token": TOKEN, "other": "x"}), PLAIN) as http:
        assert (http.base_url, http.secrets) == ("http://127.0.0.1:9/toy", {"token": TOKEN})


def test_a_secret_that_is_an_address_is_one_in_the_sandbox_too():
    """The world gives the path, which leads to it."""
    hook = Dialect(vendor="toy", mount="", secret_url="hook")
    with connect(rehearsed({"hook": "/hooks/abc"}), hook) as http:
        assert http.base_url == "http://127.0.0.1:9/hooks/abc"


def test_with_an_address_the_variables_named_are_read():
    """Each secret by its variable; no rehearsal is looked for."""
    vendor = Vendor(base_url="https://api.toy.example", secret_variables={"token": "TOY_TOKEN"}, timeout_s=7)
    with connect(step_with(vendor), PLAIN) as http:
        assert http.base_url == "https://api.toy.example"
        assert http.secrets == {"token": "value of TOY_TOKEN"}
        assert http.timeout_s == 7


def test_an_address_may_be_a_secret():
    """A webhook: the variable's value is where to send."""
    vendor = Vendor(base_url="https://api.toy.example", secret_variables={"hook": "TOY_HOOK"})
    step = step_with(vendor, secret=lambda _name: "https://hooks.toy.example/abc")
    with connect(step, Dialect(vendor="toy", mount="", secret_url="hook")) as http:
        assert http.base_url == "https://hooks.toy.example/abc"
        assert "hooks.toy.example" not in repr(http).replace(http.base_url, "")


def test_another_address_of_the_vendor():
    """By the name the client uses; without one, it is said where to write it."""
    other = replace(PLAIN, url="events")
    vendor = {"base_url": "https://a.example", "secret_variables": {"token": "TOY_TOKEN"}}
    with connect(step_with(Vendor(**vendor, urls={"events": "https://b.example"})), other) as http:
        assert http.base_url == "https://b.example"
    with pytest.raises(
        InputError, match=r"params/production/environment\.yaml under `vendors: toy: urls: events`"
    ):
        connect(step_with(Vendor(**vendor)), other)


def test_a_secret_that_nobody_named_is_asked_for():
    """With the place to name its variable; never its value."""
    with pytest.raises(InputError, match="`vendors: toy: secret_variables: token`"):
        connect(step_with(Vendor(base_url="https://api.toy.example")), PLAIN)


def test_a_vendor_that_is_not_there_is_named():
    """With those that are."""
    with pytest.raises(UnknownName, match="no vendor 'other'; right would be toy"):
        connect(step_with(Vendor(base_url=None)), replace(PLAIN, vendor="other"))


def test_an_id_that_is_not_filled_in_is_asked_for():
    """Null and missing alike; a filled one is returned as it stands."""
    step = step_with(Vendor(base_url="https://a.example", ids={"zone": "z-1", "account": None}))
    assert vendor_id(step, "toy", "zone") == "z-1"
    for name in ("account", "project"):
        with pytest.raises(InputError, match=f"our {name} is not filled in"):
            vendor_id(step, "toy", name)


def test_retries_become_remarks_and_exchanges_evidence(url, script, kept, clock):
    """On the step's record, under its clock, masked."""
    reach = Rehearsal(url=url, secrets={"toy": {"token": TOKEN}})
    environment = load_environment(ROOT, "sandbox").model_copy(
        update={"vendors": {"toy": Vendor(base_url=None)}}
    )
    step = Step(
        clock=clock,
        environment=lambda: environment,
        rehearsal=lambda: reach,
        evidence_sink=lambda name, content: kept.__setitem__(name, content.decode()),
    )
    script.say(503)
    script.say(403, f'{{"message": "not with {TOKEN}"}}'.encode())
    with connect(step, PLAIN) as http, pytest.raises(VendorRefused, match=r"not with \[toy token\]"):
        http.exchange("read", "GET", "/thing")
    assert step.remarks == ["toy read: HTTP 503; attempt 2 after 1 s"]
    assert clock.now() - NOON == timedelta(seconds=1)
    assert len(kept) == 2
    assert TOKEN not in "".join(kept.values())
    assert script.seen[0][1] == "/toy/thing"


def asked(step, *methods):
    """Ask the vendor in a session for each call, as clients do."""
    for method in methods:
        with connect(step, PLAIN) as http:
            http.exchange("thing", method, "/thing")


def test_the_sessions_of_one_step_share_a_connection_until_it_ends(url, script):
    """A step that keeps something open asks again without another handshake, and then lets go."""
    script.say()
    step = replace(rehearsed({"token": TOKEN}, url), held={})
    asked(step, "GET", "GET", "GET")
    assert len(set(script.clients)) == 1
    step.let_go()
    assert step.held == {}
    asked(step, "GET")
    step.let_go()
    assert len(set(script.clients)) == 2


def test_without_a_step_that_keeps_it_each_session_closes_its_own(url, script):
    """What a test or a benchmark makes by hand leaves nothing open."""
    script.say()
    asked(rehearsed({"token": TOKEN}, url), "GET", "GET")
    assert len(set(script.clients)) == 2


def test_what_does_harm_twice_goes_over_a_connection_of_its_own(url, script):
    """The other side may just be closing an old one; nobody would know whether it still did it."""
    script.say()
    step = replace(rehearsed({"token": TOKEN}, url), held={})
    asked(step, "GET", "POST", "POST", "GET")
    step.let_go()
    first, second, third, fourth = script.clients
    assert len({first, second, third}) == 3
    assert fourth == third


def test_a_connection_that_was_idle_for_long_is_not_used_again(url, script, monkeypatch):
    """Servers and what stands between let go after a while, at times without a word."""
    script.say()
    step = replace(rehearsed({"token": TOKEN}, url), held={})
    asked(step, "GET", "GET")
    monkeypatch.setattr("runbook.providers.lines.IDLE_S", -1.0)
    asked(step, "GET")
    step.let_go()
    assert script.clients[0] == script.clients[1] != script.clients[2]


def test_a_connection_that_the_vendor_closed_is_no_failure(url, script):
    """It is seen before it is used: the read goes over a new one at once, and nothing is remarked."""
    script.say(Connection="close")
    script.say()
    step = replace(rehearsed({"token": TOKEN}, url), held={})
    asked(step, "GET", "GET")
    step.let_go()
    assert len(set(script.clients)) == 2
    assert step.remarks == []
