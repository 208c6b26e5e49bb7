"""How a vendor says yes, no and later: its headers, its envelopes, its limits. Data and pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

OK, REDIRECT, REFUSED, FAILED = 200, 300, 400, 500
TOO_MANY: Final = 429
LATER: Final = frozenset({408, 425, TOO_MANY})
_WORDS_AT_MOST: Final = 300


@dataclass(frozen=True)
class Reply:
    """What came back: HTTP's status, headers by lower-case name, the whole body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""

    def json(self) -> Any:
        """Return the body as JSON; ValueError when it is none."""
        return json.loads(self.content)

    def data(self) -> Any:
        """Return the body as JSON, or None when it is none."""
        try:
            return self.json()
        except ValueError:
            return None

    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "")


@dataclass(frozen=True)
class Verdict:
    """What a reply means: done; refused; later (not done, ask again); failed (it may or may not be done)."""

    kind: Literal["done", "refused", "later", "failed"]
    code: str = ""
    words: str = ""


DONE: Final = Verdict("done")


@dataclass(frozen=True)
class Limit:
    """What a vendor told of its limit: calls left, and when there will be more."""

    left: int
    renewed_at: datetime


def said(data: Any) -> tuple[str, str]:
    """Return (code, words) of an error body, whichever of the usual envelopes it came in."""
    if isinstance(data, list) and data:
        return said(data[0])
    if not isinstance(data, dict):
        return "", data[:_WORDS_AT_MOST] if isinstance(data, str) else ""
    inner = next((data[key] for key in ("error", "errors", "detail") if data.get(key)), None)
    code, words = said(inner) if isinstance(inner, dict | list) else ("", str(inner or ""))
    details = (
        data.get("errors") if isinstance(data.get("errors"), list) and inner is not data.get("errors") else []
    )
    own = [str(data[key]) for key in ("message", "error_description", "reason") if data.get(key)]
    more = [item for item in details or [] if isinstance(item, str)]
    return str(data.get("code", "")) or code, "; ".join([*own, *([words] if words else []), *more])[
        :_WORDS_AT_MOST
    ]


def by_status(reply: Reply) -> Verdict:
    """Judge by HTTP's status alone: 2xx done, 408, 425 and 429 later, other 4xx refused, 5xx failed."""
    if OK <= reply.status < REDIRECT:
        return DONE
    code, words = said(reply.data())
    if reply.status in LATER:
        return Verdict("later", code, words)
    return Verdict("failed" if reply.status >= FAILED else "refused", code, words)


def retry_after(reply: Reply, now: datetime) -> datetime | None:
    """Return when Retry-After says to ask again: seconds, or a date (RFC 9110, 10.2.3)."""
    text = reply.header("Retry-After").strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return now + timedelta(seconds=min(float(text), 10.0**8))
    try:
        return parsedate_to_datetime(text).astimezone(UTC) if text else None
    except ValueError:
        return None


def limit_of(
    reply: Reply, now: datetime, *, left: str, renewed: str, unit: Literal["seconds", "epoch"]
) -> Limit | None:
    """Return a limit told by two headers; `renewed` holds seconds from now, or a time since 1970."""
    numbers = [reply.header(name) for name in (left, renewed)]
    if not all(re.fullmatch(r"\d{1,12}", number) for number in numbers):
        return None
    seconds = int(numbers[1])
    at = datetime.fromtimestamp(seconds, UTC) if unit == "epoch" else now + timedelta(seconds=seconds)
    return Limit(int(numbers[0]), at)


def no_limit(_reply: Reply, _now: datetime) -> Limit | None:
    """Tell nothing: a vendor without limit headers."""
    return None


@dataclass(frozen=True)
class Dialect:
    """How to speak with one vendor.

    `vendor` is its name in environment.yaml; `mount` the path of its emulator in the sandbox. `url` names
    one of its `urls` ("" is `base_url`), `secret_url` a secret that is itself the address. `authorize` makes
    headers from the secrets named in `secrets`. `blind_wait_s` is how long to wait when told "later" without
    a time, doubled each time; `patience_s` how long a call may wait in all. `later` reads from a reply when
    to ask again, where a vendor does not say it in Retry-After. `hidden` names the fields of its replies that
    are kept nowhere: credentials, people's addresses. `quiet` names calls whose good replies are not kept as
    evidence: there are thousands of them, and what they came to is on record as the result of a look.
    """

    vendor: str
    mount: str
    secrets: tuple[str, ...] = ()
    authorize: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda _secrets: {}
    headers: Mapping[str, str] = field(default_factory=dict)
    verdict: Callable[[Reply], Verdict] = by_status
    limit: Callable[[Reply, datetime], Limit | None] = no_limit
    later: Callable[[Reply, datetime], datetime | None] = retry_after
    hidden: frozenset[str] = frozenset()
    quiet: frozenset[str] = frozenset()
    request_id: tuple[str, ...] = ("x-request-id",)
    url: str = ""
    secret_url: str = ""
    attempts: int = 5
    blind_wait_s: float = 10.0
    patience_s: float = 600.0
