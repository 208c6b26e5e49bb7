"""SQL on Supabase's project: questions that can change nothing, and statements that are proven to be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue

from runbook.errors import OutcomeUnknown, StepFailed, VendorUnavailable
from runbook.providers.connect import connect
from runbook.providers.http import Http
from runbook.providers.supabase.project import API, VENDOR, project_ref
from runbook.step import Step
from runbook.values import Value

_ROUNDS: Final = 3
Found = tuple[dict[str, JsonValue], ...]


class Rows(Value):
    """What a question to the database brought."""

    found: Found


def read_sql(step: Step, *, sql: str, parameters: Sequence[JsonValue] = ()) -> Rows:
    """Return what a question brings, asked as a user who can change nothing; `$1`, `$2` … are parameters.

    Names must be given with their schemas.
    """
    with connect(step, API) as http:
        return _read_sql(http, project_ref(step), sql, parameters)


def apply_sql(step: Step, *, sql: str, done: str, parameters: Sequence[JsonValue] = ()) -> Rows:
    """Run a statement that changes something, until `done`, a question of one value, is answered with true.

    What is done already is not done again. The statement must be one that may be repeated as long as `done`
    says no. Returns what it returned, no rows if it was done before. Raises StepFailed for a `done` that
    answers neither true nor false, VendorUnavailable when Supabase says yes and nothing shows.
    """
    ref = project_ref(step)
    body = {"query": sql, "parameters": list(parameters)}
    came: Found = ()
    with connect(step, API) as http:
        for _ in range(_ROUNDS):
            if _is_done(http, ref, done):
                return Rows(found=came)
            unknown: OutcomeUnknown | None = None
            try:
                path = "/v1/projects/{ref}/database/query"
                came = http.call("run_sql", "POST", path, args={"ref": ref}, json=body, into=Found)
            except OutcomeUnknown as error:
                unknown = error
        if _is_done(http, ref, done):
            return Rows(found=came)
    raise unknown or VendorUnavailable(
        f"{VENDOR} accepted the statement {_ROUNDS} times, and the database does not show it; look at the "
        "database, then resume",
        vendor=VENDOR,
        call="run_sql",
    )


def _is_done(http: Http, ref: str, done: str) -> bool:
    rows = _read_sql(http, ref, done, ()).found
    answers = [value for row in rows for value in row.values()]
    if len(answers) != 1 or not isinstance(answers[0], bool):
        raise StepFailed(
            f"a question of one value, true or false, was expected of {done!r}; it brought {answers}"
        )
    return answers[0]


def _read_sql(http: Http, ref: str, sql: str, parameters: Sequence[JsonValue]) -> Rows:
    found = http.call(
        "read_sql",
        "POST",
        "/v1/projects/{ref}/database/query/read-only",
        args={"ref": ref},
        json={"query": sql, "parameters": list(parameters)},
        into=Found,
        once=False,
    )
    return Rows(found=found)
