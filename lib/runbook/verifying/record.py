"""Summary and report against the journal: neither says anything else than what is on record."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from runbook.account import summarize
from runbook.errors import RunbookError
from runbook.values import plain
from runbook.verifying.sealed import JOURNAL, REPORT, SUMMARY, Sealed

_META = re.compile(r'<meta name="(journal-head|run-verdict)" content="([^"]*)">')


def wrong_journal(sealed: Sealed) -> Iterator[str]:
    """Return what a journal holds beside its lines."""
    torn = len(sealed.journal) - (sealed.journal.rfind(b"\n") + 1)
    if torn:
        yield f"{JOURNAL}: {torn} bytes after its last line"


def wrong_summary(sealed: Sealed) -> Iterator[str]:
    """Return whether the summary differs from what the journal comes to, and in which fields."""
    if not sealed.records or sealed.summary is None:
        return
    try:
        found = summarize(sealed.records)
    except (RunbookError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"{JOURNAL}: its lines are not those of a run ({type(error).__name__}: {error})"
        return
    written = sealed.summary.model_dump()
    differs = [
        name for name, value in found.model_dump().items() if name != "signature" and written[name] != value
    ]
    if differs:
        yield f"{SUMMARY}: {', '.join(differs)}: not what the journal says"


def wrong_report(sealed: Sealed) -> Iterator[str]:
    """Return whether the report was written from another journal, or another verdict, than is here."""
    path = sealed.folder / REPORT
    if not path.is_file() or not sealed.records or sealed.summary is None:
        return
    head = path.read_text(encoding="utf-8", errors="replace").partition("</head>")[0]
    said = {name: html.unescape(value) for name, value in _META.findall(head)}
    expected = {"journal-head": sealed.records[-1].hash, "run-verdict": plain(sealed.summary.verdict)}
    for name, value in expected.items():
        if said.get(name) != value:
            yield f"{REPORT}: its {name} is {said.get(name, 'not there')!r}, the record's is {value!r}"


def scratch_remarks(sealed: Sealed) -> Iterator[str]:
    """Return the scratch folder of which nobody says that it was destroyed."""
    notes = [record.data for record in sealed.records if record.kind == "note"]
    opened = [str(note["scratch"]) for note in notes if "scratch" in note]
    if not opened:
        return
    receipt = sealed.folder / "evidence" / "scratch.json"
    told = receipt.read_text(encoding="utf-8", errors="replace") if receipt.is_file() else ""
    name = opened[-1].rpartition("/")[2]
    if name not in told and not any(name in str(note.get("what")) for note in notes):
        yield f"the scratch folder {name} is not on record as destroyed; it may still hold data of this run"
