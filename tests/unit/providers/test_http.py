"""The one session: what is repeated, how long is waited, what is told and what never is."""

import logging
from datetime import timedelta

import pytest

from runbook.errors import OutcomeUnknown, SurprisingReply, VendorRefused, VendorUnavailable
from runbook.providers.dialect import Dialect, Limit, Reply, limit_of
from runbook.providers.http import Http
from runbook.providers.shape import Shape
from tests.unit.providers.conftest import NOON, TOKEN


class Thing(Shape):
    name: str


def read(http, **more):
    return http.call("read_thing", "GET", "/things/{id}", args={"id": "a/b"}, into=Thing, **more)


def create(http, **more):
    return http.call("create_thing", "POST", "/things", json={"name": "x"}, into=Thing, **more)


def test_a_reply_is_parsed_and_the_path_is_quoted(http, script):
    """Arguments of a path cannot break out of their segment; the credential travels in its header."""
    script.say(body=b'{"name": "x", "more": 1}')
    assert read(http).name == "x"
    method, path, headers, _ = script.seen[0]
    assert (method, path) == ("GET", "/things/a%2Fb")
    assert headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("trouble", ["cut", "500", "503", "429", "408"])
def test_a_read_is_tried_again(http, script, trouble, events, clock):
    """What may be repeated is, each time after a wait on the run's clock, and each retry is an event."""
    script.cut() if trouble == "cut" else script.say(int(trouble))
    script.say(body=b'{"name": "x"}')
    assert read(http).name == "x"
    assert [event.attempt for event in events] == [2]
    assert clock.now() - NOON == timedelta(seconds=events[0].wait_s) > timedelta(0)


@pytest.mark.parametrize("trouble", ["cut", "500", "503"])
def test_what_does_harm_twice_is_never_sent_twice(http, script, trouble):
    """A POST whose reply is lost, or that failed on the other side, may be done: it says so."""
    script.cut() if trouble == "cut" else script.say(int(trouble))
    with pytest.raises(OutcomeUnknown, match="may or may not have done create_thing") as caught:
        create(http)
    assert len(script.seen) == 1
    assert (caught.value.vendor, caught.value.exit_code) == ("toy", 4)


@pytest.mark.parametrize("body", [b"<html>", b"", b"{}", b'{"name": 3}'])
def test_an_unreadable_reply_to_a_post_is_unknown_and_to_a_read_a_surprise(http, script, body):
    """2xx with another shape: a read made nothing of it; a POST may be done all the same."""
    script.say(body=body)
    with pytest.raises(OutcomeUnknown, match="unreadable"):
        create(http)
    with pytest.raises(
        SurprisingReply, match="toy answered read_thing with a reply of another shape"
    ) as caught:
        read(http)
    assert caught.value.call == "read_thing"


def test_a_post_is_sent_again_when_it_was_surely_not_done(http, script):
    """429 says that nothing was done."""
    script.say(429, Retry_After="7")
    script.say(body=b'{"name": "x"}')
    assert create(http).name == "x"
    assert len(script.seen) == 2


def test_a_keyed_post_may_be_repeated(http, script):
    """once=False: the vendor knows it by its key."""
    script.cut()
    script.say(body=b'{"name": "x"}')
    assert create(http, once=False).name == "x"


def test_no_connection_is_surely_not_done(http, clock):
    """Nobody listens: a POST, too, is asked again, and then it is *later*, not *unknown*."""
    nobody = Http(http.dialect, "http://127.0.0.1:9", clock, secrets=http.secrets)
    with nobody, pytest.raises(VendorUnavailable, match="no connection"):
        create(nobody)


@pytest.mark.parametrize(
    ("header", "waits_s"),
    [
        ("7", 7),
        ("Mon, 30 Nov 2026 12:00:42 GMT", 42),
        ("Mon, 30 Nov 2026 11:00:00 GMT", 0),
        ("soon", 10),
        ("", 10),
    ],
)
def test_retry_after_is_honoured_on_the_run_clock(http, script, header, waits_s, clock):
    """Seconds or a date; without one, or with nonsense, a wait of our own."""
    script.say(429, **({"Retry_After": header} if header else {}))
    script.say(body=b'{"name": "x"}')
    read(http)
    assert clock.now() - NOON == timedelta(seconds=waits_s)


