"""Cloudflare's API as far as the runbooks use it, traps included.

- `success` is the verdict, whatever HTTP's status says; GraphQL answers its errors with HTTP 200.
- A zone begins *pending*: it is answered at its nameservers, unproxied, without a certificate. It becomes
  *active* when a look at the registry finds exactly its nameservers, and *moved* when later looks do not.
- A pending Free zone is deleted after 28 days; one that is added again gets other nameservers.
- There are no idempotency keys. 1,200 calls in 5 minutes; one more, and all are refused for 5 minutes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import ClassVar, Final

from runbook.clock import utc_text
from runbook.sandbox.vendors.cloudflare.analytics import Analytics
from runbook.sandbox.vendors.cloudflare.billing import Billing
from runbook.sandbox.vendors.cloudflare.certificates import Certificates
from runbook.sandbox.vendors.cloudflare.records import Records
from runbook.sandbox.vendors.cloudflare.rulesets import Rulesets
from runbook.sandbox.vendors.cloudflare.saying_no import BAD, FORBIDDEN, Refusal, failure, success
from runbook.sandbox.vendors.cloudflare.settings import Settings
from runbook.sandbox.vendors.cloudflare.zones import SIDE, Zones
from runbook.sandbox.world.faults import Fault
from runbook.sandbox.world.part import HEX, Answer, Call, Part, Route
from runbook.sandbox.world.state import Doc
from runbook.sandbox.world.world import World

BASE: Final = "/cloudflare/client/v4"
ACCOUNT: Final = "0a11ce0a11ce0a11ce0a11ce0a11ce00"
CALLS, WINDOW = 1_200, timedelta(minutes=5)
_UNAUTHORIZED: Final = 401
MEDDLED_AFTER: Final = timedelta(minutes=30)
ASTRAY: Final = "omnihub-web.hosting.example"
_MEDDLES: Final = ("site-fails-at-cloudflare", "wrong-record-at-cloudflare")
_READS: Final = frozenset({"read_events"})


class Cloudflare(Part):
    name = "cloudflare"
    mounts = ("cloudflare",)
    scenarios: ClassVar[Mapping[str, str]] = {
        "delegated-to-cloudflare": "The registry names Cloudflare's nameservers for every zone it has there",
        "pending-certificate": "Universal SSL at Cloudflare never gets through validation",
        "waf-blocks": "Cloudflare's WAF has blocked and challenged requests for the last ten minutes",
        "site-fails-at-cloudflare": "Half an hour after the zone is active somebody proxies the site",
        "wrong-record-at-cloudflare": "Half an hour after the zone is active, or now when it is, somebody "
        "leads www astray",
        "cloudflare-outage": "Cloudflare's API answers 503 to everything, until faults are lifted",
        "cloudflare-pro": "Every zone at Cloudflare is on the plan Pro, also those to come",
        "cloudflare-enterprise": "Every zone at Cloudflare is on the plan Enterprise, also those to come",
    }

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.zones = Zones(self, ACCOUNT)
        self.certificates = Certificates(self, self.zones)
        self._records = Records(self, self.zones)
        self._rules = Rulesets(self, self.zones)
        self._settings = Settings(self, self.zones)
        self._analytics = Analytics(self, self.zones)
        self._billing = Billing(self, self.zones, ACCOUNT)

    def routes(self) -> Iterable[Route]:
        rows: list[tuple[str, str, str, Callable[[Call], Answer]]] = [
            ("GET", "/user/tokens/verify", "verify_token", self.verify),
            ("GET", "/zones", "read_zones", self.zones.listed),
            ("POST", "/zones", "create_zone", self.zones.create),
            ("GET", "/zones/{zone_id}", "read_zone", self.zones.one),
            ("PUT", "/zones/{zone_id}/activation_check", "check_activation", self.zones.check),
            *self._records.routes(),
            *self.certificates.routes(),
            *self._rules.routes(),
            *self._settings.routes(),
            *self._analytics.routes(),
            *self._billing.routes(),
        ]
        for method, path, call, handler in rows:
            changes = False if call in _READS else None
            yield Route(method, BASE + path, call, self._counted(handler), changes=changes)

    def seed(self) -> None:
        for origin in self.zones.internet.origins(SIDE):
            self.zones.internet.drop(SIDE, origin)
        self.table("secrets").put("token", {"value": self.token(40), "id": self.token(32, HEX)})

    def secrets(self) -> Mapping[str, str]:
        return {"token": self.table("secrets")["token"]["value"]}

    def status(self) -> Doc:
        found = {}
        for zone in self.zones.all():
            records = len(self.zones.records(zone))
            servers = ", ".join(zone["servers"])
            found[zone["name"]] = f"{zone['status']} on {zone['plan']}, {records} records, {servers}"
        return {"zones": found}

    def play(self, scenario: str) -> None:
        match scenario:
            case "delegated-to-cloudflare":
                self.zones.delegate()
            case "pending-certificate":
                self.table("meta").put("stuck", {"certificates": True})
            case "cloudflare-outage":
                self.world.set_fault(Fault(name="status", vendor=self.name, times=None))
            case "waf-blocks":
                self._analytics.block()
            case _ if scenario in _MEDDLES:
                active = [zone for zone in self.zones.all() if zone["status"] == "active"]
                self.table("habits").put(scenario, {})
                for zone in active:
                    self._meddle(zone)
            case _:
                self.zones.set_plan(scenario.removeprefix("cloudflare-"))

    def on_due(self, what: str, data: Doc) -> None:
        match what:
            case "look":
                activated = self.zones.look(data["zone"], scheduled=data.get("scheduled", False))
                if activated is not None:
                    self.certificates.order(activated)
                    self.later("meddle", after=MEDDLED_AFTER, zone=activated["id"])
            case "meddle":
                self._meddle(*[zone for zone in self.zones.all() if zone["id"] == data["zone"]])
            case "certificate":
                self.certificates.advance(data["pack"], data["status"])
            case "give_up":
                self.zones.give_up(data["zone"], since=data["since"], status=data["status"])
            case _:
                self.zones.purge(data["zone"])

    def is_proxied(self, host: str) -> bool:
        """Return whether a host's visitors are served by the edge: proxied, in a zone that is active."""
        return any(
            record["name"] == host and record.get("proxied", False)
            for zone in self.zones.all()
            if zone["status"] in ("active", "moved")
            for record in self.zones.records(zone).values()
        )

    def has_certificate(self, host: str) -> bool:
        """Return whether the edge can prove to be a host: its zone has a certificate that is deployed."""
        ours = {zone["id"] for zone in self.zones.all() if f".{host}".endswith(f".{zone['name']}")}
        packs = self.table("packs").values()
        return any(pack["zone"] in ours and pack["status"] == "active" for pack in packs)

    def _meddle(self, *zones: Doc) -> None:
        """Let somebody change records by hand, when a scenario says so; once."""
        for zone in zones:
            name, habits = zone["name"], self.table("habits")
            if "site-fails-at-cloudflare" in habits:
                for host in (name, f"www.{name}"):
                    self._records.meddle(zone, host, proxied=True)
            if "wrong-record-at-cloudflare" in habits:
                self._records.meddle(zone, f"www.{name}", content=ASTRAY)
        if zones:
            self.table("habits").clear()

    # Saying no

    def authorize(self, call: Call) -> Answer | None:
        shown = call.header("Authorization")
        if shown == f"Bearer {self.secrets()['token']}":
            return None
        if call.path.endswith("/tokens/verify"):
            return failure(_UNAUTHORIZED, 1000, "Invalid API Token")
        if not shown:
            return failure(BAD, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
        return failure(FORBIDDEN)

    def error(self, status: int) -> Answer:
        return failure(status)

    def _counted(self, handler: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
        """Return a handler within the limit: it tells what is left, and refuses when nothing is."""

        def answer(call: Call) -> Answer:
            told, blocked_s = self._count()
            if blocked_s:
                said = self.limited(blocked_s)
            else:
                try:
                    said = handler(call)
                except Refusal as refusal:
                    said = refusal.answer()
            return replace(said, headers={**said.headers, **told})

        return answer

    def _count(self) -> tuple[dict[str, str], int]:
        """Count a call; return the headers that tell of it, and for how many seconds calls are refused."""
        now = self.now
        kept = self.table("meta").get("calls", {"all": 0, "in_window": 0, "ends": "", "blocked": ""})
        ends = datetime.fromisoformat(kept["ends"]) if kept["ends"] else now
        in_window = kept["in_window"] + 1
        if now >= ends:
            ends, in_window = now + WINDOW, 1
        blocked = datetime.fromisoformat(kept["blocked"]) if kept["blocked"] else now
        if now >= blocked and in_window > CALLS:
            blocked, ends, in_window = now + WINDOW, now + WINDOW, 0
        count = {"all": kept["all"] + 1, "in_window": in_window}
        self.table("meta").put("calls", {**count, "ends": utc_text(ends), "blocked": utc_text(blocked)})
        left_s = int((ends - now).total_seconds())
        headers = {
            "CF-Ray": f"{hashlib.sha256(f'{self.world.seed}{count}'.encode()).hexdigest()[:16]}-FRA",
            "Ratelimit": f'"default";r={max(0, CALLS - in_window)};t={left_s}',
            "Ratelimit-Policy": f'"default";q={CALLS};w={int(WINDOW.total_seconds())}',
        }
        return headers, max(0, int((blocked - now).total_seconds()))

    # Calls

    def verify(self, _call: Call) -> Answer:
        return success({"id": self.table("secrets")["token"]["id"], "status": "active"})
