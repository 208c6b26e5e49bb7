"""Upstash: our database, what it was asked and what that costs; its data over REST.

Source: Upstash's developer API v2 and its REST API for Redis. In a pipeline a failing command is an entry
inside a 200; all entries are looked at here. Writing is proven by reading back. Databases that were made
through Vercel's marketplace are not managed here: no stats, no bill.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final, TypeVar

from pydantic import JsonValue

from runbook.costs.charges import Charge, month_bounds, unknown
from runbook.errors import OutcomeUnknown, SurprisingReply, VendorRefused, VendorUnavailable
from runbook.providers.connect import connect, vendor_id
from runbook.providers.dialect import Dialect
from runbook.providers.http import Http
from runbook.providers.shape import Shape
from runbook.step import Step
from runbook.values import Value

T = TypeVar("T")
VENDOR: Final = "upstash"
SERVICE: Final = "Upstash Redis"
_ROUNDS: Final = 3


def _basic(secrets: Mapping[str, str]) -> Mapping[str, str]:
    pair = f"{secrets['email']}:{secrets['api_key']}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


MANAGEMENT: Final = Dialect(
    vendor=VENDOR,
    mount="/upstash",
    secrets=("email", "api_key"),
    authorize=_basic,
    hidden=frozenset({"password", "rest_token", "read_only_rest_token", "user_email"}),
)
DATA: Final = Dialect(
    vendor=VENDOR,
    mount="/upstash-data",
    url="data",
    secrets=("rest_token",),
    authorize=lambda secrets: {"Authorization": f"Bearer {secrets['rest_token']}"},
)


class Redis(Value):
    """One database; `plan` is Upstash's word: free, payg (by use), pro, paid."""

    id: str
    name: str
    state: str
    plan: str
    region: str
    endpoint: str
    created_at: datetime


class Stats(Value):
    """What a database was asked, and what the month has cost so far, up to the last full hour or so."""

    at: datetime
    requests_today: int
    requests_this_month: int
    cost_usd_this_month: float
    storage_bytes: int


class _Database(Shape):
    database_id: str
    database_name: str
    state: str
    type: str
    primary_region: str
    endpoint: str
    creation_time: int


class _Stats(Shape):
    daily_net_commands: int
    total_monthly_requests: int
    total_monthly_billing: float
    current_storage: int


class _Result(Shape):
    result: JsonValue


class _Entry(Shape):
    result: JsonValue = None
    error: str = ""


def read_databases(step: Step) -> tuple[Redis, ...]:
    """Return every database that our account has."""
    with connect(step, MANAGEMENT) as http:
        found = http.call("read_databases", "GET", "/redis/databases", into=tuple[_Database, ...])
    return tuple(_database(one) for one in found)


def read_database(step: Step) -> Redis:
    """Return our database as it stands."""
    with connect(step, MANAGEMENT) as http:
        args = {"id": vendor_id(step, VENDOR, "database")}
        return _database(http.call("read_database", "GET", "/redis/database/{id}", args=args, into=_Database))


def read_stats(step: Step) -> Stats:
    """Return what our database was asked, and what it has cost since the first of the month."""
    with connect(step, MANAGEMENT) as http:
        args = {"id": vendor_id(step, VENDOR, "database")}
        found = http.call("read_stats", "GET", "/redis/stats/{id}", args=args, into=_Stats)
    return Stats(
        at=step.clock.now(),
        requests_today=found.daily_net_commands,
        requests_this_month=found.total_monthly_requests,
        cost_usd_this_month=found.total_monthly_billing,
        storage_bytes=found.current_storage,
    )


def read_charges(step: Step, *, month: date) -> tuple[Charge, ...]:
    """Return what our database has cost this month, told up to the last full hour; no other month is told."""
    now = step.clock.now()
    begins, ends = month_bounds(month)
    if not begins <= now < ends:
        return (unknown(SERVICE, "Upstash tells the running month only", month=month),)
    cost_usd = read_stats(step).cost_usd_this_month
    until = now.replace(minute=0, second=0, microsecond=0)
    told = until > begins
    charge = Charge(
        service=SERVICE,
        what="commands and storage" if told else "of which Upstash tells nothing yet",
        cost_usd=cost_usd if told else None,
        since=begins,
        until=until if told else ends,
        source="billed" if told else "unknown",
    )
    return (charge,)


