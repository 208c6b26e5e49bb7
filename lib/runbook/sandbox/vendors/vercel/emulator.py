"""Vercel's API as far as the runbooks use it, traps included; each desk says its own.

- Everything belongs to the team: a call without `teamId` (or `slug`) looks into somebody's personal account,
  where lists are empty and nothing is found.
- Limits are by operation: creating records 100 an hour, changing them 50 a minute.
- A domain's records are what its nameservers answer (the part `dns`); who serves production to whom stands in
  the table `traffic` (traffic.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import ClassVar, Final

from runbook.sandbox.vendors.vercel.billing import Billing
from runbook.sandbox.vendors.vercel.deployments import BUILD_TAKES, CURRENT, Deployments
from runbook.sandbox.vendors.vercel.desk import TEAM, TEAM_SLUG, Desk, no
from runbook.sandbox.vendors.vercel.domains import DOMAIN, Domains
from runbook.sandbox.vendors.vercel.moving import Moving
from runbook.sandbox.vendors.vercel.projects import Projects
from runbook.sandbox.vendors.vercel.records import Records
from runbook.sandbox.vendors.vercel.releases import MANUAL, Releases
from runbook.sandbox.vendors.vercel.traffic import Traffic
from runbook.sandbox.vendors.vercel.zonefile import EDGE, record
from runbook.sandbox.world.faults import Fault
from runbook.sandbox.world.part import LOWER, UPPER, Answer, Call, Part, Route
from runbook.sandbox.world.state import Doc
from runbook.sandbox.world.world import World

INTO_A_RELEASE: Final = timedelta(hours=1)
BUILD_TAKES_LONG: Final = timedelta(hours=1)
TWO_STAGES: Final = {
    "advancement": MANUAL,
    "stages": [
        {"targetPercentage": 10, "requireApproval": True},
        {"targetPercentage": 100, "requireApproval": False},
    ],
}
_CODES: Final = {
    400: ("bad_request", "Invalid request."),
    403: ("forbidden", "Not authorized"),
    404: ("not_found", "The requested endpoint does not exist"),
    429: ("rate_limited", "Rate limit exceeded"),
}
_LISTS: Final = {"domains": "domains", "deployments": "deployments", "records": "records"}


class Vercel(Part):
    name = "vercel"
    mounts = ("vercel", "vercel-console")
    scenarios: ClassVar[Mapping[str, str]] = {
        "record-drift": "somebody changes a record at Vercel, right now",
        "many-records": "a zone file of 250 names is uploaded at Vercel: more than Cloudflare holds on Free",
        "unportable-record": "a name at Vercel has an alias beside a text, which Cloudflare cannot hold",
        "vercel-outage": "Vercel's API answers 503 to everything, until faults are lifted",
        "hobby-plan": "the team is on the Hobby plan: no rolling releases, a rollback by one deployment only",
        "release-under-way": "somebody has begun to release another build",
        "foreign-release": "somebody deploys to production, an hour into the release under way or the next",
        "foreign-promote": "somebody promotes the canary, an hour into the release under way or the next",
        "build-fails": "the next build ends in an error",
        "build-slow": "the next build takes an hour",
        "rollback-fails": "the next rollback ends as failed, and nothing has moved",
        "promote-fails": "the next promote ends as failed, and nothing has moved",
        "rollback-slow": "the next rollback takes seven minutes",
        "charges-missing": "Vercel's bill will never have the rows of today",
        "usage-surge": "from today on, twelve times as much is used at Vercel",
    }

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.traffic = Traffic(self)
        self.billing, self.projects = Billing(self), Projects(self)
        self.domains, self.records = Domains(self), Records(self)
        self.deployments = Deployments(self, self.projects)
        self.releases = Releases(self, self.projects, self.deployments, self.traffic, self._meddle)
        self.moving = Moving(self, self.projects, self.deployments, self.releases)

    def routes(self) -> Iterable[Route]:
        desks: tuple[Desk, ...] = (
            self.domains,
            self.records,
            self.projects,
            self.deployments,
            self.releases,
            self.moving,
            self.billing,
        )
        for desk in desks:
            yield from desk.routes()

    def seed(self) -> None:
        self.table("secrets").put("token", {"value": self.token(24, UPPER + LOWER)})
        self.domains.seed()
        self.records.seed(DOMAIN)
        self.domains.delegate_at_first()
        self.deployments.seed()
        self.projects.seed(CURRENT)
        self.traffic.turn(CURRENT, None, 0.0, "as it was", at=self.now - timedelta(days=6))

    def secrets(self) -> Mapping[str, str]:
        return {"token": self.table("secrets")["token"]["value"]}

    def status(self) -> Doc:
        release = self.releases.active
        return {
            "records": f"{len(self.records.of(DOMAIN))} of {DOMAIN}",
            "deployments": [
                f"{key} {doc['meta'].get('version', '')}: {doc['state']} {doc['substate'] or ''}".rstrip()
                for key, doc in self.table("deployments").items()
            ],
            "release": f"{release['canary']} at stage {release['index']}" if release else "none under way",
            "traffic": self.traffic.lines(),
        }

    def play(self, scenario: str) -> None:
        match scenario:
            case "record-drift":
                self.records.drift("status", "omnihub.status-pages.example.")
            case "many-records":
                rows = [(f"customer-{number:03d}", "A", "203.0.113.90", 3600, None) for number in range(250)]
                self.records.bring(DOMAIN, [record(DOMAIN, *row) for row in rows])
            case "unportable-record":
                rows = [("shop", "ALIAS", EDGE, 300, None), ("shop", "TXT", "verified", 300, None)]
                self.records.bring(DOMAIN, [record(DOMAIN, *row) for row in rows])
            case "vercel-outage":
                self.world.set_fault(Fault(name="status", vendor=self.name, times=None))
            case "hobby-plan":
                self.projects.change(plan="hobby")
            case "release-under-way":
                self.projects.change(config=TWO_STAGES)
                self.releases.begin(self.deployments.ready_build("v7.9.2"), "somebody else's release")
            case "foreign-release" | "foreign-promote":
                self.table("habits").put(scenario, {})
                self._meddle()
            case "charges-missing" | "usage-surge":
                self.billing.play(scenario)
            case _:
                self.table("habits").put(scenario, {})

    # Saying no

    def authorize(self, call: Call) -> Answer | None:
        if call.header("Authorization") != f"Bearer {self.secrets()['token']}":
            return self.error(403)
        team, slug = call.one("teamId"), call.one("slug")
        if team == TEAM or (not team and slug == TEAM_SLUG):
            return None
        if team or slug:
            return no(
                403, "forbidden", f"Not authorized: Trying to access resource under scope {team or slug}."
            )
        listed = _LISTS.get(call.path.rpartition("/")[2])
        if call.method == "GET" and listed and "/projects/" not in call.path:
            return Answer(200, {listed: [], "pagination": {"count": 0, "next": None, "prev": None}})
        return no(404, "not_found", "Not found in the personal account; teamId is missing.")

    def error(self, status: int) -> Answer:
        return no(status, *_CODES.get(status, ("internal_server_error", "An unexpected error occurred.")))

    # Time

    def on_due(self, what: str, data: Doc) -> None:
        match what:
            case "build":
                takes = BUILD_TAKES_LONG if self._used_up("build-slow") else BUILD_TAKES
                self.deployments.build(data["deployment"], takes=takes)
            case "built":
                self._built(data["deployment"])
            case "advance":
                self.releases.on_advance(data["release"], data["index"])
            case "job":
                self.moving.on_job(data["status"])
            case "delegate":
                self.domains.delegate(data["domain"], data["nameservers"])
            case "meddle":
                self._meddled(data["scenario"])

    def _built(self, deployment: str) -> None:
        ready = self.deployments.built(deployment, fails=self._used_up("build-fails"))
        if ready and self.projects.assigns:
            self.releases.ready(deployment)

    def _used_up(self, scenario: str) -> bool:
        """Return whether a scenario waits for this moment; it is over with it."""
        waits = scenario in self.table("habits")
        if waits:
            self.table("habits").drop(scenario)
        return waits

    def _meddle(self) -> None:
        """Let somebody meddle with the release under way an hour from now, when a scenario says so."""
        for scenario in ("foreign-release", "foreign-promote"):
            if self.releases.active and self._used_up(scenario):
                self.later("meddle", after=INTO_A_RELEASE, scenario=scenario)

    def _meddled(self, scenario: str) -> None:
        if scenario == "foreign-release":
            self.deployments.deploy("production", {"version": "v8.0.1", "by": "somebody else"})
        elif self.releases.active:
            self.moving.promoted_by_somebody(self.releases.active["canary"])
