"""The files of a seal: sums that the stock tool takes, and seals before that are kept whole or not at all."""

import hashlib
import subprocess

import pytest

from runbook import seals
from runbook.seals import (
    SIGNATURE,
    SUMS,
    files_of,
    keep_predecessor,
    kept_seals,
    oddities_of,
    read_sums,
    write_sums,
)

ODD = [
    "plain.txt",
    "with blank.txt",
    ".hidden",
    "back\\slash",
    "new\nline",
    "return\r",
    "ünï",
    "evidence/deep/x",
]


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "r1"
    (folder / "evidence").mkdir(parents=True)
    (folder / "journal.jsonl").write_text("one\n")
    return folder


def test_the_stock_tool_finds_all_files_as_they_were_summed(run):
    """Names with blanks, backslashes and newlines, hidden ones, in folders; and we read what we wrote."""
    for name in ODD:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    write_sums(run)
    done = subprocess.run(["sha256sum", "-c", "--strict", "--quiet", SUMS], cwd=run, check=False)
    assert done.returncode == 0
    sums = read_sums((run / SUMS).read_bytes())
    assert list(sums) == files_of(run)
    assert set(sums) == {*ODD, "journal.jsonl"}
    assert sums["new\nline"] == hashlib.sha256(b"new\nline").hexdigest()


def test_a_name_that_is_no_utf8_is_summed_all_the_same(run):
    """A vendor's file may be called anything."""
    (run / "evidence" / b"\xff\xfe.bin".decode("utf-8", "surrogateescape")).write_text("x")
    write_sums(run)
    assert list(read_sums((run / SUMS).read_bytes())) == files_of(run)


def test_a_signature_goes_before_sums_that_it_is_not_of(run):
    """A crash between the two leaves an unsigned run, never one with a wrong signature."""
    (run / SIGNATURE).write_text("old")
    write_sums(run)
    assert not (run / SIGNATURE).exists()
    assert SUMS not in read_sums((run / SUMS).read_bytes())


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b"  ", b" *"),
        lambda line: line.upper(),
        lambda line: line.rstrip(b"\n"),
        lambda line: line + line,
        lambda line: b"\\" + line,
        lambda line: line[1:],
        lambda line: line.replace(b"\n", b"\r\n"),
    ],
)
def test_a_line_that_was_not_written_so_is_refused(run, change):
    """What the stock tool would forgive is named with its line."""
    write_sums(run)
    with pytest.raises(ValueError, match=r"SHA256SUMS:[12]:"):
        read_sums(change((run / SUMS).read_bytes()))


def test_what_is_no_plain_file_is_told(run, tmp_path):
    """Links, to files or folders; folders that hold nothing, but those that every run gets."""
    (run / "charts").mkdir()
    (run / "link").symlink_to(run / "journal.jsonl")
    (run / "evidence" / "folder").symlink_to(tmp_path)
    (run / "evidence" / "empty").mkdir()
    assert oddities_of(run) == ["evidence/empty", "evidence/folder", "link"]
    assert files_of(run) == ["journal.jsonl"]


def test_an_unsealed_run_has_no_predecessor(run):
    """Nothing to keep, nothing written."""
    assert keep_predecessor(run) == ""
    assert not (run / "evidence/seals").exists()


def test_a_seal_is_kept_with_its_signature_once(run):
    """Copied byte for byte; asked again, nothing more happens; the next seal gets the next number."""
    write_sums(run)
    (run / SIGNATURE).write_text("signature")
    first = keep_predecessor(run)
    assert first == hashlib.sha256((run / SUMS).read_bytes()).hexdigest()
    assert keep_predecessor(run) == first
    assert [place.name for place in kept_seals(run)] == ["1"]
    assert (run / "evidence/seals/1" / SUMS).read_bytes() == (run / SUMS).read_bytes()
    assert (run / "evidence/seals/1" / SIGNATURE).read_text() == "signature"
    (run / "journal.jsonl").write_text("one\ntwo\n")
    write_sums(run)
    second = keep_predecessor(run)
    assert second != first
    assert [place.name for place in kept_seals(run)] == ["1", "2"]
    assert not (run / "evidence/seals/2" / SIGNATURE).exists()


def test_a_seal_that_was_signed_since_is_kept_again(run):
    """A signature that came later is not lost."""
    write_sums(run)
    keep_predecessor(run)
    (run / SIGNATURE).write_text("signature")
    keep_predecessor(run)
    assert (run / "evidence/seals/2" / SIGNATURE).read_text() == "signature"


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_crash_in_the_middle_leaves_a_seal_kept_or_not(run, monkeypatch, at):
    """Killed before the first file, before the second, before the rename: the next attempt makes it whole."""
    write_sums(run)
    (run / SIGNATURE).write_text("signature")
    real, calls = seals.write_atomically, []

    def dies(path, content):
        calls.append(path)
        if len(calls) == at:
            raise KeyboardInterrupt
        real(path, content)

    monkeypatch.setattr(seals, "write_atomically", dies)
    monkeypatch.setattr(seals.Path, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        keep_predecessor(run)
    assert kept_seals(run) == []
    monkeypatch.undo()
    keep_predecessor(run)
    assert [path.name for path in (run / "evidence/seals").iterdir()] == ["1"]
    assert (run / "evidence/seals/1" / SIGNATURE).read_text() == "signature"
