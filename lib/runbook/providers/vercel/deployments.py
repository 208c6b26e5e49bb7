"""Deployments at Vercel: read, built once for a key of ours, awaited, cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from pydantic import Field

from runbook.errors import VendorUnavailable
from runbook.providers.connect import vendor_id
from runbook.providers.request import Query
from runbook.providers.shape import Shape
from runbook.providers.vercel.api import (
    VENDOR,
    Api,
    Paging,
    at,
    milliseconds,
    open_api,
    project_id,
    refused,
)
from runbook.step import Step
from runbook.values import Value

State = Literal["QUEUED", "BUILDING", "INITIALIZING", "READY", "ERROR", "CANCELED", "DELETED"]
KEY: Final = "runbookKey"
_GONE: Final = ("ERROR", "CANCELED", "DELETED")


class Deployment(Value):
    """A deployment. `seen` says whether visitors ever got it: STAGED never, ROLLING some, PROMOTED yes."""

    id: str
    url: str
    target: Literal["production", "preview"]
    state: State
    seen: Literal["", "STAGED", "ROLLING", "PROMOTED"]
    created_at: datetime
    ready_at: datetime | None
    meta: dict[str, str]


class _Deployment(Shape):
    url: str | None
    target: str | None = None
    readyState: State  # noqa: N815  # its name
    readySubstate: Literal["", "STAGED", "ROLLING", "PROMOTED"] = ""  # noqa: N815
    createdAt: int  # noqa: N815
    ready: int | None = None
    meta: dict[str, Any] = Field(default={})


class _Listed(_Deployment):
    uid: str


class _One(_Deployment):
    id: str


class _Deployments(Shape):
    deployments: tuple[_Listed, ...]
    pagination: Paging


def read_deployments(
    step: Step, *, since: datetime, target: Literal["production", "preview"] = "production"
) -> tuple[Deployment, ...]:
    """Return our project's deployments created since a time, newest first."""
    with open_api(step) as api:
        return _deployments(api, {"since": milliseconds(since), "target": target})


def read_rollback_candidates(step: Step, *, since: datetime) -> tuple[Deployment, ...]:
    """Return the deployments that a rollback may lead to, created since a time, newest first."""
    with open_api(step) as api:
        return _deployments(api, {"since": milliseconds(since), "rollbackCandidate": "true"})


def read_deployment(step: Step, *, deployment: str) -> Deployment:
    """Return one deployment, by its id or host name."""
    with open_api(step) as api:
        return deployment_of(api, deployment)


def read_build(step: Step, *, deployment: str, within_s: float = 1800.0) -> Deployment:
    """Wait until a deployment is built, and return it.

    Raises VendorRefused when the build ended otherwise, VendorUnavailable when it takes longer.
    """
    ends = step.clock.now() + timedelta(seconds=within_s)
    with open_api(step) as api:
        for _ in api.moments(until=ends):
            found = deployment_of(api, deployment)
            if found.state == "READY":
                return found
            if found.state in _GONE:
                raise refused("read_build", found.state, f"the build of {deployment} ended as {found.state}")
    raise VendorUnavailable(
        f"{VENDOR} has not built {deployment} within {within_s:g} s; resume later",
        vendor=VENDOR,
        call="read_build",
    )


def apply_deployment(
    step: Step,
    *,
    key: str,
    since: datetime,
    sha: str,
    ref: str,
    target: Literal["production", "preview"] = "production",
) -> Deployment:
    """Have a commit built, once for a `key` of ours: one built for it since `since` is returned instead.

    The build has begun, no more (see `read_build`). Where builds go live by themselves, a production build
    begins a release or serves everybody as soon as it is ready.
    """
    git = {name: vendor_id(step, VENDOR, f"git_{name}") for name in ("org", "repo")}
    source = {"gitSource": {"type": "github", **git, "ref": ref, "sha": sha}}
    return _built(step, key, since, source, {}, target)


def apply_rebuild(step: Step, *, key: str, since: datetime, deployment: str) -> Deployment:
    """Have a preview built again for production, once for a `key`: it cannot be promoted as it is."""
    return _built(step, key, since, {"deploymentId": deployment}, {"action": "promote"}, "production")


def apply_cancel(step: Step, *, deployment: str) -> Deployment:
    """Stop a build; VendorRefused when it has ended otherwise."""
    with open_api(step) as api:

        def look() -> Deployment | None:
            found = deployment_of(api, deployment)
            return found if found.state == "CANCELED" else None

        def act() -> None:
            path, args = "/v12/deployments/{deployment}/cancel", {"deployment": deployment}
            api.call("cancel_deployment", "PATCH", path, args=args, into=_One, once=False)

        return api.brought_about(look, act, what=f"{deployment} is cancelled", call="cancel_deployment")[0]


def deployment_of(api: Api, deployment: str) -> Deployment:
    """Return a deployment over an open session."""
    path, args = "/v13/deployments/{deployment}", {"deployment": deployment}
    found = api.call("read_deployment", "GET", path, args=args, into=_One)
    return _told(found.id, found)


def _built(
    step: Step,
    key: str,
    since: datetime,
    source: dict[str, Any],
    meta: dict[str, str],
    target: Literal["production", "preview"],
) -> Deployment:
    with open_api(step) as api:

        def look() -> Deployment | None:
            found = _deployments(api, {"since": milliseconds(since)})
            return next((one for one in found if one.meta.get(KEY) == key), None)

        def act() -> None:
            body = {
                "name": vendor_id(step, VENDOR, "project_name"),
                "project": project_id(step),
                "meta": {**meta, KEY: key},
                **source,
                **({"target": target} if target == "production" else {}),
            }
            api.call("create_deployment", "POST", "/v13/deployments", json=body, into=_One)

        what = f"there is a deployment for {key}"
        return api.brought_about(look, act, what=what, call="create_deployment")[0]


def _deployments(api: Api, query: Query) -> tuple[Deployment, ...]:
    whole = {**query, "projectId": project_id(api.step)}

    def fetch(paged: Query) -> tuple[Sequence[_Listed], Paging]:
        wanted = {**whole, **paged}
        reply = api.call("read_deployments", "GET", "/v6/deployments", query=wanted, into=_Deployments)
        return reply.deployments, reply.pagination

    found = api.pages("read_deployments", fetch, key=lambda one: one.uid)
    return tuple(_told(one.uid, one) for one in found)


def _told(key: str, one: _Deployment) -> Deployment:
    return Deployment(
        id=key,
        url=one.url or "",
        target="production" if one.target == "production" else "preview",
        state=one.readyState,
        seen=one.readySubstate,
        created_at=at(one.createdAt),
        ready_at=None if one.ready is None else at(one.ready),
        meta={name: value for name, value in one.meta.items() if isinstance(value, str)},
    )
