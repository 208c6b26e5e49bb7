"""Lists of names and guesses in messages: what would be right in place of what was typed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that was most likely meant."""
    close = difflib.get_close_matches(
        name.lower(), {known.lower(): known for known in names}, n=1, cutoff=0.6
    )
    return next((known for known in names if close and known.lower() == close[0]), None)


def one_of(names: Iterable[str]) -> str:
    """Return names as a choice: `one of: a, b`, or the only one."""
    listed = [str(name) if name != "" else '""' for name in names]
    return f"one of: {', '.join(listed)}" if len(listed) > 1 else "".join(listed)


def unknown_names(name: str, names: Iterable[str]) -> str:
    """Return what would be right in place of an unknown name: the nearest one first, then all."""
    listed = list(names)
    guess = nearest(name, listed)
    return (
        f"{guess} ({one_of(listed)})"
        if guess and len(listed) > 1
        else one_of(listed) or "nothing: none is defined"
    )
