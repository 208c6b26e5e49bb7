"""What a cell shows is masked by its media type, as its reader would see it."""

import base64

import pytest

from runbook.masking import masked
from runbook.plan import Secrets

TOKEN = "tok_9f8e7d6c5b4a3210"
SECRETS = Secrets(["TOKEN"], environ={"TOKEN": TOKEN})
APART = "".join(f"&#{ord(letter)};" for letter in TOKEN)


def shown(data):
    return masked(SECRETS, data)


def test_text_is_masked_at_any_depth_in_keys_and_values():
    """JSON data keeps its form; numbers and nothing stay."""
    data = {"a": [1, None, True, {TOKEN: f"x {TOKEN}"}], "b": ("y", 2.5)}
    assert shown(data) == {"a": [1, None, True, {"[TOKEN]": "x [TOKEN]"}], "b": ["y", 2.5]}


def test_a_number_that_is_a_secret_is_masked():
    """Others stay numbers, whatever their size."""
    held = Secrets(["PIN"], environ={"PIN": "8812907734551206"})
    data = {"a": [8812907734551206, 88129077, -1e300, True]}
    assert masked(held, data) == {"a": ["[PIN]", 88129077, -1e300, True]}


def test_prose_of_a_notebook_is_markup():
    """A cell keeps its form; prose that would show a secret in a page says so instead."""
    cell = {"cell_type": "markdown", "source": f"<b>{TOKEN[:6]}</b>{TOKEN[6:]}", "metadata": {}}
    assert "left out" in shown(cell)["source"]
    assert shown(cell).keys() == cell.keys()
    assert shown(cell | {"source": f"# {TOKEN}"})["source"] == "# [TOKEN]"
    assert shown(cell | {"cell_type": "code"})["source"] == cell["source"]


def test_text_that_colours_split_loses_its_colours():
    """Only where they split a secret; other coloured text keeps them."""
    split = f"\x1b[31m{TOKEN[:5]}\x1b[32m{TOKEN[5:]}\x1b[0m!"
    assert shown({"text": split, "other": "\x1b[31mred\x1b[0m"}) == {
        "text": "[TOKEN]!",
        "other": "\x1b[31mred\x1b[0m",
    }


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "text/markdown", "text/latex", "image/svg+xml"])
def test_text_of_every_kind_is_masked_in_place(kind):
    """A medium that holds text keeps the rest of it, also as a list of lines."""
    assert shown({kind: f"<p>{TOKEN}</p>"}) == {kind: "<p>[TOKEN]</p>"}
    assert shown({kind: [f"<p>{TOKEN[:6]}", f"{TOKEN[6:]}</p>"]}) == {kind: "<p>[TOKEN]</p>"}


@pytest.mark.parametrize(
    "markup", [APART, f"<i>{TOKEN[:6]}</i>{TOKEN[6:]}", f'<p title="{APART}">', APART.replace("&", "&amp;")]
)
def test_markup_that_takes_a_secret_apart_is_left_out(markup):
    """It leaves its bundle; the plain text that stands beside it stays, or says what is missing."""
    assert shown({"text/html": markup, "text/plain": "x"}) == {"text/plain": "x"}
    assert "text/html left out" in shown({"text/html": markup})["text/plain"]


def test_a_chart_whose_text_was_masked_loses_its_pixels():
    """The SVG stays, masked; the same chart as PNG would show the title all the same."""
    picture = base64.b64encode(b"pixels").decode()
    bundle = {"image/svg+xml": f"<svg><text>{TOKEN}</text></svg>", "image/png": picture, "text/plain": "x"}
    assert shown(bundle) == {"image/svg+xml": "<svg><text>[TOKEN]</text></svg>", "text/plain": "x"}
    fine = {"image/svg+xml": "<svg></svg>", "image/png": picture}
    assert shown(fine) == fine


def test_metadata_by_media_type_is_text():
    """An alt text is masked, and is no picture."""
    about = {"image/png": {"alt": f"a chart of {TOKEN}"}, "image/svg+xml": {"alt": TOKEN}}
    assert shown(about) == {"image/png": {"alt": "a chart of [TOKEN]"}, "image/svg+xml": {"alt": "[TOKEN]"}}


def test_binary_that_holds_a_secret_is_left_out():
    """A picture or a document with a secret in its bytes cannot be masked and stay what it is."""
    held = base64.b64encode(b"\xff\xd8" + TOKEN.encode()).decode()
    fine = base64.b64encode(b"\xff\xd8 fine").decode()
    assert shown({"image/jpeg": held, "image/gif": fine}).keys() == {"image/gif", "text/plain"}
    page = f'<img src="data:image/jpeg;base64,{held}"><img src="data:image/gif;base64,{fine}">'
    assert shown({"text/html": page})["text/html"] == (
        f'<img src="data:image/jpeg;base64,"><img src="data:image/gif;base64,{fine}">'
    )


def test_what_only_claims_to_be_a_picture_is_masked_as_text():
    """Text under a picture's media type is no base64, and is not decoded."""
    assert shown({"image/png": f"no picture: {TOKEN}"}) == {"image/png": "no picture: [TOKEN]"}


def test_what_holds_no_secret_comes_back_as_it_is():
    """Public keys, long digests, pictures and markup are not touched."""
    data = {
        "text/html": "<p>v=DKIM1; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A &amp; …</p>",
        "application/json": {"sha256": "0123456789abcdef" * 4, "n": [1, 2]},
        "image/png": base64.b64encode(bytes(range(256))).decode(),
    }
    assert shown(data) == data
