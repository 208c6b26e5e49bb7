"""Deployments: asked for, built, ready or cancelled; which of them ever served production.

A new world has two that served before, the one that serves, a preview, and a production build that is staged:
it was deployed without its domains and waits to be released.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from runbook.sandbox.vendors.vercel.desk import MOUNT, TEAM, TEAM_SLUG, USER, Desk, missing, ms, no, page
from runbook.sandbox.vendors.vercel.projects import PROJECT, PROJECT_NAME, Projects
from runbook.sandbox.world.part import LOWER, UPPER, Answer, Call, Route
from runbook.sandbox.world.state import Doc

OLDER, OLD = "dpl_8LpN4YhDe7f3Kq9TtWm2VbXc5RzJ", "dpl_2VbXc5RzJ8LpN4YhDe7f3Kq9TtWm"
CURRENT, STAGED = "dpl_7f3Kq9TtWm2VbXc5RzJ8LpN4YhDe", "dpl_Xc5RzJ8LpN4YhDe7f3Kq9TtWm2Vb"
PREVIEW: Final = "dpl_Wm2VbXc5RzJ8LpN4YhDe7f3Kq9Tt"
BUILD_BEGINS, BUILD_TAKES = timedelta(seconds=3), timedelta(seconds=90)
UNDER_WAY: Final = ("QUEUED", "INITIALIZING", "BUILDING")
_WAYS: Final = ("deploymentId", "files", "gitSource")


class Deployments(Desk):
    """The table `deployments`, oldest first."""

    def __init__(self, part: Any, projects: Projects) -> None:
        super().__init__(part)
        self._projects = projects

    def routes(self) -> Iterable[Route]:
        yield Route("GET", f"{MOUNT}/v6/deployments", "read_deployments", self.listing)
        yield Route("GET", f"{MOUNT}/v13/deployments/{{deployment}}", "read_deployment", self.get)
        yield Route("POST", f"{MOUNT}/v13/deployments", "create_deployment", self.create)
        path = f"{MOUNT}/v12/deployments/{{deployment}}/cancel"
        yield Route("PATCH", path, "cancel_deployment", self.cancel)

    def seed(self) -> None:
        for key, version, days, target, substate in (
            (OLDER, "v7.8.0", 40, "production", "PROMOTED"),
            (OLD, "v7.9.0", 20, "production", "PROMOTED"),
            (CURRENT, "v7.9.1", 6, "production", "PROMOTED"),
            (PREVIEW, "v8.0.0-rc.1", 3, None, "STAGED"),
            (STAGED, "v8.0.0", 1, "production", "STAGED"),
        ):
            began = self.now - timedelta(days=days)
            doc = self._new(target, {"version": version}, created=ms(began))
            ready = {"state": "READY", "substate": substate, "ready": ms(began + BUILD_TAKES)}
            self.table("deployments").put(key, {**doc, **ready})

    # Calls

    def listing(self, call: Call) -> Answer:
        if call.one("projectId", PROJECT) not in (PROJECT, PROJECT_NAME):
            return Answer(200, {"deployments": [], "pagination": {"count": 0, "next": None, "prev": None}})
        found = [{"id": key, **doc} for key, doc in self.table("deployments").items()]
        target, states = call.one("target"), call.one("state")
        if target:
            found = [doc for doc in found if (doc["target"] or "preview") == target]
        if states:
            found = [doc for doc in found if doc["state"] in states.split(",")]
        if call.one("rollbackCandidate") == "true":
            found = [doc for doc in found if self.can_roll_back_to(doc["id"])]
        chosen, pagination = page(call, found, lambda doc: int(doc["created"]))
        return Answer(200, {"deployments": [self._listed(doc) for doc in chosen], "pagination": pagination})

    def get(self, call: Call) -> Answer:
        wanted = call.args["deployment"]
        urls = {doc["url"]: key for key, doc in self.table("deployments").items()}
        key = urls.get(wanted, wanted)
        if key not in self.table("deployments"):
            return missing("Deployment")
        return Answer(200, self._told(key))

    def create(self, call: Call) -> Answer:
        body = call.json()
        if not isinstance(body, dict) or not body.get("name"):
            return no(400, "bad_request", "Invalid request: missing required property `name`.")
        if not any(way in body for way in _WAYS):
            return no(400, "missing_files", "Missing files: a git source or a deployment to build again.")
        source = body.get("deploymentId")
        if source and source not in self.table("deployments"):
            return missing("Deployment")
        if body.get("project", body["name"]) not in (PROJECT, PROJECT_NAME):
            return missing("Project")
        target = body.get("target") or None
        meta = {**(self.table("deployments")[source]["meta"] if source else {}), **(body.get("meta") or {})}
        sha = (body.get("gitSource") or {}).get("sha")
        return Answer(
            200, self._told(self.deploy(target, {**meta, **({"githubCommitSha": sha} if sha else {})}))
        )

    def cancel(self, call: Call) -> Answer:
        key = call.args["deployment"]
        doc = self.table("deployments").get(key)
        if doc is None:
            return missing("Deployment")
        if doc["state"] not in UNDER_WAY:
            return no(400, "bad_request", "Only a deployment that is being built can be canceled.")
        self.table("deployments").change(key, state="CANCELED", substate=None)
        return Answer(200, self._told(key))

    # What happens to one

    def deploy(self, target: str | None, meta: dict[str, str]) -> str:
        """Ask for a deployment; it is built in a minute and a half. Return its id."""
        key = "dpl_" + self.part.token(28, UPPER + LOWER)
        newest = max(doc["created"] for doc in self.table("deployments").values())
        self.table("deployments").put(
            key, self._new(target, meta, created=max(ms(self.now), newest + 1), state="QUEUED")
        )
        self.part.later("build", after=BUILD_BEGINS, deployment=key)
        return key

    def ready_build(self, version: str) -> str:
        """Have a production build that is ready this moment."""
        key = self.deploy("production", {"version": version})
        self.table("deployments").change(key, state="READY", substate="STAGED", ready=ms(self.now))
        return key

    def build(self, key: str, *, takes: timedelta = BUILD_TAKES) -> None:
        if self.table("deployments")[key]["state"] == "QUEUED":
            self.table("deployments").change(key, state="BUILDING", building=ms(self.now))
            self.part.later("built", after=takes, deployment=key)

    def built(self, key: str, *, fails: bool) -> bool:
        """End a build; return whether a production deployment is ready now."""
        doc = self.table("deployments")[key]
        if doc["state"] != "BUILDING":
            return False
        if fails:
            self.table("deployments").change(key, state="ERROR")
            return False
        self.table("deployments").change(key, state="READY", substate="STAGED", ready=ms(self.now))
        return bool(doc["target"] == "production")

    def wrong_for_production(self, key: str) -> Answer | None:
        """Return why a deployment cannot serve production, None when it can."""
        doc = self.table("deployments").get(key)
        if doc is None:
            return missing("Deployment")
        if doc["target"] != "production":
            return no(400, "bad_request", "A preview deployment has to be built again for production.")
        if doc["state"] != "READY":
            return no(400, "deployment_not_ready", f"The deployment is {doc['state']}, not READY.")
        return None

    def mark(self, key: str, substate: str) -> None:
        self.table("deployments").change(key, substate=substate)

    def can_roll_back_to(self, key: str) -> bool:
        """Whether it ever served production and does not now; on Hobby only the last one before."""
        current = self._projects.doc["production"]
        docs = self.table("deployments")
        served = [k for k, doc in docs.items() if doc["substate"] == "PROMOTED" and k != current]
        if self._projects.doc["plan"] == "hobby":
            earlier = [k for k in served if docs[k]["created"] < docs[current]["created"]]
            served = [max(earlier, key=lambda k: int(docs[k]["created"]))] if earlier else []
        return key in served

    # What is told

    def short(self, key: str | None) -> Doc | None:
        """Return a deployment as a rolling release shows it."""
        if key is None:
            return None
        doc = self.table("deployments")[key]
        told = {
            "id": key,
            "name": PROJECT_NAME,
            "url": doc["url"],
            "target": doc["target"],
            "source": "git",
            "createdAt": doc["created"],
            "readyState": doc["state"],
        }
        return {**told, "readyStateAt": doc["ready"]} if doc["ready"] else told

    def _new(self, target: str | None, meta: dict[str, str], *, created: int, state: str = "READY") -> Doc:
        return {
            "url": f"{PROJECT_NAME}-{self.part.token(9)}-{TEAM_SLUG}.vercel.app",
            "target": target,
            "state": state,
            "substate": None,
            "created": created,
            "building": created,
            "ready": None,
            "meta": meta,
        }

    def _common(self, key: str, doc: Doc) -> Doc:
        return {
            "name": PROJECT_NAME,
            "projectId": PROJECT,
            "url": doc["url"],
            "readyState": doc["state"],
            "type": "LAMBDAS",
            "meta": doc["meta"],
            "target": doc["target"],
            "createdAt": doc["created"],
            "buildingAt": doc["building"],
            "source": "git",
            "inspectorUrl": f"https://vercel.com/{TEAM_SLUG}/{PROJECT_NAME}/{key.removeprefix('dpl_')}",
            **({"ready": doc["ready"]} if doc["ready"] else {}),
            **({"readySubstate": doc["substate"]} if doc["substate"] else {}),
        }

    def _listed(self, doc: Doc) -> Doc:
        key = doc["id"]
        return {
            **self._common(key, doc),
            "uid": key,
            "created": doc["created"],
            "state": doc["state"],
            "creator": {"uid": USER, "username": "omnihub"},
            "aliasAssigned": key == self._projects.doc["production"],
            "isRollbackCandidate": self.can_roll_back_to(key),
        }

    def _told(self, key: str) -> Doc:
        doc = self.table("deployments")[key]
        return {
            **self._common(key, doc),
            "id": key,
            "status": doc["state"],
            "creator": {"uid": USER, "username": "omnihub"},
            "team": {"id": TEAM, "name": "OmniHub", "slug": TEAM_SLUG},
            "project": {"id": PROJECT, "name": PROJECT_NAME, "framework": "nextjs"},
            "aliasAssigned": key == self._projects.doc["production"],
            "build": {"env": []},
            "env": [],
            "isInConcurrentBuildsQueue": doc["state"] == "QUEUED",
            "isInSystemBuildsQueue": False,
            "projectSettings": {},
            "bootedAt": doc["building"],
            "buildSkipped": False,
            "public": False,
            "regions": ["iad1"],
            "version": 2,
            "plan": self._projects.doc["plan"],
            "createdIn": "sfo1",
            "ownerId": TEAM,
            "routes": None,
        }
