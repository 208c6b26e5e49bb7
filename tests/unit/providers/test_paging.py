"""Lists that come in pages: whole, in order, or an error."""

import pytest

from runbook.errors import SurprisingReply
from runbook.providers.paging import by_cursor, by_number, by_offset, links

ITEMS = list(range(7))


def test_by_cursor():
    """Until the vendor gives no cursor, or an empty one."""
    pages = {None: ([0, 1, 2], "a"), "a": ([3, 4], "b"), "b": ([5, 6], "")}
    assert by_cursor(pages.__getitem__, what="x") == ITEMS


def test_by_number_and_by_offset():
    """Pages count from one, offsets by what came."""
    assert by_number(lambda page: (ITEMS[page * 3 - 3 : page * 3], page < 3), what="x") == ITEMS
    assert by_offset(lambda at: (ITEMS[at : at + 2], at + 2 < 7), what="x") == ITEMS


def test_a_vendor_that_turns_in_a_circle_is_found_out():
    """The same cursor twice, or more without items, would never end."""
    with pytest.raises(SurprisingReply, match="same page twice"):
        by_cursor(lambda _cursor: ([1], "a"), what="x")
    with pytest.raises(SurprisingReply, match="sends nothing"):
        by_offset(lambda _at: ([], True), what="x")
    with pytest.raises(SurprisingReply, match="more than 5 pages"):
        by_number(lambda _page: ([1], True), what="x", most=5)


def test_link_headers():
    """RFC 8288, with the parameters that vendors add (Sentry: results, cursor)."""
    header = '<https://a/?c=1>; rel="previous"; results="false", <https://a/?c=2>; rel="next"; cursor="2"'
    assert links(header)["next"] == {"url": "https://a/?c=2", "rel": "next", "cursor": "2"}
    assert links("") == {}
