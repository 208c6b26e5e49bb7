"""The values of the named secret variables: handed out by name, and masked wherever else they would show."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from runbook.errors import InputError
from runbook.plan.environment import Environment
from runbook.plan.forms import MASKED_FROM_CHARACTERS, cut_short, families_of, plain_parts
from runbook.plan.secrecy import texts_in


class Secrets:
    """The values of the named secret variables: handed out by name, masked in text, never shown."""

    def __init__(
        self, environment: Environment | Iterable[str], *, environ: Mapping[str, str] | None = None
    ) -> None:
        """Read the variables that the environment names, once, from `environ` or the process's own."""
        source = os.environ if environ is None else environ
        named = environment.secret_names if isinstance(environment, Environment) else environment
        self._names = tuple(dict.fromkeys(named))
        self._values = {name: source[name] for name in self._names if source.get(name)}
        self._families = families_of(self._values)
        self._name_of = {form: family.name for family in reversed(self._families) for form in family.forms}
        self._plains = [(plain, name) for name, value in self._values.items() for plain in plain_parts(value)]

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

    def __bool__(self) -> bool:
        """Whether there is anything to mask."""
        return bool(self._families)

    @property
    def unmasked(self) -> tuple[str, ...]:
        """Return the variables that are set but too short to be masked without harm to ordinary text."""
        return tuple(name for name, value in self._values.items() if len(value) < MASKED_FROM_CHARACTERS)

    def mask(self, text: str) -> str:
        """Return `text` with every secret as `[NAME]`, also where it is encoded, escaped or cut short."""
        masked, end = [], 0
        for start, stop, name in self._spans(text):
            masked += [text[end:start], f"[{name}]"]
            end = stop
        return "".join([*masked, text[end:]]) if masked else text

    def found_in(self, data: object) -> list[str]:
        """Return the names of the secrets that stand in `data`, text or plain data, in the order named."""
        found = {name for text in texts_in(data, numbers=True) for _, _, name in self._whole(text)}
        return [name for name in self._names if name in found]

    def held_from(self, text: str) -> int:
        """Return where in `text` a secret begins that may go on after its end; its length when none does."""
        begins = min((_begun(text, form) for form in self._name_of), default=len(text))
        inside = (start for start, stop, _ in self._spans(text) if start < begins < stop)
        return next(inside, begins)

    def _spans(self, text: str) -> list[tuple[int, int, str]]:
        """Return where secrets stand in `text`: start, end, name, in order, none over another."""
        spans = self._whole(text)
        for plain, name in self._plains if "..." in text or "…" in text else ():
            spans += [(start, stop, name) for start, stop in cut_short(text, plain)]
        apart: list[tuple[int, int, str]] = []
        for span in sorted(spans, key=lambda span: (span[0], -span[1])):
            if not apart or span[0] >= apart[-1][1]:
                apart.append(span)
            elif span[1] > apart[-1][1]:
                apart[-1] = (apart[-1][0], span[1], apart[-1][2])
        return apart

    def _whole(self, text: str) -> list[tuple[int, int, str]]:
        present = [form for family in self._families for form in family.found_in(text)]
        return [
            (match.start(), match.end(), self._name_of[form])
            for form in present
            for match in re.finditer(re.escape(form), text)
        ]

    def __repr__(self) -> str:
        marks = (f"{name} ({'set' if name in self._values else 'not set'})" for name in self._names)
        return f"Secrets: {', '.join(marks) or 'none named'}"

    def __reduce__(self) -> str:
        raise TypeError("secrets are not copied or written anywhere")


def _begun(text: str, form: str) -> int:
    """Return where the longest end of `text` begins that `form` could begin with, but not all of it."""
    start = text.find(form[0], max(0, len(text) - len(form) + 1))
    while start >= 0:
        if form.startswith(text[start:]):
            return start
        start = text.find(form[0], start + 1)
    return len(text)
