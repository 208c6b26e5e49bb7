"""Notebooks as nbformat writes them after a run: cells, outputs, and the restore drill's as a whole."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from runbook.charts.display import bundle
from runbook.charts.drill import rto_by_phase, workload_around
from runbook.summary import RunStatus
from runbook.values import Checks, Phase

BEGAN = datetime(2026, 3, 2, 2, 14, 7, tzinfo=UTC)
PHASES = (
    Phase(name="copy the base backup", seconds=0.38),
    Phase(name="start the server", seconds=0.21),
    Phase(name="replay WAL", seconds=1.62),
    Phase(name="promote", seconds=0.11),
    Phase(name="checksums of all tables", seconds=1.43),
    Phase(name="foreign keys and indexes", seconds=0.42),
    Phase(name="write probe", seconds=0.03),
)


def code_cell(
    source: str, *outputs: dict[str, Any], count: int | None = 1, tags: tuple[str, ...] = ()
) -> Any:
    """Return a code cell as nbformat 4 writes it."""
    return {
        "cell_type": "code",
        "execution_count": count,
        "id": f"c{random.Random(repr(source)).getrandbits(32):08x}",
        "metadata": {"tags": list(tags)},
        "source": source.splitlines(keepends=True),
        "outputs": list(outputs),
    }


def prose_cell(source: str) -> Any:
    """Return a markdown cell as nbformat 4 writes it."""
    number = random.Random(repr(source)).getrandbits(32)
    return {"cell_type": "markdown", "id": f"m{number:08x}", "metadata": {}, "source": source}


def shown(data: dict[str, Any], metadata: dict[str, Any] | None = None, *, count: int | None = 1) -> Any:
    """Return the output of a cell's last expression."""
    return {
        "output_type": "execute_result",
        "data": data,
        "metadata": metadata or {},
        "execution_count": count,
    }


def stream(text: str, name: str = "stdout") -> Any:
    return {"output_type": "stream", "name": name, "text": text.splitlines(keepends=True)}


def error(name: str, message: str, *lines: str) -> Any:
    return {"output_type": "error", "ename": name, "evalue": message, "traceback": list(lines)}


def value(found: Any) -> Any:
    return shown({"text/plain": repr(found), "text/html": found._repr_html_()})


def done_line(verb: str, title: str, took: str) -> Any:
    markup = f'<div class="runbook-step">✓ <b>{verb}</b> · {title} · <small>{took}</small></div>'
    data = {"text/plain": f"✓ {verb} · {title} · {took}", "text/html": markup}
    return {"output_type": "display_data", "data": data, "metadata": {}}


def notebook(*cells: Any) -> dict[str, Any]:
    return {
        "cells": list(cells),
        "metadata": {"language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def drill_notebook(checks: Checks, *, status: RunStatus = "done") -> dict[str, Any]:
    """Return the drill's notebook as it is after a run that ended as `status` says."""
    ran = status in {"done", "no-go"}
    count = 1 if ran else None
    restore_out = {
        "failed": [
            error(
                "StepFailed",
                "pg_ctl ended with 1: could not start server\nNothing is half-done: "
                "runbook resume db_restore_drill-sandbox-20260302T021407Z-e93b",
                *TRACE,
            )
        ],
        "running": [],
    }.get(
        status,
        [done_line("read", "restore to just before the damage", "4.2 s"), shown(*bundle(phases_chart()))],
    )
    return notebook(
        prose_cell(INTRO),
        code_cell(PARAMETERS, tags=("parameters",)),
        code_cell('# Parameters\ndamage = "rows deleted"\nsize_mb = 50', tags=("injected-parameters",)),
        code_cell(
            'from runbook import open_run\n\nrun = open_run("db_restore_drill", run_id=run_id)\nrun',
            shown({"text/plain": "run db_restore_drill", "text/html": CARD}),
        ),
        prose_cell(
            "## Fill a database and damage it\n\n"
            "The workload writes **all the while**; every row carries a serial number, "
            "so that what was committed at any moment can be computed. See the "
            "[PostgreSQL manual](https://www.postgresql.org/docs/16/continuous-archiving.html)."
        ),
        code_cell(
            'seeded = run.read("sandbox database, seeded", drill.seed, size_mb=size_mb)\nseeded',
            stream("seed  12 %\rseed  57 %\rseed 100 %\n"),
            done_line("read", "sandbox database, seeded", "6.9 s"),
        ),
        prose_cell(
            "## Restore\n\nTo just before the damage, into a cluster of its own.\n\n"
            "| phase | what it does |\n|---|---|\n| copy | base backup, with reflink where there is one |\n"
            "| replay | WAL up to the target |\n"
        ),
        code_cell(
            'restored = run.read("restore to just before the damage", drill.restore, seeded, target)\n'
            "charts.rto_by_phase(restored.phases, limit_s=3600)",
            *restore_out,
            count=None if status == "running" else 1,
        ),
        prose_cell("## Prove it"),
        code_cell(
            'run.check("restored database equals what was committed", drill.compare, restored, truth)',
            *([value(checks)] if ran else []),
            count=count,
        ),
        code_cell(
            "charts.workload_around(commits, damage_at=damage.at, restored_to_at=restored.newest_at)",
            *([shown(*bundle(workload_chart(lost=status == "no-go")))] if ran else []),
            count=count,
        ),
        code_cell(
            "run.finish(conclusion)",
            *(
                [error("NoGo", "the restored database is not the one that was committed")]
                if status == "no-go"
                else []
            ),
            count=count,
        ),
    )


def phases_chart() -> Any:
    return rto_by_phase(PHASES, limit_s=3600)


def workload_chart(*, lost: bool = False) -> Any:
    rng, damage = random.Random(7), BEGAN + timedelta(seconds=12)
    before = [damage - timedelta(seconds=rng.uniform(0.004, 21)) for _ in range(1800)]
    after = [damage + timedelta(seconds=rng.uniform(0.01, 3.2)) for _ in range(260)]
    point = damage - timedelta(seconds=6.4 if lost else 0.004)
    return workload_around(sorted(before + after), damage_at=damage, restored_to_at=point, limit_s=300)


TRACE = (
    "\x1b[31m---------------------------------------------------------------------------\x1b[39m",
    "\x1b[31mStepFailed\x1b[39m                                Traceback (most recent call last)",
    "\x1b[36mFile \x1b[39m\x1b[32mpostgres/restore.py:88\x1b[39m, in restore(step, backup, target)",
    "     87     with step.phase(\x1b[33m'start the server'\x1b[39m):",
    "---> 88         cluster.start(programs)",
    "\x1b[31mStepFailed\x1b[39m: pg_ctl ended with 1: could not start server",
)
CARD = (
    '<table class="runbook"><tr><th>runbook</th><td>db_restore_drill</td></tr>'
    "<tr><th>environment</th><td>sandbox</td></tr><tr><th>mode</th><td>apply</td></tr>"
    "<tr><th>next</th><td>read · programs of PostgreSQL</td></tr></table>"
)
PARAMETERS = """environment = "sandbox"
run_id = None               # None: a new run
source: str = "sandbox"     # sandbox, live, dump, basebackup
damage: str = "rows deleted"
size_mb: int = 50           # MB of seeded data
rto_limit_s: float = 3600   # seconds"""
INTRO = """# Restore drill of the database

Fills a real PostgreSQL, backs it up, damages it, restores it to the moment before the damage and proves
the content.

- **Blast radius:** none; everything happens in scratch clusters on this machine.
- **Takes** half a minute at the default size. **Undo:** nothing to undo, the copies are destroyed at the end.
- **Owner:** platform on-call.
"""
