"""Releases and deploys: what Sentry is told of, each once if it can be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydantic import AwareDatetime

from runbook.errors import OutcomeUnknown, VendorRefused, VendorUnavailable
from runbook.providers.connect import connect, vendor_id
from runbook.providers.http import Http
from runbook.providers.paging import by_cursor
from runbook.providers.sentry.api import API, BASE, args_of, read_page, time_text
from runbook.providers.shape import Shape
from runbook.step import Step
from runbook.values import Value

_MISSING: Final = 404


class Release(Value):
    """A release that Sentry knows; `deploys` is how often it was told of one."""

    version: str
    created_at: datetime
    released_at: datetime | None
    deploys: int


class Deploy(Value):
    """A deploy of a release; `found` says that it was there already."""

    version: str
    environment: str
    name: str
    finished_at: datetime
    found: bool


class _Release(Shape):
    version: str
    dateCreated: AwareDatetime  # noqa: N815  # the vendor's spelling
    dateReleased: AwareDatetime | None = None  # noqa: N815
    deployCount: int  # noqa: N815


class _Deploy(Shape):
    environment: str
    name: str | None
    dateFinished: AwareDatetime  # noqa: N815


def read_release(step: Step, *, version: str) -> Release | None:
    """Return a release (`omnihub-web@8.0.0`), None when Sentry does not know it."""
    with connect(step, API) as http:
        return _release(step, http, version)


def apply_release(step: Step, *, version: str, ref: str | None = None) -> Release:
    """Have Sentry know a release of our project; telling it twice does no harm.

    `ref` is its commit. Raises VendorUnavailable when Sentry says yes and does not show it.
    """
    project = vendor_id(step, "sentry", "project")
    body: dict[str, object] = {"version": version, "projects": [project], **({"ref": ref} if ref else {})}
    with connect(step, API) as http:
        http.exchange(
            "create_release", "POST", f"{BASE}/releases/", args=args_of(step), json=body, once=False
        )
        found = _release(step, http, version)
    if found is None:
        raise VendorUnavailable(
            f"sentry accepted the release {version} and does not show it; resume in a minute",
            vendor="sentry",
            call="create_release",
        )
    return found


def read_deploys(step: Step, *, version: str) -> tuple[Deploy, ...]:
    """Return the deploys of a release, newest first."""
    with connect(step, API) as http:
        return _deploys(step, http, version)


def apply_deploy(step: Step, *, version: str, name: str, finished_at: datetime) -> Deploy:
    """Tell Sentry of a deploy of a release, unless it has one of this name in our environment.

    The name must be the run's own (name the run in it): it is what the deploy is recognized by.
    Raises OutcomeUnknown when the reply was lost twice and the list does not show it.
    """
    environment = vendor_id(step, "sentry", "environment")
    body = {"environment": environment, "name": name, "dateFinished": time_text(finished_at)}
    with connect(step, API) as http:

        def already() -> Deploy | None:
            mine = (
                d for d in _deploys(step, http, version) if (d.environment, d.name) == (environment, name)
            )
            return next(mine, None)

        if found := already():
            return found
        for _ in range(2):
            heard = _told(step, http, version, body)
            if found := already():
                return found.model_copy(update={"found": False})
            if heard:
                raise VendorUnavailable(
                    f"sentry accepted the deploy {name} of {version} and does not show it; resume in "
                    "a minute",
                    vendor="sentry",
                    call="create_deploy",
                )
    raise OutcomeUnknown(
        f"sentry does not show the deploy {name} of {version}, told twice; look at the release, "
        "then resume: it is looked for before it is told",
        vendor="sentry",
        call="create_deploy",
    )


def _release(step: Step, http: Http, version: str) -> Release | None:
    try:
        found = http.call(
            "read_sentry_release",
            "GET",
            f"{BASE}/releases/{{version}}/",
            args=args_of(step, version=version),
            into=_Release,
        )
    except VendorRefused as refusal:
        if refusal.status == _MISSING:
            return None
        raise
    return Release(
        version=found.version,
        created_at=found.dateCreated,
        released_at=found.dateReleased,
        deploys=found.deployCount,
    )


def _told(step: Step, http: Http, version: str, body: dict[str, str]) -> bool:
    """Tell of a deploy and return whether it was accepted; False: nobody knows."""
    path = f"{BASE}/releases/{{version}}/deploys/"
    try:
        http.exchange("create_deploy", "POST", path, args=args_of(step, version=version), json=body)
    except OutcomeUnknown:
        step.remark("sentry create_deploy: the reply was lost; the list of deploys is looked at")
        return False
    return True


def _deploys(step: Step, http: Http, version: str) -> tuple[Deploy, ...]:
    path = "/releases/{version}/deploys/"

    def fetch(cursor: str | None) -> tuple[Sequence[_Deploy], str | None]:
        return read_page(step, http, "read_deploys", path, {}, cursor, tuple[_Deploy, ...], version=version)

    return tuple(
        Deploy(
            version=version,
            environment=one.environment,
            name=one.name or "",
            finished_at=one.dateFinished,
            found=True,
        )
        for one in by_cursor(fetch, what="sentry read_deploys")
    )
