"""Every form in which a secret's value may come back: escaped, encoded, as a part, or cut short."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

from runbook.plan.secrecy import secret_shape, smells_secret

MASKED_FROM_CHARACTERS: Final = 8
_LONG_LINE: Final = 16
_LONG_PATH: Final = 16
_CUT_MARKS: Final = re.compile(r"\.\.\.|…")


@dataclass(frozen=True)
class Family:
    """Forms of one text, the longest first; where `needle` is not, none of them is: one look for all."""

    name: str
    needle: str
    forms: tuple[str, ...]

    def found_in(self, text: str) -> Iterator[str]:
        """Return the forms that stand in `text`."""
        if self.needle in text:
            yield from (form for form in self.forms if form in text)


def families_of(values: Mapping[str, str]) -> tuple[Family, ...]:
    """Return every form of every secret, by the name of its variable."""
    return tuple(family for item in values.items() for family in _families(*item))


@lru_cache(maxsize=256)  # each session with a vendor masks the same few
def _families(name: str, value: str) -> tuple[Family, ...]:
    families: list[Family] = []
    for plain in plain_parts(value):
        letters = max(re.findall(r"[A-Za-z0-9]+", plain), key=len, default="")
        families += _family(name, letters, _escaped(plain))
        for form in dict.fromkeys(_unlike(plain)):
            families += _family(name, form, (form,))
    return tuple(families)


def _family(name: str, needle: str, forms: Iterable[str]) -> Iterator[Family]:
    """Return the family of those forms that are long enough to be told from ordinary text."""
    long = sorted({form for form in forms if len(form) >= MASKED_FROM_CHARACTERS}, key=len, reverse=True)
    if long:
        yield Family(name, needle, tuple(long))


# Parts


@lru_cache(maxsize=256)
def plain_parts(value: str) -> tuple[str, ...]:
    """Return the value, and what of it is a secret by itself: a password, a webhook's path, a key's line."""
    parts = [value, value.strip(), *_long_lines(value), *_of_url(value), *_of_json(value)]
    if found := re.search(r"password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)", value):
        parts.append(re.sub(r"\\(.)", r"\1", found[1].strip("'")))
    return tuple(part for part in dict.fromkeys(parts) if len(part) >= MASKED_FROM_CHARACTERS)


def _long_lines(value: str) -> Iterator[str]:
    """Return the lines of a key, which tools print one by one."""
    for line in map(str.strip, value.splitlines()):
        if len(line) >= _LONG_LINE and not line.startswith("-----"):
            yield line


def _of_url(value: str) -> Iterator[str]:
    """Return the password in a URL; of one without, the path: errors name a webhook by nothing else."""
    address = value.strip()
    if "://" not in address or any(letter.isspace() for letter in address):
        return
    _, _, rest = address.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if found := re.search(r"://[^/@:\s]*:([^@\s]+)@", address):  # a slash in it is no path yet
        yield from (found[1], unquote(found[1]))
    if at and ":" in user:
        yield from (user.partition(":")[2], unquote(user.partition(":")[2]))
        return
    if not address.startswith(("http://", "https://")):
        return
    with suppress(ValueError):
        parts = urlsplit(address)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        yield from (path for path in (path, path.rpartition("/")[2]) if len(path) >= _LONG_PATH)


def _of_json(value: str) -> Iterator[str]:
    """Return the secrets inside a JSON value, such as a service account's key, as a program reads them."""
    if not value.lstrip().startswith("{"):
        return
    with suppress(ValueError, RecursionError):
        for text in _secret_texts(json.loads(value)):
            yield text
            yield from _long_lines(text)


def _secret_texts(data: Any, name: str = "") -> Iterator[str]:
    if isinstance(data, dict):
        for key, item in data.items():
            yield from _secret_texts(item, key)
    elif isinstance(data, list):
        for item in data:
            yield from _secret_texts(item, name)
    elif isinstance(data, str) and (smells_secret(name) or secret_shape(data)):
        yield data


# Encodings


def _escaped(plain: str) -> Iterator[str]:
    """Return what keeps the text's letters as they are: one escape, or a literal, JSON or HTML around it."""
    for form in dict.fromkeys(
        [plain, *_in_urls(plain), *_in_json(plain), *_in_python(plain), *_quoted(plain)]
    ):
        yield form
        for around in (_in_json, _in_python, _in_html):
            yield from around(form)


def _unlike(plain: str) -> Iterator[str]:
    """Return what does not look like the text at all: base64 and hexadecimal."""
    for form in (plain, *_in_json(plain)):
        yield from _in_base64(form.encode("utf-8", "surrogatepass"))
    raw = plain.encode("utf-8", "surrogatepass").hex()
    yield from (raw, raw.upper())


