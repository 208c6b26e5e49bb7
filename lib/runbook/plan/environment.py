"""Where things are in one environment: params/<environment>/environment.yaml; secrets only by name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from runbook.errors import InputError, UnknownName
from runbook.plan.gates import Gates, Person
from runbook.plan.invariants import Freshness, Invariant
from runbook.plan.judging import Params, Wrong
from runbook.plan.organisation import repeated
from runbook.plan.service import Name, Positive, Text
from runbook.plan.words import Words
from runbook.wording import unknown_names

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


Url = Annotated[
    str,
    Field(pattern=r"^(https://[A-Za-z0-9.-]+(:\d+)?|http://127\.0\.0\.1:\d+)(/[^\s?#@]*)?$"),
    Words("an address such as https://api.example.com (https only, no user, no query)"),
]


class Vendor(Params):
    """One vendor's API: where it is, which variables hold its secrets, which of its things are ours."""

    base_url: Url | None = Field(description="where its API is; null: the sandbox's emulator")
    urls: dict[Name, Url] = Field(default={}, description="its other addresses, by the name its client uses")
    secret_variables: dict[Name, VariableName] = Field(
        default={}, description="environment variables that hold its secrets, by the name its client uses"
    )
    ids: dict[Name, Text | None] = Field(
        default={},
        description="its names for what is ours: account, zone, project, service …; null: not filled in yet",
    )
    timeout_s: Positive = Field(default=30.0, description="how long a reply may take")

    def wrongs(self) -> Iterator[Wrong]:
        if self.base_url is None and (self.urls or self.secret_variables):
            yield Wrong(("base_url",), "null", "an address: the sandbox has addresses and secrets of its own")

    def id(self, name: str) -> str:
        """Return the vendor's own name for one of our things; InputError when it is not filled in."""
        if (found := self.ids.get(name)) is None:
            raise InputError(
                f"the vendor's id of our {name} is not filled in; write it into environment.yaml under "
                f"`ids: {name}` of that vendor (it has {', '.join(self.ids) or 'none yet'}), and run it again"
            )
        return found


