"""Run folders as drills and rollouts leave them, for tests, screenshots and a look by eye.

python -m tests.run_samples FOLDER      writes sample runs, their reports and the index
"""

from __future__ import annotations

import json
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from runbook.summary import CheckLine, Number, RunStatus, StepLine, Summary
from runbook.values import Check, Checks, Phase
from tests.rollout_samples import rollouts
from tests.sample_notebooks import BEGAN, PHASES, drill_notebook

TABLES = ("users", "workspaces", "orders", "events", "blobs", "emergency_controls", "memberships", "invoices")
VERIFY = "restored database equals what was committed"
ARCHIVE = "archive is contiguous up to the target"
LIMITS = "recovery is within the limits of the plan"


def checks(*, broken: bool = False) -> list[Check]:
    """Return the checks of the restored content; `broken`: one table differs and one was not checked."""
    rows = []
    for place, table in enumerate(TABLES):
        count, digest = 12_500 * (place + 1), f"{random.Random(table).getrandbits(64):020d}"
        off = broken and table == "orders"
        rows.append(
            Check.of(f"{table}: rows", holds=not off, observed=count - 412 if off else count, expected=count)
        )
        other = "04417112098832617701"
        rows.append(
            Check.of(f"{table}: checksum", holds=not off, observed=other if off else digest, expected=digest)
        )
    rows += [
        Check.of("foreign keys hold", holds=True, observed="14 validated", expected="14 validated"),
        Check.of("sequences are ahead of their columns", holds=True, observed="8 of 8", expected="8 of 8"),
        Check.of(
            "materialised view daily_orders is readable", holds=True, observed="31 rows", expected="> 0"
        ),
        Check.of("page checksums", holds=True, observed="0 bad of 6,912", expected="0 bad"),
        Check.unchecked(
            "indexes hold every row (amcheck)",
            why="this PostgreSQL comes without the extension amcheck",
            expected="bt_index_check with heapallindexed finds nothing",
        ),
    ]
    return rows


def _lines(step: str, items: list[Check]) -> list[CheckLine]:
    return [CheckLine(step=step, **dict(item)) for item in items]


def summary(status: RunStatus = "done", *, began_at: datetime = BEGAN, **changes: Any) -> Summary:
    """Return the account of a drill that ended as `status` says."""
    stem = {"done": "a1f4", "no-go": "7c02", "failed": "e93b", "running": "55d0"}.get(status, "b7b7")
    whole = status in {"done", "no-go"}
    broken = status == "no-go"
    fields: dict[str, Any] = {
        "run_id": f"db_restore_drill-sandbox-20260302T021407Z-{stem}",
        "runbook": "db_restore_drill",
        "environment": "sandbox",
        "mode": "apply",
        "status": status,
        "exit_code": {"done": 0, "no-go": 3, "failed": 1, "parked": 75, "left in between": 4}.get(status, 0),
        "verdict": VERDICTS[status],
        "reasons": REASONS.get(status, ()),
        "opened_by": "ada@rollout-host",
        "opened_at": began_at,
        "ended_at": None if status == "running" else began_at + timedelta(seconds=23.4),
        "wall_s": None if status == "running" else 23.4,
        "times": (
            Phase(name="PostgreSQL and other programs", seconds=18.9),
            Phase(name="the steps’ own work", seconds=2.7),
            Phase(name="starting the kernel", seconds=0.9),
            Phase(name="report", seconds=0.4),
        )
        if whole
        else (),
        "params": PARAMS,
        "checks": _checks(status, broken=broken),
        "numbers": _numbers(broken=broken) if whole else {},
        "steps": _steps(status),
        "versions": VERSIONS,
        "terminal": status in {"done", "abandoned"},
    }
    return Summary(**{**fields, **changes})


VERDICTS: dict[str, str] = {
    "done": "The database came back whole: every row of 8 tables as it was committed 4 ms before the damage, "
    "verified and writable after 4.2 s.",
    "no-go": "No-go: the restored database is not the one that was committed; 412 orders are missing.",
    "failed": "Failed at “restore to just before the damage”: pg_ctl ended with 1: could not start server.",
    "running": "Running: restore to just before the damage.",
    "parked": "Parked at “approve the move”: one of two signatures is there.",
    "left in between": "Left in between: “lower TTL to 300 s” was begun and nobody saw it end.",
    "abandoned": "Abandoned: another run of this drill was begun.",
}
REASONS: dict[str, tuple[str, ...]] = {
    "done": (
        "not checked: indexes hold every row (amcheck) (this PostgreSQL comes without the extension amcheck)",
    ),
    "no-go": (
        "orders: rows: observed 37,088; expected 37,500",
        "orders: checksum: observed 04417112098832617701; expected 13876520914475120093",
    ),
}
PARAMS: dict[str, Any] = {
    "source": "sandbox",
    "damage": "rows deleted",
    "size_mb": 50,
    "rto_limit_s": 3600,
    "rpo_limit_s": 300,
    "synchronous_wal": True,
    "invariants": ["orders between 30000 and 45000", "emergency_controls has kill_switch"],
    "dsn_variable": None,
}
VERSIONS = {"runbook": "0.1.0", "Python": "3.11.7", "PostgreSQL": "16.14", "papermill": "2.7.0"}


