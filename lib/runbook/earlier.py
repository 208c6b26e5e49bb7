"""Another run as a step may read it: what it came to, whether it verifies, what its steps returned."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from runbook.account import summarize
from runbook.errors import JournalError, StepFailed, UnknownName
from runbook.journal import Record, decode, is_held, read_journal
from runbook.plan import Person
from runbook.signatures import Signers
from runbook.step import Earlier, Sighting
from runbook.values import Value
from runbook.verifying import verify

JOURNAL = "journal.jsonl"


def read_earlier(
    outputs: Path, run_id: str, *, environment: str, signers: Signers | None, people: tuple[Person, ...]
) -> Earlier:
    """Return the record of the run `run_id` of an environment; UnknownName when there is none.

    StepFailed when it cannot be read. What is wrong with its seal stands in `problems`, in a sentence each:
    to pass such a run is the caller's decision, and never goes by itself.
    """
    folder = outputs / run_id
    if not run_id or Path(run_id).name != run_id or not (folder / JOURNAL).is_file():
        raise UnknownName(f"there is no run {run_id!r} in {outputs}; see them with: runbook status")
    try:
        records = read_journal(folder / JOURNAL)
        summary = summarize(records, alive=is_held(folder / JOURNAL))
    except (JournalError, ValueError, KeyError) as error:
        raise StepFailed(f"the record of {run_id} cannot be read: {error}") from error
    problems = [f"it is the record of {summary.run_id}"] if summary.run_id != run_id else []
    if summary.environment != environment:
        problems.append(f"it was run in {summary.environment}, not in {environment}")
    found = verify(folder, signers=lambda _name: signers, people=lambda _name: people)
    if found.seal == "unsigned":
        problems.append(f"it is unsigned: {found.sentence()}")

    def result(title: str) -> Value:
        return _result(records, title, run_id)

    return Earlier(summary=summary, problems=(*problems, *found.wrong), result=result, folder=folder)


def list_runs(outputs: Path) -> tuple[Sighting, ...]:
    """Return the runs in `outputs`, newest first, by the first line of each journal, which nobody verified.

    A journal whose first line is damaged is a run all the same, of whatever runbook: `damaged` says so.
    """
    found = [_sighted(path) for path in outputs.glob(f"*/{JOURNAL}")]
    long_ago = datetime.min.replace(tzinfo=UTC)
    return tuple(sorted(found, key=lambda one: (one.opened_at or long_ago, one.run_id), reverse=True))


def _sighted(path: Path) -> Sighting:
    run_id = path.parent.name
    try:
        with path.open("rb") as journal:
            line = Record.parse(journal.readline().removesuffix(b"\n"), where=str(path))
        told, at = line.data, datetime.fromisoformat(line.at).astimezone(UTC)
        runbook, environment = str(told["runbook"]), str(told["environment"])
    except (OSError, ValueError, KeyError, JournalError):
        runbook, _, rest = run_id.partition("-")
        environment = rest.partition("-")[0]
        return Sighting(run_id=run_id, runbook=runbook, environment=environment, opened_at=None, damaged=True)
    return Sighting(run_id=run_id, runbook=runbook, environment=environment, opened_at=at)


def _result(records: list[Record], title: str, run_id: str) -> Value:
    lines = [line for line in records if line.kind == "done" and line.title == title]
    if not lines:
        raise StepFailed(f"the run {run_id} has no result of “{title}”; its steps: runbook status {run_id}")
    value = decode(lines[-1].data["result"])
    if not isinstance(value, Value):
        raise StepFailed(f"the run {run_id} returned plain data from “{title}”, not a value")
    return value
