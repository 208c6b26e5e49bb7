"""The command line, where all rooms are put together: `runbook list · run · status · approve · drill …`."""

from runbook.cli import drills, people, runs
from runbook.cli.app import main

__all__ = ["drills", "main", "people", "runs"]
