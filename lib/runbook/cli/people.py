"""Commands by which people decide: approve, abort, release."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from runbook import approving, ending
from runbook.cli.app import Reason, app, out, print_outcome, root
from runbook.errors import InputError
from runbook.opening import find_run


@app.command()
def approve(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    role: Annotated[str, typer.Option("--as", help="the role you sign as, such as tech-lead")],
    key: Annotated[
        Path | None, typer.Option(help="your private key, or the .pub of one that your agent holds")
    ] = None,
    reason: Annotated[str, typer.Option(help="why; needed to break the glass and for a review")] = "",
    break_glass: Annotated[
        bool, typer.Option(help="approve alone, in an emergency; others look later")
    ] = False,
    review: Annotated[bool, typer.Option(help="sign that you looked at such an approval afterwards")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask once more on a terminal")] = False,
) -> None:
    """Show in full what a run waits for, and sign it."""
    place = root()
    if review:
        _require(reason)
        signed = approving.review(place, run_id, role=role, key=key, reason=reason)
        ending.seal_again(place, find_run(place, run_id))
        out.print(f"reviewed by {escape(signed.principal)}; it is on record, and the run sealed again")
        return
    request = approving.waiting_request(place, run_id)
    out.print(escape(repr(request)))
    if sys.stdin.isatty() and not yes:
        typer.confirm("Sign this?", abort=True)
    standing = approving.approve(place, run_id, role=role, key=key, reason=reason, break_glass=break_glass)
    if standing.enough:
        out.print(f"signed, and that is enough; to go on: runbook resume {run_id}")
    else:
        out.print(f"signed; still missing: {', '.join(standing.missing)}")


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
