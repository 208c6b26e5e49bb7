"""What a rollout came to at a milestone: its runs, the service, people, backups, costs, the plan's criteria.

order.py       which milestone, which runs
relying.py     one run's record, and why it cannot be relied on
scraps.py      a run's scraps against its record
gathering.py   the rollout's runs: named, or found
drills.py      past restore drills
period.py      the stretch of time, and whether it is over
service.py     uptime, budget, errors, latency by day
people.py      incidents and who answered; errors of the build
rollbacks.py   rollbacks, by their marks
backups.py     backups by day
costing.py     bills by month
scorecard.py   the table of criteria
judging.py     what was gathered against the plan
comparing.py   against the report before
concluding.py  what it comes to

Nothing here changes anything: every function is for `read` or `check`.
"""

from runbook.milestone.backups import BackupRecord, read_backup_record
from runbook.milestone.comparing import Comparison, compare
from runbook.milestone.concluding import conclude, nothing_missed
from runbook.milestone.costing import Costing, read_costing
from runbook.milestone.drills import PastDrills, read_past_drills
from runbook.milestone.gathering import Gathered, gather
from runbook.milestone.judging import judge
from runbook.milestone.order import Order
from runbook.milestone.people import BuildErrors, Calls, read_build_errors, read_calls
from runbook.milestone.period import Period, is_reached, read_period
from runbook.milestone.rollbacks import Rollbacks, read_rollbacks
from runbook.milestone.scorecard import Criterion, Scorecard
from runbook.milestone.service import ServiceRecord, read_service

__all__ = [
    "BackupRecord",
    "BuildErrors",
    "Calls",
    "Comparison",
    "Costing",
    "Criterion",
    "Gathered",
    "Order",
    "PastDrills",
    "Period",
    "Rollbacks",
    "Scorecard",
    "ServiceRecord",
    "compare",
    "conclude",
    "gather",
    "is_reached",
    "judge",
    "nothing_missed",
    "read_backup_record",
    "read_build_errors",
    "read_calls",
    "read_costing",
    "read_past_drills",
    "read_period",
    "read_rollbacks",
    "read_service",
]
