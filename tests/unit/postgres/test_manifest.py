"""A backup is checked against its manifest, by pg_verifybackup and by ourselves, to the same result."""

import hashlib
import json
import os
from dataclasses import replace

import pytest

from runbook.errors import StepFailed
from runbook.postgres.manifest import Entry, faults, read_manifest

JUDGES = ["pg_verifybackup", "our own check"]


@pytest.fixture(params=JUDGES)
def judge(request, programs):
    """The programs with and without a pg_verifybackup that runs."""
    return replace(
        programs, has_verifybackup=request.param == "pg_verifybackup" and programs.has_verifybackup
    )


def rewrite(backup, **changes):
    """Write the manifest anew with changes, its checksum right again."""
    path = backup.path / "backup_manifest"
    said = json.loads(path.read_text())
    said.pop("Manifest-Checksum")
    text = json.dumps({**said, **changes})[:-1] + ',\n"Manifest-Checksum": "'
    body = text.rpartition('"Manifest-Checksum"')[0]
    path.write_text(f'{text}{hashlib.sha256(body.encode()).hexdigest()}"}}\n')


def check(programs, backup):
    manifest = read_manifest(backup.path)
    assert manifest.intact
    return faults(programs, backup.path, manifest)


def test_what_a_manifest_says(lost):
    """Files with sizes and CRC-32C, the end of the log the backup needs, and its own checksum."""
    manifest = read_manifest(lost.backup.path)
    assert manifest.intact
    assert manifest.algorithms == {"CRC32C"}
    assert manifest.stop_lsn == lost.backup.stop_lsn
    assert "global/pg_control" in {entry.path for entry in manifest.entries}


def test_an_untouched_backup_has_no_fault(judge, lost):
    """Both judges find all files as they were backed up; the archive's log is not part of it."""
    found, by = check(judge, lost.backup)
    assert found == []
    assert by == ("pg_verifybackup" if judge.has_verifybackup else "our own check")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: path.unlink(), ["global/1262"]),
        (lambda path: os.truncate(path, 100), ["global/1262", "100", "8192"]),
        (lambda path: path.write_bytes(bytes(8192)), ["global/1262", "checksum"]),
        (lambda path: path.with_name("new").touch(), ["global/new"]),
    ],
    ids=["missing", "truncated", "changed", "added"],
)
def test_each_fault_names_its_file(judge, copied, harm, words):
    """A file that is missing, shorter, different or not listed is named."""
    harm(copied.path / "global" / "1262")
    (fault,) = check(judge, copied)[0]
    for word in words:
        assert word in fault.replace(",", "")


def test_a_changed_manifest_is_found(copied):
    """The manifest's own checksum covers all of it."""
    path = copied.path / "backup_manifest"
    path.write_text(path.read_text().replace('"Size": 8192', '"Size": 8193', 1))
    assert not read_manifest(copied.path).intact


def test_other_checksums_are_checked_too(programs, copied):
    """A user's backup may have SHA-256 or none at all; names that are no UTF-8 come as hexadecimal."""
    ours = replace(programs, has_verifybackup=False)
    content = (copied.path / "PG_VERSION").read_bytes()
    good = {
        "Encoded-Path": b"PG_VERSION".hex(),
        "Size": len(content),
        "Checksum-Algorithm": "SHA256",
        "Checksum": hashlib.sha256(content).hexdigest(),
    }
    bare = {"Path": "global/pg_control", "Size": 8192}
    rewrite(copied, Files=[good, bare])
    manifest = read_manifest(copied.path)
    assert manifest.entries == (
        Entry("PG_VERSION", len(content), "SHA256", good["Checksum"]),
        Entry("global/pg_control", 8192, "", ""),
    )
    found, _ = faults(ours, copied.path, manifest)
    assert not [fault for fault in found if "not in the manifest" not in fault]
    rewrite(copied, Files=[{**good, "Checksum": "00" * 32}])
    found, _ = faults(ours, copied.path, read_manifest(copied.path))
    assert "PG_VERSION: its content is not what was backed up (checksum)" in found


def test_what_is_no_manifest_is_told(copied):
    """None when there is none; a clear error when there is something else."""
    path = copied.path / "backup_manifest"
    path.write_text("{}")
    with pytest.raises(StepFailed, match="is no backup manifest"):
        read_manifest(copied.path)
    path.unlink()
    assert read_manifest(copied.path) is None


def test_progress_adds_up(judge, lost):
    """Whoever judges, progress ends at the backup's size."""
    manifest = read_manifest(lost.backup.path)
    told = []
    faults(judge, lost.backup.path, manifest, progress=told.append)
    assert sum(told) == manifest.size_bytes
