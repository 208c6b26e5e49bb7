"""Charts of a migration: what they say in words, and that nothing is drawn of what is not known."""

from datetime import UTC, datetime, timedelta

import pytest

from runbook.changes.delegation.propagation import Cell, Propagation, Seen
from runbook.charts.display import alt_text, to_svg
from runbook.charts.dns import resolver_matrix, share_over_time
from runbook.gates.watching import Look
from runbook.values import Skipped

SWITCH = datetime(2026, 12, 2, 2, 0, tzinfo=UTC)
ENDS = SWITCH + timedelta(hours=48)


def look(hours, new, *, failing=0.0):
    numbers = {
        "users_new": new,
        "users_old": 1 - new - failing,
        "users_failing": failing,
        "users_silent": 0.0,
    }
    return Look(at=SWITCH + timedelta(hours=hours), says="", decision="proceed", numbers=numbers)


def seen(where="new", fits="right"):
    cells = (Cell(name="omnihub.dev.", type="A", fits=fits, said=""),)
    return Seen(resolver="resolver-01", weight=1.0, where=where, says="", cells=cells)


def propagation(*ones):
    return Propagation(seen=ones, apart=(), visits_old=(), visits_new=())


def test_the_share_over_time_says_how_far_and_when_half_had_moved():
    """In its title for who looks, in its alt text for who cannot."""
    looks = [look(0, 0.0), look(6, 0.4), look(12, 0.6), look(24, 0.9)]
    figure = share_over_time(looks, switched_at=SWITCH, ends_at=ENDS)
    words = alt_text(figure)
    assert "90 % with Cloudflare" in words.replace("\N{NO-BREAK SPACE}", " ")
    assert "half had moved after 12 h" in words.replace("\N{NO-BREAK SPACE}", " ")
    assert "of users with Cloudflare after 1 d" in to_svg(figure).replace("\N{NO-BREAK SPACE}", " ")


def test_a_share_that_falls_and_users_of_neither_side_are_told():
    """The way back is no growth, and failing resolvers are a colour and a word of their own."""
    figure = share_over_time([look(0, 0.5), look(1, 0.2, failing=0.3)], switched_at=SWITCH, ends_at=ENDS)
    words = alt_text(figure)
    assert "fell in 1 look" in words.replace("\N{NO-BREAK SPACE}", " ")
    assert "with neither" in words
    assert "with neither" in to_svg(figure)


@pytest.mark.parametrize(
    ("where", "fits", "words"),
    [
        ("new", "right", "every answer that came for omnihub.dev A is right"),
        ("old", "wrong", "gives other answers for omnihub.dev"),
        ("failing", "none", "gives no answers for omnihub.dev"),
        ("silent", "silent", "1 not known"),
    ],
)
def test_the_matrix_tells_every_resolver_apart(where, fits, words):
    """Which side answers it, and whether what it says is right; silence is no wrong answer."""
    assert words in alt_text(resolver_matrix(propagation(seen(where, fits), seen())))


def test_what_is_not_known_is_said_in_words():
    """No look, no resolver, a step that was left out."""
    skipped = Skipped(title="the world follows", why="mode plan changes nothing")
    assert "nobody has looked" in alt_text(share_over_time([], switched_at=SWITCH, ends_at=ENDS))
    left_out = share_over_time((), switched_at=skipped, ends_at=skipped)
    assert "was skipped" in alt_text(left_out)
    assert "skipped" in alt_text(resolver_matrix(skipped))
    assert "no resolver" in alt_text(resolver_matrix(propagation()))


def test_the_same_data_gives_the_same_bytes():
    """A report can be made again and compared."""
    figures = [resolver_matrix(propagation(seen(), seen("old"))) for _ in range(2)]
    assert to_svg(figures[0]) == to_svg(figures[1])
