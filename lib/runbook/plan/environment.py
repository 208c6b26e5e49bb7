"""Where things are in one environment: params/<environment>/environment.yaml; secrets only by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from runbook.errors import UnknownName
from runbook.plan.gates import Gates, Person
from runbook.plan.invariants import Freshness, Invariant
from runbook.plan.judging import Params, Wrong
from runbook.plan.organisation import repeated
from runbook.plan.service import Name, Positive, Text
from runbook.plan.words import Words, unknown_names

VariableName = Annotated[
    str,
    Field(pattern=r"^[A-Z][A-Z0-9_]*$"),
    Words("the name of an environment variable, such as OMNIHUB_DSN (never the secret itself)"),
]


class Database(Params):
    """One database: how to reach it, and what must be true of what is in it."""

    dsn_variable: VariableName | None = Field(
        description="the environment variable that holds its DSN; null: the sandbox makes the database itself"
    )
    extensions: tuple[Text, ...] = Field(default=(), description="extensions that a restored copy must have")
    invariants: tuple[Invariant, ...] = Field(
        default=(), description="what is true of the data while it is whole"
    )
    max_read_mb_s: Positive = Field(
        default=20.0, description="MB/s that a dump of the running database reads at most"
    )
    max_snapshot_minutes: Positive = Field(
        default=30.0, description="minutes that a dump may hold its snapshot, and vacuum with it"
    )
    freshness: Freshness | None = Field(default=None, description="how old the newest row of a backup may be")

    def wrongs(self) -> Iterator[Wrong]:
        seen: set[str] = set()
        for index, invariant in enumerate(self.invariants):
            if invariant.name in seen:
                yield Wrong(
                    ("invariants", index, "name"), f"{invariant.name!r} a second time", "each name once"
                )
            seen.add(invariant.name)


class Postgres(Params):
    """Which PostgreSQL does the work."""

    programs: Text | None = Field(
        default=None, description="folder with pg_ctl, pg_dump …; null: the best one found on this machine"
    )


class Environment(Params):
    """One environment of the project."""

    name: Name = Field(description="its name, the same as its folder's")
    says: Text = Field(description="what it is, in a sentence")
    default_mode: Literal["plan", "apply"] = Field(
        description="what a run does unless told; plan changes nothing, only the sandbox may say apply"
    )
    databases: dict[Name, Database] = Field(default={}, description="the databases, by the name runbooks use")
    postgres: Postgres = Field(default=Postgres(), description="which PostgreSQL does the work")
    secret_variables: tuple[VariableName, ...] = Field(
        default=(), description="environment variables that hold secrets, besides every `dsn_variable`"
    )
    people: tuple[Person, ...] = Field(default=(), description="who signs here, and as what")
    gates: Gates = Field(default=Gates(), description="what a run must pass before it changes anything")

    def wrongs(self) -> Iterator[Wrong]:
        yield from repeated("people", (person.principal for person in self.people), field="principal")
        if self.gates.approvals == "rehearsed" and self.name != "sandbox":
            yield Wrong(("gates", "approvals"), "rehearsed", "signed: only the sandbox signs for people")
        if self.default_mode == "apply" and self.name != "sandbox":
            yield Wrong(
                ("default_mode",), "apply", "plan: only the sandbox changes things without being told to"
            )

    @property
    def secret_names(self) -> tuple[str, ...]:
        """Return every variable that holds a secret here: those listed, and each database's DSN."""
        dsns = (database.dsn_variable for database in self.databases.values())
        return tuple(dict.fromkeys([*self.secret_variables, *filter(None, dsns)]))

    def database(self, name: str) -> Database:
        """Return the database of that name; UnknownName tells the nearest ones."""
        if name not in self.databases:
            right = unknown_names(name, self.databases)
            raise UnknownName(f"the environment {self.name} has no database {name!r}; right would be {right}")
        return self.databases[name]
