"""A recording of all that crosses the wire, for the tests that hold it against the vendors' descriptions."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from runbook.sandbox.world.part import Call
from runbook.sandbox.world.world import Outcome


class Wire:
    """Appends one JSON line per exchange to a file of its own in `folder`: request, reply, fault.

    It holds the whole request, credentials included: a rehearsal's are made up.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / f"{os.getpid()}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, call: Call, outcome: Outcome) -> None:
        answer = outcome.answer
        line = {
            "vendor": outcome.vendor,
            "call": outcome.call,
            "fault": outcome.fault,
            "method": call.method,
            "path": call.path,
            "query": list(call.query),
            "headers": dict(call.headers),
            "body": base64.b64encode(call.body).decode(),
            "status": answer.status,
            "content_type": answer.content_type,
            "reply_headers": dict(answer.headers),
            "reply": base64.b64encode(answer.content()).decode(),
        }
        os.write(self._file, (json.dumps(line) + "\n").encode())

    def close(self) -> None:
        os.close(self._file)
