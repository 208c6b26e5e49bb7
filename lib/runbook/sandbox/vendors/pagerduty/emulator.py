"""PagerDuty's REST and Events APIs as far as the runbooks use them, traps included.

- An event is answered 202 before anything has come of it: the incident follows a second later, the
  notification half a minute later.
- /oncalls means *now* unless since and until are given, and its entries reach beyond the window.
- An incident with alerts has no incident_key, yet a search for the alert's key finds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from runbook.sandbox.vendors.pagerduty.rotation import Shift, coverage_percent, shifts
from runbook.sandbox.world.part import HEX, UPPER, Answer, Call, Part, Route, seconds_text
from runbook.sandbox.world.state import Doc

POLICY, SERVICE, PRIMARY, SECONDARY = "POMNIHB", "PSERVIC", "PPRIMRY", "PSECOND"
USERS: Final = {
    "PUSER01": "Ada Okafor",
    "PUSER02": "Ben Castillo",
    "PUSER03": "Chi Nguyen",
    "PUSER04": "Dana Weiss",
}
BECOMES_INCIDENT: Final = timedelta(seconds=1)
NOTIFIES: Final = timedelta(seconds=30)
_DAY_S: Final = 86400
_PAGE, _PAGE_MOST, _KEY_MOST = 25, 100, 255
_WORDS: Final = {400: "Invalid Input Provided", 404: "Not Found", 429: "Rate Limit Exceeded"}
_CODES: Final = {400: 2001, 404: 2100, 429: 2020}
_SEVERITIES: Final = ("critical", "error", "warning", "info")


class PagerDuty(Part):
    name = "pagerduty"
    mounts = ("pagerduty", "pagerduty-events")
    scenarios: ClassVar[Mapping[str, str]] = {
        "on-call-gap": "Nobody is secondary on call for twelve hours, beginning a day from now"
    }

    def routes(self) -> Iterable[Route]:
        yield Route("POST", "/pagerduty-events/v2/enqueue", "enqueue", self.enqueue, open=True)
        for path, call, handler in (
            ("/oncalls", "read_oncalls", self.oncalls),
            ("/schedules/{id}", "read_schedule", self.schedule),
            ("/incidents", "read_incidents", self.incidents),
            ("/incidents/{id}/log_entries", "read_log_entries", self.log_entries),
        ):
            yield Route("GET", f"/pagerduty{path}", call, handler)

    def seed(self) -> None:
        for name in ("token", "routing_key"):
            self.table("secrets").put(name, {"value": self.token(20 if name == "token" else 32, HEX)})
        begins = (self.now - timedelta(days=8, hours=9)).isoformat()  # turns do not begin when we look
        for number, (key, name) in enumerate(
            ((PRIMARY, "OmniHub primary"), (SECONDARY, "OmniHub secondary"))
        ):
            users = list(USERS)[2 * number :] + list(USERS)[: 2 * number]
            layer = {"start": begins, "end": None, "turn_s": _DAY_S, "users": users}
            self.table("schedules").put(key, {"name": name, "layers": [layer]})

    def secrets(self) -> Mapping[str, str]:
        return {name: doc["value"] for name, doc in self.table("secrets").items()}

    def status(self) -> Doc:
        incidents = self.table("incidents").values()
        return {"incidents": [f"{i['status']}: {i['title']} ({i['dedup_key']})" for i in incidents]}

    def play(self, scenario: str) -> None:
        del scenario  # there is one
        layer = self.table("schedules")[SECONDARY]["layers"][0]
        stops, again = self.now + timedelta(days=1), self.now + timedelta(hours=36)
        layers = [{**layer, "end": stops.isoformat()}, {**layer, "start": again.isoformat()}]
        self.table("schedules").change(SECONDARY, layers=layers)

    # Saying no

    def authorize(self, call: Call) -> Answer | None:
        if call.header("Authorization") == f"Token token={self.secrets()['token']}":
            return None
        return Answer(401, {"error": {"code": 2006, "message": "Unauthorized", "errors": []}})

    def error(self, status: int) -> Answer:
        code, words = _CODES.get(status, status), _WORDS.get(status, "Internal Server Error")
        return Answer(status, {"error": {"code": code, "message": words, "errors": []}})

    # Events

    def enqueue(self, call: Call) -> Answer:
        event = call.fields()
        wrong = self._wrong_with(event)
        if wrong:
            refused = {"status": "invalid event", "message": "Event object is invalid", "errors": wrong}
            return Answer(400, refused)
        key = event.get("dedup_key") or self.token(32, HEX)
        payload = event.get("payload", {})
        self.later("event", after=BECOMES_INCIDENT, action=event["event_action"], key=key, payload=payload)
        return Answer(202, {"status": "success", "message": "Event processed", "dedup_key": key})

    def _wrong_with(self, event: Doc) -> list[str]:
        wrong = []
        action, payload = event.get("event_action"), event.get("payload") or {}
        if event.get("routing_key") != self.secrets()["routing_key"]:
            wrong.append("Invalid routing key")
        if action not in ("trigger", "acknowledge", "resolve"):
            wrong.append("'event_action' is invalid")
        if action == "trigger":
            wrong += [
                f"'payload.{n}' is missing or blank" for n in ("summary", "source") if not payload.get(n)
            ]
            if payload.get("severity") not in _SEVERITIES:
                wrong.append("'payload.severity' is invalid (must be one of: critical, error, warning, info)")
        elif not event.get("dedup_key"):
            wrong.append("'dedup_key' is missing or blank")
        if len(event.get("dedup_key") or "") > _KEY_MOST:
            wrong.append("'dedup_key' is too long")
        return wrong

    def on_due(self, what: str, data: Doc) -> None:
        if what == "notify":
            self._notify(data["incident"])
        else:
            self._take(data["action"], data["key"], data["payload"])

    def _take(self, action: str, key: str, payload: Doc) -> None:
        open_one = next((i for i in self._found(key) if i["status"] != "resolved"), None)
        if action == "trigger":
            if open_one is None:
                self._open(key, payload)
        elif open_one is not None:
            status = "acknowledged" if action == "acknowledge" else "resolved"
            self.table("incidents").change(open_one["id"], status=status, changed_at=seconds_text(self.now))
            self._log(open_one["id"], f"{action}_log_entry", f"{status.capitalize()} through the API")

    def _open(self, key: str, payload: Doc) -> None:
        incident = "Q" + self.token(13, UPPER)
        at = seconds_text(self.now)
        doc = {
            "id": incident,
            "number": len(self.table("incidents")) + 1,
            "title": payload["summary"],
            "status": "triggered",
            "dedup_key": key,
            "severity": payload["severity"],
            "created_at": at,
            "changed_at": at,
        }
        self.table("incidents").put(incident, doc)
        self._log(incident, "trigger_log_entry", "Triggered through the API")
        self.later("notify", after=NOTIFIES, incident=incident)

    def _notify(self, incident: str) -> None:
        if self.table("incidents")[incident]["status"] == "triggered":
            user = self._shifts(PRIMARY, self.now, self.now + timedelta(seconds=1))[0].user
            self._log(incident, "notify_log_entry", f"Notified {USERS[user]} by push notification", user=user)

    def _log(self, incident: str, kind: str, summary: str, *, user: str = "") -> None:
        key = "R" + self.token(13, UPPER)
        doc = {
            "type": kind,
            "summary": summary,
            "incident": incident,
            "at": seconds_text(self.now),
            "user": user,
        }
        self.table("log").put(key, doc)

    # Reading

    def oncalls(self, call: Call) -> Answer:
        since = _time(call.one("since"), self.now)
        until = _time(call.one("until"), self.now + timedelta(seconds=1))
        policies = call.all("escalation_policy_ids[]")
        found = []
        if not policies or POLICY in policies:
            for level, schedule in enumerate((PRIMARY, SECONDARY), start=1):
                for shift in self._shifts(schedule, since, until):
                    found.append(self._oncall(level, schedule, shift))
                    if call.one("earliest") == "true":
                        break
        return self._page(call, "oncalls", found)

    def _oncall(self, level: int, schedule: str, shift: Shift) -> Doc:
        return {
            "escalation_policy": self._ref("escalation_policy", POLICY, "OmniHub"),
            "escalation_level": level,
            "schedule": self._ref("schedule", schedule, self.table("schedules")[schedule]["name"]),
            "user": self._ref("user", shift.user, USERS[shift.user]),
            "start": seconds_text(shift.start),
            "end": seconds_text(shift.end),
        }

    def schedule(self, call: Call) -> Answer:
        key = call.args["id"]
        doc = self.table("schedules").get(key)
        if doc is None:
            return self.error(404)
        rendered: Doc = {"name": "Final Schedule", "rendered_schedule_entries": []}
        if call.one("since") and call.one("until"):
            rendered = self._rendered(
                key, _time(call.one("since"), self.now), _time(call.one("until"), self.now)
            )
        return Answer(
            200,
            {
                "schedule": {
                    **self._ref("schedule", key, doc["name"]),
                    "type": "schedule",
                    "name": doc["name"],
                    "time_zone": "Etc/UTC",
                    "final_schedule": rendered,
                    "users": [self._ref("user", user, name) for user, name in USERS.items()],
                }
            },
        )

    def _rendered(self, schedule: str, since: datetime, until: datetime) -> Doc:
        found = self._shifts(schedule, since, until)
        entries = [
            {
                "user": self._ref("user", shift.user, USERS[shift.user]),
                "start": seconds_text(max(shift.start, since)),
                "end": seconds_text(min(shift.end, until)),
            }
            for shift in found
        ]
        percent = coverage_percent(found, since, until)
        return {
            "name": "Final Schedule",
            "rendered_schedule_entries": entries,
            "rendered_coverage_percentage": percent,
        }

    def incidents(self, call: Call) -> Answer:
        found = self._found(call.one("incident_key"))
        statuses, services = call.all("statuses[]"), call.all("service_ids[]")
        found = [i for i in found if not statuses or i["status"] in statuses]
        found = found if not services or SERVICE in services else []
        if call.one("since") or call.one("until"):
            since, until = (_time(call.one(name), self.now) for name in ("since", "until"))
            found = [i for i in found if since <= datetime.fromisoformat(i["created_at"]) < until]
        return self._page(call, "incidents", [self._incident(doc) for doc in found])

    def log_entries(self, call: Call) -> Answer:
        incident = call.args["id"]
        if incident not in self.table("incidents"):
            return self.error(404)
        found = [(key, doc) for key, doc in self.table("log").items() if doc["incident"] == incident]
        return self._page(call, "log_entries", [self._log_entry(key, doc) for key, doc in reversed(found)])

    def _found(self, key: str) -> list[Doc]:
        return [i for i in self.table("incidents").values() if key in ("", i["dedup_key"])]

    def _shifts(self, schedule: str, since: datetime, until: datetime) -> list[Shift]:
        return shifts(self.table("schedules")[schedule]["layers"], since, until)

    def _incident(self, doc: Doc) -> Doc:
        title = f"[#{doc['number']}] {doc['title']}"
        resolved = doc["status"] == "resolved"
        return {
            **self._ref("incident", doc["id"], title),
            "type": "incident",
            "incident_number": doc["number"],
            "title": doc["title"],
            "status": doc["status"],
            "created_at": doc["created_at"],
            "updated_at": doc["changed_at"],
            "last_status_change_at": doc["changed_at"],
            "resolved_at": doc["changed_at"] if resolved else None,
            "urgency": "high",
            "service": self._ref("service", SERVICE, "OmniHub production"),
            "escalation_policy": self._ref("escalation_policy", POLICY, "OmniHub"),
            "alert_counts": {"all": 1, "triggered": int(not resolved), "resolved": int(resolved)},
        }

    def _log_entry(self, key: str, doc: Doc) -> Doc:
        number = self.table("incidents")[doc["incident"]]["number"]
        entry = {
            **self._ref("log_entry", key, doc["summary"]),
            "type": doc["type"],
            "created_at": doc["at"],
            "agent": self._ref("service", SERVICE, "OmniHub production"),
            "channel": {"type": "api"},
            "incident": self._ref("incident", doc["incident"], f"[#{number}]"),
        }
        if doc["user"]:
            user = self._ref("user", doc["user"], USERS[doc["user"]])
            channel = {"type": "auto", "notification": {"type": "push_notification", "status": "success"}}
            entry |= {"user": user, "channel": channel}
        return entry

    def _page(self, call: Call, name: str, found: list[Doc]) -> Answer:
        limit = call.number("limit", _PAGE, least=1, most=_PAGE_MOST)
        offset = call.number("offset", 0)
        total = len(found) if call.one("total") == "true" else None
        more = offset + limit < len(found)
        paging = {"limit": limit, "offset": offset, "more": more, "total": total}
        return Answer(200, {name: found[offset : offset + limit], **paging})

    @staticmethod
    def _ref(kind: str, key: str, summary: str) -> dict[str, Any]:
        plural = {"escalation_policy": "escalation_policies", "log_entry": "log_entries"}.get(
            kind, f"{kind}s"
        )
        return {
            "id": key,
            "type": f"{kind}_reference",
            "summary": summary,
            "self": f"https://api.pagerduty.com/{plural}/{key}",
            "html_url": f"https://omnihub.pagerduty.com/{plural}/{key}",
        }


def _time(text: str, default: datetime) -> datetime:
    try:
        return datetime.fromisoformat(text) if text else default
    except ValueError:
        return default
