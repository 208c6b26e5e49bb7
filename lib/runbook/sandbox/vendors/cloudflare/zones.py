"""Cloudflare's zones: from pending to active and away again, and what the assigned nameservers answer.

Sources: docs, dns/zone-setups/reference/domain-status (first check after 60 s, then ever less often; Free:
pending 28 days or moved 7 days → deleted, deleted 7 days → purged; a deleted zone is still answered, and one
that is added again gets other nameservers); dns/proxy-status (a pending zone's proxied records are DNS-only);
dns/cname-flattening; dns/manage-dns-records (200, 3,500 records; Enterprise counts by account).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from runbook.clock import utc_text
from runbook.sandbox.dns.zone import ALIAS, Delegation, RecordSet, to_name
from runbook.sandbox.dns.zone import Zone as Served
from runbook.sandbox.vendors.cloudflare.content import AUTOMATIC_S, PROXIABLE, rdata, seconds
from runbook.sandbox.vendors.cloudflare.saying_no import (
    BAD,
    FORBIDDEN,
    Refusal,
    no_such_object,
    page,
    success,
)
from runbook.sandbox.world.part import HEX, Answer, Call, Part, seconds_text
from runbook.sandbox.world.state import Doc, Table

if TYPE_CHECKING:
    from runbook.sandbox.dns.internet import Internet

SIDE: Final = "cloudflare"
EDGE: Final = {"A": ("104.16.0.1", "104.17.0.1"), "AAAA": ("2606:4700::6810:1", "2606:4700::6811:1")}
"""What a proxied name is answered with: addresses of the ranges at cloudflare.com/ips."""

DAY: Final = timedelta(days=1)
CHECKS: Final = tuple(timedelta(seconds=s) for s in (60, 300, 900, 3_600, 14_400, 21_600))
"""When the nameservers are looked at after the last time; the last one goes on for ever."""

FAILED_CHECKS: Final = 3
"""How many looks in a row must fail before an active zone is moved ("multiple"; the number is ours)."""

ASKED_FOR: Final = timedelta(seconds=30)
"""How long after a request for a check it is made."""

PENDING_FOR, MOVED_FOR, DELETED_FOR = 28 * DAY, 7 * DAY, 7 * DAY
_PAGE, _PAGE_MOST = 20, 50


@dataclass(frozen=True)
class Plan:
    """What a zone's plan allows; `quota` None: counted by account."""

    name: str
    price_usd: int
    quota: int | None
    batch: int
    least_ttl_s: int = 60
    check_again: timedelta = timedelta(minutes=5)


PLANS: Final = {
    "free": Plan("Free Website", 0, 200, 200, check_again=timedelta(hours=1)),
    "pro": Plan("Pro Website", 20, 3_500, 3_500),
    "business": Plan("Business Website", 200, 3_500, 3_500),
    "enterprise": Plan("Enterprise Website", 0, None, 3_500, least_ttl_s=30),
}


