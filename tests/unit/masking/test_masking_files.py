"""A file is kept with its secrets masked, or it is not kept."""

import gzip
import io
import zipfile

import pytest

from runbook.errors import StepFailed
from runbook.masking import masked_file
from runbook.masking.pictures import without_secrets
from runbook.plan import Secrets
from tests.secrets.places import png, remarked

TOKEN = "tok_9f8e7d6c5b4a3210"
SECRETS = Secrets(["TOKEN"], environ={"TOKEN": TOKEN})


def kept(content, name="reply.txt"):
    return masked_file(SECRETS, content, name=name)


def zipped(text, name="inside.txt"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


def test_text_and_bytes_are_masked_in_place():
    """Bytes that are no text stay as they are around the mask."""
    assert kept(f"a {TOKEN} b".encode()) == b"a [TOKEN] b"
    assert kept(b"\x00\xff" + TOKEN.encode() + b"\x80") == b"\x00\xff[TOKEN]\x80"


@pytest.mark.parametrize(
    "content",
    [
        TOKEN.encode("utf-16"),
        b"x" + TOKEN.encode("utf-16-be"),
        gzip.compress(TOKEN.encode()),
        zipped(TOKEN),
        zipped("x", name=f"{TOKEN}.txt"),
    ],
    ids=["UTF-16", "UTF-16, odd", "gzip", "zip", "a name in a zip"],
)
def test_what_cannot_be_masked_is_refused_without_a_word_of_it(content):
    """The refusal names the file, masked, and what to do."""
    with pytest.raises(StepFailed, match=r"\[TOKEN\]\.gz holds .* cannot be masked") as refused:
        kept(content, name=f"{TOKEN}.gz")
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"fine"), zipped("fine"), b"\x1f\x8bno gzip", b"PK\x03\x04no"],
    ids=["gzip", "zip", "no gzip", "no zip"],
)
def test_packed_files_without_a_secret_are_kept_as_they_are(content):
    """Also what only begins like a packed file."""
    assert kept(content) == content


def test_a_picture_loses_the_remarks_that_hold_a_secret():
    """Its other chunks stay, byte by byte."""
    fine = (b"tEXt", b"Comment\0fine")
    assert without_secrets(SECRETS, remarked(TOKEN)) == png()
    assert without_secrets(SECRETS, png(fine)) == png(fine)
    assert kept(remarked(TOKEN), name="chart.png") == png()


def test_a_broken_picture_is_not_taken_for_a_whole_one():
    """Cut anywhere, nothing of the secret is left, and nothing raises."""
    whole = remarked(TOKEN)
    for end in range(8, len(whole)):
        assert TOKEN.encode() not in without_secrets(SECRETS, whole[:end])
