"""Lists that come in pages: by cursor, page number, offset or Link header; never endless, never cut short.

Each helper calls `fetch` until the vendor says that there is no more. A vendor that repeats a cursor or
goes on beyond `most` pages raises SurprisingReply: a list is whole or it is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from runbook.errors import SurprisingReply

T = TypeVar("T")
C = TypeVar("C", str, int)
MOST_PAGES: Final = 1000


def by_cursor(
    fetch: Callable[[C | None], tuple[Sequence[T], C | None]], *, what: str, most: int = MOST_PAGES
) -> list[T]:
    """Return all items; `fetch(cursor)` returns a page and the next cursor, None or "" at the end.

    `what` names the vendor and the call for the error.
    """
    found: list[T] = []
    seen: set[C] = set()
    cursor: C | None = None
    for _ in range(most):
        page, cursor = fetch(cursor)
        found += page
        if cursor is None or cursor == "":
            return found
        if cursor in seen:
            raise SurprisingReply(f"{what}: the vendor gave the same page twice; its list cannot be trusted")
        seen.add(cursor)
    raise SurprisingReply(f"{what}: more than {most} pages; ask for less")


def by_number(
    fetch: Callable[[int], tuple[Sequence[T], bool]], *, what: str, first: int = 1, most: int = MOST_PAGES
) -> list[T]:
    """Return all items; `fetch(page)` returns a page and whether there are more."""

    def turn(cursor: int | None) -> tuple[Sequence[T], int | None]:
        page = first if cursor is None else cursor
        items, more = fetch(page)
        return items, page + 1 if more else None

    return by_cursor(turn, what=what, most=most)


def by_offset(
    fetch: Callable[[int], tuple[Sequence[T], bool]], *, what: str, most: int = MOST_PAGES
) -> list[T]:
    """Return all items; `fetch(offset)` returns those from there on and whether there are more."""

    def turn(cursor: int | None) -> tuple[Sequence[T], int | None]:
        offset = cursor or 0
        items, more = fetch(offset)
        if more and not items:
            raise SurprisingReply(f"{what}: the vendor says there is more and sends nothing")
        return items, offset + len(items) if more else None

    return by_cursor(turn, what=what, most=most)


def links(header: str) -> dict[str, dict[str, str]]:
    """Return a Link header (RFC 8288) by `rel`: its parameters, and the address under `url`."""
    found: dict[str, dict[str, str]] = {}
    for url, rest in re.findall(r"<([^>]*)>((?:\s*;\s*[\w-]+=\"[^\"]*\")*)", header):
        said = dict(re.findall(r"([\w-]+)=\"([^\"]*)\"", rest))
        found[said.get("rel", "")] = {**said, "url": url}
    return found
