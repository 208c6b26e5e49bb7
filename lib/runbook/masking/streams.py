"""Terminal text without secrets, also where one comes in pieces.

What could be the beginning of a secret is held back until it is clear what it was: by the next piece, or
by the end. So a secret is masked however it is split; only the end of a text may come a moment late.
"""

from __future__ import annotations

import atexit
import sys
import threading
from typing import Any, TextIO

from runbook.masking.outputs import masked_text
from runbook.plan import Secrets


class Held:
    """Masks one text that comes in pieces; `rest` is the end of it that may yet become a secret."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self.rest = ""

    def take(self, piece: str) -> str:
        """Return what can be shown now that `piece` has come."""
        text = self.rest + piece
        clear = self._secrets.held_from(text)
        self.rest = text[clear:]
        return masked_text(self._secrets, text[:clear])

    def end(self) -> str:
        """Return what is left; nothing more comes."""
        rest, self.rest = self.rest, ""
        return masked_text(self._secrets, rest)


class _GuardedStream:
    """A terminal stream that masks what is written; everything else is the stream's own."""

    def __init__(self, stream: TextIO, secrets: Secrets) -> None:
        self._stream, self._held, self._lock = stream, Held(secrets), threading.RLock()

    def write(self, text: str) -> int:
        with self._lock:
            self._stream.write(self._held.take(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def end(self) -> None:
        """Show what was held back: nothing more comes."""
        with self._lock:
            self._stream.write(self._held.end())
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard_streams(secrets: Secrets) -> None:
    """Mask whatever this process writes to stdout and stderr from now on, tracebacks too."""
    for name in ("stdout", "stderr") if secrets else ():
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, _GuardedStream):
            guarded = _GuardedStream(stream, secrets)
            setattr(sys, name, guarded)
            atexit.register(guarded.end)
