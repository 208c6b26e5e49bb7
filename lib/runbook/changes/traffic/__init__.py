"""The steps of a canary phase as its notebook calls them, in their order.

order.py       what is ordered: a phase of the plan, a build, the ground it is released on
between.py     what one phase hands to the next
counting.py    Datadog's minutes as the judge counts them; an ordinary day
preflight.py   before a phase begins
moving.py      the traffic, and the way back
telling.py     who is told
watching.py    one look
concluding.py  what a phase came to
"""

from runbook.changes.traffic.between import (
    Previous,
    UnderWay,
    previous_is_through,
    read_previous,
    read_under_way,
)
from runbook.changes.traffic.concluding import conclude
from runbook.changes.traffic.moving import plan_closing, plan_phase
from runbook.changes.traffic.order import Ground, Order, Phase, read_phase
from runbook.changes.traffic.preflight import (
    enough_traffic,
    has_moved,
    may_begin,
    ordinary_day,
    read_ground,
)
from runbook.changes.traffic.watching import EVIDENCE_BOUND, look

__all__ = [
    "EVIDENCE_BOUND",
    "Ground",
    "Order",
    "Phase",
    "Previous",
    "UnderWay",
    "conclude",
    "enough_traffic",
    "has_moved",
    "look",
    "may_begin",
    "ordinary_day",
    "plan_closing",
    "plan_phase",
    "previous_is_through",
    "read_ground",
    "read_phase",
    "read_previous",
    "read_under_way",
]
