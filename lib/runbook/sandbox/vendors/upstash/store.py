"""The data of a database in a world without Valkey: the few commands that runbooks use, in a table.

What it answers is what Valkey answers; one table of tests holds both to it. Keys expire by the world's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from runbook.clock import utc_text
from runbook.sandbox.world.part import Part
from runbook.sandbox.world.state import Doc

Command = Sequence[str]
_NOT_A_NUMBER: Final = "ERR value is not an integer or out of range"


class CommandError(Exception):
    """A command was refused; its text is the server's."""


class Discarded(Exception):
    """A transaction was not begun, since one of its commands is none."""


class TableStore:
    """Answers commands from the table `data` of a part."""

    def __init__(self, part: Part) -> None:
        self._part = part
        # name: (how many arguments it takes at least, at most, what it does)
        self._commands: dict[str, tuple[int, int, Callable[..., Any]]] = {
            "PING": (0, 1, lambda said="PONG": said),
            "ECHO": (1, 1, lambda said: said),
            "GET": (1, 1, self._text),
            "SET": (2, 6, self._set),
            "DEL": (1, 99, lambda *keys: sum(self._drop(key) for key in dict.fromkeys(keys))),
            "EXISTS": (1, 99, lambda *keys: sum(self._held(key) is not None for key in keys)),
            "MGET": (1, 99, lambda *keys: [self._text(key) for key in keys]),
            "INCR": (1, 1, lambda key: self._add(key, "1")),
            "INCRBY": (2, 2, self._add),
            "EXPIRE": (2, 2, self._expire),
            "TTL": (1, 1, self._ttl),
            "DBSIZE": (0, 0, lambda: sum(self._held(key) is not None for key in list(self._table))),
        }

    @property
    def _table(self) -> Any:
        return self._part.table("data")

    def run(self, command: Command) -> Any:
        """Run one command; raises CommandError."""
        if (wrong := self._wrong_with(command)) is not None:
            raise CommandError(wrong)
        return self._commands[command[0].upper()][2](*command[1:])

    def run_together(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in one transaction; an entry may be a CommandError. Raises Discarded."""
        if any(self._wrong_with(command) for command in commands):
            raise Discarded("EXECABORT Transaction discarded because of previous errors.")
        found: list[Any] = []
        for command in commands:
            try:
                found.append(self.run(command))
            except CommandError as error:
                found.append(error)
        return found

    def _wrong_with(self, command: Command) -> str | None:
        name = command[0]
        known = self._commands.get(name.upper())
        if known is None:
            shown = "".join(f"'{word}' " for word in command[1:])
            return f"ERR unknown command '{name}', with args beginning with: {shown}"
        least, most, _ = known
        if not least <= len(command) - 1 <= most:
            return f"ERR wrong number of arguments for '{name.lower()}' command"
        return None

    def _held(self, key: str) -> Doc | None:
        """Return what a key holds; what has expired goes."""
        doc: Doc | None = self._table.get(key)
        if doc is not None and doc["expires"] and datetime.fromisoformat(doc["expires"]) <= self._part.now:
            self._table.drop(key)
            return None
        return doc

    def _text(self, key: str) -> str | None:
        doc = self._held(key)
        return None if doc is None else str(doc["text"])

    def _drop(self, key: str) -> int:
        if self._held(key) is None:
            return 0
        self._table.drop(key)
        return 1

    def _set(self, key: str, text: str, *options: str) -> str | None:
        expires, rest = "", [word.upper() for word in options]
        while rest:
            word = rest.pop(0)
            if word in ("EX", "PX") and rest:
                expires = self._at(rest.pop(0), 1.0 if word == "EX" else 0.001, "set")
            elif word not in ("NX", "XX"):
                raise CommandError("ERR syntax error")
            elif (self._held(key) is None) != (word == "NX"):
                return None
        self._table.put(key, {"text": text, "expires": expires})
        return "OK"

    def _add(self, key: str, by: str) -> int:
        doc = self._held(key) or {"text": "0", "expires": ""}
        try:
            total = int(doc["text"]) + int(by)
        except ValueError as error:
            raise CommandError(_NOT_A_NUMBER) from error
        self._table.put(key, {**doc, "text": str(total)})
        return total

    def _expire(self, key: str, seconds: str) -> int:
        expires = self._at(seconds, 1.0, "expire")
        if (doc := self._held(key)) is None:
            return 0
        self._table.put(key, {**doc, "expires": expires})
        return 1

    def _ttl(self, key: str) -> int:
        doc = self._held(key)
        if doc is None:
            return -2
        if not doc["expires"]:
            return -1
        return round((datetime.fromisoformat(doc["expires"]) - self._part.now).total_seconds())

    def _at(self, number: str, unit_s: float, command: str) -> str:
        try:
            seconds = int(number) * unit_s
        except ValueError as error:
            raise CommandError(_NOT_A_NUMBER) from error
        if seconds <= 0 and command == "set":
            raise CommandError("ERR invalid expire time in 'set' command")
        return utc_text(self._part.now + timedelta(seconds=seconds))
