"""The command line, where all rooms are put together: `runbook list · run · status · approve · drill …`."""

from runbook import commands_sandbox
from runbook.cli import drills, people, runs
from runbook.cli.app import app, main

app.add_typer(commands_sandbox.app, name="sandbox")

__all__ = ["drills", "main", "people", "runs"]
