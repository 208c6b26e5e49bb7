"""The project: its settings, its plan, what serves its production; what a rollback leaves it in.

After a rollback the project stays *rolled back*: production domains are not assigned by themselves, and
setting `autoAssignCustomDomains` does not change that, until a promote or a whole release has gone through.
`lastAliasRequest` is told only to those who ask with `rollbackInfo=true`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from runbook.sandbox.vendors.vercel.desk import MOUNT, TEAM, USER, Desk, missing, ms, no
from runbook.sandbox.world.part import Answer, Call, Route
from runbook.sandbox.world.state import Doc

PROJECT, PROJECT_NAME = "prj_Q4hYhDeTtWm2VbXc5RzJ8LpN7f3K", "omnihub-web"
SKEW_DEFAULT_S: Final = 43_200
_SETTINGS: Final = {"autoAssignCustomDomains", "autoAssignCustomDomainsUpdatedBy", "skewProtectionMaxAge"}


class Projects(Desk):
    """The one project, in the table `project`.

    `production` is the deployment that serves it; `config` the stages of future releases, None when they are
    off; `job` the last promote or rollback asked for; `rolled_back` what the module says.
    """

    def routes(self) -> Iterable[Route]:
        yield Route("GET", f"{MOUNT}/v9/projects/{{project}}", "read_project", self.get)
        yield Route("PATCH", f"{MOUNT}/v9/projects/{{project}}", "update_project", self.update)

    def seed(self, production: str) -> None:
        doc = {
            "name": PROJECT_NAME,
            "plan": "pro",
            "created": ms(self.now - timedelta(days=400)),
            "production": production,
            "auto_assign": True,
            "auto_assign_by": USER,
            "rolled_back": False,
            "rollback_words": None,
            "skew_s": None,
            "config": None,
            "job": None,
        }
        self.table("project").put(PROJECT, doc)

    @property
    def doc(self) -> Doc:
        return self.table("project")[PROJECT]

    def change(self, **fields: object) -> None:
        self.table("project").change(PROJECT, **fields)

    @property
    def assigns(self) -> bool:
        """Whether a production build goes live by itself."""
        return bool(self.doc["auto_assign"] and not self.doc["rolled_back"])

    def known(self, call: Call) -> bool:
        return call.args["project"] in (PROJECT, PROJECT_NAME)

    def get(self, call: Call) -> Answer:
        if not self.known(call):
            return missing("Project")
        extra = {"lastAliasRequest": self.last_request()} if call.one("rollbackInfo") == "true" else {}
        return Answer(200, {**self._told(), **extra})

    def update(self, call: Call) -> Answer:
        if not self.known(call):
            return missing("Project")
        body = call.json()
        if not isinstance(body, dict) or body.keys() - _SETTINGS:
            return no(400, "bad_request", "Invalid request: should NOT have additional properties.")
        if "autoAssignCustomDomains" in body:
            by = body.get("autoAssignCustomDomainsUpdatedBy", USER)
            self.change(auto_assign=bool(body["autoAssignCustomDomains"]), auto_assign_by=by)
        if "skewProtectionMaxAge" in body:
            self.change(skew_s=body["skewProtectionMaxAge"])
        return Answer(200, self._told())

    def last_request(self) -> Doc | None:
        """Return the last promote or rollback as the API tells it."""
        job = self.doc["job"]
        if job is None:
            return None
        told = {
            "fromDeploymentId": job["from"],
            "toDeploymentId": job["to"],
            "jobStatus": job["status"],
            "requestedAt": job["requested"],
            "type": job["type"],
        }
        return {**told, "fromRollingReleaseId": job["canary"]} if job["canary"] else told

    def _told(self) -> Doc:
        doc = self.doc
        regions = {"functionDefaultRegions": ["iad1"]}
        words = doc["rollback_words"]
        return {
            "accountId": TEAM,
            "id": PROJECT,
            "name": doc["name"],
            "directoryListing": False,
            "nodeVersion": "22.x",
            "framework": "nextjs",
            "resourceConfig": regions,
            "defaultResourceConfig": regions,
            "createdAt": doc["created"],
            "updatedAt": ms(self.now),
            "live": True,
            "autoAssignCustomDomains": self.assigns,
            "autoAssignCustomDomainsUpdatedBy": "system" if doc["rolled_back"] else doc["auto_assign_by"],
            "rollingRelease": doc["config"] and {"target": "production", "stages": doc["config"]["stages"]},
            "targets": {"production": self._production()},
            **({"skewProtectionMaxAge": doc["skew_s"]} if doc["skew_s"] else {}),
            **({"rollbackDescription": words} if words and doc["rolled_back"] else {}),
        }

    def _production(self) -> Doc:
        key = self.doc["production"]
        doc = self.table("deployments")[key]
        return {
            "id": key,
            "name": PROJECT_NAME,
            "url": doc["url"],
            "deploymentHostname": doc["url"],
            "alias": ["omnihub.dev", "www.omnihub.dev"],
            "aliasAssigned": True,
            "createdAt": doc["created"],
            "createdIn": "sfo1",
            "creator": {"uid": USER, "username": "omnihub", "email": "ops@omnihub.dev"},
            "meta": doc["meta"],
            "plan": self.doc["plan"],
            "private": False,
            "readyState": doc["state"],
            "readySubstate": doc["substate"],
            "target": "production",
            "teamId": TEAM,
            "type": "LAMBDAS",
            "userId": USER,
        }
