"""The one HTTP session: timeouts, retries where repeating is safe, limits, redaction, evidence.

What a failure means depends on whether the call may be repeated. A `once` call (a POST without a key) is
sent again only when it certainly was not done: no connection, or the vendor said "later". Its reply lost or
unreadable is OutcomeUnknown: nobody knows, and only looking at the vendor tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import AuthBase

from runbook.clock import Clock, utc_text
from runbook.errors import OutcomeUnknown, SurprisingReply, VendorError, VendorRefused, VendorUnavailable
from runbook.plan.secrets import Secrets
from runbook.providers.dialect import REDIRECT, REFUSED, Dialect, Reply, Verdict
from runbook.providers.lines import Line, Pinned
from runbook.providers.logs import keep_queries_out
from runbook.providers.request import CallEvent, Failure, Prepared, Query, evidence, failure_of, prepare
from runbook.providers.shape import parsed

T = TypeVar("T")

_CONNECT_S: Final = 5.0
_CHUNK: Final = 65536
_BODY_AT_MOST: Final = 64 * 1024 * 1024
_REDIRECTS_AT_MOST: Final = 3
_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


def _ignore(_event: CallEvent) -> None:
    """Hear nothing: the sink of a session nobody listens to."""


class _Shown(AuthBase):
    """Our own headers and no others: it keeps ~/.netrc out."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


