"""The requests a world has seen: a line each in its folder, the newest ones and the counts at hand."""

from __future__ import annotations

import json
import os
from collections import Counter, deque
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from runbook.clock import utc_text
from runbook.sandbox.world.part import Call
from runbook.sandbox.world.world import Outcome

_AT_HAND: Final = 10_000
_FIELDS: Final = ("at", "vendor", "call", "method", "path", "status", "fault")


class Seen:
    """Appends to a file; a line that a kill has torn is left out when it is read again.

    The path stands there without its query: some vendors want their key in it.
    """

    def __init__(self, path: Path) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.bugs: list[str] = []
        self._newest: deque[tuple[Any, ...]] = deque(maxlen=_AT_HAND)
        self._read(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, at: datetime, call: Call, outcome: Outcome) -> None:
        line = (
            utc_text(at),
            outcome.vendor,
            outcome.call,
            call.method,
            call.path,
            outcome.answer.status,
            outcome.fault,
        )
        self._keep(line)
        os.write(self._file, (json.dumps(line) + "\n").encode())

    def bug(self, call: Call, trace: str) -> None:
        """Keep what went wrong in an emulator itself: no rehearsal may pass over it."""
        self.bugs.append(f"{call.method} {call.path}\n{trace}")

    def newest(self, *, vendor: str = "", call: str = "", limit: int = _AT_HAND) -> list[dict[str, Any]]:
        """Return the newest requests, oldest first."""
        chosen = [line for line in self._newest if vendor in ("", line[1]) and call in ("", line[2])]
        return [dict(zip(_FIELDS, line, strict=True)) for line in chosen[-limit:]]

    def forget(self) -> None:
        os.ftruncate(self._file, 0)
        self._newest.clear()
        self.counts.clear()

    def close(self) -> None:
        os.close(self._file)

    def _keep(self, line: tuple[Any, ...]) -> None:
        self.counts[str(line[1]), str(line[2])] += 1
        self._newest.append(line)

    def _read(self, path: Path) -> None:
        if not path.exists():
            return
        text = path.read_text(encoding="utf-8")
        whole = text.rpartition("\n")[0]
        if len(whole) + 1 < len(text):
            path.write_text(whole + "\n" if whole else "", encoding="utf-8")
        for line in whole.splitlines():
            self._keep(tuple(json.loads(line)))