def read_answer(step: Step) -> bool:
    """Return whether the database answers at all (PING)."""
    with connect(step, DATA) as http:
        return _run(http, ["PING"]) == "PONG"


def read_value(step: Step, *, key: str) -> str | None:
    """Return the text under a key, None when there is none."""
    with connect(step, DATA) as http:
        return _text(_run(http, ["GET", key]))


def read_values(step: Step, *, keys: Sequence[str]) -> dict[str, str | None]:
    """Return the texts under several keys, asked for in one pipeline, which is not one moment."""
    with connect(step, DATA) as http:
        return _values(http, keys)


def apply_value(step: Step, *, key: str, value: str, ttl_s: int | None = None) -> str:
    """Put a text under a key and return what is there then; with `ttl_s` it goes by itself.

    Raises VendorUnavailable when Upstash says yes and something else is there.
    """
    expires = [] if ttl_s is None else ["EX", str(ttl_s)]
    with connect(step, DATA) as http:
        return _settle(
            lambda: value if _text(_run(http, ["GET", key])) == value else None,
            lambda: _run(http, ["SET", key, value, *expires], changes=True),
            call="run_command",
        )


def apply_values(step: Step, *, values: Mapping[str, str]) -> dict[str, str | None]:
    """Put texts under several keys, all or none (one transaction), and return what is there then."""
    commands = [["SET", key, value] for key, value in values.items()]

    def there() -> dict[str, str | None] | None:
        found = _values(http, list(values))
        return found if found == dict(values) else None

    with connect(step, DATA) as http:
        return _settle(
            there,
            lambda: _entries(http, "run_transaction", "/multi-exec", commands),
            call="run_transaction",
        )


def apply_removal(step: Step, *, key: str) -> bool:
    """Remove a key; return whether there is none then, which is all that this ends with."""
    with connect(step, DATA) as http:
        return _settle(
            lambda: True if _text(_run(http, ["GET", key])) is None else None,
            lambda: _run(http, ["DEL", key], changes=True),
            call="run_command",
        )


def _settle(look: Callable[[], T | None], act: Callable[[], object], *, call: str) -> T:
    """Look, and act until the look finds what was asked; a lost reply is decided by the look."""
    for _ in range(_ROUNDS):
        if (found := look()) is not None:
            return found
        try:
            act()
        except OutcomeUnknown:
            continue
    if (found := look()) is not None:
        return found
    raise VendorUnavailable(
        f"{VENDOR} accepted {call} {_ROUNDS} times, and what it holds has not become what was asked; look "
        "into its console, then resume",
        vendor=VENDOR,
        call=call,
    )


def _run(http: Http, command: Sequence[str], *, changes: bool = False) -> JsonValue:
    return http.call("run_command", "POST", "/", json=list(command), into=_Result, once=changes).result


def _values(http: Http, keys: Sequence[str]) -> dict[str, str | None]:
    found = _entries(http, "run_pipeline", "/pipeline", [["GET", key] for key in keys], changes=False)
    return {key: _text(value) for key, value in zip(keys, found, strict=True)}


def _entries(
    http: Http, name: str, path: str, commands: Sequence[Sequence[str]], *, changes: bool = True
) -> list[JsonValue]:
    """Run commands in one call and return what each brought; VendorRefused names the first that failed."""
    body = [list(command) for command in commands]
    found = http.call(name, "POST", path, json=body, into=tuple[_Entry, ...], once=changes)
    if len(found) != len(commands):
        raise SurprisingReply(
            f"{VENDOR} answered {len(commands)} commands with {len(found)} results; look at it in the run's "
            "evidence/",
            vendor=VENDOR,
            call=name,
        )
    for command, entry in zip(commands, found, strict=True):
        if entry.error:
            raise VendorRefused(
                f"{VENDOR} refused {command[0]} inside {name}: {entry.error}; the other commands may be done",
                vendor=VENDOR,
                call=name,
                code=entry.error.partition(" ")[0],
            )
    return [entry.result for entry in found]


def _text(value: JsonValue) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise SurprisingReply(f"{VENDOR} holds a {type(value).__name__} where a text was expected", vendor=VENDOR)


def _database(found: _Database) -> Redis:
    return Redis(
        id=found.database_id,
        name=found.database_name,
        state=found.state,
        plan=found.type,
        region=found.primary_region,
        endpoint=found.endpoint,
        created_at=datetime.fromtimestamp(found.creation_time, UTC),
    )
