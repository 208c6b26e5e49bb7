"""The steps of the restore drill as its notebook calls them, in their order."""

from runbook.changes.restore.backing_up import backup_holds, examine_backup, plan_backup
from runbook.changes.restore.losing import find_loss, plan_loss
from runbook.changes.restore.measuring import conclude, measure, within_plan
from runbook.changes.restore.order import Order, Subject
from runbook.changes.restore.restoring import content_holds, plan_restore, read_content

__all__ = [
    "Order",
    "Subject",
    "backup_holds",
    "conclude",
    "content_holds",
    "examine_backup",
    "find_loss",
    "measure",
    "plan_backup",
    "plan_loss",
    "plan_restore",
    "read_content",
    "within_plan",
]