def _in_urls(plain: str) -> Iterator[str]:
    # The last is what is left of an address that only had its forbidden characters encoded.
    for safe in ("", "/", "-_.!~*'()", "!#$%&'()*+,/:;=?@[]~"):
        form = quote(plain, safe=safe, errors="surrogatepass")
        yield from (form, _lower_hex(form))
    form = quote_plus(plain, errors="surrogatepass")
    yield from (form, _lower_hex(form))


def _lower_hex(form: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), form)


def _in_json(plain: str) -> Iterator[str]:
    for ascii_only in (True, False):
        form = json.dumps(plain, ensure_ascii=ascii_only)[1:-1]
        yield form
        for signs in ("[<>&]", "[<>&']"):  # as a web page holds it
            yield re.sub(signs, lambda match: f"\\u{ord(match[0]):04x}", form)


def _in_python(plain: str) -> Iterator[str]:
    """Return the inside of the text's and the bytes' literals, with either quote escaped or not."""
    raw = b"\"'" + plain.encode("utf-8", "surrogatepass")
    for literal in (repr("\"'" + plain)[1:-1], ascii("\"'" + plain)[1:-1], repr(raw)[2:-1]):
        inside = literal.removeprefix("\"\\'")
        yield from (inside, re.sub(r"\\(\\|')", lambda m: m[0] if m[1] == "\\" else "'", inside))
        yield re.sub(r"\\(\\|')|\"", lambda m: {"\\'": "'", '"': '\\"'}.get(m[0], m[0]), inside)


def _in_html(plain: str) -> Iterator[str]:
    text = html.escape(plain, quote=False)
    for double in ('"', "&quot;", "&#34;"):
        for single in ("'", "&#x27;", "&#39;", "&apos;"):
            yield text.replace('"', double).replace("'", single)


def _quoted(plain: str) -> Iterator[str]:
    """Return the text inside quotes of SQL and YAML, of a DSN, and of a shell."""
    yield plain.replace("'", "''")
    yield plain.replace("\\", "\\\\").replace("'", "\\'")
    yield plain.replace("'", "'\"'\"'")


def _in_base64(raw: bytes) -> Iterator[str]:
    """Return base64 of the secret alone, and what stays the same inside a longer text (`user:secret`)."""
    yield base64.b64encode(raw).decode()
    yield base64.urlsafe_b64encode(raw).decode()
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + raw).decode()
        core = whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield core
        yield core.replace("+", "-").replace("/", "_")


# Cut short


def cut_short(text: str, plain: str) -> Iterator[tuple[int, int]]:
    """Return where a beginning or an end of `plain` stands beside three dots, as tools shorten long values.

    The spans (start, end) hold at least eight characters that are the secret's own: a DSN's scheme and
    host, or a key's first line, are nobody's secret.
    """
    head, tail = plain[:MASKED_FROM_CHARACTERS] in text, plain[-MASKED_FROM_CHARACTERS:] in text
    first, last = _own(plain)
    for mark in _CUT_MARKS.finditer(text) if head or tail else ():
        before = _shared_before(text, mark.start(), plain) if head else 0
        if before >= first + MASKED_FROM_CHARACTERS:
            yield mark.start() - before, mark.start()
        after = _shared_after(text, mark.end(), plain) if tail else 0
        if after >= len(plain) - last + MASKED_FROM_CHARACTERS:
            yield mark.end(), mark.end() + after


def _own(plain: str) -> tuple[int, int]:
    """Return where in `plain` that begins and ends which is not common to many secrets."""
    if plain.startswith("-----"):
        return plain.find("\n") + 1 or len(plain), plain.rfind("\n-----") + 1 or len(plain)
    if "://" in plain:
        found = re.match(r"[^:]+://[^/@:\s]*:([^@\s]+)@", plain)
        return found.span(1) if found else (len(plain), 0)
    return 0, len(plain)


def _shared_before(text: str, end: int, plain: str) -> int:
    """Return how many first characters of `plain` stand right before `end`, but not all of it."""
    start = text.find(plain[:MASKED_FROM_CHARACTERS], max(0, end - len(plain) + 1), end)
    while start >= 0:
        if plain.startswith(text[start:end]):
            return end - start
        start = text.find(plain[:MASKED_FROM_CHARACTERS], start + 1, end)
    return 0


def _shared_after(text: str, start: int, plain: str) -> int:
    """Return how many last characters of `plain` stand right after `start`, but not all of it."""
    last = plain[-MASKED_FROM_CHARACTERS:]
    limit = start + len(plain) - 1
    end = text.rfind(last, start, limit)
    while end >= 0:
        shared = text[start : end + len(last)]
        if plain.endswith(shared):
            return len(shared)
        end = text.rfind(last, start, end + len(last) - 1)
    return 0
