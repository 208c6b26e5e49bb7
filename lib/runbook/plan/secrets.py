"""The values of the named secret variables: handed out by name, and masked wherever else they would show."""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus, unquote

from runbook.errors import InputError
from runbook.plan.environment import Environment

MASKED_FROM_CHARACTERS: Final = 8
_LONG_LINE: Final = 16


class Mask:
    """Replaces secrets in text by their names, whatever form they come in; never shown itself."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """Take secrets by name; one that is too short to be told from ordinary text is left alone."""
        self._forms = _forms_of(values)

    def mask(self, text: str) -> str:
        """Return `text` with every secret as `[NAME]`, also where it is base64, URL, JSON or HTML encoded."""
        present = [form for form in self._forms if form in text]
        if not present:
            return text
        pattern = "|".join(map(re.escape, present))
        return re.sub(pattern, lambda match: f"[{self._forms[match[0]]}]", text)

    def found_in(self, text: str) -> set[str]:
        """Return the names of the secrets that stand in `text`."""
        return {name for form, name in self._forms.items() if form in text}

    def __repr__(self) -> str:
        return "a mask"

    def __reduce__(self) -> str:
        raise TypeError("secrets are not copied or written anywhere")


class Secrets:
    """The values of the named secret variables: handed out by name, masked in text, never shown."""

    def __init__(self, environment: Environment, *, environ: Mapping[str, str] | None = None) -> None:
        """Read the variables that the environment names, once, from `environ` or the process's own."""
        source = os.environ if environ is None else environ
        self._names = environment.secret_names
        self._values = {name: source[name] for name in self._names if source.get(name)}
        self._mask = Mask(self._values)

    def value(self, name: str) -> str:
        """Return the value of a named variable; InputError when it is not one of ours, or is not set."""
        if name not in self._names:
            listed = ", ".join(self._names) or "none"
            raise InputError(
                f"{name} is not among the secret variables of this environment ({listed}); name it there"
            )
        if name not in self._values:
            raise InputError(
                f"the environment variable {name} is not set; set it and run the same command again"
            )
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        """Whether the named variable is set."""
        return name in self._values

    @property
    def unmasked(self) -> tuple[str, ...]:
        """Return the variables that are set but too short to be masked without harm to ordinary text."""
        return tuple(name for name, value in self._values.items() if len(value) < MASKED_FROM_CHARACTERS)

    def mask(self, text: str) -> str:
        """Return `text` with every secret as `[NAME]`, also where it is base64, URL, JSON or HTML encoded."""
        return self._mask.mask(text)

    def found_in(self, text: str) -> list[str]:
        """Return the names of the secrets that stand in `text`, in the order they were named."""
        found = self._mask.found_in(text)
        return [name for name in self._names if name in found]

    def __repr__(self) -> str:
        marks = (f"{name} ({'set' if name in self._values else 'not set'})" for name in self._names)
        return f"Secrets: {', '.join(marks) or 'none named'}"

    def __reduce__(self) -> str:
        raise TypeError("secrets are not copied or written anywhere")


def _forms_of(values: Mapping[str, str]) -> dict[str, str]:
    """Return every form of every secret with its name, the longest first: a whole goes before its parts."""
    forms: dict[str, str] = {}
    for name, value in values.items():
        for plain in _plain_parts(value):
            for form in _encoded(plain):
                if len(form) >= MASKED_FROM_CHARACTERS:
                    forms.setdefault(form, name)
    return dict(sorted(forms.items(), key=lambda item: -len(item[0])))


def _plain_parts(value: str) -> Iterator[str]:
    """Return the value, trimmed too, the long lines of a key, and the password inside a DSN."""
    parts = [value, value.strip()]
    lines = (line.strip() for line in value.splitlines())
    parts += [line for line in lines if len(line) >= _LONG_LINE and not line.startswith("-----")]
    if found := re.search(r"://[^/@:\s]*:([^@\s]+)@", value):
        parts += [found[1], unquote(found[1])]
    if found := re.search(r"password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)", value):
        parts.append(re.sub(r"\\(.)", r"\1", found[1].strip("'")))
    return (part for part in dict.fromkeys(parts) if len(part) >= MASKED_FROM_CHARACTERS)


def _encoded(plain: str) -> Iterator[str]:
    yield plain
    for form in (quote(plain, safe=""), quote(plain), quote_plus(plain)):
        yield form
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), form)
    for ascii_only in (True, False):
        yield json.dumps(plain, ensure_ascii=ascii_only)[1:-1]
    yield html.escape(plain)
    yield html.escape(plain, quote=False)
    yield from _base64_forms(plain.encode())


def _base64_forms(raw: bytes) -> Iterator[str]:
    """Return base64 of the secret alone, and what stays the same inside a longer text (`user:secret`)."""
    yield base64.b64encode(raw).decode()
    yield base64.urlsafe_b64encode(raw).decode()
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + raw).decode()
        core = whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield core
        yield core.replace("+", "-").replace("/", "_")
