"""Rolling releases at Vercel: the stages of releases to come, and the one under way.

There is no call back to an earlier stage and none to abort: a rollback ends a release (`apply_rollback`).
`promote` is never called during one, it would give the canary everybody. A release of another deployment than
ours is refused here with `foreign_release`, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from runbook.providers.shape import Shape
from runbook.providers.vercel.api import Api, at, open_api, project_id, refused
from runbook.step import Step
from runbook.values import Value

ALL: Final = 100.0
_BASE: Final = "/v1/projects/{project}/rolling-release"


class Slots(Value):
    """Whether the team may use rolling releases: `slots` projects more (None: without limit), and why."""

    slots: int | None
    reason: Literal["plan_not_supported", "unlimited_slots", "no_available_slots", "available_slots"]
    says: str
    used_by: tuple[str, ...]


class Stages(Value):
    """The stages of releases to come, in percent of visitors; `by_hand`: each waits for our approval."""

    percents: tuple[float, ...]
    by_hand: bool


class Release(Value):
    """The last release. `percent` is what the canary gets of the visitors now; an aborted one gives it none.

    `stage` counts from 0, None when it is aborted. `queued` is a build that begins its own release when this
    one is complete. `by_hand` False: it advances by itself.
    """

    state: Literal["ACTIVE", "COMPLETE", "ABORTED"]
    paused: bool
    current: str
    canary: str
    stage: int | None
    percent: float
    percents: tuple[float, ...]
    by_hand: bool
    queued: str
    started_at: datetime
    updated_at: datetime

    @property
    def active(self) -> bool:
        return self.state == "ACTIVE"


class _Slots(Shape):
    availableSlots: int | Literal["unlimited"]  # noqa: N815  # its name
    reason: Literal["plan_not_supported", "unlimited_slots", "no_available_slots", "available_slots"]
    message: str
    enabledProjects: tuple[str, ...] = ()  # noqa: N815


class _ToCome(Shape):
    targetPercentage: float  # noqa: N815
    requireApproval: bool = False  # noqa: N815


class _Config(Shape):
    stages: tuple[_ToCome, ...] | None = None


class _ConfigReply(Shape):
    rollingRelease: _Config | None  # noqa: N815


class _Id(Shape):
    id: str


class _Stage(Shape):
    index: int
    targetPercentage: float  # noqa: N815


class _Release(Shape):
    state: Literal["ACTIVE", "COMPLETE", "ABORTED"]
    substate: Literal["PAUSED"] | None = None
    currentDeployment: _Id | None  # noqa: N815
    canaryDeployment: _Id | None  # noqa: N815
    queuedDeploymentId: str | None  # noqa: N815
    advancementType: Literal["automatic", "manual-approval"]  # noqa: N815
    stages: tuple[_Stage, ...]
    activeStage: _Stage | None  # noqa: N815
    currentCanaryPercentage: float | None = None  # noqa: N815
    startedAt: int  # noqa: N815
    updatedAt: int  # noqa: N815


class _ReleaseReply(Shape):
    rollingRelease: _Release | None  # noqa: N815


def read_release_slots(step: Step) -> Slots:
    """Return whether our project may use rolling releases: they need the Pro plan or above."""
    with open_api(step) as api:
        found = api.call("read_release_slots", "GET", f"{_BASE}/billing", args=_args(api), into=_Slots)
    return Slots(
        slots=None if found.availableSlots == "unlimited" else found.availableSlots,
        reason=found.reason,
        says=found.message,
        used_by=found.enabledProjects,
    )


def read_stages(step: Step) -> Stages | None:
    """Return the stages of releases to come; None: rolling releases are off."""
    with open_api(step) as api:
        return _stages(api)


def apply_stages(step: Step, *, percents: Sequence[float]) -> Stages:
    """Have future releases go through these stages, each by our approval; a release under way keeps its own.

    It turns rolling releases on, and skew protection with them.
    """
    wanted = Stages(percents=tuple(map(float, percents)), by_hand=True)
    with open_api(step) as api:

        def look() -> Stages | None:
            return wanted if _stages(api) == wanted else None

        def act() -> None:
            stages = [{"targetPercentage": percent} for percent in wanted.percents]
            json = {"enabled": True, "advancementType": "manual-approval", "stages": stages}
            path = f"{_BASE}/config"
            api.call(
                "set_release_config", "PATCH", path, args=_args(api), json=json, into=_ConfigReply, once=False
            )

        what = f"releases go through {', '.join(f'{one:g} %' for one in wanted.percents)}"
        return api.brought_about(look, act, what=what, call="set_release_config")[0]


def apply_stages_off(step: Step) -> None:
    """Turn rolling releases off; a release under way is not touched by it."""
    with open_api(step) as api:

        def look() -> bool | None:
            return True if _stages(api) is None else None

        def act() -> None:
            args, path = _args(api), f"{_BASE}/config"
            api.call("delete_release_config", "DELETE", path, args=args, into=_ConfigReply)

        api.brought_about(look, act, what="rolling releases are off", call="delete_release_config")


def read_release(step: Step) -> Release | None:
    """Return the project's last release, under way or not; None when there never was one."""
    with open_api(step) as api:
        return release_of(api)


