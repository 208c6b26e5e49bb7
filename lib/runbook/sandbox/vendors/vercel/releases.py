"""Rolling releases: stages from a few visitors to all, one release at a time.

- The stages of a project are for releases to come; one under way keeps the stages that it began with.
- Durations are minutes in the project's stages and seconds in a release.
- When they are on, a production build that is ready begins a release by itself, or waits for the one that is
  under way (`queuedDeploymentId`) and begins when that one is complete.
- There is no way back to an earlier stage and no abort: a rollback ends a release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final

from runbook.sandbox.vendors.vercel.deployments import Deployments
from runbook.sandbox.vendors.vercel.desk import MOUNT, Desk, missing, ms, no
from runbook.sandbox.vendors.vercel.projects import PROJECT, SKEW_DEFAULT_S, Projects
from runbook.sandbox.vendors.vercel.traffic import WHOLE, Traffic
from runbook.sandbox.world.part import Answer, Call, Route
from runbook.sandbox.world.state import Doc

AUTOMATIC, MANUAL = "automatic", "manual-approval"
STAGES_LEAST: Final = 2


class Releases(Desk):
    """The table `releases`, the last one is the project's; its stages to come stand in the project."""

    def __init__(
        self,
        part: Any,
        projects: Projects,
        deployments: Deployments,
        traffic: Traffic,
        begun: Callable[[], None],
    ) -> None:
        """`begun` is called when a release has begun."""
        super().__init__(part)
        self._projects, self._deployments, self._traffic = projects, deployments, traffic
        self._begun = begun

    def routes(self) -> Iterable[Route]:
        base = f"{MOUNT}/v1/projects/{{project}}/rolling-release"
        yield Route("GET", f"{base}/billing", "read_release_slots", self.billing)
        yield Route("GET", f"{base}/config", "read_release_config", self.config)
        yield Route("PATCH", f"{base}/config", "set_release_config", self.configure)
        yield Route("DELETE", f"{base}/config", "delete_release_config", self.disable)
        yield Route("GET", base, "read_release", self.get)
        yield Route("POST", f"{base}/start", "start_release", self.start)
        yield Route("POST", f"{base}/approve-stage", "approve_stage", self.approve)
        yield Route("POST", f"{base}/complete", "complete_release", self.complete)

    # Stages to come

    def billing(self, call: Call) -> Answer:
        if not self._projects.known(call):
            return missing("Project")
        if self._projects.doc["plan"] == "hobby":
            words = "Rolling Releases need a Pro or Enterprise plan."
            return Answer(200, {"availableSlots": 0, "reason": "plan_not_supported", "message": words})
        if self._projects.doc["config"]:
            told = {"availableSlots": 0, "reason": "no_available_slots", "enabledProjects": [PROJECT]}
            return Answer(200, {**told, "message": "All slots are taken."})
        words = "One project can use Rolling Releases."
        return Answer(200, {"availableSlots": 1, "reason": "available_slots", "message": words})

    def config(self, call: Call) -> Answer:
        return Answer(200, self._config()) if self._projects.known(call) else missing("Project")

    def configure(self, call: Call) -> Answer:
        if not self._projects.known(call):
            return missing("Project")
        if self._projects.doc["plan"] == "hobby":
            return no(403, "forbidden", "Rolling Releases need a Pro or Enterprise plan.")
        body = call.json()
        if not isinstance(body, dict):
            return no(400, "bad_request", "Invalid request: should be object.")
        if body.get("enabled") is False:
            return self.disable(call)
        wrong = _wrong_with(body)
        if wrong:
            return no(400, "bad_request", f"Invalid request: {wrong}")
        kind = body.get("advancementType", MANUAL)
        stages = [_to_come(stage, kind, last=stage is body["stages"][-1]) for stage in body["stages"]]
        self._projects.change(config={"advancement": kind, "stages": stages})
        if not self._projects.doc["skew_s"]:
            self._projects.change(skew_s=SKEW_DEFAULT_S)
        return Answer(200, {"rollingRelease": {"stages": stages}})

    def disable(self, call: Call) -> Answer:
        if not self._projects.known(call):
            return missing("Project")
        self._projects.change(config=None)
        return Answer(200, {"rollingRelease": None})

    def _config(self) -> Doc:
        config = self._projects.doc["config"]
        return {"rollingRelease": config and {"target": "production", "stages": config["stages"]}}

    # A release

    def get(self, call: Call) -> Answer:
        if not self._projects.known(call):
            return missing("Project")
        doc = self._last()
        if doc is None or call.one("state", doc["state"]) != doc["state"]:
            return Answer(200, {"rollingRelease": None})
        return Answer(200, {"rollingRelease": self._told(doc)})

    def start(self, call: Call) -> Answer:
        if not self._projects.known(call):
            return missing("Project")
        canary = (call.json() or {}).get("canaryDeploymentId", "")
        if self.active and self.active["canary"] == canary:
            return Answer(200, {"rollingRelease": self._told(self.active)})
        if self.active:
            return no(409, "conflict", "A rolling release is in progress for another deployment.")
        if not self._projects.doc["config"]:
            return no(400, "bad_request", "Rolling Releases are not enabled for this project.")
        wrong = self._deployments.wrong_for_production(canary)
        if wrong:
            return wrong
        if canary == self._projects.doc["production"]:
            return no(409, "conflict", "The deployment serves production already.")
        self.begin(canary, "rolling release started")
        return Answer(200, {"rollingRelease": self._told(self._last_one())})

    def approve(self, call: Call) -> Answer:
        wrong = self._wrong_to_move(call)
        if wrong:
            return wrong
        doc, wanted = self._last_one(), (call.json() or {}).get("nextStageIndex")
        if doc["advancement"] != MANUAL:
            return no(400, "bad_request", "This rolling release advances by itself.")
        if wanted != doc["index"] + 1:
            return no(400, "bad_request", f"The next stage is {doc['index'] + 1}.")
        self._advance(doc)
        return Answer(200, {"rollingRelease": self._told(self._last_one())})

    def complete(self, call: Call) -> Answer:
        wrong = self._wrong_to_move(call)
        if wrong:
            return wrong
        self.finish("rolling release completed")
        return Answer(200, {"rollingRelease": self._told(self._last_one())})

    def _wrong_to_move(self, call: Call) -> Answer | None:
        if not self._projects.known(call):
            return missing("Project")
        if not self.active:
            return no(400, "bad_request", "There is no active rolling release.")
        if (call.json() or {}).get("canaryDeploymentId") != self.active["canary"]:
            return no(400, "bad_request", "Another deployment is being rolled out.")
        return None

    # What happens to one

    @property
    def active(self) -> Doc | None:
        last = self._last()
        return last if last is not None and last["state"] == "ACTIVE" else None

    def begin(self, canary: str, why: str) -> None:
        """Begin a release with the project's stages as they are now."""
        config = self._projects.doc["config"]
        last = len(config["stages"]) - 1
        stages = [_under_way(stage, index, last) for index, stage in enumerate(config["stages"])]
        at = ms(self.now)
        doc = {
            "state": "ACTIVE",
            "current": self._projects.doc["production"],
            "canary": canary,
            "queued": None,
            "advancement": config["advancement"],
            "stages": stages,
            "index": 0,
            "started": at,
            "updated": at,
        }
        self.table("releases").put(str(len(self.table("releases")) + 1), doc)
        self._deployments.mark(canary, "ROLLING")
        self._at_stage(why)
        self._begun()

    def ready(self, deployment: str) -> None:
        """Take up a production build that is ready and goes live by itself."""
        if self.active:
            self._change(queued=deployment)
        elif self._projects.doc["config"]:
            self.begin(deployment, "a production build was ready")
        else:
            self.serve(deployment, "a production build was ready")

    def serve(self, deployment: str, why: str) -> None:
        """Let a deployment serve all of production."""
        self._deployments.mark(deployment, "PROMOTED")
        self._projects.change(production=deployment)
        self._traffic.turn(deployment, None, 0.0, why)

    def finish(self, why: str) -> None:
        """Give the canary everything; a build that waits begins its own release then."""
        doc = self._change(state="COMPLETE", index=len(self._last_one()["stages"]) - 1)
        self.serve(doc["canary"], why)
        self._projects.change(rolled_back=False, rollback_words=None)
        if doc["queued"] and self._projects.doc["config"]:
            self._change(queued=None)
            self.begin(doc["queued"], "the build that waited")

    def abort(self) -> None:
        """End the release under way, if there is one; what waits for it is not begun."""
        doc = self.active
        if doc:
            self._change(state="ABORTED", queued=None)
            self._deployments.mark(doc["canary"], "STAGED")

    def on_advance(self, release: str, index: int) -> None:
        """Advance by itself, if the release still stands where the clock was set."""
        doc = self.table("releases")[release]
        if doc == self.active and doc["index"] == index:
            self._advance(doc)

    def _advance(self, doc: Doc) -> None:
        if doc["index"] + 1 == len(doc["stages"]) - 1:
            self.finish("last stage")
            return
        self._change(index=doc["index"] + 1)
        self._at_stage(f"stage {doc['index'] + 1}")

    def _at_stage(self, why: str) -> None:
        doc = self._last_one()
        stage = doc["stages"][doc["index"]]
        self._traffic.turn(doc["current"], doc["canary"], float(stage["targetPercentage"]), why)
        if doc["advancement"] == AUTOMATIC and stage["duration"]:
            self.part.later(
                "advance",
                after=timedelta(seconds=stage["duration"]),
                release=str(len(self.table("releases"))),
                index=doc["index"],
            )

    def _change(self, **fields: Any) -> Doc:
        key = str(len(self.table("releases")))
        return self.table("releases").change(key, **fields, updated=ms(self.now))

    def _last(self) -> Doc | None:
        releases = self.table("releases")
        return releases[str(len(releases))] if releases else None

    def _last_one(self) -> Doc:
        return self.table("releases")[str(len(self.table("releases")))]

    def _told(self, doc: Doc) -> Doc:
        """Return a release as the API shows it."""
        stages, active = doc["stages"], doc["state"] == "ACTIVE"
        stage = None if doc["state"] == "ABORTED" else stages[doc["index"]]
        return {
            "state": doc["state"],
            "substate": None,
            "currentDeployment": self._deployments.short(doc["current"]),
            "canaryDeployment": self._deployments.short(doc["canary"]),
            "queuedDeploymentId": doc["queued"],
            "advancementType": doc["advancement"],
            "stages": stages,
            "activeStage": stage,
            "nextStage": stages[doc["index"] + 1] if active else None,
            "currentCanaryPercentage": stage["targetPercentage"] if stage else 0,
            "startedAt": doc["started"],
            "updatedAt": doc["updated"],
        }


