"""Sentry's API as far as the runbooks use it, fed by the visitors; each subject says its own traps.

- Trailing slashes are part of the paths.
- `X-Sentry-Rate-Limit-Reset` is a time since 1970, where other vendors give seconds.
- An event is found a minute after it happened; the newest point of a series says that it is incomplete.
- Grouped series of errors end in a 500 (getsentry/sentry#119949): who wants them asks for each release.
- Issues are the unresolved ones unless `query` is given, be it empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from runbook.sandbox.vendors.sentry import errors, releases
from runbook.sandbox.vendors.sentry.errors import ENVIRONMENT, ORGANIZATION, PROJECT, PROJECT_ID, Invalid
from runbook.sandbox.world.part import HEX, Answer, Call, Part, Route, seconds_text
from runbook.sandbox.world.quota import Quota, Window
from runbook.sandbox.world.state import Doc

PER_SECOND: Final = Window(40, 1)
FIELDS: Final = {"release": "string", "environment": "string", "count()": "integer"}
FIELDS_MOST: Final = 20
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Sentry(Part):
    name = "sentry"
    mounts = ("sentry",)

    def routes(self) -> Iterable[Route]:
        base = "/sentry/api/0/organizations/{organization}"
        for method, path, call, handler in (
            ("GET", "releases", "read_releases", partial(releases.listing, self)),
            ("POST", "releases", "create_release", partial(releases.create, self)),
            ("GET", "releases/{version}", "read_sentry_release", partial(releases.single, self)),
            ("GET", "releases/{version}/deploys", "read_deploys", partial(releases.deploys, self)),
            ("POST", "releases/{version}/deploys", "create_deploy", partial(releases.create_deploy, self)),
            ("GET", "events", "read_error_counts", self.events),
            ("GET", "events-timeseries", "read_error_series", self.series),
            ("GET", "issues", "read_issues", self.issues),
        ):
            yield Route(method, f"{base}/{path}", call, partial(self._limited, call, handler))

    def seed(self) -> None:
        self.table("secrets").put("token", {"value": "sntrys_" + self.token(48, HEX)})
        releases.seed(self)

    def secrets(self) -> Mapping[str, str]:
        return {"token": self.table("secrets")["token"]["value"]}

    def status(self) -> Doc:
        told = [f"{doc['release']} in {doc['environment']}" for doc in self.table("deploys").values()]
        return {"deploys": told}

    # Saying no

    def authorize(self, call: Call) -> Answer | None:
        if call.header("Authorization") != f"Bearer {self.secrets()['token']}":
            return Answer(401, {"detail": "Invalid token"})
        if not call.path.endswith("/"):
            return self.error(404)
        if call.path.split("/")[5] != ORGANIZATION:
            return releases.missing()
        return None

    def error(self, status: int) -> Answer:
        words = {
            404: "The requested resource does not exist",
            429: "You are attempting to use this endpoint too frequently.",
            500: "Internal Error",
        }
        return Answer(status, {"detail": words.get(status, "Something went wrong")})

    def limited(self, retry_after_s: int | None) -> Answer:
        told = {}
        if retry_after_s is not None:
            told = {"X-Sentry-Rate-Limit-Reset": str(int(self.now.timestamp()) + retry_after_s)}
        return replace(self.error(429), headers=told)

    def _limited(self, name: str, handler: Callable[[Call], Answer], call: Call) -> Answer:
        """Answer a call if one is left in this second; the headers say how it stands."""
        wait_s = Quota(self.table("limits"), [PER_SECOND]).take(name, self.now)
        used = self.table("limits")[f"{name}/{PER_SECOND.seconds}"]["used"]
        answer = self.error(429) if wait_s else handler(call)
        headers = {
            "X-Sentry-Rate-Limit-Limit": str(PER_SECOND.most),
            "X-Sentry-Rate-Limit-Remaining": str(PER_SECOND.most - used),
            "X-Sentry-Rate-Limit-Reset": str(int(self.now.timestamp()) + 1),
            "X-Sentry-Rate-Limit-ConcurrentLimit": "25",
            "X-Sentry-Rate-Limit-ConcurrentRemaining": "24",
        }
        return replace(answer, headers={**answer.headers, **headers})

    # Errors

    def events(self, call: Call) -> Answer:
        wrong = self._wrong_with(call)
        if wrong:
            return Answer(400, {"detail": wrong})
        fields = call.all("field")
        try:
            since, until = self._span(call)
            found = errors.events(self._traffic, since, until, call.one("query"))
        except Invalid as no:
            return Answer(400, {"detail": str(no)})
        rows = [(one.release, int(one.errors.sum())) for one in found]
        if "release" not in fields:
            rows = [("", sum(number for _, number in rows))] if rows else []
        rows.sort(key=lambda row: row[1], reverse=True)
        shown = [{"release": name, "environment": ENVIRONMENT, "count()": number} for name, number in rows]
        answer = releases.page(
            call,
            shown,
            lambda row: {name: row[name] for name in fields},
            size=call.number("per_page", releases.PAGE, least=1, most=releases.PAGE),
        )
        meta = {"fields": {name: FIELDS[name] for name in fields}, "dataset": "errors"}
        return replace(answer, body={"data": answer.body, "meta": meta})

    def series(self, call: Call) -> Answer:
        if call.all("groupBy") or call.one("topEvents"):
            return self.error(500)
        wrong = self._wrong_with(call, fields=False)
        if wrong or call.one("yAxis", "count()") != "count()":
            return Answer(400, {"detail": wrong or f"Invalid yAxis {call.one('yAxis')}"})
        try:
            since, until = self._span(call)
            found = errors.events(self._traffic, since, until, call.one("query"))
        except Invalid as no:
            return Answer(400, {"detail": str(no)})
        every = errors.interval_of(call.one("interval"))
        come = self.now - errors.COMES_AFTER
        values = []
        for at, number in errors.per_interval(found, since, until, self._traffic.begins, every):
            part = at + timedelta(minutes=every) > come
            point: Doc = {"timestamp": at.timestamp() * 1000, "value": float(number), "incomplete": part}
            values.append({**point, "incompleteReason": "INCOMPLETE_BUCKET"} if part else point)
        meta = {"valueType": "integer", "valueUnit": None, "interval": every * 60_000, "dataScanned": "full"}
        span = {"start": since.timestamp() * 1000, "end": until.timestamp() * 1000}
        told = {"values": values, "yAxis": "count()", "meta": meta}
        return Answer(200, {"timeSeries": [told], "meta": {"dataset": "errors", **span}})

    def issues(self, call: Call) -> Answer:
        given = [value for key, value in call.query if key == "query"]
        try:
            wanted = errors.terms(given[0] if given else "is:unresolved")
            since, until = self._span(call)
        except Invalid as no:
            return Answer(400, {"detail": str(no)})
        found = errors.issues(self._traffic, since, until)
        for key, value, want in wanted:
            match key:
                case "firstRelease" | "first-release":
                    found = [one for one in found if (one.first_release == value) == want]
                case "is":
                    found = found if (value == "unresolved") == want else []
                case _:
                    return Answer(400, {"detail": f"Invalid query. {key} is no field of issues here"})
        size = call.number("limit", releases.PAGE, least=1, most=releases.PAGE)
        return releases.page(call, found, self._issue, size=size)

    def _issue(self, one: errors.Issue) -> Doc:
        seen = {"firstSeen": seconds_text(one.first_seen), "lastSeen": seconds_text(one.last_seen)}
        number = one.key[-4:]
        return {
            "id": one.key,
            "shareId": None,
            "shortId": f"OMNIHUB-WEB-{number}",
            "title": one.kind.title,
            "culprit": one.kind.culprit,
            "permalink": f"https://{ORGANIZATION}.sentry.io/issues/{one.key}/",
            "logger": None,
            "level": "error",
            "status": "unresolved",
            "statusDetails": {},
            "substatus": "new",
            "isPublic": False,
            "platform": "javascript",
            "priority": "high",
            "priorityLockedAt": None,
            "project": {
                "id": str(PROJECT_ID),
                "name": PROJECT,
                "slug": PROJECT,
                "platform": "javascript-nextjs",
            },
            "type": "error",
            "issueType": "error",
            "issueCategory": "error",
            "metadata": {"title": one.kind.title},
            "numComments": 0,
            "assignedTo": None,
            "isBookmarked": False,
            "isSubscribed": False,
            "subscriptionDetails": None,
            "hasSeen": False,
            "annotations": [],
            "isUnhandled": True,
            "count": str(one.count),
            "userCount": one.count,
            **seen,
            **self._not_ours(seen),
        }

    @staticmethod
    def _not_ours(seen: Doc) -> Doc:
        """Return the fields that the description wants and no runbook reads."""
        derived = {
            "blocker": "",
            "progress": "",
            "status": "",
            "viewCount": 0,
            "hasOpenFixPr": False,
            "isAssigned": False,
            "hasRootCause": False,
            "lastCompletedAutofixStep": "",
            "lastProgressedAt": None,
        }
        return {
            "seerFixabilityScore": None,
            "seerAutofixLastTriggered": None,
            "seerExplorerAutofixLastTriggered": None,
            "derivedData": derived,
            "stats": {},
            "lifetime": {},
            "filtered": None,
            "sessionCount": 0,
            "inbox": {"reason": 0, "reason_details": None, "date_added": seen["firstSeen"]},
            "owners": {"type": "ownershipRule", "owner": "team:1", "date_added": seen["firstSeen"]},
            "integrationIssues": [],
            "sentryAppIssues": [],
            "latestEventHasAttachments": False,
            "matchingEventId": None,
            "matchingEventEnvironment": None,
        }

    # What is asked for

    def _wrong_with(self, call: Call, *, fields: bool = True) -> str:
        if call.one("dataset") != "errors":
            return f"dataset must be one of: errors (got {call.one('dataset')!r})"
        asked = call.all("field")
        if fields and not 0 < len(asked) <= FIELDS_MOST:
            return "No columns selected" if not asked else "You can view up to 20 fields at a time"
        unknown = [name for name in asked if name not in FIELDS]
        return f"Invalid field {unknown[0]!r}" if unknown else ""

    def _span(self, call: Call) -> tuple[datetime, datetime]:
        """Return the time asked for: `statsPeriod` goes before `start` and `end`; two weeks unless told."""
        period = call.one("statsPeriod")
        if not period and call.one("start") and call.one("end"):
            try:
                times = [datetime.fromisoformat(call.one(name)) for name in ("start", "end")]
            except ValueError:
                raise Invalid("Invalid date range") from None
            since, until = (at if at.tzinfo else at.replace(tzinfo=UTC) for at in times)
            if since >= until:
                raise Invalid("start must be before end")
            return since, until
        number, unit = (period or "14d")[:-1], (period or "14d")[-1]
        if unit not in _UNITS or not number.isdigit():
            raise Invalid(f"Invalid statsPeriod: {period!r}")
        return self.now - timedelta(**{_UNITS[unit]: int(number)}), self.now

    @property
    def _traffic(self) -> Any:
        return self.world.part("traffic")
