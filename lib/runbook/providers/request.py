"""One call as it goes over the wire, what a failed attempt means, and what is kept of it."""

from __future__ import annotations

import json as json_
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from runbook.clock import utc_text
from runbook.providers.dialect import Reply, Verdict
from runbook.values import Value

Query = Mapping[str, str | int | Sequence[str] | None]

SAFE: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_SHOWN_HEADERS: Final = frozenset(
    {"accept", "cf-ray", "content-type", "date", "from", "link", "location", "retry-after", "x-vercel-id"}
)
HIDDEN: Final = "(not kept)"
_SHOWN_PARTS: Final = ("ratelimit", "rate-limit", "request-id")


class CallEvent(Value):
    """Something that happened on the way of a call: tried again, or waited for a limit."""

    vendor: str
    call: str
    attempt: int
    why: str
    wait_s: float

    def sentence(self) -> str:
        return f"{self.vendor} {self.call}: {self.why}; attempt {self.attempt} after {self.wait_s:g} s"


@dataclass(frozen=True)
class Prepared:
    """A call as it will go over the wire; `once` says that doing it twice does harm."""

    name: str
    method: str
    url: str
    query: list[tuple[str, str]]
    body: bytes | None
    headers: dict[str, str]
    once: bool


@dataclass(frozen=True)
class Failure:
    """An attempt that brought nothing: what happened, whether it may be done, when to ask again."""

    why: str
    may_be_done: bool
    not_before: datetime | None = None
    verdict: Verdict | None = None
    reply: Reply | None = None
    final: bool = False


def prepare(
    base_url: str,
    name: str,
    method: str,
    path: str,
    args: Mapping[str, str] | None,
    query: Query | None,
    json: Any,
    form: Mapping[str, str] | None,
    headers: Mapping[str, str] | None,
    once: bool | None,
) -> Prepared:
    """Return a call ready to be sent: `{names}` of the path filled from `args`, quoted."""
    filled = path.format_map({key: quote(value, safe="") for key, value in (args or {}).items()})
    body, kind = _body(json, form)
    return Prepared(
        name=name,
        method=method,
        url=base_url.rstrip("/") + filled,
        query=[pair for key, value in (query or {}).items() for pair in _pairs(key, value)],
        body=body,
        headers={**kind, **(headers or {})},
        once=method not in SAFE if once is None else once,
    )


def failure_of(error: Exception) -> Failure:
    """Say what a transport error means; its own text is left out, it would hold the address and its query."""
    if isinstance(error, requests.exceptions.SSLError):
        return Failure("the server could not prove who it is (TLS)", may_be_done=False, final=True)
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    unsent = (requests.ConnectTimeout, requests.exceptions.ProxyError)
    if isinstance(error, unsent) or isinstance(reason, NewConnectionError | ConnectTimeoutError):
        return Failure("no connection", may_be_done=False)
    if isinstance(error, requests.Timeout):
        return Failure("no reply in time", may_be_done=True)
    return Failure("the connection ended before the whole reply was there", may_be_done=True)


def _body(json: Any, form: Mapping[str, str] | None) -> tuple[bytes | None, dict[str, str]]:
    if json is not None:
        return json_.dumps(json).encode(), {"Content-Type": "application/json; charset=utf-8"}
    if form is not None:
        return urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    return None, {}


def _pairs(key: str, value: str | int | Sequence[str] | None) -> list[tuple[str, str]]:
    if value is None:
        return []
    if isinstance(value, str | int):
        return [(key, str(value).lower() if isinstance(value, bool) else str(value))]
    return [(key, item) for item in value]


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    def fit(name: str) -> bool:
        return name in _SHOWN_HEADERS or any(part in name for part in _SHOWN_PARTS)

    return {name: value for name, value in headers.items() if fit(name.lower())}


def _readable(body: bytes) -> Any:
    try:
        return json_.loads(body)
    except ValueError:
        return body.decode("utf-8", "backslashreplace")


def _without(data: Any, hidden: frozenset[str]) -> Any:
    if isinstance(data, dict):
        return {k: HIDDEN if k in hidden else _without(item, hidden) for k, item in data.items()}
    return [_without(item, hidden) for item in data] if isinstance(data, list) else data


def evidence(
    vendor: str,
    call: Prepared,
    now: datetime,
    *,
    attempt: int,
    reply: Reply | None,
    why: str,
    number: int,
    hidden: frozenset[str] = frozenset(),
) -> tuple[str, str]:
    """Return an exchange as a file: (name, JSON).

    Headers that could hold a credential are left out, and so are the values of the fields in `hidden`.
    """
    at = utc_text(now)
    request = {
        "method": call.method,
        "url": call.url,
        "query": call.query,
        "headers": _shown(call.headers),
        "body": _readable(call.body or b""),
    }
    back = reply and {
        "status": reply.status,
        "headers": _shown(reply.headers),
        "body": _without(_readable(reply.content), hidden),
    }
    exchange = {"vendor": vendor, "call": call.name, "at": at, "attempt": attempt}
    text = json_.dumps({**exchange, "request": request, "reply": back or why}, indent=1, ensure_ascii=False)
    stamp = at.replace(":", "").replace("-", "").replace(".", "")
    return f"{stamp}-{vendor}-{call.name}-{number:03}.json", text
