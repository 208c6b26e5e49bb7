"""What a journal says was asked for in approvals, and what came of each request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from runbook.errors import JournalCorrupt
from runbook.gates.requests import Approval, Request, Signature
from runbook.gates.statements import EVIDENCE
from runbook.journal import Record, decode

UNREADABLE: Final = (JournalCorrupt, ValueError, KeyError, TypeError, AttributeError)
"""What reading an approval from a journal raises when it was not written by us."""


@dataclass(frozen=True)
class Asked:
    """A request on record and what came of it: `answer` is the line that ended its step, if it has ended.

    `at` is the time of that line, else of the journal's last one: the time at which a signature has to count.
    """

    record: Record
    request: Request
    answer: Record | None
    approval: Approval | None
    at: datetime

    @property
    def name(self) -> str:
        return f"{EVIDENCE}/{self.request.file_name}"

    @property
    def emergency(self) -> Signature | None:
        """Return the signature that broke the glass, if one did."""
        signatures = self.approval.signatures if self.approval else ()
        return next((sign for sign in signatures if sign.says == "break glass"), None)


def asked_for(records: Sequence[Record]) -> list[Asked]:
    """Return the requests on record; a step's answer is to the last before it. Raises what is UNREADABLE."""
    found: list[Asked] = []
    for number, record in enumerate(records, start=1):
        if record.kind != "asked":
            continue
        request = decode(record.data["request"])
        if not isinstance(request, Request):
            raise TypeError("a line 'asked' holds no request")
        done = _answer(records[number:], record.title)
        result = decode(done.data["result"]) if done else None
        approval = result if isinstance(result, Approval) else getattr(result, "approval", None)
        found.append(Asked(record, request, done, approval, at_of(done or records[-1])))
    return found


def _answer(later: Sequence[Record], title: str) -> Record | None:
    """Return the line that ended the step, unless something else was asked for before that."""
    ends = (record for record in later if record.title == title and record.kind in ("done", "asked"))
    first = next(ends, None)
    return first if first is not None and first.kind == "done" else None


def at_of(record: Record) -> datetime:
    """Return the time of a line."""
    return datetime.fromisoformat(record.at)
