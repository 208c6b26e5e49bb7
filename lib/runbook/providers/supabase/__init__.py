"""Supabase: the project and its health, backups, point-in-time restore, SQL, add-ons.

    project.py   how Supabase is spoken to; the project, its plan, its services
    backups.py   what it can be restored from, and the restore, seen through to its end
    sql.py       questions, and statements that are proven to be done
    addons.py    what is charged for besides the plan

Source: Supabase's Management API v1. A restore's 201 says *accepted*: right after it the project still reads
ACTIVE_HEALTHY, so coming back counts only once it was seen to leave that state. Nothing in the API tells
whether a restore that is over was ours.
"""

from runbook.providers.supabase.addons import Addon, read_addons, read_charges
from runbook.providers.supabase.backups import Backups, NightlyBackup, Restore, apply_restore, read_backups
from runbook.providers.supabase.project import (
    Project,
    ServiceHealth,
    read_health,
    read_plan,
    read_project,
    read_projects,
)
from runbook.providers.supabase.sql import Rows, apply_sql, read_sql

__all__ = [
    "Addon",
    "Backups",
    "NightlyBackup",
    "Project",
    "Restore",
    "Rows",
    "ServiceHealth",
    "apply_restore",
    "apply_sql",
    "read_addons",
    "read_backups",
    "read_charges",
    "read_health",
    "read_plan",
    "read_project",
    "read_projects",
    "read_sql",
]
