"""The text of an OpenSSH signature, read strictly: only the one form that ssh-keygen writes is taken.

Base64 forgives white space and stray bits, and the format has a field that nobody signs. A file that
differs in any byte from what its content would be written as is refused, so that no change goes unseen.
Source: openssh-portable, PROTOCOL.sshsig.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

from runbook.errors import SignatureRefused

_MAGIC, _VERSION = b"SSHSIG", 1
_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
_WIDTH = 70
_SIZE = struct.Struct(">I")


@dataclass(frozen=True)
class Armor:
    """What a signature says of itself: the public key (SSH wire format) and the namespace it was made for."""

    public_key: bytes
    namespace: str


def read_armor(text: bytes) -> Armor:
    """Return what a signature says; SignatureRefused unless it is byte for byte as ssh-keygen writes."""
    body = text.removeprefix(_BEGIN).removesuffix(_END)
    try:
        blob = base64.b64decode(body, validate=False)
        if text != _written(blob):
            raise ValueError("not in the form that ssh-keygen writes")
        return _parse(blob)
    except (ValueError, binascii.Error) as error:
        raise SignatureRefused("malformed", f"this is no signature of OpenSSH: {error}") from error


def _written(blob: bytes) -> bytes:
    line = base64.b64encode(blob)
    lines = (line[at : at + _WIDTH] + b"\n" for at in range(0, len(line), _WIDTH))
    return _BEGIN + b"".join(lines) + _END


def _parse(blob: bytes) -> Armor:
    head = _MAGIC + _SIZE.pack(_VERSION)
    if not blob.startswith(head):
        raise ValueError("it does not begin as one")
    public_key, namespace, reserved, algorithm, signature = wire_strings(blob[len(head) :], exactly=5)
    if reserved or not signature or algorithm not in (b"sha256", b"sha512"):
        raise ValueError("a field holds what ssh-keygen does not write")
    return Armor(public_key, namespace.decode())


def wire_strings(data: bytes, *, exactly: int) -> list[bytes]:
    """Return `exactly` that many length-prefixed strings, which must be all there is in `data`."""
    found, rest = [], data
    for _ in range(exactly):
        text, rest = wire_string(rest)
        found.append(text)
    if rest:
        raise ValueError("something follows after its end")
    return found


def wire_string(data: bytes) -> tuple[bytes, bytes]:
    """Return the first length-prefixed string of `data`, and what follows it."""
    if len(data) < _SIZE.size:
        raise ValueError("it is cut off")
    end = _SIZE.size + _SIZE.unpack_from(data)[0]
    if len(data) < end:
        raise ValueError("it is cut off")
    return data[_SIZE.size : end], data[end:]


def fingerprint(public_key: bytes) -> str:
    """Return a key's fingerprint as `ssh-keygen -l` shows it: SHA256 and base64 without padding."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(public_key).digest()).decode().rstrip("=")
