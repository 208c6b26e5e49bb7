"""OmniHub's database in the world: a real PostgreSQL, where a world is asked to have one.

It listens on 127.0.0.1 with a password made for it (`secrets()["dsn"]`). It keeps real time, and it lives as
long as the world's process: its scratch folder goes with that, however it ends, and a world that is taken up
again gets a new one, filled as the first was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from typing import Final

from psycopg.conninfo import make_conninfo

from runbook.postgres.cluster import Cluster, create_cluster
from runbook.postgres.programs import find_programs
from runbook.sandbox import omnihub
from runbook.sandbox.world.part import Part
from runbook.sandbox.world.state import Doc
from runbook.sandbox.world.world import World
from runbook.scratch import Scratch, open_scratch
from runbook.step import Step

NAME: Final = "omnihub"
SIZE_MB: Final = 1


class Database(Part):
    """A cluster of its own with the database `omnihub`; nothing of it stands in the world's tables."""

    name = "database"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._scratch: Scratch | None = None
        self._cluster: Cluster | None = None

    def secrets(self) -> Mapping[str, str]:
        return {} if self._cluster is None else {"dsn": _dsn(self._cluster)}

    def addresses(self) -> Mapping[str, str]:
        return {} if self._cluster is None else {NAME: f"127.0.0.1:{self._cluster.port}"}

    def status(self) -> Doc:
        if self._cluster is None:
            return {"databases": []}
        return {"databases": [f"{NAME}, PostgreSQL {self._cluster.version}, {SIZE_MB} MB"]}

    async def start(self) -> None:
        await asyncio.to_thread(self._begin)

    async def stop(self) -> None:
        if self._cluster is not None:
            self._cluster.stop(mode="immediate")
            self._cluster = None
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None

    def _begin(self) -> None:
        self._scratch = open_scratch()
        programs = find_programs(scratch=self._scratch.folder)
        cluster = create_cluster(programs, self._scratch.folder / "database", tcp=True)
        cluster.start(programs)
        with closing(cluster.connect()) as connection:
            connection.execute(f"CREATE DATABASE {NAME}")
        omnihub.fill(Step(), partial(cluster.connect, database=NAME), size_mb=SIZE_MB)
        self._cluster = cluster


def _dsn(cluster: Cluster) -> str:
    """Return a connection string that needs nothing else: no passfile of ours, no variable of anybody's."""
    assert cluster.passfile is not None  # noqa: S101  # made with tcp=True
    password = cluster.passfile.read_text().rsplit(":", 1)[1].strip()
    return make_conninfo(
        "",
        host="127.0.0.1",
        port=cluster.port,
        user=cluster.user,
        dbname=NAME,
        password=password,
        sslmode="disable",
    )


PART = Database
