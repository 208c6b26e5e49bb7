"""Slack: messages with proof by bot token, messages without proof by incoming webhook.

Source: Slack's Web API. A failure is HTTP 200 with `ok: false`. Posting has no idempotency key: before a
message is sent, and again before it is sent a second time, the channel is read for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal

from runbook.errors import OutcomeUnknown
from runbook.providers.connect import connect, vendor_id
from runbook.providers.dialect import FAILED, LATER, OK, Dialect, Reply, Verdict, by_status
from runbook.providers.http import Http
from runbook.providers.paging import by_cursor
from runbook.providers.request import Query
from runbook.providers.shape import Shape
from runbook.step import Step
from runbook.values import Value

_PAGE: Final = 200
_LATER: Final = frozenset({"ratelimited", "rate_limited"})
_FAILED: Final = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})


def _verdict(reply: Reply) -> Verdict:
    """Judge by `ok`, whatever HTTP's status says of it."""
    data = reply.data()
    if reply.status != OK or not isinstance(data, dict) or data.get("ok") is not False:
        return by_status(reply)
    error = str(data.get("error", ""))
    needed = f"it needs the scope {data['needed']}" if data.get("needed") else ""
    kind: Literal["later", "failed", "refused"] = (
        "later" if error in _LATER else "failed" if error in _FAILED else "refused"
    )
    return Verdict(kind, error, needed)


def _hook_verdict(reply: Reply) -> Verdict:
    """Judge a webhook: only the two letters `ok` are a yes; its errors are a word in plain text."""
    if reply.status == OK and reply.text() == "ok":
        return by_status(reply)
    if reply.status in LATER:
        return Verdict("later")
    if OK < reply.status < FAILED:
        return Verdict("refused", reply.text()[:60])
    return Verdict("failed")


WEB: Final = Dialect(
    vendor="slack",
    mount="/slack/api",
    secrets=("token",),
    authorize=lambda secrets: {"Authorization": f"Bearer {secrets['token']}"},
    verdict=_verdict,
    request_id=("x-slack-req-id",),
)
HOOK: Final = Dialect(vendor="slack", mount="", secret_url="webhook_url", verdict=_hook_verdict)  # noqa: S106


class Message(Value):
    """A message in a channel; `ts` is its id there. `by` is the bot or the person who wrote it."""

    channel: str
    ts: str
    by: str
    text: str

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(float(self.ts), UTC)


class Posted(Value):
    """A message that Slack holds: its link proves it. `found` says that it was there already."""

    channel: str
    ts: str
    permalink: str
    found: bool


class Told(Value):
    """A message handed to a webhook: accepted, which is all that a webhook tells."""

    text: str
    at: datetime


class _Who(Shape):
    ok: Literal[True]
    bot_id: str


class _Sent(Shape):
    ok: Literal[True]
    channel: str
    ts: str


class _Link(Shape):
    ok: Literal[True]
    permalink: str


class _Message(Shape):
    ts: str
    text: str = ""
    user: str = ""
    bot_id: str = ""


class _Next(Shape):
    next_cursor: str = ""


class _History(Shape):
    ok: Literal[True]
    messages: tuple[_Message, ...]
    has_more: bool
    response_metadata: _Next = _Next()


def read_history(step: Step, *, since: datetime) -> tuple[Message, ...]:
    """Return what was written in our channel since a time, newest first."""
    channel = vendor_id(step, "slack", "channel")
    with connect(step, WEB) as http:
        return _history(http, channel, since)


def apply_message(step: Step, *, text: str, since: datetime) -> Posted:
    """Post a message to our channel, unless our bot has posted the very same one since `since`.

    The text must be the run's own (name the run in it): it is what the message is recognized by. When the
    reply is lost the channel is read before the message is sent a second time; it is never sent a third
    time. Raises OutcomeUnknown when the channel cannot tell.
    """
    channel = vendor_id(step, "slack", "channel")
    with connect(step, WEB) as http:
        bot = http.call("auth_test", "POST", "/auth.test", into=_Who, once=False).bot_id

        def already() -> str | None:
            mine = (m for m in _history(http, channel, since) if m.by == bot and m.text == text)
            return next((message.ts for message in mine), None)

        found = already()
        ts = found or _posted(http, channel, text)
        if ts is None:
            ts = already() or _posted(http, channel, text)
        if ts is None and (ts := already()) is None:
            raise OutcomeUnknown(
                "slack lost the reply to post_message twice, and the channel does not show the message; "
                "look into the channel, then resume: it is looked for before it is sent",
                vendor="slack",
                call="post_message",
            )
        link = http.call(
            "read_permalink",
            "GET",
            "/chat.getPermalink",
            query={"channel": channel, "message_ts": ts},
            into=_Link,
        )
    return Posted(channel=channel, ts=ts, permalink=link.permalink, found=found is not None)


def apply_webhook(step: Step, *, text: str) -> Told:
    """Hand a message to the incoming webhook: at least once, and without proof.

    Raises OutcomeUnknown when the reply is lost; sending it again may show it twice.
    """
    with connect(step, HOOK) as http:
        http.exchange("post_webhook", "POST", "", json={"text": text})
    return Told(text=text, at=step.clock.now())


def _posted(http: Http, channel: str, text: str) -> str | None:
    """Return the message's ts, or None when nobody knows whether it was posted."""
    try:
        sent = http.call(
            "post_message", "POST", "/chat.postMessage", json={"channel": channel, "text": text}, into=_Sent
        )
    except OutcomeUnknown:
        return None
    return sent.ts


def _history(http: Http, channel: str, since: datetime) -> tuple[Message, ...]:
    query: Query = {
        "channel": channel,
        "oldest": f"{since.timestamp():.6f}",
        "inclusive": "true",
        "limit": _PAGE,
    }

    def fetch(cursor: str | None) -> tuple[Sequence[_Message], str | None]:
        paged = query if cursor is None else {**query, "cursor": cursor}
        reply = http.call("read_history", "GET", "/conversations.history", query=paged, into=_History)
        return reply.messages, reply.response_metadata.next_cursor if reply.has_more else None

    found = by_cursor(fetch, what="slack read_history")
    return tuple(Message(channel=channel, ts=m.ts, by=m.bot_id or m.user, text=m.text) for m in found)
