"""Databases of their own for tests, in a running cluster, and how to break them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest

from runbook.postgres.cluster import Cluster, create_cluster


@pytest.fixture(scope="session")
def origin(programs, scratch):
    """A running cluster with nothing in it but what dumps are made of."""
    cluster = create_cluster(programs, scratch / "origin", settings={"fsync": "off"})
    cluster.start(programs)
    yield cluster
    cluster.stop(mode="immediate")


def make_database(cluster: Cluster, name: str, *statements: str) -> Callable[[], psycopg.Connection]:
    """Create a database, run statements in it, and return how to connect to it."""
    with cluster.connect() as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    connect = partial(cluster.connect, database=name)
    execute(connect, *statements)
    return connect


def execute(connect: Callable[[], psycopg.Connection], *statements: str) -> None:
    with connect() as connection:
        for statement in statements:
            connection.execute(statement)


def value_of(connect: Callable[[], psycopg.Connection], query: str) -> object:
    with connect() as connection:
        return connection.execute(query).fetchall()[0][0]


@contextmanager
def copy_with_bad_page(cluster: Cluster, name: str, template: str, table: str) -> Iterator[None]:
    """Copy a database file by file; half a page of a table in the copy is overwritten before it is read."""
    with cluster.connect() as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        [(old, new)] = connection.execute(
            "SELECT a.oid, b.oid FROM pg_database a, pg_database b WHERE a.datname = %s AND b.datname = %s",
            (template, name),
        ).fetchall()
    with cluster.connect(database=template) as connection:
        [(path,)] = connection.execute("SELECT pg_relation_filepath(%s)", (table,)).fetchall()
    with (cluster.data / path.replace(f"base/{old}/", f"base/{new}/")).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xde\xad\xbe\xef" * 1024)
    try:
        yield
    finally:
        with cluster.connect() as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            connection.execute("CHECKPOINT")  # its files are gone only then