def test_nobody_waits_beyond_patience(http, script, clock):
    """A vendor that asks for a day gets none of it: the error says when to resume."""
    script.say(429, Retry_After="86400")
    with pytest.raises(VendorUnavailable, match=r"resume not before 2026-12-01T12:00:00Z"):
        read(http)
    assert clock.now() == NOON
    assert len(script.seen) == 1


def test_a_vendor_that_stays_down_is_given_up(http, script):
    """As often as the dialect says, not once more."""
    script.say(503)
    with pytest.raises(VendorUnavailable, match="asked 3 times") as caught:
        read(http)
    assert len(script.seen) == 3
    assert caught.value.status == 503


def test_a_refusal_is_told_with_the_vendors_own_words(http, script):
    """Status, code, words and request id, and no second attempt."""
    script.say(403, b'{"error": {"code": "forbidden", "message": "not yours"}}', X_Request_Id="r-1")
    with pytest.raises(VendorRefused, match=r"HTTP 403 forbidden.*not yours.*request r-1") as caught:
        read(http)
    assert (caught.value.code, caught.value.request_id) == ("forbidden", "r-1")
    assert len(script.seen) == 1


def test_no_secret_is_told_anywhere(http, script, kept):
    """A vendor that echoes the credential does not get it into an error, an event or the evidence."""
    script.say(400, f'{{"error": {{"code": "bad", "message": "token {TOKEN} is bad"}}}}'.encode())
    with pytest.raises(VendorRefused, match=r"token \[toy token\] is bad") as caught:
        read(http, query={"key": TOKEN})
    assert TOKEN not in repr(caught.value) + repr(http) + "".join(kept.values())
    assert "[toy token]" in "".join(kept.values())
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("where", ["http://127.0.0.1:9/x", "https://example.com/x", "//example.com/x"])
def test_another_host_is_not_followed(http, script, where):
    """A redirect elsewhere would take the credential along."""
    script.say(302, Location=where)
    with pytest.raises(SurprisingReply, match="not followed"):
        read(http)
    assert len(script.seen) == 1


def test_a_redirect_on_the_same_host_is_followed_by_reads_only(http, script):
    """A moved read is a read; a moved POST is a surprise."""
    script.say(301, Location="/elsewhere")
    script.say(body=b'{"name": "x"}')
    assert read(http).name == "x"
    assert script.seen[1][1] == "/elsewhere"
    script.replies[:] = []
    script.say(307, Location="/elsewhere")
    with pytest.raises(SurprisingReply):
        create(http)


def test_a_circle_of_redirects_ends(http, script):
    """No endless walk."""
    script.say(302, Location="/again")
    with pytest.raises(SurprisingReply, match="circle"):
        read(http)
    assert len(script.seen) == 4


def test_nothing_is_sent_without_tls(clock):
    """Only loopback may be plain http."""
    with pytest.raises(VendorRefused, match="not https"):
        Http(Dialect(vendor="toy", mount="/toy"), "http://api.example.com", clock)


def test_a_truncated_body_is_no_reply(http, script):
    """Half a list is not a shorter list."""
    script.say(body=b'{"name": "x"}', Content_Length="1000")
    with pytest.raises(VendorUnavailable, match="before the whole reply"):
        read(http)


def test_each_exchange_is_kept_as_evidence(http, script, kept):
    """One file per attempt, named by time, vendor and call."""
    script.say(503)
    script.say(body=b'{"name": "x"}')
    read(http)
    assert sorted(kept) == [
        "20261130T120000000000Z-toy-read_thing-001.json",
        "20261130T120001000000Z-toy-read_thing-002.json",
    ]


