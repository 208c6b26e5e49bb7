"""The project at Vercel: which deployment serves production, whether builds go live by themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from runbook.errors import VendorUnavailable
from runbook.providers.shape import Shape
from runbook.providers.vercel.api import VENDOR, Api, at, open_api, project_id
from runbook.step import Step
from runbook.values import Value

IN_FLIGHT: Final = ("pending", "in-progress")
_PATH: Final = "/v9/projects/{project}"


class Move(Value):
    """The last promote or rollback that was asked for, and how far it is."""

    kind: Literal["promote", "rollback"]
    status: Literal["succeeded", "failed", "skipped", "pending", "in-progress"]
    came_from: str
    to: str
    requested_at: datetime

    @property
    def in_flight(self) -> bool:
        return self.status in IN_FLIGHT


class Project(Value):
    """A project: `production` is the deployment that serves it, the base of a release that is under way.

    `assigns_domains` says that a production build goes live (or begins a release) by itself.
    """

    id: str
    name: str
    production: str
    assigns_domains: bool
    move: Move | None

    @property
    def rolled_back(self) -> bool:
        """Whether the last thing that moved production was a rollback."""
        return self.move is not None and (self.move.kind, self.move.status) == ("rollback", "succeeded")


class _Move(Shape):
    type: Literal["promote", "rollback"]
    jobStatus: Literal["succeeded", "failed", "skipped", "pending", "in-progress"]  # noqa: N815  # its name
    fromDeploymentId: str  # noqa: N815
    toDeploymentId: str  # noqa: N815
    requestedAt: int  # noqa: N815


class _Target(Shape):
    id: str


class _Targets(Shape):
    production: _Target


class _Project(Shape):
    id: str
    name: str
    autoAssignCustomDomains: bool = True  # noqa: N815
    targets: _Targets
    lastAliasRequest: _Move | None  # noqa: N815  # there only because we ask for it


class _Set(Shape):
    id: str


def read_project(step: Step) -> Project:
    """Return our project, with the last promote or rollback."""
    with open_api(step) as api:
        return project_of(api)


def apply_auto_assign(step: Step, *, on: bool) -> Project:
    """Let production builds go live by themselves, or hold them: they are built, and wait.

    Raises VendorUnavailable when Vercel keeps it off, as it does after a rollback until a promote.
    """
    with open_api(step) as api:

        def look() -> Project | None:
            found = project_of(api)
            return found if found.assigns_domains == on else None

        def act() -> None:
            args, json = {"project": project_id(step)}, {"autoAssignCustomDomains": on}
            api.call("update_project", "PATCH", _PATH, args=args, json=json, into=_Set, once=False)

        what = f"production domains are {'assigned' if on else 'not assigned'} by themselves"
        try:
            return api.brought_about(look, act, what=what, call="update_project")[0]
        except VendorUnavailable as error:
            if not on or error.status is not None or not project_of(api).rolled_back:
                raise
            raise VendorUnavailable(
                f"{VENDOR} does not assign production domains by itself since the rollback; promote a "
                "deployment or let a release run to its end, then resume",
                vendor=VENDOR,
                call="update_project",
            ) from error


def project_of(api: Api) -> Project:
    """Return the project over an open session."""
    args, query = {"project": project_id(api.step)}, {"rollbackInfo": "true"}
    found = api.call("read_project", "GET", _PATH, args=args, query=query, into=_Project)
    last = found.lastAliasRequest
    return Project(
        id=found.id,
        name=found.name,
        production=found.targets.production.id,
        assigns_domains=found.autoAssignCustomDomains,
        move=last
        and Move(
            kind=last.type,
            status=last.jobStatus,
            came_from=last.fromDeploymentId,
            to=last.toDeploymentId,
            requested_at=at(last.requestedAt),
        ),
    )
