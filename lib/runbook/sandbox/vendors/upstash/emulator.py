"""Upstash's developer API and its data over REST, as far as the runbooks use them, traps included.

- In a pipeline a failing command is an entry inside a 200; a transaction is refused as a whole only when one
  of its commands is none.
- The management API knows no database that was made through Vercel's marketplace (scenario).
- What the bill says is by the last full hour.

Commands are run by the world's real Valkey (part `valkey`) where that is; without it a table answers the few
that runbooks use (store.py), so that no other part of a rehearsal needs it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from runbook.sandbox.vendors.upstash import usage
from runbook.sandbox.vendors.upstash.store import Command, CommandError, Discarded, TableStore
from runbook.sandbox.world.part import LOWER, UPPER, Answer, Call, Part, Route
from runbook.sandbox.world.state import Doc

if TYPE_CHECKING:
    from runbook.sandbox.valkey import Valkey  # a world without it does not load it

DATABASE: Final = "9f5b1a5c-7d3e-4c1b-a1f2-0c0de0c0de01"
EMAIL: Final = "devops@omnihub.dev"
_CREATED_S: Final = 1_777_900_000
_WRITES: Final = frozenset({"SET", "DEL", "INCR", "INCRBY", "EXPIRE", "FLUSHALL", "FLUSHDB"})
_WORDS: Final = {400: "bad request", 401: "unauthorized", 403: "forbidden", 404: "database not found"}


class Upstash(Part):
    name = "upstash"
    mounts = ("upstash", "upstash-data")
    scenarios: ClassVar[Mapping[str, str]] = {
        "upstash-marketplace": "our database at Upstash is Vercel's marketplace's: no management, no bill"
    }

    def routes(self) -> Iterable[Route]:
        for path, call, handler in (
            ("/upstash/redis/databases", "read_databases", self.databases),
            ("/upstash/redis/database/{id}", "read_database", self.database),
            ("/upstash/redis/stats/{id}", "read_stats", self.stats),
        ):
            yield Route("GET", path, call, handler)
        for path, call, handler in (
            ("/upstash-data", "run_command", self.command),
            ("/upstash-data/pipeline", "run_pipeline", self.pipeline),
            ("/upstash-data/multi-exec", "run_transaction", self.transaction),
        ):
            yield Route("POST", path, call, handler)

    def seed(self) -> None:
        self.table("secrets").put("api_key", {"value": self.token(36)})
        self.table("secrets").put("rest_token", {"value": self.token(40, UPPER + LOWER)})
        self.table("secrets").put("rest_read_token", {"value": self.token(40, UPPER + LOWER)})
        self.table("count").put("commands", {"run": 0})

    def secrets(self) -> Mapping[str, str]:
        made = {name: doc["value"] for name, doc in self.table("secrets").items()}
        return {"email": EMAIL, **made}

    def status(self) -> Doc:
        by = "Valkey" if self._valkey is not None else "a table"
        return {"commands": f"{self.table('count')['commands']['run']} run, answered by {by}"}

    def play(self, scenario: str) -> None:
        self.table("habits").put(scenario, {})

    def lend_to(self, shadow: Part) -> None:
        """A shadow has no Valkey; it looks at the texts that ours holds, in its table."""
        if self._valkey is not None:
            for key, text in self._valkey.texts().items():
                shadow.table("data").put(key, {"text": text, "expires": ""})

    # Saying no

    def authorize(self, call: Call) -> Answer | None:
        shown, held = call.header("Authorization"), self.secrets()
        if call.path.startswith("/upstash-data"):
            token = shown.removeprefix("Bearer ")
            if token in (held["rest_token"], held["rest_read_token"]):
                return None
            return Answer(401, {"error": "WRONGPASS invalid or missing auth token"})
        pair = base64.b64encode(f"{EMAIL}:{held['api_key']}".encode()).decode()
        if shown != f"Basic {pair}":
            return self.error(401)
        return self.error(403) if "upstash-marketplace" in self.table("habits") else None

    def error(self, status: int) -> Answer:
        return Answer(status, {"error": _WORDS.get(status, "internal server error")})

    # Management

    def databases(self, _call: Call) -> Answer:
        return Answer(200, [self._database()])

    def database(self, call: Call) -> Answer:
        return Answer(200, self._database()) if call.args["id"] == DATABASE else self.error(404)

    def stats(self, call: Call) -> Answer:
        if call.args["id"] != DATABASE:
            return self.error(404)
        run = self.table("count")["commands"]["run"]
        return Answer(200, usage.stats(self.now, self.world.seed, more=run))

    def _database(self) -> Doc:
        return {
            "database_id": DATABASE,
            "database_name": "omnihub-ratelimit",
            "region": "global",
            "primary_region": "eu-central-1",
            "port": 6379,
            "creation_time": _CREATED_S,
            "state": "active",
            "endpoint": "omnihub-ratelimit-41021.upstash.io",
            "tls": True,
            "type": "payg",
            "budget": 20,
            "eviction": True,
            "consistent": False,
            "db_request_limit": 1_000_000_000,
            "db_memory_threshold": 10_737_418_240,
        }

    # Data

    def command(self, call: Call) -> Answer:
        commands = _commands(call.json(), nested=False)
        if commands is None:
            return Answer(400, {"error": "ERR failed to parse command"})
        try:
            found = self._run(call, commands[0])
        except CommandError as error:
            return Answer(400, {"error": str(error)})
        return Answer(200, {"result": _coded(call, found)})

    def pipeline(self, call: Call) -> Answer:
        commands = _commands(call.json(), nested=True)
        if commands is None:
            return Answer(400, {"error": "ERR failed to parse pipeline request"})
        return Answer(200, [self._entry(call, one) for one in commands])

    def transaction(self, call: Call) -> Answer:
        commands = _commands(call.json(), nested=True)
        if commands is None:
            return Answer(400, {"error": "ERR failed to parse transaction request"})
        try:
            for one in commands:
                self._insist(call, one)
            found = self._store.run_together(commands)
        except (Discarded, CommandError) as error:
            return Answer(400, {"error": str(error)})
        self._count(len(commands))
        return Answer(200, [_entry_of(call, one) for one in found])

    def _entry(self, call: Call, command: Command) -> Doc:
        try:
            return _entry_of(call, self._run(call, command))
        except CommandError as error:
            return _entry_of(call, error)

    def _run(self, call: Call, command: Command) -> Any:
        self._insist(call, command)
        self._count(1)
        return self._store.run(command)

    def _insist(self, call: Call, command: Command) -> None:
        """Refuse a change to whoever shows the token that may only read."""
        reads_only = call.header("Authorization").endswith(self.secrets()["rest_read_token"])
        if reads_only and command[0].upper() in _WRITES:
            raise CommandError(
                f"NOPERM this user has no permissions to run the '{command[0].lower()}' command"
            )

    def _count(self, commands: int) -> None:
        run = self.table("count")["commands"]["run"]
        self.table("count").put("commands", {"run": run + commands})

    @property
    def _valkey(self) -> Valkey | None:
        found = cast("Valkey | None", self.world.parts.get("valkey"))
        return found if found is not None and found.serves else None

    @property
    def _store(self) -> Valkey | TableStore:
        return self._valkey or TableStore(self)


def _commands(data: Any, *, nested: bool) -> list[list[str]] | None:
    """Return the commands of a body as words, None when it is not made of any."""
    lists = data if nested else [data]
    if not isinstance(lists, list) or not lists or not all(isinstance(one, list) and one for one in lists):
        return None
    return [[word if isinstance(word, str) else str(word) for word in one] for one in lists]


def _entry_of(call: Call, found: Any) -> Doc:
    return {"error": str(found)} if isinstance(found, CommandError) else {"result": _coded(call, found)}


def _coded(call: Call, found: Any) -> Any:
    """Return a result as the caller wants it: texts in base64 when it says so, but for OK."""
    if call.header("Upstash-Encoding") != "base64":
        return found
    if isinstance(found, list):
        return [_coded(call, one) for one in found]
    return base64.b64encode(found.encode()).decode() if isinstance(found, str) and found != "OK" else found
