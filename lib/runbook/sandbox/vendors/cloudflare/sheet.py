"""The records of one zone while they are being changed: what may stand beside what, and how many.

A sheet is a draft. When a change is refused, the draft is thrown away and nothing has happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from runbook.sandbox.vendors.cloudflare.content import checked, rdata
from runbook.sandbox.vendors.cloudflare.saying_no import NOT_FOUND, Refusal
from runbook.sandbox.world.state import Doc

SET_CHARACTERS: Final = 8_192
_ADDRESSES: Final = frozenset({"A", "AAAA"})
_BESIDE_NS: Final = frozenset({"NS", "DS"})
_HOST_EXISTS: Final = "An A, AAAA, or CNAME record with that host already exists."


class Sheet:
    """A draft of a zone's records; `touched` holds the ids changed, `names` the names whose answers change.

    `quota` None: no limit of its own. `stamp` is the time of the change, `token` makes ids.
    """

    def __init__(
        self,
        zone: str,
        records: Mapping[str, Doc],
        *,
        least_ttl_s: int,
        quota: int | None,
        stamp: str,
        token: Callable[[], str],
    ) -> None:
        self.records = dict(records)
        self.touched: dict[str, None] = {}
        self.names: dict[str, None] = {}
        self._zone, self._least_ttl_s, self._quota = zone, least_ttl_s, quota
        self._stamp, self._token = stamp, token
        self._at: dict[str, dict[str, None]] = {}
        for key, record in self.records.items():
            self._at.setdefault(record["name"], {})[key] = None

    def delete(self, key: str) -> Doc:
        record = self._get(key)
        self._take_out(key)
        return record

    def patch(self, key: str, asked: Doc) -> Doc:
        """Change the fields that are given; the rest stays."""
        old = self._get(key)
        kept = {name: old[name] for name in old if name != "content" or "data" not in old}
        return self._replace(key, {**kept, **asked})

    def put(self, key: str, asked: Doc) -> Doc:
        """Overwrite a record; what is not given becomes the default."""
        self._get(key)
        return self._replace(key, asked)

    def post(self, asked: Doc) -> Doc:
        if self._quota is not None and len(self.records) >= self._quota:
            raise Refusal(81045, "The record quota has been exceeded.")
        made = checked(asked, self._zone, least_ttl_s=self._least_ttl_s)
        self._judge(made, "")
        return self._write(self._token(), made, created=self._stamp)

    def _get(self, key: str) -> Doc:
        if key not in self.records:
            raise Refusal(81044, "Record does not exist.", status=NOT_FOUND)
        return self.records[key]

    def _replace(self, key: str, asked: Doc) -> Doc:
        made = checked(asked, self._zone, least_ttl_s=self._least_ttl_s)
        self._judge(made, key)
        created = self.records[key]["created_on"]
        self._take_out(key)
        return self._write(key, made, created=created)

    def _take_out(self, key: str) -> None:
        record = self.records.pop(key)
        self._at[record["name"]].pop(key)
        self.touched[key] = self.names[record["name"]] = None

    def _write(self, key: str, made: Doc, *, created: str) -> Doc:
        self.records[key] = {**made, "id": key, "created_on": created, "modified_on": self._stamp}
        self._at.setdefault(made["name"], {})[key] = None
        self.touched[key] = self.names[made["name"]] = None
        return self.records[key]

    def _judge(self, made: Doc, own: str) -> None:
        """Refuse a record that cannot stand beside the others at its name; `own` is the one it replaces."""
        others = [self.records[key] for key in self._at.get(made["name"], ()) if key != own]
        kinds = {other["type"] for other in others}
        _judge_neighbours(made["type"], kinds)
        value = rdata(made)
        same = [other for other in others if other["type"] == made["type"]]
        for other in same:
            if rdata(other) == value:
                fields = ("ttl", "proxied", "comment")
                alike = all(other.get(field) == made.get(field) for field in fields)
                raise _identical() if alike else Refusal(81057, "The record already exists.")
        if sum(len(other["content"]) for other in [*same, made]) > SET_CHARACTERS:
            raise Refusal(1004, f"DNS Validation Error: a set has at most {SET_CHARACTERS} characters.")


def _judge_neighbours(kind: str, kinds: set[str]) -> None:
    if kind == "CNAME" and kinds & {*_ADDRESSES, "CNAME"}:
        raise Refusal(81053, _HOST_EXISTS)
    if kind in _ADDRESSES and "CNAME" in kinds:
        raise Refusal(81054, "A CNAME record with that host already exists.")
    if kind == "NS" and kinds - _BESIDE_NS:
        raise Refusal(81055, "Records of another type with that host already exist.")
    if "NS" in kinds and kind not in _BESIDE_NS:
        raise Refusal(81056, "NS records with that host already exist.")


def _identical() -> Refusal:
    return Refusal(81058, "An identical record already exists.")