class Zones:
    """Answers /zones, watches delegations, and keeps the nameservers' answers in step with the records."""

    def __init__(self, part: Part, account: str) -> None:
        self._part, self._account = part, account

    @property
    def internet(self) -> Internet:
        """Return the sandbox's DNS."""
        return cast(Any, self._part.world.part("dns")).internet  # type: ignore[no-any-return]

    def all(self) -> list[Doc]:
        """Return the zones that the API shows."""
        return [doc for doc in self._table().values() if doc["status"] != "deleted"]

    def of(self, call: Call) -> Doc:
        """Return the zone of a call; Refusal when there is none."""
        found = self._table().get(call.args["zone_id"])
        if found is None or found["status"] == "deleted":
            raise no_such_object()
        return found

    def records(self, zone: Doc) -> Table:
        return self._part.table(f"records {zone['id']}")

    def served(self, zone: Doc) -> Served:
        """Return the zone as its nameservers hold it."""
        hosted = self.internet.hosted(SIDE, zone["name"])
        if hosted is None:
            raise no_such_object()
        return hosted.zone

    # Calls

    def listed(self, call: Call) -> Answer:
        found = [doc for doc in self.all() if self._fits(doc, call)]
        size = call.number("per_page", _PAGE, least=5, most=_PAGE_MOST)
        return page([self.shown(doc) for doc in found], call.number("page", 1, least=1), size)

    def one(self, call: Call) -> Answer:
        return success(self.shown(self.of(call)))

    def create(self, call: Call) -> Answer:
        asked = call.json()
        asked = asked if isinstance(asked, dict) else {}
        if (asked.get("account") or {}).get("id") != self._account:
            raise Refusal(1068, "Permission denied", status=FORBIDDEN)
        if asked.get("type", "full") != "full":
            raise Refusal(1101, "Only a full setup is allowed on this plan.")
        name = _zone_name(asked.get("name"))
        if any(doc["name"] == name for doc in self.all()):
            raise Refusal(1061, f"{name} already exists")
        return success(self.shown(self._made(name)))

    def check(self, call: Call) -> Answer:
        """Take a request for a check; the check is made a little later."""
        zone = self.of(call)
        again = PLANS[zone["plan"]].check_again
        if zone["asked_at"] and self._part.now < datetime.fromisoformat(zone["asked_at"]) + again:
            minutes = int(again.total_seconds() // 60)
            raise Refusal(1224, f"A check can be asked for once in {minutes} minutes.", status=BAD)
        self._table().change(zone["id"], asked_at=utc_text(self._part.now))
        self._part.later("look", after=ASKED_FOR, zone=zone["id"])
        return success({"id": zone["id"]})

    def _fits(self, doc: Doc, call: Call) -> bool:
        wanted = {"name": call.one("name").lower(), "status": call.one("status")}
        account = call.one("account.id")
        return all(doc[field] == value for field, value in wanted.items() if value) and (
            account in ("", self._account)
        )

    def shown(self, doc: Doc) -> Doc:
        """Return a zone as the API shows it."""
        plan = PLANS[doc["plan"]]
        return {
            "id": doc["id"],
            "name": doc["name"],
            "status": doc["status"],
            "paused": False,
            "type": "full",
            "development_mode": 0,
            "name_servers": [server.rstrip(".") for server in doc["servers"]],
            "original_name_servers": doc["original"],
            "original_registrar": None,
            "original_dnshost": None,
            "created_on": doc["created_on"],
            "modified_on": doc["since"],
            "activated_on": doc["activated_on"],
            "meta": {
                "step": 2,
                "custom_certificate_quota": 0,
                "page_rule_quota": 3,
                "phishing_detected": False,
            },
            "owner": {"type": "user"},
            "account": {"id": self._account, "name": "OmniHub"},
            "plan": {
                "id": doc["plan_id"],
                "name": plan.name,
                "price": plan.price_usd,
                "currency": "USD",
                "frequency": "",
                "legacy_id": doc["plan"],
                "is_subscribed": doc["plan"] != "free",
                "can_subscribe": False,
                "legacy_discount": False,
                "externally_managed": False,
            },
        }

    # A zone's life

    def _made(self, name: str) -> Doc:
        for old in [doc for doc in self._table().values() if doc["name"] == name]:
            self._purge(old)
        self.internet.drop(SIDE, name)  # what somebody put there by hand
        self.internet.host(SIDE, name)
        delegation = self.internet.delegation(name)
        now = seconds_text(self._part.now)
        doc = {
            "id": self._part.token(32, HEX),
            "name": name,
            "status": "pending",
            "plan": self._part.table("meta").get("plan", {"name": "free"})["name"],
            "plan_id": self._part.token(32, HEX),
            "servers": list(self.internet.assigned(SIDE, name)),
            "original": [one.rstrip(".") for one in delegation.nameservers] if delegation else None,
            "created_on": now,
            "since": now,
            "activated_on": None,
            "asked_at": "",
            "looks": 0,
            "failed": 0,
        }
        self._table().put(doc["id"], doc)
        self._part.later("look", after=CHECKS[0], zone=doc["id"], scheduled=True)
        self._part.later("give_up", after=PENDING_FOR, zone=doc["id"], since=now, status="pending")
        return doc

    def look(self, key: str, *, scheduled: bool) -> Doc | None:
        """Compare the delegation with the nameservers assigned; return the zone if it has become active."""
        zone = self._table().get(key)
        if zone is None or zone["status"] == "deleted":
            return None
        if scheduled:
            looks = zone["looks"] + 1
            self._table().change(key, looks=looks)
            wait = CHECKS[min(looks, len(CHECKS) - 1)]
            self._part.later("look", after=wait, zone=key, scheduled=True)
        if self._is_ours(zone):
            self._table().change(key, failed=0)
            return self._turn(key, "active") if zone["status"] != "active" else None
        failed = zone["failed"] + 1
        self._table().change(key, failed=failed)
        if zone["status"] == "active" and failed >= FAILED_CHECKS:
            self._turn(key, "moved")
            self._part.later("give_up", after=MOVED_FOR, zone=key, since=self._now(), status="moved")
        return None

    def give_up(self, key: str, *, since: str, status: str) -> None:
        """Delete a zone that has been pending or moved for too long; a paid one stays."""
        zone = self._table().get(key)
        if zone and (zone["status"], zone["since"], zone["plan"]) == (status, since, "free"):
            self._turn(key, "deleted")
            self._part.later("purge", after=DELETED_FOR, zone=key)

    def purge(self, key: str) -> None:
        """Forget a deleted zone: its nameservers refuse from now on."""
        zone = self._table().get(key)
        if zone and zone["status"] == "deleted":
            self._purge(zone)

    def set_plan(self, plan: str) -> None:
        """Put every zone, and those to come, on a plan."""
        self._part.table("meta").put("plan", {"name": plan})
        for key in list(self._table()):
            self._table().change(key, plan=plan)

    def delegate(self) -> None:
        """Let the registry name the nameservers assigned, for every zone."""
        for zone in self.all():
            found = self.internet.delegation(zone["name"])
            found = found or Delegation(zone["name"], ())
            self.internet.delegate(replace(found, nameservers=tuple(zone["servers"])))

    def _is_ours(self, zone: Doc) -> bool:
        found = self.internet.delegation(zone["name"])
        return found is not None and {to_name(one) for one in found.nameservers} == set(
            map(to_name, zone["servers"])
        )

    def _turn(self, key: str, status: str) -> Doc:
        activated = {"activated_on": self._now()} if status == "active" else {}
        zone = self._table().change(key, status=status, since=self._now(), failed=0, **activated)
        proxied = {doc["name"]: None for doc in self.records(zone).values() if doc.get("proxied")}
        self.serve(zone, proxied)
        return zone

    def _purge(self, zone: Doc) -> None:
        hosted = self.internet.hosted(SIDE, zone["name"])
        if hosted is not None and list(hosted.servers) == zone["servers"]:
            self.internet.drop(SIDE, zone["name"])
        self.records(zone).clear()
        self._table().drop(zone["id"])

    def _now(self) -> str:
        return seconds_text(self._part.now)

    def _table(self) -> Table:
        return self._part.table("zones")

    # What the nameservers answer

    def serve(self, zone: Doc, names: Iterable[str]) -> None:
        """Bring the nameservers' answers at some names in step with the records there."""
        names = list(names)
        if not names:
            return
        at: dict[str, list[Doc]] = {name: [] for name in names}
        for record in self.records(zone).values():
            if record["name"] in at:
                at[record["name"]].append(record)
        served = self.served(zone)
        with served.change():
            for name, records in at.items():
                self._serve_name(zone, served, f"{name}.", records)

    def _serve_name(self, zone: Doc, served: Served, name: str, records: list[Doc]) -> None:
        wanted = _answers(
            records, at_apex=name == served.origin, proxying=zone["status"] in ("active", "moved")
        )
        for kind in list(served.node(to_name(name)) or {}):
            if kind not in wanted and not (kind == "NS" and name == served.origin):
                served.remove(name, kind)
        for kind, (ttl_s, values) in wanted.items():
            served.put(RecordSet(name, kind, ttl_s, values))


def _answers(records: list[Doc], *, at_apex: bool, proxying: bool) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Return what is answered at one name, by type: TTL and values.

    One proxied record proxies all addresses of its name: it is answered with the edge's. A CNAME is flattened
    at the apex, and where it has company (that the latter is flattened is not documented; a server cannot
    answer it otherwise).
    """
    found: dict[str, tuple[int, list[str]]] = {}
    kinds = {record["type"] for record in records}
    flattened = at_apex or kinds != {"CNAME"}
    proxied = proxying and any(record.get("proxied") for record in records)
    if proxied:
        found = {family: (AUTOMATIC_S, list(addresses)) for family, addresses in EDGE.items()}
    for record in records:
        kind, value, ttl_s = record["type"], rdata(record).to_text(), seconds(record)
        if (kind == "NS" and at_apex) or (proxied and kind in PROXIABLE):
            continue  # the NS at the apex are Cloudflare's own
        if kind == "CNAME" and flattened:
            kind = ALIAS
        least_s, values = found.get(kind, (ttl_s, []))
        found[kind] = (min(least_s, ttl_s), [*values, value])
    return {kind: (ttl_s, tuple(values)) for kind, (ttl_s, values) in found.items()}


def _zone_name(asked: Any) -> str:
    try:
        name = to_name(str(asked or "")).to_text(omit_final_dot=True)
    except ValueError as error:
        raise Refusal(1001, "Invalid domain name") from error
    if "." not in name:
        raise Refusal(1001, "Invalid domain name")
    return name
