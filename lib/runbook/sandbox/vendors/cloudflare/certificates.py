"""The certificates of a zone: Universal SSL, which comes a while after activation and never before.

Sources: docs, ssl/edge-certificates/universal-ssl/enable-universal-ssl (15 minutes to 24 hours after
activation; apex and one level; shown only when a record is proxied); the API's description (a list without
`status=all` shows active packs only).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from runbook.sandbox.vendors.cloudflare.saying_no import no_such_object, page, success
from runbook.sandbox.vendors.cloudflare.zones import Zones
from runbook.sandbox.world.part import HEX, Answer, Call, Part, seconds_text
from runbook.sandbox.world.state import Doc

STAGES: Final = (
    ("initializing", timedelta(0)),
    ("pending_validation", timedelta(minutes=2)),
    ("pending_issuance", timedelta(minutes=20)),
    ("pending_deployment", timedelta(minutes=35)),
    ("active", timedelta(minutes=40)),
)
"""What becomes of a pack, and how long after its zone's activation."""

STUCK: Final = "pending_validation"
_VERIFICATION: Final = {
    "initializing": "initializing",
    "pending_validation": "authorizing",
    "pending_issuance": "issuing",
    "pending_deployment": "pending_deployment",
    "active": "active",
}
_PAGE, _PAGE_MOST = 20, 50
_VALID_FOR: Final = timedelta(days=90)


class Certificates:
    """Answers /zones/{zone_id}/ssl."""

    def __init__(self, part: Part, zones: Zones) -> None:
        self._part, self._zones = part, zones

    def routes(self) -> Iterable[tuple[str, str, str, Callable[[Call], Answer]]]:
        """Return (method, path below the API, name of the call, handler)."""
        here = "/zones/{zone_id}/ssl"
        yield "GET", f"{here}/certificate_packs", "read_certificates", self.listed
        yield "GET", here + "/certificate_packs/{pack_id}", "read_certificate", self.one
        yield "GET", f"{here}/verification", "read_verification", self.verification

    def order(self, zone: Doc) -> None:
        """Begin Universal SSL for a zone that has become active; a second time nothing new."""
        if any(pack["zone"] == zone["id"] for pack in self._part.table("packs").values()):
            return
        key = self._part.token(32, HEX)
        pack = {"id": key, "zone": zone["id"], "status": STAGES[0][0], "since": seconds_text(self._part.now)}
        self._part.table("packs").put(key, pack)
        for status, after in STAGES[1:]:
            self._part.later("certificate", after=after, pack=key, status=status)

    def advance(self, key: str, status: str) -> None:
        """Bring a pack to its next status; validation never ends while that scenario is played."""
        packs = self._part.table("packs")
        if key not in packs or (self._part.table("meta").get("stuck") and status not in ("", STUCK)):
            return
        packs.change(key, status=status, since=seconds_text(self._part.now))

    # Calls

    def listed(self, call: Call) -> Answer:
        zone = self._zones.of(call)
        packs = [
            pack for pack in self._packs(zone) if call.one("status") == "all" or pack["status"] == "active"
        ]
        size = call.number("per_page", _PAGE, least=5, most=_PAGE_MOST)
        return page([self._shown(zone, pack) for pack in packs], call.number("page", 1, least=1), size)

    def one(self, call: Call) -> Answer:
        zone = self._zones.of(call)
        found = [pack for pack in self._packs(zone) if pack["id"] == call.args["pack_id"]]
        if not found:
            raise no_such_object()
        return success(self._shown(zone, found[0]))

    def verification(self, call: Call) -> Answer:
        """Answer without the envelope's usual parts: this list is described with a result alone."""
        found = [
            {
                "certificate_status": _VERIFICATION[pack["status"]],
                "cert_pack_uuid": pack["id"],
                "signature": "ECDSAWithSHA256",
                "validation_method": "txt",
                "brand_check": False,
                "verification_status": pack["status"] not in ("initializing", STUCK),
            }
            for pack in self._packs(self._zones.of(call))
        ]
        return Answer(200, {"result": found})

    def _packs(self, zone: Doc) -> list[Doc]:
        proxied = any(record.get("proxied") for record in self._zones.records(zone).values())
        packs = self._part.table("packs").values()
        return [pack for pack in packs if proxied and pack["zone"] == zone["id"]]

    def _shown(self, zone: Doc, pack: Doc) -> Doc:
        hosts = [zone["name"], f"*.{zone['name']}"]
        certificate = {
            "id": pack["id"],
            "hosts": hosts,
            "status": pack["status"],
            "issuer": "GoogleTrustServices",
            "signature": "ECDSAWithSHA256",
            "bundle_method": "ubiquitous",
            "zone_id": zone["id"],
            "modified_on": pack["since"],
            "expires_on": seconds_text(datetime.fromisoformat(pack["since"]) + _VALID_FOR),
        }
        return {
            "id": pack["id"],
            "type": "universal",
            "hosts": hosts,
            "status": pack["status"],
            "certificate_authority": "google",
            "validation_method": "txt",
            "validity_days": 90,
            "primary_certificate": pack["id"],
            "certificates": [certificate] if pack["status"] == "active" else [],
        }
