"""Cloudflare's yes and no, its limit, and changes that converge."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from runbook.errors import VendorRefused, VendorUnavailable
from runbook.providers.cloudflare.dialect import limit, settle, verdict
from runbook.providers.dialect import Reply

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
NO = {"success": False, "errors": [{"code": 81058, "message": "An identical record already exists."}]}


def reply(status, body):
    return Reply(status, content=json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (200, {"success": True, "result": {}}, "done", ""),
        (404, {"success": True, "result": {}}, "done", ""),
        (200, NO, "refused", "81058"),
        (400, NO, "refused", "81058"),
        (200, {"success": False, "errors": [{"code": 971, "message": "throttled"}]}, "later", "971"),
        (429, NO, "later", "81058"),
        (500, NO, "failed", "81058"),
        (503, "upstream", "failed", ""),
        (200, {"result": {"id": "x"}}, "done", ""),
        (200, {"data": {"viewer": {}}, "errors": None}, "done", ""),
        (200, {"data": None, "errors": [{"message": "no such zone"}]}, "refused", ""),
    ],
)
def test_success_is_the_verdict(status, body, kind, code):
    """Whatever HTTP's status says below 500; GraphQL has its errors inside 200."""
    found = verdict(reply(status, body))
    assert (found.kind, found.code) == (kind, code)


def test_the_limit_is_read_from_its_header():
    """What is left, and in how many seconds there is more; no such header tells nothing."""
    found = limit(Reply(200, {"ratelimit": '"default";r=0;t=40'}), NOW)
    assert (found.left, found.renewed_at) == (0, NOW + timedelta(seconds=40))
    assert limit(Reply(200, {"ratelimit": "soon"}), NOW) is None


class Vendor:
    """Shows what was asked once it has been asked `after` times; refuses with `code` if there is one."""

    def __init__(self, after, code=""):
        self.after, self.code, self.asked = after, code, 0

    def look(self):
        return "there" if self.asked >= self.after else None

    def act(self):
        self.asked += 1
        if self.code:
            raise VendorRefused("no", code=self.code)


@pytest.mark.parametrize(("after", "asked"), [(0, 0), (1, 1), (3, 3)])
def test_a_change_is_asked_for_until_it_shows(after, asked):
    """What is there already is not asked for."""
    vendor = Vendor(after)
    assert settle(vendor.look, vendor.act, call="change") == "there"
    assert vendor.asked == asked


def test_a_change_that_never_shows_is_no_success():
    """Accepted and not done ends as unavailable, after three times."""
    vendor = Vendor(after=99)
    with pytest.raises(VendorUnavailable, match="change"):
        settle(vendor.look, vendor.act, call="change")
    assert vendor.asked == 3


def test_a_refusal_as_there_already_is_looked_at():
    """The codes named mean that an earlier call came through; any other refusal goes on to the caller."""
    vendor = Vendor(after=1, code="81058")
    assert settle(vendor.look, vendor.act, call="create", there=frozenset({"81058"})) == "there"
    with pytest.raises(VendorRefused):
        settle(Vendor(after=1, code="9021").look, Vendor(after=1, code="9021").act, call="create")
