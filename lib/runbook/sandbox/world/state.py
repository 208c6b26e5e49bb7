"""The documents of a world: plain JSON in tables, on disk before a reply leaves, whole after any kill.

Written through to one SQLite file without fsync: what a killed process has written stays written;
only a power cut could lose the last replies, and a rehearsal does not outlive one.
"""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from runbook.errors import StepFailed

Doc = dict[str, Any]
CLOCK: Final = "clock"  # the file beside it that shows a world's time

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    part TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, doc TEXT NOT NULL, UNIQUE (part, name, key)
)"""
_PUT = """
INSERT INTO documents (part, name, key, doc) VALUES (?, ?, ?, ?)
ON CONFLICT (part, name, key) DO UPDATE SET doc = excluded.doc"""
_DROP = "DELETE FROM documents WHERE part = ? AND name = ? AND key = ?"


class Table(Mapping[str, Doc]):
    """Documents by key, in the order they were first put.

    A document is never changed in place: `put` a new one, or `change` some of its fields.
    """

    def __init__(self, state: State, part: str, name: str, docs: dict[str, Doc]) -> None:
        self._state, self._part, self._name, self._docs = state, part, name, docs

    def __getitem__(self, key: str) -> Doc:
        return self._docs[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._docs)

    def __len__(self) -> int:
        return len(self._docs)

    def __contains__(self, key: object) -> bool:
        return key in self._docs

    def put(self, key: str, doc: Doc) -> Doc:
        """Keep `doc` under `key` and return it; an existing one keeps its place in the order."""
        self._docs[key] = doc
        self._touch(key)
        return doc

    def change(self, key: str, **fields: Any) -> Doc:
        """Replace some fields of a document; return the new one. KeyError when there is none."""
        return self.put(key, {**self._docs[key], **fields})

    def drop(self, key: str) -> None:
        """Forget a document; KeyError when there is none."""
        del self._docs[key]
        self._touch(key)

    def clear(self) -> None:
        """Forget all of them."""
        for key in list(self._docs):
            self.drop(key)

    def _touch(self, key: str) -> None:
        self._state.touched[self._part, self._name, key] = None


class State:
    """Every table of a world; `path` None keeps them in memory only."""

    def __init__(self, path: Path | None) -> None:
        self.touched: dict[tuple[str, str, str], None] = {}
        self._docs: dict[tuple[str, str], dict[str, Doc]] = {}
        self._file = None if path is None else _opened(path)
        if self._file is not None:
            weakref.finalize(self, self._file.close)  # a world that is dropped lets go of its file
            self._docs = _read(self._file)

    def table(self, part: str, name: str) -> Table:
        """Return a part's table, empty if it was never written."""
        return Table(self, part, name, self._docs.setdefault((part, name), {}))

    def dump(self, part: str) -> Doc:
        """Return all tables of a part as plain JSON, apart from what is kept here."""
        mine = {name: docs for (owner, name), docs in self._docs.items() if owner == part and docs}
        return dict(json.loads(json.dumps(mine)))

    def load(self, part: str, dumped: Doc) -> None:
        """Make a part's tables what `dump` returned."""
        for owner, name in list(self._docs):
            if owner == part:
                self.table(part, name).clear()
        for name, docs in json.loads(json.dumps(dumped)).items():
            table = self.table(part, name)
            for key, doc in docs.items():
                table.put(key, doc)

    def save(self) -> None:
        """Write what was touched since the last time, in one transaction."""
        if not self.touched:
            return
        if self._file is not None:
            self._write(self._file)
        self.touched.clear()

    def unsaved(self) -> list[str]:
        """Return where memory and file differ: a document was changed in place. Empty when all is well."""
        if self._file is None:
            return []
        on_disk = {key: docs for key, docs in _read(self._file).items() if docs}
        here = {key: docs for key, docs in self._docs.items() if docs}
        return sorted("/".join(key) for key in on_disk.keys() | here if on_disk.get(key) != here.get(key))

    def close(self) -> None:
        self.save()
        if self._file is not None:
            self._file.close()

    def _write(self, file: sqlite3.Connection) -> None:
        file.execute("BEGIN")
        for part, name, key in self.touched:
            doc = self._docs[part, name].get(key)
            if doc is None:
                file.execute(_DROP, (part, name, key))
            else:
                file.execute(_PUT, (part, name, key, json.dumps(doc, ensure_ascii=False)))
        file.execute("COMMIT")


def _opened(path: Path) -> sqlite3.Connection:
    try:
        # A world is one thread's; but whichever thread collects it when it is dropped closes its file.
        file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = OFF")
            file.execute(_SCHEMA)
        except sqlite3.Error:
            file.close()
            raise
    except sqlite3.Error as error:
        raise StepFailed(
            f"the sandbox's state in {path} cannot be used ({error}); remove its folder: runbook sandbox down"
        ) from error
    return file


def _read(file: sqlite3.Connection) -> dict[tuple[str, str], dict[str, Doc]]:
    docs: dict[tuple[str, str], dict[str, Doc]] = {}
    for part, name, key, doc in file.execute("SELECT part, name, key, doc FROM documents ORDER BY rowid"):
        docs.setdefault((part, name), {})[key] = json.loads(doc)
    return docs
