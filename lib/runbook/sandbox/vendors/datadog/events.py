"""Events: accepted with 202, found a little later, never told apart from a second one that reads the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from runbook.clock import utc_text
from runbook.sandbox.world.part import HEX, Answer, Call, Part
from runbook.sandbox.world.state import Doc

FOUND_AFTER: Final = timedelta(seconds=20)
OLDEST: Final = timedelta(hours=18)
TEXT_MOST, KEY_MOST, PAGE, PAGE_MOST = 4000, 100, 10, 1000
_KINDS: Final = ("error", "warning", "info", "success", "user_update", "recommendation", "snapshot")


def create(part: Part, call: Call) -> Answer:
    """Answer POST /api/v1/events."""
    given = call.json()
    wrong = _wrong_with(part, given)
    if wrong:
        return Answer(400, {"errors": [wrong]})
    number = len(part.table("events")) + 1
    key = 8_000_000_000_000_000_000 + number
    happened = given.get("date_happened") or int(part.now.timestamp())
    doc = {
        "title": given["title"],
        "text": given["text"],
        "tags": [str(tag).lower() for tag in given.get("tags") or []],
        "happened": happened,
        "kind": given.get("alert_type") or "info",
        "group": given.get("aggregation_key") or "",
        "source": given.get("source_type_name") or "",
        "priority": given.get("priority") or "normal",
        "posted": utc_text(part.now),
        "uid": "AQAAA" + part.token(40, HEX),
    }
    part.table("events").put(str(key), doc)
    shown = {
        "id": key,
        "id_str": str(key),
        "title": doc["title"],
        "text": doc["text"],
        "date_happened": happened,
        "priority": doc["priority"],
        "tags": doc["tags"],
        "url": f"https://app.datadoghq.com/event/event?id={key}",
    }
    return Answer(202, {"status": "ok", "event": shown})


def _wrong_with(part: Part, given: Any) -> str:
    if not isinstance(given, dict):
        return "Invalid JSON body"
    for name in ("title", "text"):
        if not given.get(name):
            return f"Missing required attribute: {name}"
    if len(given["text"]) > TEXT_MOST:
        return f"text is limited to {TEXT_MOST} characters"
    if len(given.get("aggregation_key") or "") > KEY_MOST:
        return f"aggregation_key is limited to {KEY_MOST} characters"
    if given.get("alert_type") not in (None, *_KINDS):
        return "Invalid alert_type"
    happened = given.get("date_happened")
    if happened is not None and happened < (part.now - OLDEST).timestamp():
        return "date_happened is too old"
    return ""


def search(part: Part, call: Call) -> Answer:
    """Answer POST /api/v2/events/search."""
    body = call.json() or {}
    asked, page = body.get("filter") or {}, body.get("page") or {}
    try:
        since, until = _time(part, asked.get("from", "now-15m")), _time(part, asked.get("to", "now"))
    except ValueError:
        return Answer(400, {"errors": ["Invalid filter: from and to must be times"]})
    terms = str(asked.get("query") or "").split()
    there = part.now - FOUND_AFTER
    found = [
        doc
        for doc in part.table("events").values()
        if datetime.fromisoformat(doc["posted"]) <= there
        and since <= datetime.fromtimestamp(doc["happened"], UTC) <= until
        and all(_fits(doc, term) for term in terms)
    ]
    found.sort(key=lambda doc: int(doc["happened"]), reverse=body.get("sort") != "timestamp")
    limit = max(1, min(PAGE_MOST, int(page.get("limit") or PAGE)))
    begins = int(page["cursor"]) if str(page.get("cursor", "")).isdigit() else 0
    meta: Doc = {"elapsed": 7, "request_id": part.token(24), "status": "done"}
    if begins + limit < len(found):
        meta["page"] = {"after": str(begins + limit)}
    return Answer(200, {"data": [_shown(doc) for doc in found[begins : begins + limit]], "meta": meta})


def _fits(doc: Doc, term: str) -> bool:
    if term == "*":
        return True
    if term.startswith("aggregation_key:"):
        return bool(doc["group"] == term.partition(":")[2].strip('"'))
    if ":" in term:
        return term.lower() in doc["tags"]
    return term.strip('"').lower() in f"{doc['title']} {doc['text']}".lower()


def _time(part: Part, text: Any) -> datetime:
    """Read a time as the search takes it: milliseconds, a date, or `now-15m`."""
    words = str(text)
    if words.isdigit():
        return datetime.fromtimestamp(int(words) / 1000, UTC)
    if words.startswith("now"):
        back = words.removeprefix("now").removeprefix("-")
        unit = {"m": "minutes", "h": "hours", "d": "days", "s": "seconds"}.get(back[-1:], "minutes")
        return part.now - timedelta(**{unit: int(back[:-1] or 0)})
    return datetime.fromisoformat(words)


def _shown(doc: Doc) -> Doc:
    at = datetime.fromtimestamp(doc["happened"], UTC)
    inside = {
        "aggregation_key": doc["group"],
        "evt": {"id": doc["uid"], "name": doc["title"], "type": "custom_alert"},
        "priority": doc["priority"],
        "source_type_name": doc["source"],
        "status": doc["kind"],
        "tags": doc["tags"],
        "timestamp": doc["happened"] * 1000,
        "title": doc["title"],
    }
    return {
        "id": doc["uid"],
        "type": "event",
        "attributes": {
            "attributes": inside,
            "message": doc["text"],
            "tags": doc["tags"],
            "timestamp": at.isoformat(),
        },
    }
