"""Commands by which people decide: abort, release."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from runbook import ending
from runbook.cli.app import Reason, app, out, print_outcome, root
from runbook.errors import InputError


@app.command()
def abort(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    reason: Reason,
    rollback: Annotated[bool, typer.Option("--rollback", help="undo what it applied, newest first")] = False,
) -> None:
    """End a run for good, also a parked one; what it holds is free again."""
    place = root()
    _require(reason)
    print_outcome(place, ending.abort(place, run_id, reason=reason, rollback=rollback))


@app.command()
def release(
    resource: Annotated[str, typer.Argument(help="as the refusal named it: zone omnihub.dev")],
    reason: Reason,
    env: Annotated[str, typer.Option("--env", "-e", help="where it is held; needed when in several")] = "",
) -> None:
    """Free a resource that a run holds, when you are sure that nobody works there."""
    _require(reason)
    held = ending.release(root(), resource, environment=env, reason=reason)
    out.print(
        f"{escape(resource)} is free; the run {held.run_id} held it since {held.since:%Y-%m-%d %H:%M} UTC"
    )


def _require(reason: str) -> None:
    if not reason.strip():
        raise InputError("--reason is empty; say why, for those who read the record")
