"""Read one YAML file of params/ strictly: plain data, the line of every key, and every problem found.

Stricter than YAML on purpose, so that a file means what it seems to mean: no key twice, no anchors,
aliases or merges (which also ends "billion laughs"), no tags, no base-60 or octal numbers, one document,
UTF-8, at most `MAX_BYTES`. Dates stay text, as papermill reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import JsonValue

from runbook.errors import Problem
from runbook.plan.secrecy import shown_safely

MAX_BYTES: Final = 262_144
MAX_DEPTH: Final = 20
_MAX_DIGITS: Final = 40

KeyPath = tuple[str | int, ...]
Mapped = dict[str, JsonValue]

_YAML: Final = "tag:yaml.org,2002:"
_BASE: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BASE):  # type: ignore[misc]  # the C loader where PyYAML was built with it
    """A safe loader that leaves dates as text, as papermill's does."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's own attribute
        first: [(tag, pattern) for tag, pattern in rules if tag != f"{_YAML}timestamp"]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def key_text(path: KeyPath) -> str:
    """Return a path as people write it: `phases[2].percent`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "(the whole file)"


@dataclass
class Document:
    """What one file holds: `data` (None when it is no readable mapping) and `problems`, each placed."""

    file: str
    data: Mapped | None = None
    problems: list[Problem] = field(default_factory=list)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    written: dict[KeyPath, str] = field(default_factory=dict)

    def where(self, path: KeyPath) -> str:
        """Return `file:line` of a key, or of the nearest thing around it that has a line."""
        for length in range(len(path), -1, -1):
            if line := self.lines.get(path[:length]):
                return f"{self.file}:{line}"
        return self.file

    def problem(self, path: KeyPath, *, found: str, expected: str) -> Problem:
        return Problem(file=self.where(path), key=key_text(path), found=found, expected=expected)

    def found(self, path: KeyPath) -> str:
        """Return the value at `path` as a message may show it: as written, shortened, never a secret."""
        value = self.at(path)
        name = next((part for part in reversed(path) if isinstance(part, str)), "")
        return shown_safely(value, name=name, written=self.written.get(path))

    def at(self, path: KeyPath) -> object:
        """Return the value at `path`, or None where nothing is."""
        value: Any = self.data
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def has(self, path: KeyPath) -> bool:
        """Whether a key stands in the file."""
        if not path:
            return True
        around, part = self.at(path[:-1]), path[-1]
        if isinstance(around, list):
            return isinstance(part, int) and part < len(around)
        return isinstance(around, dict) and part in around

    def in_order(self, problems: list[Problem]) -> list[Problem]:
        """Return problems in the order of the file's lines."""
        return sorted(problems, key=_line_of)


def read_document(path: Path, *, file: str) -> Document:
    """Return what the YAML file at `path` holds; `file` is its name in messages. Raises nothing."""
    document = Document(file=file)
    text = _text_of(path, document)
    return document if text is None else parse_document(text, file=file)


def parse_document(text: str, *, file: str) -> Document:
    """Return what `text` holds, as if it were the file named `file`; its data is not to be changed."""
    known = _known(text, file)
    return replace(known, problems=list(known.problems))


@lru_cache(maxsize=64)
def _known(text: str, file: str) -> Document:
    """Return what a text holds: the same few files are read for each run, and by a drill for each row."""
    return _parsed(text, Document(file=file))


def _text_of(path: Path, document: Document) -> str | None:
    if not path.is_file():
        document.problems.append(
            document.problem((), found="no such file", expected="a YAML file at this place")
        )
        return None
    try:
        with path.open("rb") as handle:
            raw = handle.read(MAX_BYTES + 1)
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror})"
        document.problems.append(document.problem((), found=found, expected="a readable file"))
        return None
    if len(raw) > MAX_BYTES:
        found, expected = f"more than {MAX_BYTES:,} bytes", f"a file of at most {MAX_BYTES:,} bytes"
        document.problems.append(document.problem((), found=found, expected=expected))
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        document.lines[()] = raw.count(b"\n", 0, error.start) + 1
        found = f"the byte 0x{raw[error.start]:02x}, which is not UTF-8"
        document.problems.append(document.problem((), found=found, expected="a file saved as UTF-8"))
        return None


def _parsed(text: str, document: Document) -> Document:
    builder = _Builder(document)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            builder.take(event)
    except _Stop:
        return document
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        mark = getattr(error, "problem_mark", None)
        document.lines[()] = mark.line + 1 if mark else 1
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        expected = "`key: value` lines, indented by spaces; text with `: `, ` #` or a sign in front in quotes"
        document.problems.append(
            document.problem((), found=f"text that is not YAML ({said})", expected=expected)
        )
        return document
    return builder.finished()


class _Stop(Exception):
    """The rest of the file cannot be made sense of; the problem is on the document."""


_OPEN: Final = object()


@dataclass
class _Level:
    """A mapping or list that is being filled."""

    path: KeyPath
    into: Mapped | list[JsonValue]
    key: Any = _OPEN
    seen: dict[str, int] = field(default_factory=dict)


