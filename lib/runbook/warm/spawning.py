"""Starts a rehearsal world: forked, or cold where a fork cannot be had."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from runbook.sandbox.world.launch import Process, spawn
from runbook.warm.asking import Forking, the_forking


def spawn_world(arguments: list[str], stderr: IO[bytes]) -> Process:
    """Start a world with the arguments of its command line; `Spawn` of launch.py."""
    forking = the_forking("world")
    if forking is not None:
        with suppress(OSError):
            return _forked(forking, arguments, stderr)
    return spawn(arguments, stderr)


def _forked(forking: Forking, arguments: list[str], stderr: IO[bytes]) -> Process:
    with ExitStack() as theirs, ExitStack() as ours:
        to_read, to_end = os.pipe()
        theirs.callback(os.close, to_read)
        stdin = ours.enter_context(os.fdopen(to_end, "wb", buffering=0))
        from_it, to_write = os.pipe()
        theirs.callback(os.close, to_write)
        stdout = ours.enter_context(os.fdopen(from_it, "rb"))
        streams = (to_read, to_write, stderr.fileno())
        forked = forking.fork(arguments, cwd=str(Path.cwd()), env=forking.environment, streams=streams)
        forked.stdin, forked.stdout = stdin, stdout
        ours.pop_all()
        return forked
