"""A file is whole or as it was before."""

import resource
import signal

import pytest

from runbook.files import write_atomically


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    """The write fails, the file is what it was, no temporary file stays."""
    path = tmp_path / "summary.json"
    write_atomically(path, "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write_atomically(path, "new" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["summary.json"]