class _Builder:
    """Makes data out of the parser's events with a stack of its own: no depth can exhaust Python's."""

    def __init__(self, document: Document) -> None:
        self._document, self._levels = document, list[_Level]()
        self._root: JsonValue = None
        self._resolver = _Loader("")
        self._documents = 0

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._stop(event, found="a second document after `---`", expected="one document in a file")
        elif isinstance(event, yaml.AliasEvent):
            self._refuse_sharing(event, f"the alias *{event.anchor}")
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._levels.pop()
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)

    def finished(self) -> Document:
        document = self._document
        if isinstance(self._root, dict):
            document.data = self._root
        elif not document.problems:
            found = "an empty file" if self._root is None else f"no keys, only {shown_safely(self._root)}"
            document.problems.append(
                document.problem((), found=found, expected="a mapping: lines of `key: value`")
            )
        return document

    def _open(self, event: Any) -> None:
        if event.anchor:
            self._refuse_sharing(event, f"the anchor &{event.anchor}")
        if event.tag:
            self._refuse_tag(event)
        if self._levels and self._awaits_key():
            self._stop(event, found="a list or mapping as a key", expected="a plain word as a key")
        if len(self._levels) >= MAX_DEPTH:
            self._stop(
                event, found=f"more than {MAX_DEPTH} levels of nesting", expected=f"at most {MAX_DEPTH}"
            )
        into: Mapped | list[JsonValue] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._levels.append(_Level(self._put(event, into), into))

    def _scalar(self, event: Any) -> None:
        if event.anchor:
            self._refuse_sharing(event, f"the anchor &{event.anchor}")
        if self._levels and self._awaits_key():
            self._key(event)
            return
        value = self._value(event)
        path = self._put(event, value)
        if not event.style:
            self._document.written[path] = event.value

    def _awaits_key(self) -> bool:
        level = self._levels[-1]
        return isinstance(level.into, dict) and level.key is _OPEN

    def _key(self, event: Any) -> None:
        level, name, line = self._levels[-1], self._value(event), event.start_mark.line + 1
        if event.tag is None and event.value == "<<" and not event.style:
            self._refuse_sharing(event, "the merge key <<")
        if not isinstance(name, str):
            path = (*level.path, event.value)
            self._document.lines.setdefault(path, line)
            found = f"the key {event.value}, which YAML reads as {shown_safely(name)}"
            self._note(path, found=found, expected=f'a word as a key (in quotes: "{event.value}")')
            name = event.value
        path = (*level.path, name)
        if name in level.seen:
            found = f"the key again on line {line}, first on line {level.seen[name]}"
            self._document.lines[path] = line
            self._note(path, found=found, expected="each key once")
        level.seen.setdefault(name, line)
        self._document.lines[path] = line
        level.key = name

    def _put(self, event: Any, value: JsonValue) -> KeyPath:
        if not self._levels:
            self._root = value
            self._document.lines[()] = event.start_mark.line + 1
            return ()
        level = self._levels[-1]
        if isinstance(level.into, list):
            path = (*level.path, len(level.into))
            self._document.lines[path] = event.start_mark.line + 1
            level.into.append(value)
            return path
        level.into[level.key], path, level.key = value, (*level.path, level.key), _OPEN
        return path

    def _value(self, event: Any) -> JsonValue:
        if event.tag is not None:
            self._refuse_tag(event)
        tag = self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag in (f"{_YAML}int", f"{_YAML}float") and not _plain_number(event.value):
            self._note_at(event, found=event.value, expected="a number written plainly, or text in quotes")
            return None
        if tag in (f"{_YAML}str", f"{_YAML}merge", f"{_YAML}value"):
            return str(event.value)
        node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        value: JsonValue = self._resolver.construct_object(node)
        return value

    def _refuse_sharing(self, event: Any, what: str) -> None:
        self._stop(
            event, found=what, expected="the value written out: anchors, aliases and merges are not read"
        )

    def _refuse_tag(self, event: Any) -> None:
        self._stop(event, found=f"the tag {event.tag}", expected="a plain value without a tag")

    def _stop(self, event: Any, *, found: str, expected: str) -> None:
        self._note_at(event, found=found, expected=expected)
        raise _Stop

    def _note_at(self, event: Any, *, found: str, expected: str) -> None:
        path = self._here()
        self._document.lines[path] = event.start_mark.line + 1
        self._note(path, found=found, expected=expected)

    def _here(self) -> KeyPath:
        if not self._levels:
            return ()
        level = self._levels[-1]
        if isinstance(level.into, list):
            return (*level.path, len(level.into))
        return level.path if level.key is _OPEN else (*level.path, level.key)

    def _note(self, path: KeyPath, *, found: str, expected: str) -> None:
        self._document.problems.append(self._document.problem(path, found=found, expected=expected))


def _line_of(problem: Problem) -> int:
    """Return the line in a problem's `file:line`, or 0."""
    line = problem.file.rpartition(":")[2]
    return int(line) if line.isascii() and line.isdigit() else 0


def _plain_number(text: str) -> bool:
    """Whether a person reads a number as YAML does: not 010 (which is 8), 1:30 (which is 90) or 0x1f."""
    digits = text.lstrip("+-")
    lowered = digits.lower()
    octal = len(digits) > 1 and digits[0] == "0" and digits[1] not in ".eE"
    return (
        len(digits) <= _MAX_DIGITS
        and not octal
        and ":" not in digits
        and not lowered.startswith((".inf", ".nan"))
    )
