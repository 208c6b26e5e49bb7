"""Namecheap's client against replies that no good emulator would give, and its key against every way out."""

import logging

import pytest
import requests

from runbook.errors import SurprisingReply, VendorRefused, VendorUnavailable
from runbook.providers.dialect import Reply
from runbook.providers.registrars import namecheap
from runbook.step import Step
from tests.unit.providers.conftest import NOON

KEY = "0123456789abcdef0123456789abcdef"
SPACE = "http://api.namecheap.com/xml.response"
ZONE = "omnihub.dev."


def envelope(inside, status="OK"):
    return (
        f'<?xml version="1.0"?><ApiResponse Status="{status}" xmlns="{SPACE}">{inside}</ApiResponse>'.encode()
    )


def listed(*names, ours="false"):
    inner = "".join(f"<Nameserver>{name}</Nameserver>" for name in names)
    result = f'<DomainDNSGetListResult Domain="omnihub.dev" IsUsingOurDNS="{ours}">{inner}'
    return envelope(f"<CommandResponse>{result}</DomainDNSGetListResult></CommandResponse>")


def refusal(number, words="no"):
    return envelope(f'<Errors><Error Number="{number}">{words}</Error></Errors>', "ERROR")


@pytest.fixture
def step(url, clock, kept, monkeypatch):
    """A step whose Namecheap is the script, as if it were the real one."""

    class Vendor:
        base_url, urls, timeout_s = url, {}, 0.5
        secret_variables = {"api_key": "NAMECHEAP_API_KEY"}  # noqa: RUF012

        @staticmethod
        def id(name):
            return {"api_user": "omni", "user_name": "omni", "client_ip": "192.0.2.1"}[name]

    class Environment:
        name = "production"

        @staticmethod
        def vendor(_name):
            return Vendor

    return Step(
        clock=clock,
        environment=lambda: Environment,
        secret=lambda _name: KEY,
        evidence_sink=lambda name, content: kept.__setitem__(name, content.decode()),
    )


def read(step):
    return namecheap.Namecheap().read(step, ZONE)


def test_a_domain_is_asked_for_in_two_parts(step, script):
    """SLD is its first label, TLD all the rest."""
    script.say(body=listed("NS1.example.com", "ns2.example.com."))
    found = namecheap.Namecheap().read(step, "omnihub.co.uk.")
    assert found.names == ("ns1.example.com.", "ns2.example.com.")
    assert "SLD=omnihub&TLD=co.uk" in script.seen[0][1]


@pytest.mark.parametrize("number", ["3050900", "5019169", "5050169", "5050900"])
def test_errors_that_go_away_are_asked_again(step, script, number):
    """Inside HTTP 200, and no other number is."""
    script.say(body=refusal(number))
    script.say(body=listed("a.example", "b.example"))
    assert read(step).names
    assert len(script.seen) == 2


def test_a_refusal_inside_200_is_one(step, script):
    """With the vendor's number and words, asked once."""
    script.say(body=refusal("2016166", "Domain is not associated with your account"))
    with pytest.raises(VendorRefused, match="not associated") as caught:
        read(step)
    assert caught.value.code == "2016166"
    assert len(script.seen) == 1


def test_a_405_means_later(step, script, clock):
    """Its limit, on the run's clock, without a word of when; given up before the patience ends."""
    script.say(405, b"<html>not allowed</html>")
    script.say(body=listed("a.example", "b.example"))
    assert read(step).names
    assert (clock.now() - NOON).total_seconds() == 60
    script.say(405, b"")
    script.replies[:] = script.replies[-1:]
    with pytest.raises(VendorUnavailable, match="405"):
        read(step)


BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b'<ApiResponse Status="OK" xmlns="http://api.namecheap.com/xml.response">&b;</ApiResponse>'
)
OUTSIDE = BOMB.replace(b'<!ENTITY a "aaaaaaaaaa">', b'<!ENTITY a SYSTEM "file:///etc/hostname">')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Bad gateway</body></html>",
        BOMB,
        OUTSIDE,
        listed("a.example")[:-20],
        envelope("<CommandResponse/>"),
        envelope("<CommandResponse/>", "MAYBE"),
        listed("a.example", "b.example", ours="perhaps"),
        listed("a.example", ""),
        listed("a.example", "b.example").replace(SPACE.encode(), b"http://example.com/"),
        listed("a.example", "b.example").replace(b"DNSGetListResult", b"DNSOtherResult"),
    ],
)
def test_a_surprising_reply_is_named(step, script, body):
    """No XML, half of it, another's, entities, a DTD, a field that is missing or is something else."""
    script.say(body=body)
    with pytest.raises(SurprisingReply, match="namecheap answered read_nameservers"):
        read(step)


def test_a_change_that_says_not_updated_is_no_success(step, script):
    """Status OK around Updated="false"."""
    script.say(
        body=envelope('<CommandResponse><DomainDNSSetCustomResult Updated="false"/></CommandResponse>')
    )
    with pytest.raises(SurprisingReply, match="Updated"):
        namecheap.Namecheap().give(step, ZONE, ("a.example.", "b.example."), before=())


def test_a_page_that_is_not_full_and_not_the_last_is_no_list(step, script):
    """A list is whole or it is an error."""
    inner = '<DomainGetListResult><Domain Name="a.com"/></DomainGetListResult>'
    inner += "<Paging><TotalItems>99</TotalItems></Paging>"
    script.say(body=envelope(f"<CommandResponse>{inner}</CommandResponse>"))
    with pytest.raises(SurprisingReply, match="not full"):
        namecheap.read_domains(step)


@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 500},
        {"status": 302, "Location": "https://elsewhere.example/?ApiKey=" + KEY},
        {"status": 302, "Location": "/again?ApiKey=" + KEY},
        {"body": refusal("1011102", f"API Key {KEY} is invalid")},
        {"body": f"<html>{KEY}</html>".encode()},
        {"status": 200, "Content_Length": "9999"},
    ],
)
def test_the_key_gets_out_nowhere(step, script, trouble, kept, caplog):
    """It travels in the query: not into errors, their causes, events, evidence or the library's log."""
    caplog.set_level(logging.DEBUG)
    script.say(**trouble)
    with pytest.raises((VendorRefused, VendorUnavailable, SurprisingReply)) as caught:
        read(step)
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    said = [repr(one) + str(one) for one in chain] + step.remarks + list(kept.values()) + [caplog.text]
    assert f"ApiKey={KEY}" in script.seen[0][1]
    assert not any(KEY in text for text in said)
    assert "[namecheap api_key]" in "".join(kept.values())


def test_no_connection_does_not_tell_the_key(step, script, url, monkeypatch, caplog):
    """requests would write the whole address into its error."""
    caplog.set_level(logging.DEBUG)

    def fail(*_args, **kwargs):
        raise requests.ConnectionError(f"no way to {url}?{kwargs['params']}")

    monkeypatch.setattr(requests.Session, "request", fail)
    with pytest.raises(VendorUnavailable) as caught:
        read(step)
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert not any(KEY in repr(one) + str(one) for one in chain)
    assert KEY not in caplog.text + "".join(step.remarks)


def test_what_is_no_envelope_is_judged_by_its_status():
    """A page of HTML with 500 failed, with 403 refused."""
    kinds = [namecheap._verdict(Reply(status, {}, b"<html>x")).kind for status in (200, 403, 500, 429, 405)]
    assert kinds == ["done", "refused", "failed", "later", "later"]
