"""What a cell shows, without secrets: text, markup, JSON and pictures, each by its media type.

Text is looked at as its reader sees it: a secret whose letters are coloured one by one, split by tags or
written as character references is found too. Not found is what only a picture's pixels show, a secret in
a compressed document (PDF), and one taken apart by purpose (printed backwards, a letter a line).
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping
from typing import Any, Final

from runbook.masking.pictures import holds_secret, without_secrets
from runbook.plan import Secrets

_ANSI: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_TAG: Final = re.compile(r"<!--.*?-->|<[^<>]*>", re.DOTALL)
_DATA_URI: Final = re.compile(r"(data:[\w.+-]+/[\w.+-]+;base64,)([A-Za-z0-9+/=\s]+)")
_UNESCAPED_AT_MOST: Final = 3
_SVG: Final = "image/svg+xml"
_SOURCE: Final = "source"
_LONG_NUMBER: Final = 10_000_000  # shorter ones are no secret that is masked


def masked(secrets: Secrets, data: Any, *, kind: str = "") -> Any:
    """Return JSON data with every secret in its texts as `[NAME]`; `kind` is the data's media type.

    A form that would be no more what it claims to be (a picture, say) leaves its bundle, and a line of
    plain text says so.
    """
    if isinstance(data, str):
        return _masked_media(secrets, data, kind)
    if isinstance(data, list | tuple):
        if _is_media(kind) and all(isinstance(line, str) for line in data):
            return _masked_media(secrets, "".join(data), kind)  # a notebook may hold text as its lines
        return [masked(secrets, item) for item in data]
    if isinstance(data, Mapping):
        return _masked_mapping(secrets, data)
    if isinstance(data, int | float) and abs(data) >= _LONG_NUMBER and secrets.found_in(data):
        return secrets.mask(str(data))
    return data


def masked_text(secrets: Secrets, text: str) -> str:
    """Return terminal text with every secret as `[NAME]`; without its colours where they split one."""
    shown = secrets.mask(text)
    bare = _ANSI.sub("", shown) if "\x1b" in shown else shown
    return secrets.mask(bare) if bare != shown and secrets.found_in(bare) else shown


def _is_media(kind: str) -> bool:
    return "/" in kind and not kind.endswith("json")


def _masked_mapping(secrets: Secrets, data: Mapping[Any, Any]) -> dict[Any, Any]:
    shown = {
        secrets.mask(key) if isinstance(key, str) else key: masked(secrets, item, kind=_kind(data, str(key)))
        for key, item in data.items()
    }
    if _changed(data.get(_SVG), shown.get(_SVG)):
        # The same chart as pixels still shows what was masked in its text.
        shown |= {kind: None for kind in shown if _is_media(str(kind)) and _is_binary(str(kind))}
    left_out = [kind for kind in shown if shown[kind] is None and data.get(kind) is not None]
    if left_out:
        note = f"[{', '.join(left_out)} left out: it would show a secret]"
        if left_out == [_SOURCE]:
            return shown | {_SOURCE: note}
        return {"text/plain": note} | {kind: item for kind, item in shown.items() if kind not in left_out}
    return shown


def _kind(data: Mapping[Any, Any], key: str) -> str:
    """Return the media type of an entry: its key says it, or in a notebook's cell the cell's type."""
    return "text/markdown" if key == _SOURCE and data.get("cell_type") == "markdown" else key


def _changed(before: Any, after: Any) -> bool:
    return isinstance(before, str | list) and "".join(before) != after


def _is_binary(kind: str) -> bool:
    return not (kind.startswith("text/") or kind.endswith(("xml", "json", "javascript", "x-python")))


def _masked_media(secrets: Secrets, text: str, kind: str) -> str | None:
    """Return the text of one media type, masked, or None where it cannot be both masked and whole."""
    if not _is_media(kind):
        return masked_text(secrets, text)
    if _is_binary(kind):
        return _masked_base64(secrets, text)
    if kind in ("text/html", "text/markdown") or kind.endswith("xml"):
        return _masked_markup(secrets, text)
    return masked_text(secrets, text)


def _masked_markup(secrets: Secrets, text: str) -> str | None:
    """Return markup, masked; None when a secret is still there for who reads it without tags and escapes."""
    shown = secrets.mask(_DATA_URI.sub(lambda found: _masked_uri(secrets, found), text))
    for bare in (shown, _TAG.sub("", shown)):
        for _ in range(_UNESCAPED_AT_MOST):
            bare = html.unescape(bare)  # noqa: PLW2901  # once more each time
            if secrets.found_in(bare):
                return None
    return shown


def _masked_uri(secrets: Secrets, found: re.Match[str]) -> str:
    return found[1] + (_masked_base64(secrets, found[2]) or "")


def _masked_base64(secrets: Secrets, text: str) -> str | None:
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return masked_text(secrets, text)
    clean = without_secrets(secrets, raw)
    if holds_secret(secrets, clean):
        return None
    return text if clean == raw else base64.b64encode(clean).decode()
