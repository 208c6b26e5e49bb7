"""Releases and deploys as Sentry is told of them: the first can be told twice, the second counts twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from runbook.sandbox.vendors.sentry.errors import ENVIRONMENT, PROJECT, PROJECT_ID
from runbook.sandbox.world.part import Answer, Call, Part, seconds_text
from runbook.sandbox.world.state import Doc

PAGE: Final = 100
SEEDED: Final = (("7.8.0", 40), ("7.9.0", 20), ("7.9.1", 6))


def seed(part: Part) -> None:
    """Have the releases that went before."""
    for version, days in SEEDED:
        at = part.now - timedelta(days=days)
        _add(part, f"{PROJECT}@{version}", at, at)
        _deployed(part, f"{PROJECT}@{version}", {"environment": ENVIRONMENT, "name": version}, at)


def listing(part: Part, call: Call) -> Answer:
    """Answer GET …/releases/: newest first."""
    words = call.one("query").lower()
    found = [name for name in reversed(list(part.table("releases"))) if words in name.lower()]
    return page(
        call, found, lambda name: _shown(part, name), size=call.number("per_page", PAGE, least=1, most=PAGE)
    )


def create(part: Part, call: Call) -> Answer:
    """Answer POST …/releases/: 201, or 208 for one that is there."""
    given = call.json()
    if not isinstance(given, dict):
        return Answer(400, {"detail": "JSON parse error"})
    wrong = {name: ["This field is required."] for name in ("version", "projects") if not given.get(name)}
    if wrong:
        return Answer(400, wrong)
    if given["projects"] != [PROJECT]:
        return Answer(400, {"projects": [f"Invalid project ids or slugs: {given['projects']}"]})
    version = str(given["version"])
    if version in part.table("releases"):
        return Answer(208, _shown(part, version))
    released = given.get("dateReleased")
    _add(
        part, version, part.now, datetime.fromisoformat(released) if released else part.now, given.get("ref")
    )
    return Answer(201, _shown(part, version))


def single(part: Part, call: Call) -> Answer:
    """Answer GET …/releases/{version}/."""
    version = call.args["version"]
    if version not in part.table("releases"):
        return missing()
    return Answer(200, _shown(part, version))


def deploys(part: Part, call: Call) -> Answer:
    """Answer GET …/releases/{version}/deploys/: newest first."""
    version = call.args["version"]
    if version not in part.table("releases"):
        return missing()
    return page(call, list(reversed(_deploys(part, version))), _deploy)


def create_deploy(part: Part, call: Call) -> Answer:
    """Answer POST …/releases/{version}/deploys/: another one each time."""
    version, given = call.args["version"], call.json()
    if version not in part.table("releases"):
        return missing()
    if not isinstance(given, dict) or not given.get("environment"):
        return Answer(400, {"environment": ["This field is required."]})
    finished = given.get("dateFinished")
    at = datetime.fromisoformat(finished) if finished else part.now
    return Answer(201, _deploy(_deployed(part, version, given, at)))


def missing() -> Answer:
    return Answer(404, {"detail": "The requested resource does not exist"})


def page(call: Call, found: list[Any], shown: Callable[[Any], Doc], *, size: int = PAGE) -> Answer:
    """Return one page; a next link is always there, `results` says whether anything is behind it."""
    parts = call.one("cursor", "0:0:0").split(":")
    begins = int(parts[1]) if len(parts) == 3 and parts[1].isdigit() else 0  # noqa: PLR2004  # 0:offset:0
    links = [
        _link(call, "previous", f"0:{max(0, begins - size)}:1", some=begins > 0),
        _link(call, "next", f"0:{begins + size}:0", some=begins + size < len(found)),
    ]
    body = [shown(one) for one in found[begins : begins + size]]
    return Answer(200, body, headers={"Link": ", ".join(links)})


def _link(call: Call, rel: str, cursor: str, *, some: bool) -> str:
    results = str(some).lower()
    return (
        f'<https://sentry.io{call.path}?cursor={cursor}>; rel="{rel}"; results="{results}"; cursor="{cursor}"'
    )


def _add(part: Part, version: str, created: datetime, released: datetime, ref: str | None = None) -> None:
    doc = {
        "id": 1_700_000_000 + len(part.table("releases")),
        "created": seconds_text(created),
        "released": seconds_text(released),
        "ref": ref,
    }
    part.table("releases").put(version, doc)


def _deployed(part: Part, version: str, given: Doc, at: datetime) -> Doc:
    number = str(len(part.table("deploys")) + 1)
    doc = {
        "release": version,
        "id": number,
        "environment": given["environment"],
        "name": given.get("name"),
        "url": given.get("url"),
        "started": given.get("dateStarted"),
        "finished": seconds_text(at),
    }
    return part.table("deploys").put(number, doc)


def _deploys(part: Part, version: str) -> list[Doc]:
    return [doc for doc in part.table("deploys").values() if doc["release"] == version]


def _deploy(doc: Doc) -> Doc:
    return {
        "id": doc["id"],
        "environment": doc["environment"],
        "dateStarted": doc["started"],
        "dateFinished": doc["finished"],
        "name": doc["name"],
        "url": doc["url"],
    }


def _shown(part: Part, version: str) -> Doc:
    doc, told = part.table("releases")[version], _deploys(part, version)
    package, _, raw = version.rpartition("@")
    numbers = (*map(int, raw.split(".")), 0, 0, 0)[:3] if raw.replace(".", "").isdigit() else (0, 0, 0)
    parts = dict(zip(("major", "minor", "patch"), numbers, strict=True))
    last = None
    if told:
        last = {
            k: v for k, v in _deploy(told[-1]).items() if v is not None or k not in ("dateStarted", "url")
        }
        last["name"] = last["name"] or ""
    return {
        "id": doc["id"],
        "version": version,
        "shortVersion": version,
        "status": "open",
        "versionInfo": {
            "package": package or None,
            "version": {"raw": raw, **parts, "pre": None, "buildCode": None, "components": 3},
            "description": raw,
            "buildHash": None,
        },
        "ref": doc["ref"],
        "url": None,
        "dateReleased": doc["released"],
        "dateCreated": doc["created"],
        "data": {},
        "newGroups": 0,
        "owner": None,
        "commitCount": 0,
        "lastCommit": None,
        "deployCount": len(told),
        "lastDeploy": last,
        "authors": [],
        "projects": [
            {
                "id": PROJECT_ID,
                "slug": PROJECT,
                "name": PROJECT,
                "newGroups": 0,
                "platform": "javascript-nextjs",
                "platforms": ["javascript"],
                "hasHealthData": False,
            }
        ],
        "firstEvent": None,
        "lastEvent": None,
        "currentProjectMeta": {},
        "userAgent": None,
    }
