"""Moving a zone's records from Vercel to Cloudflare, and knowing when caches let go of what was before.

For a notebook and for the migration; every function takes the step first and is handed to a verb:

    state = run.read("the zone at Vercel", dns.read_zone, zone)         # ZoneState
    ttls = run.read("the TTLs before", dns.read_ttls, state)            # Ttls: records, NS, NS and DS above
    run.check("…", dns.answers_alike, zone, at="cloudflare")            # Vercel *now*, asked of Cloudflare's

- `ZoneState`: `zone` (normal form), `records` (vercel.Record), `served` (RecordSets), Vercel's `nameservers`.
- `compare(step, state, at="vercel" | "cloudflare") -> Parity` asks a side's nameservers for every name and
  type, for types that should not be there, below every wildcard and for a name that nobody has; `agrees`,
  `disagreements`. `parity_checks(parity)` is its table; `answers_alike(step, zone, at=…)` does both, against
  what Vercel serves now. Nothing of it writes; it may be asked again at any time.
- `Deadlines` is the result of the step “when caches let go” of dns_preconfiguration (another run reads it by
  `step.earlier(run_id).result("when caches let go")`): `counted_from` (the lowering was seen at Vercel's
  nameservers), `records` (each set: `before_s`, `after_s`, `gone_at`), `old_ttls_gone_at` (no cache holds a
  TTL from before), `switch_from` (that, and the plan's 24 h), `parent_ns_ttl_s`, `child_ns_ttl_s`,
  `ds_ttl_s`, `delegation_ttl_s` (the longer of parent and child), `longest_record_s`, and
  `all_gone_at(switched_at)` = switch + delegation_ttl_s + longest_record_s: the delegation's own deadline.
- Messages are `runbook.changes.notices`.
"""

from runbook.changes.dns.certifying import Certified, read_certified
from runbook.changes.dns.deadlines import Deadlines, Held, Lowered, SeenTtl, Ttls, read_deadlines, read_ttls
from runbook.changes.dns.judging import Disagreement
from runbook.changes.dns.lowering import LowerTtls, plan_ttls
from runbook.changes.dns.parity import answers_alike, compare
from runbook.changes.dns.preparing import (
    conclude,
    delegated_as_before,
    not_signed,
    plan_beginning,
    plan_filling,
    unchanged,
    when_caches_let_go,
)
from runbook.changes.dns.tabling import Parity, parity_checks
from runbook.changes.dns.translating import Translation, all_carried, translate, translate_zone
from runbook.changes.dns.writing import CreateZone, WriteRecords, Written, plan_records, plan_zone
from runbook.changes.dns.zone import ZoneState, read_zone

__all__ = [
    "Certified",
    "CreateZone",
    "Deadlines",
    "Disagreement",
    "Held",
    "LowerTtls",
    "Lowered",
    "Parity",
    "SeenTtl",
    "Translation",
    "Ttls",
    "WriteRecords",
    "Written",
    "ZoneState",
    "all_carried",
    "answers_alike",
    "compare",
    "conclude",
    "delegated_as_before",
    "not_signed",
    "parity_checks",
    "plan_beginning",
    "plan_filling",
    "plan_records",
    "plan_ttls",
    "plan_zone",
    "read_certified",
    "read_deadlines",
    "read_ttls",
    "read_zone",
    "translate",
    "translate_zone",
    "unchanged",
    "when_caches_let_go",
]
