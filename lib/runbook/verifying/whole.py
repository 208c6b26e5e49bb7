"""All checks of a sealed run, in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from runbook.plan import Person
from runbook.seals import SUMS
from runbook.signatures import Signers
from runbook.values import in_one_line
from runbook.verifying import approvals, files, record, seal
from runbook.verifying.sealed import JOURNAL, Sealed, read_sealed
from runbook.verifying.verdict import Verification


def verify(
    folder: Path,
    *,
    signers: Callable[[str], Signers | None],
    people: Callable[[str], Iterable[Person] | None] = lambda _environment: None,
) -> Verification:
    """Return what is wrong with a sealed run, and what its signature proves.

    `signers` tells whose signatures count in an environment, `people` who holds which role there today;
    both come from outside the run's folder. Nothing is written.
    """
    sealed = read_sealed(folder)
    if not sealed.sums:
        return _not_sealed(sealed)
    theirs = signers(sealed.environment)
    found = seal.find_seal(sealed, theirs)
    late = approvals.late_files(sealed, theirs)
    wrong = [
        *found.wrong,
        *files.wrong_files(sealed),
        *files.wrong_sums(sealed, late=late),
        *sealed.wrong,
        *record.wrong_journal(sealed),
        *record.wrong_summary(sealed),
        *record.wrong_report(sealed),
        *seal.wrong_predecessors(sealed, theirs),
        *approvals.wrong_approvals(sealed, theirs),
        *approvals.wrong_reviews(sealed, theirs),
    ]
    remarks = [
        *found.remarks,
        *approvals.approval_remarks(sealed, people(sealed.environment)),
        *(f"{name}: signed after the run was parked; sealed when it goes on" for name in sorted(late)),
        *seal.predecessor_remarks(sealed),
        *record.scratch_remarks(sealed),
    ]
    return Verification(
        **_about(sealed),
        seal=found.state,
        signed_by=found.by.principal if found.by else "",
        fingerprint=found.by.fingerprint if found.by else "",
        sealed_at=sealed.last_at,
        files=sealed.sums.count(b"\n"),
        wrong=_lines(wrong),
        remarks=_lines(remarks),
    )


def _about(sealed: Sealed) -> dict[str, str]:
    verdict = sealed.summary.verdict if sealed.summary else ""
    about = {"run_id": sealed.run_id, "environment": sealed.environment, "verdict": verdict}
    return {name: in_one_line(text) for name, text in about.items()}


def _lines(found: Iterable[str]) -> tuple[str, ...]:
    """Return each line once; names and texts of a folder that anybody wrote cannot steer a terminal."""
    return tuple(dict.fromkeys(in_one_line(line) for line in found))


def _not_sealed(sealed: Sealed) -> Verification:
    what = f"{SUMS}: missing; the run is not sealed: runbook seal {sealed.run_id}"
    gone = () if sealed.records else (f"{JOURNAL}: there is no record of a run in this folder",)
    return Verification(**_about(sealed), seal="not checked", files=0, wrong=_lines((what, *gone)))
