"""OmniHub's database in the world: a real PostgreSQL, where a world is asked to have one.

It listens on 127.0.0.1 with a password made for it (`secrets()["dsn"]`). It keeps real time, and it lives as
long as the world's process: its scratch folder goes with that, however it ends, and a world that is taken up
again gets a new one, filled as the first was. Whoever runs it in the world (a vendor's emulator) may ask it,
and have it recovered to an earlier time of the world.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from runbook.errors import StepFailed
from runbook.postgres.cluster import Cluster, create_cluster
from runbook.postgres.programs import find_programs
from runbook.sandbox import omnihub
from runbook.sandbox.recovery import KEPT, Recovery
from runbook.sandbox.world.part import Part
from runbook.sandbox.world.state import Doc
from runbook.sandbox.world.world import World
from runbook.scratch import Scratch, open_scratch
from runbook.step import Step

NAME: Final = "omnihub"
READER: Final = "supabase_read_only_user"
SIZE_MB: Final = 1


class Database(Part):
    """A cluster of its own with the database `omnihub`; nothing of it stands in the world's tables."""

    name = "database"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._scratch: Scratch | None = None
        self._recovery: Recovery | None = None
        self._serves, self._is_shadow = False, False

    def secrets(self) -> Mapping[str, str]:
        return {} if self._recovery is None else {"dsn": _dsn(self._recovery.cluster)}

    def addresses(self) -> Mapping[str, str]:
        return {} if self._recovery is None else {NAME: f"127.0.0.1:{self._recovery.cluster.port}"}

    def seed(self) -> None:
        """Come up again where a world is reset while it is down; what is in it stays."""
        if self._recovery is not None and not self._serves:
            self._recovery.come_up()
            self._serves = True

    def status(self) -> Doc:
        if self._recovery is None:
            return {"databases": []}
        version = self._recovery.cluster.version
        down = "" if self._serves else ", down"
        return {"databases": [f"{NAME}, PostgreSQL {version}, {SIZE_MB} MB{down}"]}

    async def start(self) -> None:
        await asyncio.to_thread(self._begin)

    async def stop(self) -> None:
        if self._recovery is not None:
            self._recovery.cluster.stop(mode="immediate")
            self._recovery = None
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None

    def time_passes(self) -> None:
        if self._recovery is not None and self._serves:
            with suppress(psycopg.OperationalError):  # somebody has ended it: it holds what it held
                self._recovery.mark(self.now)

    def lend_to(self, shadow: Part) -> None:
        if isinstance(shadow, Database):
            shadow.borrow(self._recovery, serves=self._serves)

    def borrow(self, recovery: Recovery | None, *, serves: bool) -> None:
        """Be the shadow of another: ask its cluster, and undo what that changed."""
        self._recovery, self._serves, self._is_shadow = recovery, serves, True

    # What the one who runs it may do

    @property
    def serves(self) -> bool:
        """Whether it answers."""
        return self._serves

    @property
    def earliest(self) -> datetime | None:
        """Return the first time that it can be recovered to, None without PostgreSQL."""
        return None if self._recovery is None else self._recovery.earliest

    def ask(self, statement: str, parameters: Sequence[Any], *, read_only: bool) -> list[Doc]:
        """Run SQL (parameters are $1, $2 …) in one transaction and return the rows of its last statement.

        Read only: as a user who may look at everything, to whom every name must be given with its schema.
        Raises StepFailed with the server's code and words.
        """
        try:
            return self._asked(statement, parameters, read_only=read_only)
        except psycopg.Error as error:
            words = error.diag.message_primary or str(error).strip()
            raise StepFailed(f"{error.sqlstate or 'connection'}: {words}") from error

    def _asked(self, statement: str, parameters: Sequence[Any], *, read_only: bool) -> list[Doc]:
        assert self._recovery is not None  # noqa: S101  # `serves` was asked
        connection = self._recovery.cluster.connect(database=NAME, autocommit=False)
        with closing(connection), psycopg.RawCursor(connection, row_factory=dict_row) as cursor:
            if read_only:
                cursor.execute("SET TRANSACTION READ ONLY")
                cursor.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(READER)))
                cursor.execute("SET LOCAL search_path = ''")
            cursor.execute(statement.encode(), parameters or None)
            while cursor.nextset():
                pass
            rows = cursor.fetchall() if cursor.description else []
            if self._is_shadow:
                connection.rollback()
            else:
                connection.commit()
        return rows

    def go_down(self) -> None:
        """Answer nobody until it is recovered; connections are ended."""
        if self._recovery is not None and self._serves:
            self._recovery.mark(self.now)
            self._serves = False
            self._recovery.stop()

    def recover(self, to: datetime) -> None:
        """Hold again what was in it at a time of the world; StepFailed without a backup from before."""
        if self._recovery is not None:
            self._recovery.recover(to, now=self.now)
            self._serves = True

    def _begin(self) -> None:
        self._scratch = open_scratch()
        programs = find_programs(scratch=self._scratch.folder)
        cluster = create_cluster(programs, self._scratch.folder / "database", settings=KEPT, tcp=True)
        cluster.start(programs)
        with closing(cluster.connect()) as connection:
            connection.execute(f"CREATE DATABASE {NAME}")
            connection.execute(f"CREATE ROLE {READER} IN ROLE pg_read_all_data")
        omnihub.fill(Step(), partial(cluster.connect, database=NAME), size_mb=SIZE_MB)
        self._recovery = Recovery(programs, cluster, self._scratch.folder, now=self.now)
        self._serves = True


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
