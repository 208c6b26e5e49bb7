"""Zones from creation to activation, their quota and settings, and the token that speaks for us."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import AwareDatetime

from runbook.errors import SurprisingReply, VendorRefused
from runbook.providers.cloudflare.dialect import API, One, Page, read_whole, settle
from runbook.providers.connect import connect, vendor_id
from runbook.providers.dns.records import absolute, parse_name
from runbook.providers.http import Http
from runbook.providers.shape import Shape
from runbook.step import Step
from runbook.values import Value

ZoneStatus = Literal["initializing", "pending", "active", "moved"]
_PAGE: Final = 50
_EXISTS: Final = frozenset({"1061"})
_PENDING_FOR: Final = timedelta(days=28)
_BATCH: Final = {"pro": 3_500, "business": 3_500, "enterprise": 3_500}
_BATCH_LEAST: Final = 200


class Token(Value):
    """The API token as Cloudflare sees it; never its value."""

    id: str
    status: Literal["active", "disabled", "expired"]
    expires_at: datetime | None


class Zone(Value):
    """A zone; `nameservers` are those assigned to it (absolute names), `plan` Cloudflare's short name of it.

    Pending, it is answered at its nameservers, but neither proxied nor certified.
    """

    id: str
    name: str
    status: ZoneStatus
    plan: str
    nameservers: tuple[str, ...]
    created_at: datetime
    activated_at: datetime | None

    @property
    def batch_at_most(self) -> int:
        """Return how many records one batch may touch on this plan."""
        return _BATCH.get(self.plan, _BATCH_LEAST)

    @property
    def deleted_at(self) -> datetime | None:
        """Return when Cloudflare deletes it unless it becomes active; None: it does not."""
        return self.created_at + _PENDING_FOR if (self.status, self.plan) == ("pending", "free") else None


class Quota(Value):
    """How many records a zone has and may have; `most` None: the account's limit counts."""

    records: int
    most: int | None


class Setting(Value):
    """One setting of a zone."""

    name: str
    value: str
    changed_at: datetime | None


class _Token(Shape):
    id: str
    status: Literal["active", "disabled", "expired"]
    expires_on: AwareDatetime | None = None


class _Plan(Shape):
    legacy_id: str


class _Zone(Shape):
    id: str
    name: str
    status: ZoneStatus
    plan: _Plan
    name_servers: tuple[str, ...]
    created_on: AwareDatetime
    activated_on: AwareDatetime | None


class _Asked(Shape):
    id: str


class _Usage(Shape):
    record_quota: int | None
    record_usage: int


class _Setting(Shape):
    id: str
    value: str
    modified_on: AwareDatetime | None


def read_token(step: Step) -> Token:
    """Return what the token is; a wrong one raises VendorRefused."""
    with connect(step, API) as http:
        found = http.call("verify_token", "GET", "/user/tokens/verify", into=One[_Token]).result
    return Token(id=found.id, status=found.status, expires_at=found.expires_on)


def read_zones(step: Step) -> tuple[Zone, ...]:
    """Return every zone of our account."""
    with connect(step, API) as http:
        return _zones(http, _account(step), None)


def read_zone(step: Step, *, name: str) -> Zone | None:
    """Return our account's zone of that name, None when there is none."""
    with connect(step, API) as http:
        return _find(http, _account(step), name)


def apply_zone(step: Step, *, name: str) -> Zone:
    """Have a zone of that name, with its nameservers assigned; the delegation is not touched.

    The name is its key: a second one is refused, so it may be repeated. A new zone is on the plan Free, and
    one that was deleted before gets other nameservers.
    """
    account = _account(step)
    with connect(step, API) as http:

        def create() -> None:
            asked = {"name": _bare(name), "account": {"id": account}, "type": "full"}
            http.call("create_zone", "POST", "/zones", json=asked, into=One[_Zone], once=False)

        return settle(lambda: _find(http, account, name), create, call="create_zone", there=_EXISTS)


def apply_activation_check(step: Step, zone: Zone) -> Zone:
    """Ask Cloudflare to look at the delegation now, and return the zone as it stands.

    The look itself comes a little later. On Free it can be asked for once an hour, else every 5 minutes;
    asked too early it is refused, which is only remarked: Cloudflare also looks by itself.
    """
    with connect(step, API) as http:
        try:
            http.call(
                "check_activation",
                "PUT",
                "/zones/{zone}/activation_check",
                args={"zone": zone.id},
                into=One[_Asked],
            )
        except VendorRefused as error:
            step.remark(f"cloudflare did not take the request for a check ({error.code}); it looks by itself")
        found = http.call("read_zone", "GET", "/zones/{zone}", args={"zone": zone.id}, into=One[_Zone])
    return _zone(found.result)


def read_quota(step: Step, zone: Zone) -> Quota:
    """Return how many records a zone has and may have."""
    with connect(step, API) as http:
        found = http.call(
            "read_usage", "GET", "/zones/{zone}/dns_records/usage", args={"zone": zone.id}, into=One[_Usage]
        ).result
    return Quota(records=found.record_usage, most=found.record_quota)


def read_setting(step: Step, zone: Zone, *, name: str) -> Setting:
    """Return a setting: `ssl`, `always_use_https`, `min_tls_version` …"""
    with connect(step, API) as http:
        return _read_setting(http, zone, name)


def apply_setting(step: Step, zone: Zone, *, name: str, value: str) -> Setting:
    """Have a setting at a value."""
    with connect(step, API) as http:

        def look() -> Setting | None:
            found = _read_setting(http, zone, name)
            return found if found.value == value else None

        def change() -> None:
            http.call(
                "change_setting",
                "PATCH",
                "/zones/{zone}/settings/{name}",
                args={"zone": zone.id, "name": name},
                json={"id": name, "value": value},
                into=One[_Setting],
                once=False,
            )

        return settle(look, change, call="change_setting")


def _read_setting(http: Http, zone: Zone, name: str) -> Setting:
    args = {"zone": zone.id, "name": name}
    path = "/zones/{zone}/settings/{name}"
    found = http.call("read_setting", "GET", path, args=args, into=One[_Setting]).result
    return Setting(name=found.id, value=found.value, changed_at=found.modified_on)


def _account(step: Step) -> str:
    return vendor_id(step, "cloudflare", "account")


def _find(http: Http, account: str, name: str) -> Zone | None:
    found = [zone for zone in _zones(http, account, name) if zone.name == absolute(name)]
    if len(found) > 1:
        raise SurprisingReply(
            f"cloudflare read_zones: the account has {len(found)} zones named {name}; expected at most one",
            vendor="cloudflare",
            call="read_zones",
        )
    return found[0] if found else None


def _zones(http: Http, account: str, name: str | None) -> tuple[Zone, ...]:
    query = {"account.id": account, "name": None if name is None else _bare(name)}
    return tuple(
        _zone(one) for one in read_whole(http, "read_zones", "/zones", Page[_Zone], size=_PAGE, query=query)
    )


def _zone(found: _Zone) -> Zone:
    return Zone(
        id=found.id,
        name=absolute(found.name),
        status=found.status,
        plan=found.plan.legacy_id,
        nameservers=tuple(sorted(absolute(one) for one in found.name_servers)),
        created_at=found.created_on,
        activated_at=found.activated_on,
    )


def _bare(name: str) -> str:
    """Return a zone's name as the API wants it: A-labels, no dot at the end."""
    return parse_name(name).to_text(omit_final_dot=True)
