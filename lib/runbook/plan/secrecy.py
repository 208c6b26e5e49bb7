"""Tells what looks like a secret: by a key's name, and by a value's shape; shows found values without one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

_SHOWN_CHARACTERS: Final = 60

_SECRET_WORDS: Final = {
    *("password", "passwd", "passphrase", "pwd", "token", "secret", "secrets"),
    *("dsn", "credential", "credentials", "apikey", "conninfo"),
}
_SECRET_PAIRS: Final = frozenset(
    {
        (first, last)
        for first in (
            "api",
            "app",
            "private",
            "access",
            "secret",
            "signing",
            "ssh",
            "service",
            "routing",
            "auth",
        )
        for last in ("key", "keys")
    }
    | {("connection", "string"), ("connection", "url"), ("database", "url"), ("webhook", "url")}
)

_SHAPES: Final = (
    ("a URL with a password", re.compile(r"[a-z][a-z0-9+.-]*://[^\s/@:]*:[^\s/@]+@", re.IGNORECASE)),
    (
        "a connection string with a password",
        re.compile(r"\b(?:password|passwd|pwd|sslpassword)\s*=\s*\S", re.IGNORECASE),
    ),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY")),
    ("a Slack webhook", re.compile(r"hooks\.slack\.com/(?:services|workflows|triggers)/\S")),
    ("a JSON web token", re.compile(r"\beyJ[\w-]{10,}\.[\w-]{6,}\.")),
    ("an AWS access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    (
        "a vendor's token",
        re.compile(
            r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{15,}|xox[abeoprs]-[\w-]{10,}|xapp-[\w-]{10,}"
            r"|sk_(?:live|test)_\w{10,}|sk-[\w-]{20,}|sbp_\w{20,}|sb_secret_\w{10,}|sntr[yu]s_\S{20,}|SG\.[\w-]{16,}"
            r"|npm_\w{20,}|pypi-[\w-]{20,}|dp\.pt\.\w{20,}|AGE-SECRET-KEY-1\w{20,}|[A-Za-z0-9]{14}\.atlasv1\.\S{20,})"
        ),
    ),
    (
        "an authorization header",
        re.compile(r"authorization\s*[:=]\s*\S+\s+\S{8,}|\bbearer\s+(?=\S*\d)[\w+/=.~-]{16,}", re.IGNORECASE),
    ),
)
_LONG: Final = re.compile(r"[A-Za-z0-9+/_-]{32,}")
# Random base64 changes between capitals, small letters and digits at 0.6 of its characters; paths, run ids
# and file names at less than 0.3.
_RANDOM_CHANGES: Final = 0.42
# Vercel's ids of projects, deployments, teams, domains and records are random, and no secret.
_PUBLIC_ID: Final = re.compile(r"(?:prj|dpl|team|dom|rec)_[A-Za-z0-9]{20,32}")


def smells_secret(name: str) -> bool:
    """Whether a key of this name would hold a secret; `…_variable(s)` holds only a variable's name."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    words = [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
    if words and words[-1] in ("variable", "variables"):
        return False
    return bool(_SECRET_WORDS & set(words)) or any(pair in _SECRET_PAIRS for pair in pairwise(words))


def secret_shape(text: str) -> str | None:
    """Return what kind of secret `text` looks like ("a URL with a password"), or None."""
    for kind, pattern in _SHAPES:
        if pattern.search(text):
            return kind
    long = (match[0] for match in _LONG.finditer(text) if not _PUBLIC_ID.fullmatch(match[0]))
    return "a random key" if any(map(_is_random, long)) else None


def _is_random(token: str) -> bool:
    kinds = ["A" if c.isupper() else "a" if c.islower() else "0" if c.isdigit() else "" for c in token]
    changes = sum(bool(one and other and one != other) for one, other in pairwise(kinds))
    return {"A", "a", "0"} <= set(kinds) and changes / len(token) >= _RANDOM_CHANGES


def texts_in(value: object, *, numbers: bool = False) -> Iterator[str]:
    """Return every text inside plain data, keys included; with `numbers`, those too, as text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from texts_in(item, numbers=numbers)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item, numbers=numbers)
    elif numbers and isinstance(value, int | float):
        yield str(value)


def shown_safely(value: object, *, name: str = "", written: str | None = None) -> str:
    """Return a found value as a message may show it: as YAML has it, shortened, and never a secret."""
    if smells_secret(name) and value not in (None, ""):
        return "a value that is not shown here"
    if kind := next((kind for text in texts_in(value) if (kind := secret_shape(text))), None):
        return f"what looks like {kind}, not shown here"
    if isinstance(value, Mapping):
        return f"a mapping with the keys {', '.join(map(str, value))}" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = json.dumps(value, ensure_ascii=False, default=str)
    if written is not None and value is not None and not isinstance(value, str) and written != text:
        return f"{written}, which YAML reads as {text}"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
