"""Supabase's API as our calls meet it, and the project with its health."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from pydantic import AwareDatetime

from runbook.errors import SurprisingReply
from runbook.providers.connect import connect, vendor_id
from runbook.providers.dialect import Dialect
from runbook.providers.http import Http
from runbook.providers.shape import Shape
from runbook.step import Step
from runbook.values import Value

VENDOR: Final = "supabase"
HEALTHY: Final = "ACTIVE_HEALTHY"
Service = Literal["auth", "db", "db_postgres_user", "pooler", "realtime", "rest", "storage", "pg_bouncer"]
SERVICES: Final[tuple[Service, ...]] = ("db", "rest", "auth", "storage", "realtime", "pooler")

API: Final = Dialect(
    vendor=VENDOR,
    mount="/supabase",
    secrets=("token",),
    authorize=lambda secrets: {"Authorization": f"Bearer {secrets['token']}"},
    blind_wait_s=60.0,  # over 60 calls a minute: refused for the next minute
)


class Project(Value):
    """A project; `status` is Supabase's own word, ACTIVE_HEALTHY when all is well."""

    ref: str
    name: str
    region: str
    status: str
    organization: str
    postgres: str
    created_at: datetime

    @property
    def is_healthy(self) -> bool:
        return self.status == HEALTHY


class ServiceHealth(Value):
    """One service of a project."""

    name: str
    healthy: bool
    status: str


class _Database(Shape):
    version: str


class _Project(Shape):
    ref: str
    name: str
    region: str
    status: str
    organization_slug: str
    database: _Database
    created_at: AwareDatetime


class _Organization(Shape):
    plan: str


class _Service(Shape):
    name: str
    healthy: bool
    status: str


def read_projects(step: Step) -> tuple[Project, ...]:
    """Return every project that our token may see."""
    with connect(step, API) as http:
        found = http.call("read_projects", "GET", "/v1/projects", into=tuple[_Project, ...])
    return tuple(_project(one) for one in found)


def read_project(step: Step) -> Project:
    """Return our project as it stands; healthy does not mean that a restore just asked for is over."""
    with connect(step, API) as http:
        return look_at_project(http, project_ref(step))


def read_plan(step: Step) -> str:
    """Return the plan that our organization is on: free, pro, team … Its price is told by no API."""
    slug = vendor_id(step, VENDOR, "organization")
    with connect(step, API) as http:
        args = {"slug": slug}
        path = "/v1/organizations/{slug}"
        return http.call("read_organization", "GET", path, args=args, into=_Organization).plan


def read_health(step: Step, *, services: Sequence[Service] = SERVICES) -> tuple[ServiceHealth, ...]:
    """Return how the project's services are, in the order asked for."""
    with connect(step, API) as http:
        found = http.call(
            "read_health",
            "GET",
            "/v1/projects/{ref}/health",
            args={"ref": project_ref(step)},
            query={"services": list(services)},
            into=tuple[_Service, ...],
        )
    by_name = {
        one.name: ServiceHealth(name=one.name, healthy=one.healthy, status=one.status) for one in found
    }
    if missing := set(services) - set(by_name):
        raise SurprisingReply(
            f"{VENDOR} says nothing of {', '.join(sorted(missing))}; look at it in the run's evidence/",
            vendor=VENDOR,
            call="read_health",
        )
    return tuple(by_name[name] for name in services)


def look_at_project(http: Http, ref: str) -> Project:
    path = "/v1/projects/{ref}"
    return _project(http.call("read_project", "GET", path, args={"ref": ref}, into=_Project))


def _project(found: _Project) -> Project:
    return Project(
        ref=found.ref,
        name=found.name,
        region=found.region,
        status=found.status,
        organization=found.organization_slug,
        postgres=found.database.version,
        created_at=found.created_at,
    )


def project_ref(step: Step) -> str:
    return vendor_id(step, VENDOR, "project")
