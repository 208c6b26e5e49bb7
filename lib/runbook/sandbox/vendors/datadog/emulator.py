"""Datadog's API as far as the runbooks use it, fed by the visitors; each subject says its own traps.

- Two keys: DD-API-KEY lets events in, reading wants DD-APPLICATION-KEY as well; `validate` checks only the
  first.
- Every reply tells its limit in headers; a 429 has no Retry-After, `X-RateLimit-Reset` says the seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Final

from runbook.clock import utc_text
from runbook.sandbox.vendors.datadog import bills, events, monitors, querying, slos
from runbook.sandbox.vendors.datadog.language import Unreadable
from runbook.sandbox.world.part import HEX, Answer, Call, Part, Route
from runbook.sandbox.world.quota import Quota, Window
from runbook.sandbox.world.state import Doc

_ONE_KEY: Final = (("GET", "v1/validate"), ("POST", "v1/events"))
DOWN_FOR: Final = timedelta(minutes=30)
LIMITS: Final = {
    "query": ("metrics_query", Window(1600, 3600)),
    "slo": ("slo", Window(600, 60)),
    "monitor": ("monitors", Window(600, 60)),
    "event": ("events_search", Window(300, 60)),
    "usage": ("usage_metering", Window(300, 3600)),
}


class Datadog(Part):
    name = "datadog"
    mounts = ("datadog",)
    scenarios: ClassVar[Mapping[str, str]] = {
        "datadog-down": "an hour into the release under way or the next, the API answers 503 for 30 minutes",
        "datadog-timeouts": "from now on, for ten minutes, queries are answered 200 with an error inside",
    }

    def routes(self) -> Iterable[Route]:
        yield Route("GET", "/datadog/api/v1/validate", "validate", lambda _call: Answer(200, {"valid": True}))
        for method, path, call, limit, handler in (
            ("POST", "v2/query/timeseries", "query_timeseries", "query", self._query(querying.timeseries)),
            ("POST", "v2/query/scalar", "query_scalar", "query", self._query(querying.scalar)),
            ("GET", "v1/slo", "read_slos", "slo", slos.listing),
            ("GET", "v1/slo/{slo_id}", "read_slo", "slo", slos.single),
            ("GET", "v1/slo/{slo_id}/history", "read_slo_history", "slo", self._told(slos.history)),
            ("GET", "v2/slo/{slo_id}/status", "read_slo_status", "slo", self._told(slos.status)),
            ("GET", "v1/monitor", "read_monitors", "monitor", self._told(monitors.listing)),
            ("GET", "v1/monitor/{monitor_id}", "read_monitor", "monitor", self._told(monitors.single)),
            ("POST", "v2/events/search", "search_events", "event", partial(events.search, self)),
            (
                "GET",
                "v2/usage/estimated_cost",
                "read_estimated_cost",
                "usage",
                partial(bills.estimated, self),
            ),
        ):
            limited = partial(self._limited, limit, handler)
            yield Route(method, f"/datadog/api/{path}", call, limited, changes=False)
        yield Route("POST", "/datadog/api/v1/events", "create_event", partial(events.create, self))

    def seed(self) -> None:
        for name, length in (("api_key", 32), ("application_key", 40)):
            self.table("secrets").put(name, {"value": self.token(length, HEX)})

    def secrets(self) -> Mapping[str, str]:
        return {name: doc["value"] for name, doc in self.table("secrets").items()}

    def status(self) -> Doc:
        armed = [f"{name} since {doc['at'][:16]}Z" for name, doc in self.table("habits").items()]
        return {"armed": armed, "events": [doc["title"] for doc in self.table("events").values()]}

    def play(self, scenario: str) -> None:
        self.table("habits").put(scenario, {"at": utc_text(self.now)})

    # Saying no

    def authorize(self, call: Call) -> Answer | None:
        if self._down():
            return self.error(503)
        keys = self.secrets()
        wanted = {"DD-API-KEY": keys["api_key"]}
        if (call.method, call.path.rpartition("/api/")[2]) not in _ONE_KEY:
            wanted["DD-APPLICATION-KEY"] = keys["application_key"]
        if all(call.header(name) == value for name, value in wanted.items()):
            return None
        return Answer(403, {"errors": ["Forbidden"]})

    def error(self, status: int) -> Answer:
        words = {
            404: "Not found",
            429: "Rate limit exceeded",
            500: "Internal error",
            503: "Service unavailable",
        }
        return Answer(status, {"errors": [words.get(status, "Bad request")]})

    def limited(self, retry_after_s: int | None) -> Answer:
        told = {} if retry_after_s is None else {"X-RateLimit-Reset": str(retry_after_s)}
        return replace(self.error(429), headers={"X-RateLimit-Remaining": "0", **told})

    def _limited(self, limit: str, handler: Callable[[Call], Answer], call: Call) -> Answer:
        """Answer a call if one is left in this window, which begins with the hour or the minute."""
        name, window = LIMITS[limit]
        table = self.table("limits")
        wait_s = Quota(table, [window]).take(limit, self.now)
        reset_s = window.seconds - int(self.now.timestamp()) % window.seconds
        headers = {
            "X-RateLimit-Limit": str(window.most),
            "X-RateLimit-Period": str(window.seconds),
            "X-RateLimit-Remaining": str(window.most - table[f"{limit}/{window.seconds}"]["used"]),
            "X-RateLimit-Reset": str(reset_s),
            "X-RateLimit-Name": name,
        }
        answer = self.error(429) if wait_s else handler(call)
        return replace(answer, headers=headers)

    def _down(self) -> bool:
        armed = self.table("habits").get("datadog-down")
        begins = armed and self._traffic.into_a_release(datetime.fromisoformat(armed["at"]))
        return bool(begins and begins <= self.now < begins + DOWN_FOR)

    # Answering

    @property
    def _traffic(self) -> Any:
        return self.world.part("traffic")

    def _told(self, handler: Callable[[Any, Call], Answer]) -> Callable[[Call], Answer]:
        return lambda call: handler(self._traffic, call)

    def _query(self, handler: Callable[[Any, Any], Answer]) -> Callable[[Call], Answer]:
        def answer(call: Call) -> Answer:
            armed = self.table("habits").get("datadog-timeouts")
            if armed and self.now < datetime.fromisoformat(armed["at"]) + timedelta(minutes=10):
                return Answer(200, {"errors": "Query timed out"})
            try:
                return handler(self._traffic, call.json())
            except Unreadable as wrong:
                return Answer(400, {"errors": [str(wrong)]})

        return answer
