"""Namecheap's envelope: XML around a command's result, or around its errors. Text only, nothing is parsed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Final

from runbook.sandbox.world.part import Answer

NAMESPACE: Final = "http://api.namecheap.com/xml.response"
PREFIX: Final = "namecheap."


def element(name: str, attributes: Mapping[str, object] | None = None, inside: str = "") -> str:
    """Return an element; `inside` is XML already. Booleans are written `true` and `false`."""
    written = "".join(f' {key}="{escape(_text(value))}"' for key, value in (attributes or {}).items())
    return f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written} />"


def leaf(name: str, value: object) -> str:
    """Return an element that holds text."""
    return element(name, inside=escape(_text(value), quote=False))


def done(command: str, *results: str) -> Answer:
    """Return the reply to a command that was done."""
    return _reply("OK", command, element("CommandResponse", {"Type": command}, "".join(results)))


def refused(command: str, errors: Iterable[tuple[str, str]]) -> Answer:
    """Return a refusal, which is HTTP 200, too: each error a number and words."""
    listed = "".join(
        element("Error", {"Number": number}, escape(words, quote=False)) for number, words in errors
    )
    return _reply("ERROR", command, element("CommandResponse", {"Type": command}), listed)


def _reply(status: str, command: str, response: str, errors: str = "") -> Answer:
    inside = (
        element("Errors", inside=errors)
        + element("Warnings")
        + leaf("RequestedCommand", command.lower())
        + response
        + leaf("Server", "REHEARSAL01")
        + leaf("GMTTimeDifference", "--5:00")
        + leaf("ExecutionTime", "0.021")
    )
    body = element("ApiResponse", {"Status": status, "xmlns": NAMESPACE}, inside)
    text = f'<?xml version="1.0" encoding="utf-8"?>\n{body}'
    return Answer(200, text, content_type="text/xml; charset=utf-8")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
