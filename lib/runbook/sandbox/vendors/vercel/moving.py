"""Promote and rollback: accepted at once, done some seconds later, and only then is the traffic moved.

- A promote during a release gives its canary everything; of another deployment it is refused.
- A promote while rolling releases are on begins a release instead of moving everything.
- A rollback ends a release, and leaves the project rolled back until a promote or a whole release is through.
- What is current already cannot be promoted again; a rollback to it that ends no release is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final, Literal

from runbook.sandbox.vendors.vercel.deployments import Deployments
from runbook.sandbox.vendors.vercel.desk import MOUNT, USER, Desk, missing, ms, no
from runbook.sandbox.vendors.vercel.projects import Projects
from runbook.sandbox.vendors.vercel.releases import Releases
from runbook.sandbox.world.part import Answer, Call, Route
from runbook.sandbox.world.state import Doc

BEGINS, TAKES, TAKES_LONG = timedelta(seconds=2), timedelta(seconds=6), timedelta(minutes=7)
IN_FLIGHT: Final = ("pending", "in-progress")
ALIASES: Final = ("omnihub.dev", "www.omnihub.dev")
_HOBBY: Final = "To roll back further than the previous production deployment, upgrade to pro"


class Moving(Desk):
    """The last job stands in the project; the scenarios of `habits` say how the next rollbacks go."""

    def __init__(self, part: Any, projects: Projects, deployments: Deployments, releases: Releases) -> None:
        super().__init__(part)
        self._projects, self._deployments, self._releases = projects, deployments, releases

    def routes(self) -> Iterable[Route]:
        for method, path, call, handler in (
            ("POST", "/v10/projects/{project}/promote/{deployment}", "promote", self.promote),
            ("GET", "/v1/projects/{project}/promote/aliases", "read_promote_aliases", self.aliases),
            ("POST", "/v1/projects/{project}/rollback/{deployment}", "rollback", self.rollback),
            ("POST", "/v9/projects/{project}/rollback/{deployment}", "rollback", self.rollback),
            ("GET", "/v9/projects/{project}/rollback/aliases", "read_rollback_aliases", self.aliases),
        ):
            yield Route(method, f"{MOUNT}{path}", call, handler)

    # Calls

    def promote(self, call: Call) -> Answer:
        key = call.args["deployment"]
        if not self._projects.known(call):
            return missing("Project")
        wrong = self._deployments.wrong_for_production(key) or self._busy()
        if wrong:
            return wrong
        active = self._releases.active
        if active and active["canary"] != key:
            return no(409, "conflict", "A rolling release is in progress for another deployment.")
        if not active and key == self._projects.doc["production"] and not self._projects.doc["rolled_back"]:
            return no(409, "conflict", "The deployment serves production already.")
        self.promoted_by_somebody(key)
        return Answer(202)

    def promoted_by_somebody(self, key: str) -> None:
        """Promote as the button in the dashboard does."""
        active = self._releases.active
        fresh = key != self._projects.doc["production"]
        if active:
            self._releases.finish("promoted during its release")
        elif self._projects.doc["config"] and fresh:
            self._releases.begin(key, "promoted")
        else:
            self._ask("promote", key)

    def rollback(self, call: Call) -> Answer:
        key = call.args["deployment"]
        if not self._projects.known(call):
            return missing("Project")
        wrong = self._deployments.wrong_for_production(key) or self._busy()
        if wrong:
            return wrong
        current = self._projects.doc["production"]
        if key != current and not self._deployments.can_roll_back_to(key):
            hobby = self._projects.doc["plan"] == "hobby"
            words = _HOBBY if hobby else "The deployment never served production."
            return no(402 if hobby else 422, "not_a_rollback_candidate", words)
        self._ask("rollback", key, words=call.one("description"))
        return Answer(201)

    def aliases(self, call: Call) -> Answer:
        """Answer how the aliases of the last job stand."""
        if not self._projects.known(call):
            return missing("Project")
        job = self._projects.doc["job"]
        found = [self._alias(name, job) for name in ALIASES] if job else []
        if call.one("failedOnly") == "true":
            found = [one for one in found if one["status"] == "failed"]
        paging = {"next": None}
        if "promote" in call.path:
            paging = {"count": len(found), "next": None, "prev": None}  # type: ignore[dict-item]
        return Answer(200, {"aliases": found, "pagination": paging})

    def _busy(self) -> Answer | None:
        job = self._projects.doc["job"]
        if job and job["status"] in IN_FLIGHT:
            return no(409, "conflict", f"A {job['type']} is in progress.")
        return None

    @staticmethod
    def _alias(name: str, job: Doc) -> Doc:
        done = job["status"] not in IN_FLIGHT
        failed = job["status"] == "failed" and name == ALIASES[0]
        status = "failed" if failed else "completed" if done else "pending"
        return {"alias": name, "id": f"als_{name}", "status": status}

    # The job

    def _ask(self, kind: Literal["promote", "rollback"], key: str, *, words: str = "") -> None:
        active = self._releases.active
        doc = {
            "type": kind,
            "from": self._projects.doc["production"],
            "to": key,
            "canary": active["canary"] if active else None,
            "status": "pending",
            "requested": ms(self.now),
            "words": words,
        }
        self._projects.change(job=doc)
        self.part.later("job", after=BEGINS, status="in-progress")

    def on_job(self, status: str) -> None:
        """Go on with the job under way."""
        job = self._projects.doc["job"]
        if status == "in-progress":
            takes = TAKES_LONG if self._habit("slow", job) else TAKES
            self._status(status)
            self.part.later("job", after=takes, status="done")
        elif self._habit("fails", job):
            self._status("failed")
        elif job["to"] == self._projects.doc["production"] and not self._ends_something(job):
            self._status("skipped")
        else:
            self._move(job)
            self._status("succeeded")

    def _ends_something(self, job: Doc) -> bool:
        return bool(self._releases.active or (job["type"] == "promote" and self._projects.doc["rolled_back"]))

    def _move(self, job: Doc) -> None:
        if job["type"] == "promote":
            self._releases.serve(job["to"], "promoted")
            self._projects.change(rolled_back=False, rollback_words=None, auto_assign=True)
            return
        self._releases.abort()
        self._releases.serve(job["to"], "rolled back")
        words = {
            "userId": USER,
            "username": "omnihub",
            "description": job["words"],
            "createdAt": ms(self.now),
        }
        self._projects.change(rolled_back=True, rollback_words=words if job["words"] else None)

    def _status(self, status: str) -> None:
        self._projects.change(job={**self._projects.doc["job"], "status": status})

    def _habit(self, how: str, job: Doc) -> bool:
        """Return whether a scenario says that the next job of its kind goes so; it is over with it."""
        habits, name = self.table("habits"), f"{job['type']}-{how}"
        if name not in habits:
            return False
        habits.drop(name)
        return True
