"""Cloudflare: zones and their activation, DNS records, certificates, settings, WAF and rate limiting rules.

    dialect.py       how Cloudflare says yes and no; lists read whole; changes that converge
    zones.py         token, zones, activation, quota, settings
    wire.py          records between our normal form and the API's fields
    records.py       reading and changing a zone's records
    export.py        the zone as BIND text
    certificates.py  packs and their verification
    rules.py         rulesets by phase, and what the WAF did
    charges.py       the bill

Source: Cloudflare's API v4. It has no idempotency keys; every change here looks, acts and looks again until
Cloudflare shows what was asked, so it may be repeated at any time.
"""

from runbook.providers.cloudflare.certificates import (
    Certificate,
    Verification,
    read_certificate,
    read_certificates,
    read_verification,
)
from runbook.providers.cloudflare.charges import read_charges
from runbook.providers.cloudflare.export import Export, read_export
from runbook.providers.cloudflare.records import (
    apply_record,
    apply_record_overwritten,
    apply_record_removed,
    apply_records,
    read_record,
    read_records,
)
from runbook.providers.cloudflare.rules import (
    ActionCount,
    RateLimit,
    Rule,
    apply_rule,
    apply_rule_enabled,
    read_firewall_events,
    read_rules,
)
from runbook.providers.cloudflare.wire import Entry, Record, record_sets
from runbook.providers.cloudflare.zones import (
    Quota,
    Setting,
    Token,
    Zone,
    apply_activation_check,
    apply_setting,
    apply_zone,
    read_quota,
    read_setting,
    read_token,
    read_zone,
    read_zones,
)

__all__ = [
    "ActionCount",
    "Certificate",
    "Entry",
    "Export",
    "Quota",
    "RateLimit",
    "Record",
    "Rule",
    "Setting",
    "Token",
    "Verification",
    "Zone",
    "apply_activation_check",
    "apply_record",
    "apply_record_overwritten",
    "apply_record_removed",
    "apply_records",
    "apply_rule",
    "apply_rule_enabled",
    "apply_setting",
    "apply_zone",
    "read_certificate",
    "read_certificates",
    "read_charges",
    "read_export",
    "read_firewall_events",
    "read_quota",
    "read_record",
    "read_records",
    "read_rules",
    "read_setting",
    "read_token",
    "read_verification",
    "read_zone",
    "read_zones",
    "record_sets",
]
