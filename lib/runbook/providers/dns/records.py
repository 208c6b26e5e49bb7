"""Record sets in one normal form, so that two vendors' spellings of the same data are equal.

Names are absolute, lower-case, A-labels (`xn--…`), with the dot at the end. Values are rdata in zone-file
form, sorted, each once: names in them as above, addresses in their shortest form, the strings of a TXT joined
and cut anew at 255 bytes (RFC 7208 §3.3 and RFC 6376 §3.6.2.2 read them joined). `ALIAS` is the vendors' apex
alias, no type of the DNS: its value is a name.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.name import Name
from dns.rdata import Rdata
from dns.rdatatype import RdataType

from runbook.values import Value, shown

ALIAS = "ALIAS"
APEX = ("", "@")
TXT_BYTES = 255
TXT_TYPES = (RdataType.TXT, RdataType.SPF)
IDNA = dns.name.IDNA_2008_Practical
NAMES_KEPT = 20_000  # parsed names: a large zone's are sorted and compared many times over


class RecordSet(Value):
    """All records of one name and type; `ttl_s` is None where the vendor decides it."""

    name: str
    type: str
    ttl_s: int | None
    values: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.type

    def in_a_line(self) -> str:
        ttl = "" if self.ttl_s is None else f" {self.ttl_s} s"
        return f"{self.name} {self.type}{ttl}: {' | '.join(self.values)}"


class Difference(Value):
    """One record set that is not as expected; `observed` None: it is missing, `expected` None: too much."""

    name: str
    type: str
    kind: Literal["missing", "extra", "values", "ttl"]
    expected: RecordSet | None
    observed: RecordSet | None

    def in_a_line(self) -> str:
        sides = f"expected {shown(self.expected)}, observed {shown(self.observed)}"
        return f"{self.name} {self.type} {self.kind}: {sides}"


@lru_cache(NAMES_KEPT)
def parse_name(text: str, *, zone: str | None = None) -> Name:
    """Return a name; with `zone`, one without a dot at its end is relative to it, "" and "@" are the apex.

    Without `zone`, the dot at the end may be left out. ValueError says what is wrong with the text.
    """
    origin = dns.name.root if zone is None else parse_name(zone)
    if zone is not None and text in APEX:
        return origin
    try:
        return dns.name.from_text(text, origin, idna_codec=IDNA).canonicalize()
    except (dns.exception.DNSException, UnicodeError) as error:
        raise ValueError(f"{text!r} is no domain name: {error}") from error


def absolute(text: str, *, zone: str | None = None) -> str:
    """Return a name in normal form; see `parse_name`."""
    return parse_name(text, zone=zone).to_text()


def for_people(name: str) -> str:
    """Return a name as a person reads it: without the last dot, A-labels in their own script."""
    parsed = parse_name(name)
    plain = parsed.to_text(omit_final_dot=True)
    try:
        text = parsed.to_unicode(omit_final_dot=True, idna_codec=IDNA)
        return text if parse_name(text) == parsed else plain
    except (dns.exception.DNSException, ValueError):
        return plain


def is_wildcard(name: str) -> bool:
    """Say whether a name stands for all names that are not there."""
    return parse_name(name).is_wild()


def txt_value(content: str | bytes) -> str:
    """Return text that is not quoted yet (a vendor's API field) as a TXT value in normal form."""
    return _strings(content.encode() if isinstance(content, str) else content)


def normal_value(kind: str, text: str) -> str:
    """Return a value in normal form; ValueError when it is none of that type.

    A TXT is read as a zone file has it when it begins with a quote, as plain text otherwise; where plain text
    may begin with a quote, use `txt_value`.
    """
    kind = kind.upper()
    if kind == ALIAS:
        return absolute(text)
    try:
        rdtype = dns.rdatatype.from_text(kind)
        if rdtype in TXT_TYPES and not text.lstrip().startswith('"'):
            return txt_value(text)
        rdata = dns.rdata.from_text(
            dns.rdataclass.IN, rdtype, text, origin=dns.name.root, relativize=False, idna_codec=IDNA
        )
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"{text!r} is no value of type {kind}: {error}") from error
    return normal_rdata(rdata)


def normal_rdata(rdata: Rdata) -> str:
    """Return a parsed value in normal form."""
    if rdata.rdtype in (RdataType.A, RdataType.AAAA):
        return rdata.to_text()
    if rdata.rdtype in TXT_TYPES:
        return _strings(b"".join(rdata.strings))  # type: ignore[attr-defined]  # a TXT has strings
    slots = {slot for kind in type(rdata).__mro__ for slot in getattr(kind, "__slots__", ())}
    names = {
        slot: value.canonicalize() for slot in slots if isinstance(value := getattr(rdata, slot, None), Name)
    }
    return (rdata.replace(**names) if names else rdata).to_text()


def record_set(
    name: str, kind: str, values: Iterable[str], *, ttl_s: int | None, zone: str | None = None
) -> RecordSet:
    """Return a record set in normal form from a vendor's spelling; with `zone` the name may be relative."""
    found = {normal_value(kind, value) for value in values}
    return RecordSet(
        name=absolute(name, zone=zone), type=kind.upper(), ttl_s=ttl_s, values=tuple(sorted(found))
    )


def gather(records: Iterable[RecordSet]) -> tuple[RecordSet, ...]:
    """Return single records as sets, by name and type; of several TTLs the smallest counts."""
    found: dict[tuple[str, str], RecordSet] = {}
    for one in records:
        other = found.get(one.key)
        values = {*one.values, *(other.values if other else ())}
        ttls = [each.ttl_s for each in (one, other) if each and each.ttl_s is not None]
        ttl_s = min(ttls, default=None)
        found[one.key] = one.model_copy(update={"values": tuple(sorted(values)), "ttl_s": ttl_s})
    return tuple(found[key] for key in sorted(found, key=lambda key: (parse_name(key[0]), key[1])))


def differences(
    expected: Iterable[RecordSet], observed: Iterable[RecordSet], *, ttls: bool = True
) -> tuple[Difference, ...]:
    """Return what is missing, too much or other, in the order of names; `ttls` False leaves TTLs alone."""
    left = {one.key: one for one in gather(expected)}
    right = {one.key: one for one in gather(observed)}
    found = []
    for key in sorted(left.keys() | right.keys(), key=lambda key: (parse_name(key[0]), key[1])):
        kind = _difference(left.get(key), right.get(key), ttls=ttls)
        if kind is not None:
            name, rdtype = key
            found.append(
                Difference(name=name, type=rdtype, kind=kind, expected=left.get(key), observed=right.get(key))
            )
    return tuple(found)


def _difference(
    one: RecordSet | None, other: RecordSet | None, *, ttls: bool
) -> Literal["missing", "extra", "values", "ttl"] | None:
    if other is None:
        return "missing"
    if one is None:
        return "extra"
    if one.values != other.values:
        return "values"
    return "ttl" if ttls and one.ttl_s != other.ttl_s else None


def _strings(raw: bytes) -> str:
    parts = [raw[at : at + TXT_BYTES] for at in range(0, len(raw), TXT_BYTES)] or [b""]
    return " ".join('"' + "".join(map(_escaped, part)) + '"' for part in parts)


def _escaped(byte: int) -> str:
    if byte in b'"\\':
        return "\\" + chr(byte)
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03d}"  # noqa: PLR2004  # printable ASCII
