"""Slack's Web API and incoming webhook as far as the runbooks use them, traps included.

- Every method takes GET with a query, and POST with a form or JSON.
- A refusal is HTTP 200 with `ok: false`.
- Posting has no idempotency key: the same message twice is two messages.
- A webhook answers `ok` and no ts: what it posted can only be found by reading the channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from runbook.sandbox.world.faults import Fault
from runbook.sandbox.world.part import LOWER, UPPER, Answer, Call, Part, Route
from runbook.sandbox.world.state import Doc

TEAM, BOT, BOT_USER, PERSON = "T0OMNIHUB0", "B0RUNBOOK0", "U0RUNBOOK0", "U0PERSON00"
CHANNELS: Final = {"C0DEPLOYS0": ("deployments", True), "C0GENERAL0": ("general", False)}
"""The channels: id → name, whether the bot is a member."""

_PAGE, _PAGE_MOST, _TEXT_MOST = 100, 1000, 40_000


class Slack(Part):
    name = "slack"
    mounts = ("slack", "slack-hooks")
    scenarios: ClassVar[Mapping[str, str]] = {
        "slack-outage": "Slack answers 503 to everything, until faults are lifted",
    }

    def play(self, scenario: str) -> None:
        if scenario == "slack-outage":
            self.world.set_fault(Fault(name="status", vendor=self.name, times=None))

    def routes(self) -> Iterable[Route]:
        for path, call, handler in (
            ("auth.test", "auth_test", self.auth_test),
            ("chat.postMessage", "post_message", self.post_message),
            ("chat.getPermalink", "read_permalink", self.permalink),
            ("conversations.history", "read_history", self.history),
        ):
            for method in ("GET", "POST"):
                changes = call == "post_message"
                yield Route(method, f"/slack/api/{path}", call, handler, changes=changes)
        hook = "/slack-hooks/services/{team}/{bot}/{secret}"
        yield Route("POST", hook, "post_webhook", self.webhook, open=True)

    def seed(self) -> None:
        self.table("secrets").put("token", {"value": f"xoxb-{self.token(12, '0123456789')}-{self.token(24)}"})
        self.table("secrets").put("webhook", {"value": self.token(24, UPPER + LOWER)})
        for channel, (_, member) in CHANNELS.items():
            if member:
                self._post(channel, {"user": PERSON, "text": "This is where deployments are told."})

    def secrets(self) -> Mapping[str, str]:
        secret = self.table("secrets")["webhook"]["value"]
        return {
            "token": self.table("secrets")["token"]["value"],
            "webhook_url": f"/slack-hooks/services/{TEAM}/{BOT}/{secret}",
        }

    def status(self) -> Doc:
        return {
            name: [doc["text"] for doc in self._messages(channel)] for channel, (name, _) in CHANNELS.items()
        }

    # Saying no

    def authorize(self, call: Call) -> Answer | None:
        shown = call.header("Authorization")
        if shown == f"Bearer {self.secrets()['token']}":
            return None
        return _no("invalid_auth" if shown else "not_authed")

    def error(self, status: int) -> Answer:
        if status == 429:  # noqa: PLR2004
            return Answer(429, {"ok": False, "error": "ratelimited"})
        return Answer(status, "upstream error", content_type="text/plain")

    # Calls

    def auth_test(self, _call: Call) -> Answer:
        return _yes(
            url="https://omnihub.slack.com/",
            team="OmniHub",
            user="runbook",
            team_id=TEAM,
            user_id=BOT_USER,
            bot_id=BOT,
        )

    def post_message(self, call: Call) -> Answer:
        asked = _asked(call)
        channel, text = str(asked.get("channel", "")), str(asked.get("text", ""))
        if channel not in CHANNELS:
            return _no("channel_not_found")
        if not CHANNELS[channel][1]:
            return _no("not_in_channel")
        if not text:
            return _no("no_text")
        if len(text) > _TEXT_MOST:
            return _no("msg_too_long")
        doc = self._post(channel, {"user": BOT_USER, "bot_id": BOT, "team": TEAM, "text": text})
        return _yes(channel=channel, ts=doc["ts"], message=doc)

    def permalink(self, call: Call) -> Answer:
        asked = _asked(call)
        channel, ts = str(asked.get("channel", "")), str(asked.get("message_ts", ""))
        if channel not in CHANNELS:
            return _no("channel_not_found")
        if f"{channel}/{ts}" not in self.table("messages"):
            return _no("message_not_found")
        link = f"https://omnihub.slack.com/archives/{channel}/p{ts.replace('.', '')}"
        return _yes(channel=channel, permalink=link)

    def history(self, call: Call) -> Answer:
        asked = _asked(call)
        channel = str(asked.get("channel", ""))
        if channel not in CHANNELS:
            return _no("channel_not_found")
        if not CHANNELS[channel][1]:
            return _no("not_in_channel")
        found = [doc for doc in reversed(self._messages(channel)) if _within(asked, float(doc["ts"]))]
        if cursor := asked.get("cursor"):
            found = [doc for doc in found if float(doc["ts"]) < float(cursor)]
        limit = max(1, min(_PAGE_MOST, int(asked.get("limit") or _PAGE)))
        page, more = found[:limit], len(found) > limit
        paging = {"response_metadata": {"next_cursor": page[-1]["ts"]}} if more else {}
        return _yes(
            messages=page,
            has_more=more,
            pin_count=0,
            channel_actions_ts=None,
            channel_actions_count=0,
            **paging,
        )

    def webhook(self, call: Call) -> Answer:
        if call.args["secret"] != self.table("secrets")["webhook"]["value"]:
            return Answer(404, "no_service", content_type="text/html")
        asked = call.json()
        if not isinstance(asked, dict):
            return Answer(400, "invalid_payload", content_type="text/html")
        if not asked.get("text"):
            return Answer(400, "no_text", content_type="text/html")
        self._post("C0DEPLOYS0", {"subtype": "bot_message", "bot_id": BOT, "text": asked["text"]})
        return Answer(200, "ok", content_type="text/html")

    # What it remembers

    def _messages(self, channel: str) -> list[Doc]:
        return [doc for key, doc in self.table("messages").items() if key.startswith(f"{channel}/")]

    def _post(self, channel: str, doc: Doc) -> Doc:
        ts = f"{int(self.now.timestamp())}.{len(self.table('messages')) + 1:06}"
        return self.table("messages").put(f"{channel}/{ts}", {"type": "message", "ts": ts, **doc})


def _asked(call: Call) -> Doc:
    return {**dict(call.query), **call.fields()}


def _within(asked: Doc, ts: float) -> bool:
    oldest, latest = float(asked.get("oldest") or 0), float(asked.get("latest") or "inf")
    if str(asked.get("inclusive", "")).lower() in ("true", "1"):
        return oldest <= ts <= latest
    return oldest < ts < latest


def _yes(**fields: Any) -> Answer:
    return Answer(200, {"ok": True, **fields})


def _no(error: str) -> Answer:
    return Answer(200, {"ok": False, "error": error})