@dataclass
class Http:
    """A session with one vendor's API; a context manager. Made by `connect`, or directly in tests.

    `secrets` are the credentials by name; they are masked in all that this session says or keeps.
    `hear` gets an event for each retry and wait, `keep` each exchange as a file (name, JSON). `pinned` is the
    address and port to connect to in place of what the DNS says of the base URL's host. `line` holds
    connections that outlive this session; without it the session has its own.
    """

    dialect: Dialect
    base_url: str
    clock: Clock
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 30.0
    hear: Callable[[CallEvent], None] = _ignore
    keep: Callable[[str, str], None] | None = None
    pinned: tuple[str, int] | None = None
    line: Line | None = None

    def __post_init__(self) -> None:
        self._auth = _Shown(self.dialect.authorize(self.secrets))
        self._not_before: datetime | None = None
        self._count = 0
        keep_queries_out()
        self._session = requests.Session()
        self._line = Pinned(*self.pinned) if self.pinned else self.line or Line()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, self._line)
        self._session.headers.update({"User-Agent": "runbook/0.1", **self.dialect.headers})
        host = urlsplit(self.base_url)
        reached = self.pinned[0] if self.pinned else host.hostname
        if host.scheme != "https" and reached != "127.0.0.1":
            raise VendorRefused(f"{self.dialect.vendor}: its address is not https, so nothing is sent there")
        self._session.trust_env = reached != "127.0.0.1"  # no proxy stands before the sandbox

    @cached_property
    def _mask(self) -> Secrets:
        known = {f"{self.dialect.vendor} {name}": value for name, value in self.secrets.items()}
        return Secrets(known, environ=known)

    def __enter__(self) -> Http:
        return self

    def __exit__(self, *_: object) -> None:
        if self._line is not self.line:
            self._session.close()

    # What a client calls

    def call(
        self,
        name: str,
        method: str,
        path: str,
        *,
        into: type[T],
        args: Mapping[str, str] | None = None,
        query: Query | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        once: bool | None = None,
    ) -> T:
        """Make a call and return its JSON reply as `into`; the rest as for `exchange`."""
        prepared = prepare(self.base_url, name, method, path, args, query, json, form, headers, once)
        reply = self._done(prepared)
        return self._parsed(prepared, reply, into)

    def exchange(
        self,
        name: str,
        method: str,
        path: str,
        *,
        args: Mapping[str, str] | None = None,
        query: Query | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        once: bool | None = None,
    ) -> Reply:
        """Make the call `name` and return its reply once the vendor's verdict is *done*.

        `path` is below the base URL; `{names}` in it are filled from `args`, quoted. `once` says that doing
        it twice does harm; unless told, POST and PATCH do and the rest does not.
        Raises VendorRefused, VendorUnavailable, SurprisingReply (a redirect elsewhere), and for a `once`
        call whose reply was lost OutcomeUnknown.
        """
        return self._done(prepare(self.base_url, name, method, path, args, query, json, form, headers, once))

    def _parsed(self, call: Prepared, reply: Reply, into: type[T]) -> T:
        vendor, request_id = self.dialect.vendor, self._request_id(reply)
        try:
            return parsed(reply.content, into, vendor=vendor, call=call.name, request_id=request_id)
        except SurprisingReply as error:
            if call.once:
                raise self._unknown(call, f"its reply was unreadable: {error}", request_id) from None
            raise

    # How a call is made

    def _done(self, call: Prepared) -> Reply:
        failed_at: datetime | None = None  # a rehearsal's clock is a call away: it is asked when it matters
        attempt = 0
        while True:
            attempt += 1
            self._wait_for_limit(call, attempt)
            result = self._attempt(call, attempt)
            if isinstance(result, Reply):
                return result
            if call.once and result.may_be_done:
                raise self._unknown(call, result.why, self._request_id(result.reply))
            wait_s = self._wait_s(result, attempt)
            now = self.clock.now()
            failed_at = failed_at or now
            waited_s = (now - failed_at).total_seconds()
            if (
                result.final
                or attempt >= self.dialect.attempts
                or waited_s + wait_s > self.dialect.patience_s
            ):
                raise self._given_up(call, result, attempt, wait_s)
            self._pause(call, attempt + 1, result.why, wait_s)

    def _attempt(self, call: Prepared, attempt: int) -> Reply | Failure:
        try:
            reply = self._sent(call, attempt)
        except (requests.RequestException, OSError, ValueError) as error:
            failure = failure_of(error)
            self._keep_evidence(call, attempt, None, failure.why)
            return failure
        verdict = self.dialect.verdict(reply)
        if verdict.kind != "done" or call.name not in self.dialect.quiet:
            self._keep_evidence(call, attempt, reply, "")
        self._note_limit(reply)
        return self._judged(call, reply, verdict)

    def _judged(self, call: Prepared, reply: Reply, verdict: Verdict) -> Reply | Failure:
        if verdict.kind == "done":
            return reply
        why = f"HTTP {reply.status}" + (f" {verdict.code}" if verdict.code else "")
        if verdict.kind == "refused":
            raise self._error(VendorRefused, call, f"refused {call.name} ({why})", verdict, reply)
        later = self.dialect.later(reply, self.clock.now())
        return Failure(why, verdict.kind == "failed", later, verdict, reply)

    def _sent(self, call: Prepared, attempt: int) -> Reply:
        url, query = call.url, call.query
        for _ in range(_REDIRECTS_AT_MOST + 1):
            reply, location = self._once(call, url, query)
            if not location:
                return reply
            self._keep_evidence(call, attempt, reply, "")
            url, query = self._redirected(call, url, location, reply), []
        raise self._error(SurprisingReply, call, "redirects in a circle", Verdict("refused"), reply)

    def _once(self, call: Prepared, url: str, query: list[tuple[str, str]]) -> tuple[Reply, str]:
        """Send it and read the whole reply, within the time it may take in all."""
        ends = time.monotonic() + self.timeout_s
        if call.once:
            self._line.drop()  # of one that the other side has just let go of nobody would know what was done
        with self._session.request(
            call.method,
            url,
            params=query,
            data=call.body,
            headers=call.headers,
            auth=self._auth,
            timeout=(min(_CONNECT_S, self.timeout_s), self.timeout_s),
            allow_redirects=False,
            stream=True,
        ) as response:
            parts: list[bytes] = []
            size = 0
            for part in response.iter_content(_CHUNK):
                size += len(part)
                if time.monotonic() > ends or size > _BODY_AT_MOST:
                    raise requests.ReadTimeout("the reply did not end in time")
                parts.append(part)
            headers = {name.lower(): value for name, value in response.headers.items()}
        reply = Reply(response.status_code, headers, b"".join(parts))
        return reply, headers.get("location", "") if REDIRECT <= reply.status < REFUSED else ""

    def _redirected(self, call: Prepared, url: str, location: str, reply: Reply) -> str:
        """Return where a redirect leads; only a read, and only on the same host, is led on."""
        target = urljoin(url, location)
        here, there = urlsplit(url), urlsplit(target)
        if call.method != "GET" or (here.scheme, here.netloc) != (there.scheme, there.netloc):
            words = f"redirects {call.name} to {there.scheme}://{there.hostname}, which is not followed"
            raise self._error(SurprisingReply, call, words, Verdict("refused"), reply)
        return target

    # Time

    def _wait_s(self, failure: Failure, attempt: int) -> float:
        if failure.not_before is not None:
            return max(0.0, (failure.not_before - self.clock.now()).total_seconds())
        told_later = failure.verdict is not None and failure.verdict.kind == "later"
        return float((self.dialect.blind_wait_s if told_later else 1.0) * 2 ** (attempt - 1))

    def _pause(self, call: Prepared, attempt: int, why: str, wait_s: float) -> None:
        self.hear(
            CallEvent(
                vendor=self.dialect.vendor,
                call=call.name,
                attempt=attempt,
                why=self._mask.mask(why),
                wait_s=wait_s,
            )
        )
        if wait_s > 0:
            self.clock.sleep_until(self.clock.now() + timedelta(seconds=wait_s))

    def _note_limit(self, reply: Reply) -> None:
        limit = self.dialect.limit(reply, _ANY_TIME)
        used_up = limit is not None and limit.left == 0
        again = self.dialect.limit(reply, self.clock.now()) if used_up else None
        self._not_before = None if again is None else again.renewed_at

    def _wait_for_limit(self, call: Prepared, attempt: int) -> None:
        """Wait when the last reply said that no call is left, as long as patience has it."""
        if self._not_before is None:
            return
        wait_s = (self._not_before - self.clock.now()).total_seconds()
        self._not_before = None
        if 0 < wait_s <= self.dialect.patience_s:
            self._pause(call, attempt, "the vendor's limit is used up", wait_s)

    # What is told

    def _error(
        self, kind: type[VendorError], call: Prepared, what: str, verdict: Verdict, reply: Reply | None
    ) -> VendorError:
        request_id = self._request_id(reply)
        said = f": {verdict.words}" if verdict.words else ""
        asked = f" (request {request_id})" if request_id else ""
        return kind(
            self._mask.mask(f"{self.dialect.vendor} {what}{said}{asked}"),
            vendor=self.dialect.vendor,
            call=call.name,
            status=None if reply is None else reply.status,
            code=self._mask.mask(verdict.code),
            request_id=request_id,
        )

    def _given_up(self, call: Prepared, failure: Failure, attempts: int, wait_s: float) -> VendorError:
        times = "once" if attempts == 1 else f"{attempts} times"
        when = utc_text(self.clock.now() + timedelta(seconds=wait_s))[:19]
        what = f"did not do {call.name}, asked {times} ({failure.why}); resume not before {when}Z"
        return self._error(VendorUnavailable, call, what, failure.verdict or Verdict("failed"), failure.reply)

    def _unknown(self, call: Prepared, why: str, request_id: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            self._mask.mask(
                f"{self.dialect.vendor} may or may not have done {call.name} ({why}). It is not sent again: "
                "look at the vendor whether it was done, then resume"
            ),
            vendor=self.dialect.vendor,
            call=call.name,
            request_id=request_id,
        )

    def _request_id(self, reply: Reply | None) -> str:
        if reply is None:
            return ""
        return self._mask.mask(
            next((reply.header(n) for n in self.dialect.request_id if reply.header(n)), "")
        )

    def _keep_evidence(self, call: Prepared, attempt: int, reply: Reply | None, why: str) -> None:
        self._count += 1
        if self.keep is None:
            return
        name, text = evidence(
            self.dialect.vendor,
            call,
            self.clock.now(),
            attempt=attempt,
            reply=reply,
            why=why,
            number=self._count,
            hidden=self.dialect.hidden,
        )
        self.keep(name, self._mask.mask(text))
