"""CRC-32C computed in lanes is the CRC-32C that PostgreSQL writes into its manifests."""

import io

from hypothesis import given
from hypothesis import strategies as st

from runbook.postgres import crc32c as module
from runbook.postgres.crc32c import CHUNK_BYTES, crc32c, file_crc32c


def by_bits(data):
    """The definition, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (module.POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_the_known_vectors():
    """RFC 3720, appendix B.4, and the usual check value."""
    assert crc32c(b"") == 0
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


@given(st.binary(max_size=5000), st.integers(min_value=0, max_value=5000))
def test_any_content_in_any_two_parts(data, cut):
    """The CRC is that of the definition, and a CRC can be continued."""
    assert crc32c(data) == by_bits(data)
    assert crc32c(data[cut:], crc32c(data[:cut])) == by_bits(data)


def test_content_of_more_than_one_chunk():
    """Chunks are joined as if there were none, also with an odd rest."""
    data = bytes(range(251)) * (CHUNK_BYTES // 251 + 3)
    assert len(data) > CHUNK_BYTES
    parts = 0
    for at in range(0, len(data), 70_001):
        parts = crc32c(data[at : at + 70_001], parts)
    assert crc32c(data) == file_crc32c(io.BytesIO(data)) == parts
