"""Sealing a run: charts, report and sums are written from what is recorded, and the sums are signed.

SHA256SUMS is in the form of `sha256sum -c` and its signature in that of `ssh-keygen -Y`, so that anyone can
check a run without this package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from runbook import surroundings
from runbook.account import summarize
from runbook.errors import RunbookError
from runbook.files import write_atomically
from runbook.journal import read_journal
from runbook.report import write_charts, write_report
from runbook.seals import SIGNATURE, SUMS, keep_predecessor, write_sums
from runbook.signatures import SEAL, Key, KeyFile, KeyText, ThrowAwayKey, sandbox_listing
from runbook.summary import Summary

UNSIGNED = "evidence/unsigned.txt"
REHEARSED = "sandbox"


def sealing_key(environment: str, outputs: Path) -> Key | None:
    """Return what runs of an environment are signed with here, None when nothing is at hand.

    The sandbox's throw-away key; else the file that RUNBOOK_SIGNING_KEY_FILE names (a person's, or the .pub
    of a key in their agent); else the key that stands in RUNBOOK_SIGNING_KEY (CI's).
    """
    if environment == "sandbox":
        return ThrowAwayKey(sandbox_listing(outputs), REHEARSED, SEAL)
    if path := surroundings.signing_key_file():
        return KeyFile(path)
    text = surroundings.signing_key_text()
    return KeyText(text) if text else None


def seal(folder: Path, *, key: Key | None = None) -> Summary:
    """Write summary, charts, report and sums of a run whose notebook lies in its folder; sign with `key`.

    When that fails the run is sealed unsigned, and evidence/unsigned.txt says why (`why_unsigned`). A signed
    seal that was there before is kept as its predecessor.
    """
    if (folder / SIGNATURE).is_file():
        keep_predecessor(folder)
    if key is None:
        return _write(folder, "unsigned")
    summary = _write(folder, "signed")
    try:
        with key.opened() as pen:
            armor = pen.sign((folder / SUMS).read_bytes(), namespace=SEAL)
        write_atomically(folder / SIGNATURE, armor)
    except BaseException as error:
        unsigned = _write(folder, "unsigned", why=str(error) or "signing was interrupted")
        if not isinstance(error, RunbookError | OSError):
            raise
        return unsigned
    return summary


def why_unsigned(folder: Path) -> str:
    """Return why a run that was to be signed is not; nothing when it is signed, or nobody was to sign it."""
    path = folder / UNSIGNED
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _write(folder: Path, signature: Literal["unsigned", "signed"], *, why: str = "") -> Summary:
    (folder / SIGNATURE).unlink(missing_ok=True)
    (folder / UNSIGNED).unlink(missing_ok=True)
    if why:
        (folder / UNSIGNED).parent.mkdir(mode=0o755, exist_ok=True)
        write_atomically(folder / UNSIGNED, f"{why}\n")
    summary = summarize(read_journal(folder / "journal.jsonl")).model_copy(update={"signature": signature})
    write_atomically(folder / "summary.json", summary.model_dump_json(indent=1) + "\n")
    write_charts(folder)
    write_report(folder)
    write_sums(folder)
    return summary