def test_no_query_gets_into_the_librarys_log(http, script, caplog):
    """Some vendors want their key in the query, and urllib3 logs whole addresses when it is told to."""
    caplog.set_level(logging.DEBUG, logger="urllib3")
    script.say(body=b'{"name": "x"}')
    read(http, query={"key": TOKEN, "what": "it"})
    assert "GET /things/a%2Fb" in caplog.text
    assert TOKEN not in caplog.text
    assert "what=it" not in caplog.text


def test_hidden_fields_of_a_reply_are_not_kept(url, clock, kept, script):
    """A reply may hold a credential of its own, at any depth; the client still reads it."""
    script.say(body=b'{"name": "x", "owner": [{"code": "transfer-me", "n": 1}]}')
    dialect = Dialect(vendor="toy", mount="/toy", hidden=frozenset({"code"}))
    with Http(dialect, url, clock, keep=kept.__setitem__) as http:
        assert read(http).name == "x"
    (text,) = kept.values()
    assert "transfer-me" not in text
    assert '"n": 1' in text


def test_a_vendor_may_say_later_in_its_body(url, clock, script):
    """Where no header tells when, the dialect reads it."""
    script.say(429, b'{"wait": 33}')
    script.say(body=b'{"name": "x"}')
    told = Dialect(vendor="toy", mount="/toy", later=lambda r, now: now + timedelta(seconds=r.json()["wait"]))
    with Http(told, url, clock) as http:
        read(http)
    assert clock.now() - NOON == timedelta(seconds=33)


def limited(reply, now):
    return limit_of(reply, now, left="x-left", renewed="x-reset", unit="seconds")


@pytest.mark.parametrize(
    ("left", "reset_s", "waits_s"), [("0", 40, 40), ("1", 40, 0), ("0", 601, 0), ("0", 0, 0)]
)
def test_a_limit_that_is_used_up_is_waited_for(url, clock, events, script, left, reset_s, waits_s):
    """No call left: the next one waits until there are more, unless that is beyond patience."""
    script.say(body=b'{"name": "x"}', X_Left=left, X_Reset=str(reset_s))
    script.say(body=b'{"name": "x"}')
    dialect = Dialect(vendor="toy", mount="/toy", limit=limited, patience_s=600.0)
    with Http(dialect, url, clock, hear=events.append) as http:
        read(http)
        assert clock.now() == NOON
        read(http)
    assert clock.now() - NOON == timedelta(seconds=waits_s)
    assert [event.why for event in events] == ["the vendor's limit is used up"] * bool(waits_s)


def test_what_was_left_counts_from_when_it_was_told(url, clock, script):
    """Time that went by between two calls is not waited for again."""
    script.say(body=b'{"name": "x"}', X_Left="0", X_Reset="40")
    script.say(body=b'{"name": "x"}')
    with Http(Dialect(vendor="toy", mount="/toy", limit=limited), url, clock) as http:
        read(http)
        clock.advance(timedelta(seconds=30))
        read(http)
    assert clock.now() - NOON == timedelta(seconds=40)


@pytest.mark.parametrize(
    "headers",
    [{}, {"X_Left": "0"}, {"X_Left": "none", "X_Reset": "40"}, {"X_Left": "0", "X_Reset": "-1"}],
)
def test_a_limit_that_is_told_by_halves_is_none(url, clock, script, headers):
    """Nothing is waited for that was not said."""
    script.say(body=b'{"name": "x"}', **headers)
    with Http(Dialect(vendor="toy", mount="/toy", limit=limited), url, clock) as http:
        read(http)
        read(http)
    assert clock.now() == NOON


def test_a_limit_may_be_renewed_at_a_time_since_1970():
    """Some tell a time, others seconds from now."""
    at = NOON + timedelta(seconds=90)
    reply = Reply(200, {"x-left": "3", "x-reset": str(int(at.timestamp()))})
    assert limit_of(reply, NOON, left="x-left", renewed="x-reset", unit="epoch") == Limit(3, at)
