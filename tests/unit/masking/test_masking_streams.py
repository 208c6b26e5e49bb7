"""Text that comes in pieces is masked however it is split."""

import io
import sys
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runbook.masking.streams import Held, guard_streams
from runbook.plan import Secrets

TOKEN = "tok_9f8e7d6c5b4a3210"
LINES = "first-line-of-a-key-0123\nsecond-line-of-it-4567"
SECRETS = Secrets(["TOKEN", "KEY", "AGAIN"], environ={"TOKEN": TOKEN, "KEY": LINES, "AGAIN": "abcabcabcabd"})

letters = st.text(alphabet="abcd\n[]. ", max_size=12)
pieces = st.lists(st.one_of(letters, st.sampled_from([TOKEN, LINES, "abcabcabcabd", "abcabc"])), max_size=6)


def cut(text, places):
    """Return `text` in pieces, cut at these places."""
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@given(pieces, st.lists(st.integers(min_value=0), max_size=30))
def test_no_secret_is_shown_however_it_is_split(parts, places):
    """What was shown, put together, holds none; nothing else is lost or changed."""
    text = "".join(parts)
    held = Held(SECRETS)
    shown = "".join([*(held.take(piece) for piece in cut(text, places)), held.end()])
    assert SECRETS.found_in(shown) == []
    if not SECRETS.found_in(text):
        assert shown == text


@given(st.integers(min_value=0, max_value=len(TOKEN)))
def test_only_what_may_be_a_secret_waits(place):
    """Ordinary text is shown at once; the beginning of a secret, at the next piece or the end."""
    held = Held(SECRETS)
    assert held.take("plain: ") == "plain: "
    assert held.take(TOKEN[:place]) in ("", "[TOKEN]" * (place == len(TOKEN)))
    assert held.take(f"{TOKEN[place:]}!") in ("[TOKEN]!", "!" * (place == len(TOKEN)))
    assert held.end() == held.rest == ""


def test_the_beginning_of_a_secret_that_does_not_go_on_is_shown():
    """It was ordinary text after all."""
    held = Held(SECRETS)
    assert held.take("a tok_9f") == "a "
    assert held.take("x") == "tok_9fx"
    held.take("tok_")
    assert held.end() == "tok_"


def terminal(monkeypatch):
    """Put streams in the place of stdout and stderr, and return them."""
    found = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", found[0])
    monkeypatch.setattr(sys, "stderr", found[1])
    monkeypatch.setattr("atexit.register", lambda _end: None)
    return found


def test_a_guarded_process_says_no_secret(monkeypatch):
    """Both streams, in pieces, across a flush; everything else is the stream's own."""
    out, err = terminal(monkeypatch)
    guard_streams(SECRETS)
    sys.stdout.write(f"say {TOKEN[:6]}")
    sys.stdout.flush()
    sys.stdout.writelines([TOKEN[6:], " now\n"])
    sys.stderr.write(f"{LINES}")
    sys.stderr.end()
    assert out.getvalue() == "say [TOKEN] now\n"
    assert err.getvalue() == "[KEY]"
    assert not sys.stdout.isatty()


def test_a_process_is_guarded_once(monkeypatch):
    """A second guard changes nothing, nor does one that has nothing to mask."""
    out, _ = terminal(monkeypatch)
    guard_streams(Secrets(["TOKEN"], environ={}))
    assert sys.stdout is out
    guard_streams(SECRETS)
    first = sys.stdout
    guard_streams(SECRETS)
    assert sys.stdout is first
