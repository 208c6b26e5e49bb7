"""`runbook sandbox …`: a rehearsal world for a person to play with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from runbook import surroundings
from runbook.errors import InputError
from runbook.plan import project_root
from runbook.sandbox.world.faults import FAULTS
from runbook.sandbox.world.launch import end_world, find_world, leave_running
from runbook.sandbox.world.remote import RemoteWorld

app = typer.Typer(no_args_is_help=True, help="The rehearsal world: vendors, DNS and a clock of its own.")
out = Console(highlight=False, soft_wrap=True)

FOLDER = ".sandbox"
ADDRESSES_SHOWN = 3
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

AsJson = Annotated[bool, typer.Option("--json", help="for a program to read")]


@app.command()
def up(
    postgres: Annotated[bool, typer.Option("--postgres", help="with OmniHub's database in it")] = False,
    valkey: Annotated[bool, typer.Option("--valkey", help="with a real Valkey behind Upstash")] = False,
    as_json: AsJson = False,
) -> None:
    """Start it, or find it running, and print its addresses; it stays until `down`."""
    world = leave_running(_folder(), postgres=postgres, valkey=valkey)
    held = world.status()
    for wanted, part, engine in ((postgres, "database", "PostgreSQL"), (valkey, "valkey", "Valkey")):
        if wanted and part not in held["parts"]:
            raise InputError(f"the sandbox runs without {engine}; end it first: runbook sandbox down --keep")
    _show(held | {"url": world.url, "secrets": world.secrets()}, as_json, _addresses)


@app.command()
def down(
    keep: Annotated[bool, typer.Option("--keep", help="keep its state for the next `up`")] = False,
) -> None:
    """End it; its state is removed unless it is to be kept."""
    ran = end_world(_folder(), keep=keep)
    out.print(("the sandbox has ended" if ran else "no sandbox was running") + "; its state is kept" * keep)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show its clock, what each vendor holds, the faults that are set and the requests seen."""
    _show(_running().status(), as_json, _holdings)


@app.command()
def advance(by: str, as_json: AsJson = False) -> None:
    """Let time pass: `90s`, `15m`, `2h`, `3d`, or several: `1d12h`."""
    now = _running().advance(duration(by))
    _show({"now": now.isoformat()}, as_json, lambda said: [f"it is {said['now'][:19]}Z in the sandbox"])


@app.command()
def scenario(name: str, as_json: AsJson = False) -> None:
    """Begin a scenario in the running sandbox."""
    _show(_running().play(name), as_json, _holdings)


@app.command()
def fault(
    name: Annotated[str, typer.Argument(help=f"{', '.join(FAULTS)}; `none` lifts all")],
    vendor: Annotated[str, typer.Option(help="whose calls; * all")] = "*",
    call: Annotated[str, typer.Option(help="which call; * all")] = "*",
    times: Annotated[int, typer.Option(min=0, help="how often; 0 until it is lifted")] = 1,
) -> None:
    """Set a fault on a vendor's calls."""
    world = _running()
    if name == "none":
        world.lift_faults()
    else:
        world.set_fault(name, vendor=vendor, call=call, times=times or None)
    for one in world.faults():
        out.print(escape(f"{one.name} on {one.vendor} {one.call}, {one.times or 'any number of'} times"))


def duration(text: str) -> timedelta:
    """Return a length of time written as `90s`, `15m`, `2h`, `3d` or `1d12h`; else InputError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(map("".join, parts)) != text:
        raise InputError(f"{text!r} is no length of time; right would be 90s, 15m, 2h, 3d or 1d12h")
    return sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in parts), timedelta())


def _folder() -> Path:
    return surroundings.outputs_folder(project_root(Path.cwd())) / FOLDER


def _running() -> RemoteWorld:
    world = find_world(_folder())
    if world is None:
        raise InputError("no sandbox is running; start it with: runbook sandbox up")
    return world


def _show(said: dict[str, Any], as_json: bool, lines: Callable[[dict[str, Any]], list[str]]) -> None:
    if as_json:
        out.print(json.dumps(said, indent=1, ensure_ascii=False), markup=False)
        return
    for line in lines(said):
        out.print(escape(line))


def _addresses(said: dict[str, Any]) -> list[str]:
    lines = [f"the sandbox is at {said['url']}; it is {said['now'][:19]}Z there"]
    lines += [f"  {name:<12} {said['url']}/{name}" for name in said["parts"] if name in said["secrets"]]
    for part, named in said["addresses"].items():
        few = [f"{name} {where}" for name, where in list(named.items())[:ADDRESSES_SHOWN]]
        more = len(named) - len(few)
        lines.append(f"  {part:<12} {', '.join(few)}" + (f" and {more} more" if more else ""))
    lines.append("all addresses and the made-up credentials: runbook sandbox up --json")
    lines.append("end it with: runbook sandbox down")
    return lines


def _holdings(said: dict[str, Any]) -> list[str]:
    lines = [f"it is {said['now'][:19]}Z in the sandbox (it began at {said['began'][:19]}Z)"]
    for part, held in said["parts"].items():
        lines.append(part)
        for what, items in held.items():
            shown = items if isinstance(items, list) else [items]
            lines += [f"  {what}: {item}" for item in shown] or [f"  {what}: none"]
    lines += [f"fault: {one['name']} on {one['vendor']} {one['call']}" for one in said["faults"]]
    lines += [f"seen: {count} × {vendor} {call}" for vendor, call, count in said["requests"]]
    return lines
