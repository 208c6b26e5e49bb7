"""Moving a zone's delegation from Vercel to Cloudflare, watching the world follow, and the way back.

migration.py    what a migration goes by: the pre-configuration's record, both sides
preflight.py    what must hold in the hour of the switch
switching.py    the switch at the registrar, seen at the parent; and back
service.py      how the site fares by its own metrics
propagation.py  who answers the world now
watching.py     one look: what is seen, what it decides, whom to tell
concluding.py   what it comes to
failing.py      the DNS fails: which case it is, and both ways out
"""

from runbook.changes.delegation.concluding import all_moved, conclude
from runbook.changes.delegation.failing import (
    Diagnosis,
    Mended,
    conclude_failure,
    diagnose,
    look_after,
    plan_way,
    read_mended,
    read_moved,
    way_is_clear,
)
from runbook.changes.delegation.migration import Migration, Side, read_migration
from runbook.changes.delegation.preflight import (
    old_ttls_gone,
    parent_ready,
    people_ready,
    prepared_well,
    registrar_ready,
    zone_ready,
)
from runbook.changes.delegation.propagation import Propagation, read_propagation
from runbook.changes.delegation.service import service_well
from runbook.changes.delegation.switching import Delegate, Switched, plan_switch, read_switched
from runbook.changes.delegation.watching import look

__all__ = [
    "Delegate",
    "Diagnosis",
    "Mended",
    "Migration",
    "Propagation",
    "Side",
    "Switched",
    "all_moved",
    "conclude",
    "conclude_failure",
    "diagnose",
    "look",
    "look_after",
    "old_ttls_gone",
    "parent_ready",
    "people_ready",
    "plan_switch",
    "plan_way",
    "prepared_well",
    "read_mended",
    "read_migration",
    "read_moved",
    "read_propagation",
    "read_switched",
    "registrar_ready",
    "service_well",
    "way_is_clear",
    "zone_ready",
]
