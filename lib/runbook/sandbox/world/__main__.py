"""Serves one world in its folder: `python -m runbook.sandbox.world FOLDER`; see launch.py.

It writes FOLDER/world.json and says so on stdout, and shows its time in FOLDER/clock. It ends at SIGTERM, at
`stop`, and, with `--owned`, when its standard input ends: its owner's death, however it came.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import gc
import json
import os
import signal
import sys
from pathlib import Path

from runbook.files import write_atomically
from runbook.sandbox.world.launch import DOCUMENT
from runbook.sandbox.world.server import HOST, Server
from runbook.sandbox.world.world import World, found_parts

BUSY = 75


async def _serve(folder: Path, wire: Path | None, *, owned: bool, postgres: bool, valkey: bool) -> None:
    kinds = tuple(found_parts(postgres=postgres, valkey=valkey))
    server = Server(World(folder / "state.db", kinds=kinds), folder, wire=wire)
    port = await server.start(_port_before(folder))
    address = {
        "pid": os.getpid(),
        "url": f"http://{HOST}:{port}",
        "addresses": server.world.addresses(),
        "secrets": server.world.secrets(),
    }
    write_atomically(folder / DOCUMENT, json.dumps(address, indent=1))
    os.write(1, (json.dumps(address) + "\n").encode())  # whoever started us waits for it
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stopping.set)
    if owned:
        loop.add_reader(0, server.stopping.set)
    gc.collect()
    gc.freeze()  # what is loaded stays: collections look at requests only
    await server.stopping.wait()
    await server.close()


def _port_before(folder: Path) -> int:
    """Return the port of the world's former life: a restarted world is where it was."""
    try:
        return int(json.loads((folder / DOCUMENT).read_text())["url"].rpartition(":")[2])
    except (OSError, ValueError, KeyError):
        return 0


def main(argv: list[str] | None = None) -> int:
    """Serve a world until it is to end; `argv` is what stands on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--owned", action="store_true", help="end when standard input ends")
    parser.add_argument("--wire", type=Path, help="record all that crosses the wire in this folder")
    parser.add_argument("--postgres", action="store_true", help="with a real PostgreSQL in it")
    parser.add_argument("--valkey", action="store_true", help="with a real Valkey in it")
    asked = parser.parse_args(argv)
    asked.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(asked.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return BUSY
    engines = {"postgres": asked.postgres, "valkey": asked.valkey}
    asyncio.run(_serve(asked.folder, asked.wire, owned=asked.owned, **engines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