def _wrong_with(body: Doc) -> str:
    """Return what is wrong with stages to come, "" when nothing is."""
    stages, kind = body.get("stages"), body.get("advancementType", MANUAL)
    if kind not in (AUTOMATIC, MANUAL):
        return "`advancementType` should be equal to one of the allowed values."
    if not isinstance(stages, list) or len(stages) < STAGES_LEAST:
        return "`stages` should have two stages or more."
    shares = [stage.get("targetPercentage") for stage in stages if isinstance(stage, dict)]
    numbers = [share for share in shares if isinstance(share, int | float) and 0 < share <= WHOLE]
    if len(numbers) != len(stages):
        return "`targetPercentage` should be a number up to 100."
    if numbers[-1] != WHOLE or any(one >= two for one, two in pairwise(numbers)):
        return "`stages` should grow, the last one to 100."
    if any(stage.get("linearShift") for stage in stages):
        return "`linearShift` is something this sandbox does not rehearse."
    timed = [bool(stage.get("duration")) for stage in stages[:-1]]
    if kind == AUTOMATIC and not all(timed):
        return "`duration` is missing."
    return "`duration` is only for automatic advancement." if kind == MANUAL and any(timed) else ""


def _to_come(stage: Doc, kind: str, *, last: bool) -> Doc:
    told = {"targetPercentage": stage["targetPercentage"], "requireApproval": kind == MANUAL and not last}
    return {**told, "duration": stage["duration"]} if kind == AUTOMATIC and not last else told


def _under_way(stage: Doc, index: int, last: int) -> Doc:
    return {
        "index": index,
        "isFinalStage": index == last,
        "targetPercentage": stage["targetPercentage"],
        "requireApproval": stage["requireApproval"],
        "duration": stage["duration"] * 60 if "duration" in stage else None,
    }