def apply_release_start(step: Step, *, canary: str) -> Release:
    """Have a release of `canary` under way; one that is further already is returned as it stands."""
    with open_api(step) as api:

        def look() -> Release | None:
            found = release_of(api)
            if found is None or not found.active:
                return None
            if found.canary != canary:
                raise _foreign("start_release", found, canary)
            return found

        def act() -> None:
            args, json = _args(api), {"canaryDeploymentId": canary}
            path = f"{_BASE}/start"
            api.call("start_release", "POST", path, args=args, json=json, into=_ReleaseReply, once=False)

        what = f"a release of {canary} is under way"
        return api.brought_about(look, act, what=what, call="start_release")[0]


def apply_stage(step: Step, *, canary: str, stage: int) -> Release:
    """Have the release of `canary` at a stage (from 0), one above where it is at most.

    Raises VendorRefused: `foreign_release` when it is another's, `no_release` when none is under way,
    `other_stage` when it is further than asked for or more than one below.
    """
    with open_api(step) as api:

        def look() -> Release | None:
            found = _ours(api, canary, "approve_stage")
            if found.stage is not None and found.stage == stage:
                return found
            if found.stage is None or not found.active or found.stage != stage - 1:
                raise refused(
                    "approve_stage",
                    "other_stage" if found.active else "no_release",
                    f"the release of {canary} is {found.state} at stage {found.stage} ({found.percent:g} %); "
                    f"expected stage {stage - 1}, to go on to {stage}. Look who moved it",
                )
            return None

        def act() -> None:
            json = {"nextStageIndex": stage, "canaryDeploymentId": canary}
            path = f"{_BASE}/approve-stage"
            api.call("approve_stage", "POST", path, args=_args(api), json=json, into=_ReleaseReply)

        what = f"the release of {canary} is at stage {stage}"
        return api.brought_about(look, act, what=what, call="approve_stage")[0]


def apply_release_complete(step: Step, *, canary: str) -> Release:
    """Have the release of `canary` complete: all visitors get it, from whatever stage it is at."""
    with open_api(step) as api:

        def look() -> Release | None:
            found = _ours(api, canary, "complete_release")
            if found.state == "ABORTED":
                raise refused("complete_release", "no_release", f"the release of {canary} was aborted")
            return found if found.state == "COMPLETE" else None

        def act() -> None:
            args, json = _args(api), {"canaryDeploymentId": canary}
            path = f"{_BASE}/complete"
            api.call("complete_release", "POST", path, args=args, json=json, into=_ReleaseReply)

        what = f"the release of {canary} is complete"
        return api.brought_about(look, act, what=what, call="complete_release")[0]


def release_of(api: Api) -> Release | None:
    """Return the project's last release over an open session."""
    found = api.call("read_release", "GET", _BASE, args=_args(api), into=_ReleaseReply).rollingRelease
    if found is None:
        return None
    stage = None if found.state == "ABORTED" else found.activeStage
    reached = stage.targetPercentage if stage else 0.0
    shown = found.currentCanaryPercentage
    percent = {"ACTIVE": reached if shown is None else shown, "COMPLETE": ALL, "ABORTED": 0.0}[found.state]
    return Release(
        state=found.state,
        paused=found.substate == "PAUSED",
        current=found.currentDeployment.id if found.currentDeployment else "",
        canary=found.canaryDeployment.id if found.canaryDeployment else "",
        stage=stage.index if stage else None,
        percent=percent,
        percents=tuple(one.targetPercentage for one in found.stages),
        by_hand=found.advancementType == "manual-approval",
        queued=found.queuedDeploymentId or "",
        started_at=at(found.startedAt),
        updated_at=at(found.updatedAt),
    )


def _ours(api: Api, canary: str, call: str) -> Release:
    found = release_of(api)
    if found is None:
        raise refused(call, "no_release", f"no release is under way; expected that of {canary}")
    if found.canary != canary:
        raise _foreign(call, found, canary)
    return found


def _foreign(call: str, found: Release, canary: str) -> Exception:
    return refused(
        call,
        "foreign_release",
        f"the release is of {found.canary} ({found.state}, {found.percent:g} %), not of {canary}; somebody "
        "else released it. Settle with them which build it shall be, then resume",
    )


def _stages(api: Api) -> Stages | None:
    found = api.call("read_release_config", "GET", f"{_BASE}/config", args=_args(api), into=_ConfigReply)
    config = found.rollingRelease
    if config is None or config.stages is None:
        return None
    return Stages(
        percents=tuple(stage.targetPercentage for stage in config.stages),
        by_hand=all(stage.requireApproval for stage in config.stages[:-1]),
    )


def _args(api: Api) -> dict[str, str]:
    return {"project": project_id(api.step)}
