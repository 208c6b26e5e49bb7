"""Certificates of a zone: packs in every status, and how far their verification is.

Universal SSL comes 15 minutes to 24 hours after activation and is shown only while a record is proxied: no
pack is no error, it is a reason not to proxy at the switch.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import AwareDatetime

from runbook.providers.cloudflare.dialect import API, One
from runbook.providers.cloudflare.zones import Zone
from runbook.providers.connect import connect
from runbook.providers.dns.records import absolute
from runbook.providers.shape import Shape
from runbook.step import Step
from runbook.values import Value

PackStatus = Literal[
    "initializing",
    "pending_validation",
    "deleted",
    "pending_issuance",
    "pending_deployment",
    "pending_deletion",
    "pending_expiration",
    "expired",
    "active",
    "initializing_timed_out",
    "validation_timed_out",
    "issuance_timed_out",
    "deployment_timed_out",
    "deletion_timed_out",
    "pending_cleanup",
    "staging_deployment",
    "staging_active",
    "deactivating",
    "inactive",
    "backup_issued",
    "holding_deployment",
]
VerificationStatus = Literal[
    "initializing", "authorizing", "active", "expired", "issuing", "timing_out", "pending_deployment"
]
_ALL: Final = {"status": "all"}


class Certificate(Value):
    """A certificate pack; `kind` is Cloudflare's: universal, advanced, legacy_custom …"""

    id: str
    kind: str
    status: PackStatus
    hosts: tuple[str, ...]
    authority: str
    expires_at: datetime | None

    @property
    def is_serving(self) -> bool:
        """Say whether it is used for visitors now."""
        return self.status == "active"

    def covers(self, host: str) -> bool:
        """Say whether it is valid for a host name: one of its own, or one level below a wildcard."""
        name = absolute(host)
        above = "*." + name.partition(".")[2]
        return name in self.hosts or above in self.hosts


class Verification(Value):
    """How far the verification of a pack's domain is."""

    pack_id: str
    status: VerificationStatus
    method: str


class _Certificate(Shape):
    expires_on: AwareDatetime | None = None


class _Pack(Shape):
    id: str
    type: str
    status: PackStatus
    hosts: tuple[str, ...]
    certificate_authority: str = ""
    certificates: tuple[_Certificate, ...] = ()


class _Verification(Shape):
    certificate_status: VerificationStatus
    cert_pack_uuid: str = ""
    validation_method: str = ""


def read_certificates(step: Step, zone: Zone) -> tuple[Certificate, ...]:
    """Return every pack of a zone, in whatever status; by itself Cloudflare shows active ones only."""
    path, args = "/zones/{zone}/ssl/certificate_packs", {"zone": zone.id}
    with connect(step, API) as http:
        found = http.call(
            "read_certificates", "GET", path, args=args, query=_ALL, into=One[tuple[_Pack, ...]]
        )
    return tuple(_certificate(pack) for pack in found.result)


def read_certificate(step: Step, zone: Zone, *, pack_id: str) -> Certificate:
    """Return one pack."""
    path, args = "/zones/{zone}/ssl/certificate_packs/{pack}", {"zone": zone.id, "pack": pack_id}
    with connect(step, API) as http:
        return _certificate(http.call("read_certificate", "GET", path, args=args, into=One[_Pack]).result)


def read_verification(step: Step, zone: Zone) -> tuple[Verification, ...]:
    """Return how far the verification of each pack is."""
    path, args = "/zones/{zone}/ssl/verification", {"zone": zone.id}
    with connect(step, API) as http:
        found = http.call("read_verification", "GET", path, args=args, into=One[tuple[_Verification, ...]])
    return tuple(
        Verification(pack_id=one.cert_pack_uuid, status=one.certificate_status, method=one.validation_method)
        for one in found.result
    )


def _certificate(pack: _Pack) -> Certificate:
    expiries = [one.expires_on for one in pack.certificates if one.expires_on is not None]
    return Certificate(
        id=pack.id,
        kind=pack.type,
        status=pack.status,
        hosts=tuple(absolute(host) for host in pack.hosts),
        authority=pack.certificate_authority,
        expires_at=min(expiries, default=None),
    )
