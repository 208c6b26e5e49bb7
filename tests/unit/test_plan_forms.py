"""A secret is known in the forms that tools give it, in its parts, and where it is cut short."""

import html
import json
import shlex

import pytest
import yaml
from markupsafe import escape

from runbook.plan import Secrets

PHRASE = 'it\'s a "phrase" & <b>\\pässwörd</b> ☃ 100%'
KEY_LINE = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ"
KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY_LINE}\n-----END OPENSSH PRIVATE KEY-----\n"


def mask(value, text):
    return Secrets(["S"], environ={"S": value}).mask(text)


WRITERS = {
    "Python": repr,
    "Python, ASCII": ascii,
    "Python's bytes": lambda text: repr(text.encode()),
    "Python, among other quotes": lambda text: repr(f"'{text}\""),
    "a list": lambda text: repr([text]),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"a": text})),
    "JSON in Python": lambda text: repr(json.dumps({"a": text})),
    "Python in JSON": lambda text: json.dumps(repr(text)),
    "JSON in a page": lambda text: (
        json.dumps(text).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    ),
    "a template": lambda text: str(escape(text)),
    "an attribute": lambda text: html.escape(text).replace("&#x27;", "&apos;"),
    "Python in HTML": lambda text: html.escape(repr(text)),
    "a shell": shlex.quote,
    "SQL": lambda text: "'{}'".format(text.replace("'", "''")),
    "YAML": lambda text: yaml.safe_dump(text, default_style="'", allow_unicode=True, width=1000),
    "hexadecimal": lambda text: text.encode().hex(),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_secret_is_masked_as_tools_write_it(write):
    """Quotes, backslashes, signs and letters beyond ASCII, one escape within another."""
    masked = mask(PHRASE, f"before {write(PHRASE)} after")
    assert "[S]" in masked
    assert "phrase" not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


PARTS = {
    "the password of a URL": ("redis://:pass-phrase@cache:6379/0", "auth pass-phrase refused"),
    "a password with an at sign": ("postgresql://u:p@ss-phrase@db/x", 'password "p@ss-phrase" refused'),
    "a password with a slash": ("postgresql://u:pass/phrase@db/x", "pass/phrase refused"),
    "a webhook's path": (
        "https://hooks.slack.example/services/T0/B0/x9y8z7w6v5u4",
        "Max retries exceeded with url: /services/T0/B0/x9y8z7w6v5u4 (refused)",
    ),
    "a webhook's token": ("https://hooks.example/T0/x9y8z7w6v5u4t3s2r1", "token x9y8z7w6v5u4t3s2r1"),
    "a line of a key": (KEY, f"  1 {KEY_LINE}"),
    "a key inside JSON": (json.dumps({"type": "service_account", "private_key": KEY}), KEY_LINE),
}


@pytest.mark.parametrize(("value", "text"), PARTS.values(), ids=PARTS)
def test_what_is_secret_by_itself_is_masked_by_itself(value, text):
    """A part is shown by errors that never saw the whole."""
    assert "[S]" in mask(value, text)


def test_what_is_no_secret_by_itself_stays():
    """Hosts, users, schemes, a key's frame, an account's public fields."""
    dsn = "postgresql://runner:pass-phrase@db.example/omnihub"
    account = json.dumps({"type": "service_account", "project": "omnihub-production", "private_key": KEY})
    for value, text in (
        (dsn, "connecting to postgresql://db.example/omnihub as runner ..."),
        (KEY, "-----BEGIN OPENSSH PRIVATE KEY-----"),
        (account, "service_account of omnihub-production"),
        ("https://api.example/v1/", "GET /v1/ of api.example"),
    ):
        assert mask(value, text) == text


TOKEN = "tok_9f8e7d6c5b4a3210ffee"
CUT = {
    "a beginning": (TOKEN, f"{TOKEN[:12]}...", "[S]..."),
    "a beginning, one sign": (TOKEN, f"{TOKEN[:12]}… and", "[S]… and"),
    "an end": (TOKEN, f"...{TOKEN[-9:]}", "...[S]"),
    "both": (TOKEN, f"'{TOKEN[:9]}...{TOKEN[-9:]}'", "'[S]...[S]'"),
    "of a password": ("postgresql://u:pass-phrase-x@db", "postgresql://u:pass-phr...", "[S]..."),
}


@pytest.mark.parametrize(("value", "text", "masked"), CUT.values(), ids=CUT)
def test_what_was_cut_short_is_masked_too(value, text, masked):
    """pandas, pydantic and others show the beginning, the end, or both of a long value."""
    assert mask(value, text) == masked


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (TOKEN, f"{TOKEN[:7]}... is no more than its prefix"),
        (TOKEN, "working ... done"),
        ("postgresql://u:pass-phrase@db.example/omnihub", "starting postgresql://... at ...example/omnihub"),
        (KEY, "-----BEGIN OPENSSH PRIVATE KEY-----..."),
    ],
)
def test_dots_beside_what_is_no_secret_stay(value, text):
    """Fewer than eight characters, and what many secrets have in common, are left alone."""
    assert mask(value, text) == text


def test_where_secrets_overlap_one_mask_stands_for_both():
    """Nothing of either is left beside it."""
    held = Secrets(["A", "B"], environ={"A": "abcdefghij", "B": "fghijklmnop"})
    assert held.mask("x abcdefghijklmnop y") == "x [A] y"


def test_secrets_are_found_in_data_of_any_depth():
    """Also in keys, and where JSON stands in JSON."""
    held = Secrets(["A", "B"], environ={"A": TOKEN, "B": PHRASE})
    assert held.found_in({"x": [{TOKEN: 1}]}) == ["A"]
    assert held.found_in([json.dumps({"a": PHRASE}), TOKEN]) == ["A", "B"]
    assert held.found_in({"x": ["fine", 1, None]}) == []


def test_a_text_is_held_from_where_a_secret_may_begin():
    """At its end, and before a whole one that the end is part of."""
    held = Secrets(["A"], environ={"A": "abcabcabcx"})
    assert held.held_from("nothing") == len("nothing")
    assert held.held_from("see abcab") == len("see ")
    assert held.held_from("see abcabcabcx") == len("see abcabcabcx")
    assert bool(held)
    assert not Secrets(["A"], environ={})
