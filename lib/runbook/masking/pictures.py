"""Secrets in binary content: found in every text it holds, and cut out of a PNG's remarks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from runbook.plan import Secrets

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_REMARKS: Final = (b"tEXt", b"zTXt", b"iTXt", b"eXIf")
_UNPACKED_AT_MOST: Final = 1 << 24


def holds_secret(secrets: Secrets, content: bytes) -> bool:
    """Return whether a secret stands in the bytes, as UTF-8, Latin-1 or UTF-16; pixels are not looked at."""
    if content.startswith(_PNG):
        content = b"".join(body for kind, body, _ in _chunks(content) if kind != b"IDAT")
    return any(secrets.found_in(text) for text in _readings(content))


def without_secrets(secrets: Secrets, content: bytes) -> bytes:
    """Return a PNG without those remarks that hold a secret, packed ones too; other content as it is."""
    if not content.startswith(_PNG):
        return content
    kept = [
        chunk
        for kind, body, chunk in _chunks(content)
        if kind not in _REMARKS or not any(holds_secret(secrets, text) for text in _remark(kind, body))
    ]
    return _PNG + b"".join(kept)


def _readings(content: bytes) -> Iterator[str]:
    yield content.decode("utf-8", "surrogateescape")
    if not content.isascii():
        yield content.decode("latin-1")
    if b"\0" in content:
        for order in ("utf-16-le", "utf-16-be"):
            for start in (0, 1):
                yield content[start:].decode(order, "replace")


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Return the chunks of a PNG: kind, body, and the whole as written; what is no chunk comes last."""
    at = len(_PNG)
    while at + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length], png[at : at + 12 + length]
        at += 12 + length
    yield b"", png[at:], png[at:]


def _remark(kind: bytes, body: bytes) -> Iterator[bytes]:
    """Return what a remark says, as it stands and unpacked; its packed text follows its keyword."""
    yield body
    _, _, rest = body.partition(b"\0")
    if kind == b"zTXt":
        yield _unpacked(rest[1:])
    elif kind == b"iTXt" and rest[:1] == b"\1":
        yield _unpacked(rest[2:].partition(b"\0")[2].partition(b"\0")[2])


def _unpacked(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, _UNPACKED_AT_MOST)
    except zlib.error:
        return b""