def _checks(status: RunStatus, *, broken: bool) -> list[CheckLine]:
    archive = [
        Check.of("WAL segments", holds=True, observed="11 in a row", expected="no gap up to 0/B0001F8"),
        Check.of("system identifier", holds=True, observed="7412906", expected="7412906"),
        Check.of("backup manifest", holds=True, observed="1,284 files agree", expected="every file agrees"),
    ]
    limits = [
        Check.of("RTO", holds=True, observed="4.2 s", expected="< 1 h"),
        Check.of("RPO", holds=True, observed="6.4 s" if broken else "0 s", expected="< 5 min"),
    ]
    if status not in {"done", "no-go"}:
        return _lines(ARCHIVE, archive)
    return [*_lines(ARCHIVE, archive), *_lines(VERIFY, checks(broken=broken)), *_lines(LIMITS, limits)]


def _numbers(*, broken: bool) -> dict[str, Number]:
    return {
        "rto_s": Number(title="RTO", value=4.2, unit="s", limit=3600),
        "rpo_s": Number(title="RPO", value=6.4 if broken else 0.0, unit="s", limit=300),
        "overhead_s": Number(title="Time that is not PostgreSQL’s", value=4.0, unit="s", limit=6),
        "size_bytes": Number(title="Size of the base backup", value=54_931_210, unit="bytes"),
        "wal_bytes": Number(title="WAL replayed", value=12_402_688, unit="bytes"),
        "rows": Number(title="Rows compared", value=450_000, unit="rows"),
    }


def _steps(status: RunStatus) -> list[StepLine]:
    plan = [
        ("read", "programs of PostgreSQL", 0.21, ()),
        ("read", "sandbox database, seeded", 6.9, (("initdb", 0.8), ("seed", 5.2), ("base backup", 0.7))),
        ("read", "workload and damage", 7.1, ()),
        ("check", "database shows damage", 0.3, ()),
        ("check", ARCHIVE, 0.4, ()),
        ("read", "restore to just before the damage", 4.2, tuple((p.name, p.seconds) for p in PHASES)),
        ("check", VERIFY, 1.9, ()),
        ("check", LIMITS, 0.002, ()),
        ("read", "copies destroyed", 0.12, ()),
    ]
    ends = {"done": (9, "done"), "no-go": (7, "failed"), "failed": (6, "failed"), "running": (6, "unknown")}
    count, last = ends.get(status, (5, "unknown"))
    lines, at = [], BEGAN
    for place, (verb, title, seconds, phases) in enumerate(plan[:count], start=1):
        state: Any = last if place == count else "done"
        told = {"failed": VERDICTS.get(status, "")}.get(state, "")
        lines.append(
            StepLine(
                verb=verb,
                title=title,
                status=state,
                began_at=at,
                seconds=0.0 if state == "unknown" else seconds,
                attempts=2 if place == 3 else 1,
                message=told,
                phases=tuple(Phase(name=n, seconds=s) for n, s in phases) if state == "done" else (),
            )
        )
        at += timedelta(seconds=seconds + 0.1)
    return lines


def write_run(folder: Path, *, account: Summary | None, book: dict[str, Any] | None) -> Path:
    """Write a run's folder of what is given."""
    folder.mkdir(parents=True, exist_ok=True)
    if account is not None:
        (folder / "summary.json").write_text(account.model_dump_json(indent=1), encoding="utf-8")
    if book is not None:
        (folder / "notebook.ipynb").write_text(json.dumps(book), encoding="utf-8")
    return folder


def write_samples(outputs: Path) -> dict[str, Path]:
    """Write a run of each kind, and one folder without a record; return the folders by kind."""
    folders = {}
    for place, status in enumerate(DRILLS):
        account = summary(status, began_at=BEGAN - timedelta(hours=7 * place))
        table = Checks(items=tuple(checks(broken=status == "no-go")))
        book = drill_notebook(table, status=status) if status in WITH_NOTEBOOK else None
        name = account.run_id.replace("b7b7", f"b7b{place}")
        folders[status] = write_run(outputs / name, account=account, book=book)
    for kind, account in rollouts().items():
        folders[kind] = write_run(outputs / account.run_id, account=account, book=None)
    (outputs / "db_restore_drill-sandbox-20260228T101500Z-0dd0").mkdir(exist_ok=True)
    return folders


DRILLS = get_args(RunStatus)
WITH_NOTEBOOK = ("done", "no-go", "failed", "running")


def main() -> None:
    from runbook.report import write_charts, write_index, write_report  # noqa: PLC0415

    outputs = Path(sys.argv[1])
    for folder in write_samples(outputs).values():
        write_charts(folder)
        write_report(folder)
    write_index(outputs)


if __name__ == "__main__":
    main()
