"""A file to be kept, without secrets: masked where it is text, refused where it cannot be."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import Final

from runbook.errors import StepFailed
from runbook.masking.outputs import masked_text
from runbook.masking.pictures import holds_secret, without_secrets
from runbook.plan import Secrets

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_WBITS_OF_GZIP: Final = 31
_UNPACKED_AT_MOST: Final = 1 << 26


def masked_file(secrets: Secrets, content: bytes, *, name: str) -> bytes:
    """Return `content` with every secret as `[NAME]`; `name` is for the message.

    Raises StepFailed when a secret stands in it where no mask can be put: packed (gzip, zip), or in an
    encoding other than UTF-8. Packed in other ways (xz, PDF, an archive of pg_dump) it cannot be seen.
    """
    text = without_secrets(secrets, content).decode("utf-8", errors="surrogateescape")
    clean = masked_text(secrets, text).encode("utf-8", errors="surrogateescape")
    if any(holds_secret(secrets, part) for part in (clean, *_unpacked(content))):
        raise StepFailed(
            f"{secrets.mask(name)} holds the value of a secret variable in a form that cannot be masked; "
            "it is not kept: keep it unpacked, as UTF-8, or without the secret"
        )
    return clean


def _unpacked(content: bytes) -> Iterator[bytes]:
    if content.startswith(_GZIP):
        try:
            yield zlib.decompressobj(_WBITS_OF_GZIP).decompress(content, _UNPACKED_AT_MOST)
        except zlib.error:
            return
    elif content.startswith(_ZIP):
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for member in archive.infolist():
                    yield member.filename.encode()
                    with archive.open(member) as file:
                        yield file.read(_UNPACKED_AT_MOST)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError, zlib.error):
            return
