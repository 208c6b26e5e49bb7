"""A folder for kills by the thousand: in memory where the machine has room there.

What a kill -9 leaves behind does not hang on the disk, and waiting for it would be most of the time.
"""

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108  # mkdtemp makes it private
ROOM_BYTES = 2_000_000_000


@contextmanager
def quick_folder():
    """Give a folder that is gone afterwards."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    folder = Path(tempfile.mkdtemp(prefix="drill-test-", dir=MEMORY if roomy else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
