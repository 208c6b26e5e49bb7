"""Lets `python -m runbook.cli` be the command line."""

from runbook.cli import main

main()
