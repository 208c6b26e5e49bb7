"""Supabase's Management API as far as the runbooks use it, traps included.

- A restore's 201 has no body, and the project reads ACTIVE_HEALTHY for another twenty seconds. Only then it
  leaves that state, and its database with it; it comes back minutes later, by COMING_UP.
- With point-in-time recovery (an add-on, scenario `pitr`) there are no nightly backups any more, and what was
  written in the last two minutes cannot be restored to.
- SQL's answer is a 201; the read-only user must name schemas.
- 60 calls a minute; then 429 without Retry-After.

SQL and restores are the world's real PostgreSQL's (part `database`). In a world without it the project
answers as one whose database does not: SQL is refused, and there is no physical backup, so every time lies
outside the window. Everything else is the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast
from uuid import UUID

from runbook.clock import utc_text
from runbook.errors import StepFailed
from runbook.sandbox.vendors.supabase import addons, backups
from runbook.sandbox.world.part import HEX, Answer, Call, Part, Route
from runbook.sandbox.world.quota import Quota, Window
from runbook.sandbox.world.state import Doc

if TYPE_CHECKING:
    from runbook.sandbox.database import Database  # a world without PostgreSQL does not load it

REF, ORGANIZATION = "omnihubproductionref", "omnihub"
STILL_READS_HEALTHY: Final = timedelta(seconds=20)
RESTORE_TAKES: Final = timedelta(minutes=4)
RESTORE_TAKES_LONG: Final = timedelta(hours=6)
COMES_UP: Final = timedelta(seconds=30)
_CREATED: Final = "2026-05-04T09:12:44.000Z"
_SERVICES: Final = ("auth", "db", "db_postgres_user", "pooler", "realtime", "rest", "storage", "pg_bouncer")
_WORDS: Final = {401: "Unauthorized", 403: "Forbidden resource", 404: "Project not found"}
_LIMIT: Final = (Window(60, 60),)


class Supabase(Part):
    name = "supabase"
    mounts = ("supabase",)
    scenarios: ClassVar[Mapping[str, str]] = {
        "pitr": "Supabase keeps the log for point-in-time recovery; nightly backups stop with it",
        "backups-missing": "Supabase has no backup of the last night, nor of the one to come",
        "restore-stuck": "the next restore at Supabase is not back for six hours",
        "restore-fails": "the next restore at Supabase ends in RESTORE_FAILED",
    }

    def routes(self) -> Iterable[Route]:
        one = "/supabase/v1/projects/{ref}"
        rows: list[tuple[str, str, str, Callable[[Call], Answer]]] = [
            ("GET", "/supabase/v1/projects", "read_projects", self.projects),
            ("GET", "/supabase/v1/organizations/{slug}", "read_organization", self.organization),
            ("GET", one, "read_project", self.project),
            ("GET", f"{one}/health", "read_health", self.health),
            ("GET", f"{one}/database/backups", "read_backups", self.listed),
            ("POST", f"{one}/database/backups/restore-pitr", "restore_pitr", self.restore),
            ("POST", f"{one}/database/query", "run_sql", self.run_sql),
            ("POST", f"{one}/database/query/read-only", "read_sql", self.read_sql),
            ("GET", f"{one}/billing/addons", "read_addons", self.addons),
        ]
        for method, path, call, handler in rows:
            changes = False if call == "read_sql" else None
            yield Route(method, path, call, self._checked(handler), changes=changes)

    def seed(self) -> None:
        self.table("secrets").put("token", {"value": "sbp_" + self.token(40, HEX)})
        self.table("project").put(REF, {"status": "ACTIVE_HEALTHY", "addons": [addons.MICRO]})

    def secrets(self) -> Mapping[str, str]:
        return {"token": self.table("secrets")["token"]["value"]}

    def status(self) -> Doc:
        held = self.table("project")[REF]
        return {
            "project": f"{REF}: {held['status']}, {', '.join(held['addons'])}",
            "restores": [
                f"asked at {r['asked_at']} to {r['target']}: {r['came_to']}"
                for r in self.table("restores").values()
            ],
        }

    def play(self, scenario: str) -> None:
        if scenario == "pitr":
            self.table("project").change(REF, addons=[addons.SMALL, addons.PITR_7])
        elif scenario == "backups-missing":
            at = datetime.combine(self.now.date(), backups.TAKEN_AT)
            last = at if at <= self.now else at - timedelta(days=1)
            for night in (last, last + timedelta(days=1)):
                self.table("missing").put(night.date().isoformat(), {})
        else:
            self.table("habits").put(scenario, {})

    # Saying no

    def authorize(self, call: Call) -> Answer | None:
        shown = call.header("Authorization") == f"Bearer {self.secrets()['token']}"
        return None if shown else self.error(401)

    def error(self, status: int) -> Answer:
        return Answer(status, {"message": _WORDS.get(status, "Internal server error")})

    def limited(self, retry_after_s: int | None) -> Answer:
        told = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        return Answer(429, {"message": "ThrottlerException: Too Many Requests"}, told)

    def _checked(self, handler: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
        """Return a handler that counts the call and knows the project."""

        def answer(call: Call) -> Answer:
            if Quota(self.table("calls"), _LIMIT).take("all", self.now):
                return self.limited(None)
            if call.args.get("ref", REF) != REF:
                return self.error(404)
            return handler(call)

        return answer

    # Reading

    def projects(self, _call: Call) -> Answer:
        return Answer(200, [self._project()])

    def project(self, _call: Call) -> Answer:
        return Answer(200, self._project())

    def organization(self, call: Call) -> Answer:
        if call.args["slug"] != ORGANIZATION:
            return Answer(404, {"message": "Organization not found"})
        plain: Doc = {"opt_in_tags": [], "allowed_release_channels": ["ga"]}
        return Answer(200, {"id": ORGANIZATION, "name": "OmniHub", "plan": "pro", **plain})

    def _project(self) -> Doc:
        database = {
            "host": f"db.{REF}.supabase.co",
            "version": "17.6.1.021",
            "postgres_engine": "17",
            "release_channel": "ga",
        }
        return {
            "id": REF,
            "ref": REF,
            "organization_id": ORGANIZATION,
            "organization_slug": ORGANIZATION,
            "name": "omnihub production",
            "region": "eu-central-1",
            "created_at": _CREATED,
            "status": self._held()["status"],
            "database": database,
        }

    def health(self, call: Call) -> Answer:
        asked = call.all("services")
        if not asked or set(asked) - set(_SERVICES):
            return Answer(400, {"message": "services must be one of: " + ", ".join(_SERVICES)})
        status = {"ACTIVE_HEALTHY": "ACTIVE_HEALTHY", "COMING_UP": "COMING_UP"}.get(
            self._held()["status"], "UNHEALTHY"
        )
        good = status == "ACTIVE_HEALTHY"
        return Answer(200, [{"name": name, "healthy": good, "status": status} for name in asked])

    def listed(self, _call: Call) -> Answer:
        pitr = self._pitr
        return Answer(
            200,
            {
                "region": "eu-central-1",
                "walg_enabled": pitr,
                "pitr_enabled": pitr,
                "backups": [] if pitr else backups.nightly(self.now, set(self.table("missing"))),
                "physical_backup_data": self._window() if pitr else {},
            },
        )

    def addons(self, _call: Call) -> Answer:
        return Answer(200, addons.listed(self._held()["addons"]))

    # SQL

    def run_sql(self, call: Call) -> Answer:
        return self._sql(call, read_only=bool(call.fields().get("read_only", False)))

    def read_sql(self, call: Call) -> Answer:
        return self._sql(call, read_only=True)

    def _sql(self, call: Call, *, read_only: bool) -> Answer:
        asked, database = call.fields(), self._database
        if not isinstance(asked.get("query"), str):
            return Answer(400, {"message": "query: Required"})
        if database is None or not database.serves:
            return _failed_sql("the connection to the database was refused")
        try:
            rows = database.ask(asked["query"], asked.get("parameters") or [], read_only=read_only)
        except StepFailed as error:
            return _failed_sql(f"ERROR:  {error}")
        return Answer(201, [{name: _plain(value) for name, value in row.items()} for row in rows])

    # Restores

    def restore(self, call: Call) -> Answer:
        target = call.fields().get("recovery_time_target_unix")
        if not isinstance(target, int):
            return Answer(400, {"message": "recovery_time_target_unix: Required"})
        if not self._pitr:
            return Answer(400, {"message": "PITR is not enabled for this project"})
        if self._held()["status"] != "ACTIVE_HEALTHY" or self._under_way():
            return Answer(400, {"message": "A restore of this project is in progress"})
        window = self._window()
        first, last = (window.get(f"{name}_physical_backup_date_unix") for name in ("earliest", "latest"))
        if first is None or last is None or not first <= target <= last:
            return Answer(400, {"message": "Recovery target is outside of the recovery window"})
        number = str(len(self.table("restores")) + 1)
        asked = {"asked_at": utc_text(self.now), "target": target, "came_to": "under way"}
        self.table("restores").put(number, asked)
        self.later("leave", after=STILL_READS_HEALTHY, restore=number)
        return Answer(201)

    def on_due(self, what: str, data: Doc) -> None:
        if what == "leave":
            self._leave(data["restore"])
        elif what == "restored":
            self._come_up(data["restore"])
        else:
            self.table("restores").change(data["restore"], came_to="done")
            self._become("ACTIVE_HEALTHY")

    def _leave(self, restore: str) -> None:
        self._become("RESTORING")
        if (database := self._database) is not None:
            database.go_down()
        takes = RESTORE_TAKES_LONG if self._used_up("restore-stuck") else RESTORE_TAKES
        self.later("restored", after=takes, restore=restore)

    def _come_up(self, restore: str) -> None:
        to = datetime.fromtimestamp(self.table("restores")[restore]["target"], UTC)
        fails = self._used_up("restore-fails") or self._database is None
        try:
            if self._database is not None and not fails:
                self._database.recover(to)
        except StepFailed:
            fails = True
        if fails:
            self.table("restores").change(restore, came_to="failed")
            self._become("RESTORE_FAILED")
            return
        self._become("COMING_UP")
        self.later("up", after=COMES_UP, restore=restore)

    # What is held

    @property
    def _database(self) -> Database | None:
        return cast("Database | None", self.world.parts.get("database"))

    @property
    def _pitr(self) -> bool:
        return addons.PITR_7 in self._held()["addons"]

    def _window(self) -> Doc:
        return backups.window(self._database.earliest if self._database else None, self.now)

    def _held(self) -> Doc:
        return self.table("project")[REF]

    def _become(self, status: str) -> None:
        self.table("project").change(REF, status=status)

    def _under_way(self) -> bool:
        return any(doc["came_to"] == "under way" for doc in self.table("restores").values())

    def _used_up(self, scenario: str) -> bool:
        """Return whether a scenario waits for this moment; it is over with it."""
        waits = scenario in self.table("habits")
        if waits:
            self.table("habits").drop(scenario)
        return waits


def _failed_sql(words: str) -> Answer:
    return Answer(400, {"message": f"Failed to run sql query: {words}"})


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; what JSON has no form for is text, as numbers with a scale are there."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    if isinstance(value, UUID | bytes):
        return str(value) if isinstance(value, UUID) else f"\\x{value.hex()}"
    try:
        json.dumps(value)
    except TypeError:
        return str(value)
    return value