DomainName = Annotated[
    str,
    Field(pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?$"),
    Words("a registered domain such as omnihub.dev (small letters, A-labels, no dot at the end)"),
]


class Domain(Params):
    """One registered domain: who is asked to change its nameservers."""

    registrar: Literal["namecheap", "godaddy", "vercel", "manual"] = Field(
        description="where it is registered; manual: a person changes its nameservers, a run verifies that"
    )
    registered_at: Text | None = Field(
        default=None, description="for manual: the registrar, its address and the account to log in with"
    )

    def wrongs(self) -> Iterator[Wrong]:
        if (self.registrar == "manual") != (self.registered_at is not None):
            yield Wrong(
                ("registered_at",),
                "null" if self.registered_at is None else "a registrar",
                "where a person changes nameservers, with registrar: manual, and only then",
            )


class Vantage(Params):
    """One public resolver, asked while a change of nameservers spreads."""

    name: Text = Field(description="how people call it, and where it stands")
    address: Text | None = Field(
        default=None, description="its address, or in the sandbox its name; null: it is asked over HTTPS"
    )
    doh: Literal["google", "cloudflare"] | None = Field(
        default=None, description="whose DNS over HTTPS is asked; null: it is asked by its address"
    )
    weight: Positive = Field(default=1.0, description="users behind it, in any unit that all share")

    def wrongs(self) -> Iterator[Wrong]:
        if (self.address is None) == (self.doh is None):
            found = "neither" if self.address is None else "both"
            yield Wrong(("address",), found, "either an address or doh: google or cloudflare")


class WebPage(Params):
    """A page of the site that must be there, whoever answers for its name."""

    host: DomainName = Field(description="its host name")
    path: Annotated[str, Field(pattern=r"^/[^\s?#]*$"), Words("a path such as /health")] = Field(
        default="/", description="its path"
    )
    says: Text = Field(description="words that stand in it while the site is whole")


class DeclaredCost(Params):
    """A cost that no vendor's API tells, as we know it."""

    service: Text = Field(description="the service, as the plan's cost breakdown calls it")
    what: Text = Field(description="what is paid for")
    cost_usd_per_month: float | None = Field(
        description="its price for a month, negative for a credit; null: not known"
    )
    declared_on: date = Field(description="the date on which that was so")


class Environment(Params):
    """One environment of the project."""

    name: Name = Field(description="its name, the same as its folder's")
    says: Text = Field(description="what it is, in a sentence")
    default_mode: Literal["plan", "apply"] = Field(
        description="what a run does unless told; plan changes nothing, only the sandbox may say apply"
    )
    databases: dict[Name, Database] = Field(default={}, description="the databases, by the name runbooks use")
    postgres: Postgres = Field(default=Postgres(), description="which PostgreSQL does the work")
    vendors: dict[Name, Vendor] = Field(default={}, description="the vendors' APIs, by their clients' names")
    domains: dict[DomainName, Domain] = Field(default={}, description="our domains, as they are registered")
    resolvers: tuple[Text, ...] = Field(
        default=(),
        description="DNS resolvers that find nameservers, the preferred first; none: the sandbox's",
    )
    propagation: tuple[Vantage, ...] = Field(
        default=(), description="public resolvers watched while nameservers change, with users behind each"
    )
    pages: tuple[WebPage, ...] = Field(
        default=(), description="pages of the site, visited through each side while nameservers change"
    )
    secret_variables: tuple[VariableName, ...] = Field(
        default=(),
        description="environment variables that hold secrets, besides those of databases and vendors",
    )
    declared_costs: tuple[DeclaredCost, ...] = Field(
        default=(), description="costs that no vendor's API tells; they count as declared, never as measured"
    )
    worlds: tuple[Name, ...] = Field(
        default=(),
        description="the sandbox's: runbooks that are rehearsed in a world, with its vendors, its DNS and a "
        "clock that jumps; the others go by this machine's own time",
    )
    people: tuple[Person, ...] = Field(default=(), description="who signs here, and as what")
    gates: Gates = Field(default=Gates(), description="what a run must pass before it changes anything")

    def wrongs(self) -> Iterator[Wrong]:
        yield from repeated("people", (person.principal for person in self.people), field="principal")
        yield from repeated("propagation", (one.name for one in self.propagation))
        if self.gates.approvals == "rehearsed" and self.name != "sandbox":
            yield Wrong(("gates", "approvals"), "rehearsed", "signed: only the sandbox signs for people")
        if self.worlds and self.name != "sandbox":
            yield Wrong(("worlds",), ", ".join(self.worlds), "none: only the sandbox has rehearsal worlds")
        if self.default_mode == "apply" and self.name != "sandbox":
            yield Wrong(
                ("default_mode",), "apply", "plan: only the sandbox changes things without being told to"
            )

    @property
    def secret_names(self) -> tuple[str, ...]:
        """Return every variable that holds a secret here: listed ones, databases' DSNs, vendors' keys."""
        dsns = (database.dsn_variable for database in self.databases.values())
        keys = (name for vendor in self.vendors.values() for name in vendor.secret_variables.values())
        return tuple(dict.fromkeys([*self.secret_variables, *filter(None, dsns), *keys]))

    def database(self, name: str) -> Database:
        """Return the database of that name; UnknownName tells the nearest ones."""
        if name not in self.databases:
            right = unknown_names(name, self.databases)
            raise UnknownName(f"the environment {self.name} has no database {name!r}; right would be {right}")
        return self.databases[name]

    def domain(self, name: str) -> Domain:
        """Return the registered domain of that name; UnknownName tells the nearest ones."""
        if name not in self.domains:
            right = unknown_names(name, self.domains)
            raise UnknownName(
                f"the environment {self.name} has no domain {name!r}; right would be {right}. "
                f"Domains stand in params/{self.name}/environment.yaml under `domains`"
            )
        return self.domains[name]

    def vendor(self, name: str) -> Vendor:
        """Return the vendor of that name; UnknownName tells the nearest ones."""
        if name not in self.vendors:
            right = unknown_names(name, self.vendors)
            raise UnknownName(
                f"the environment {self.name} has no vendor {name!r}; right would be {right}. "
                f"Vendors stand in params/{self.name}/environment.yaml under `vendors`"
            )
        return self.vendors[name]
