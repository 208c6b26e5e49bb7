"""What can go wrong on the wire, by name; the world applies it to a vendor's calls, so many times.

| fault | what the client meets | is the effect done? |
|---|---|---|
| status | the vendor's envelope with `status` (503) | no |
| status-after | the same | yes |
| rate-limited | 429; `retry_after_s` seconds in Retry-After, null: no such header | no |
| latency | the reply comes `seconds` of real time late | yes |
| cut | the connection ends before a reply | no |
| cut-after | the connection ends before a reply | yes |
| truncated | half the body, then the end | yes |
| malformed | HTTP 200 with a page of HTML | yes |
| stale | what the vendor held when the fault was set (a read) | – |
| accepted | the reply of success (a change) | no |
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict

from runbook.sandbox.world.state import Doc, Table

FaultName = Literal[
    "status",
    "status-after",
    "rate-limited",
    "latency",
    "cut",
    "cut-after",
    "truncated",
    "malformed",
    "stale",
    "accepted",
]
FAULTS: Final[tuple[str, ...]] = get_args(FaultName)
EVERY: Final = "*"


class Fault(BaseModel):
    """A fault that is set: which calls of which vendor (`*`: all), how often (None: until it is lifted)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: FaultName
    vendor: str = EVERY
    call: str = EVERY
    times: int | None = 1
    status: int = 503
    retry_after_s: int | None = None
    seconds: float = 1.0

    def hits(self, vendor: str, call: str) -> bool:
        return self.vendor in (EVERY, vendor) and self.call in (EVERY, call)


class Faults:
    """The faults that are set, in their order, kept in a table of the world."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def set(self, fault: Fault, *, snapshot: Doc) -> None:
        """Set a fault; `snapshot` is what a stale read will see."""
        number = 1 + max((int(key) for key in self._table), default=0)
        self._table.put(str(number), {"fault": fault.model_dump(), "snapshot": snapshot})

    def lift(self) -> None:
        self._table.clear()

    def listed(self) -> list[Doc]:
        return [doc["fault"] for doc in self._table.values()]

    def take(self, vendor: str, call: str, *, has_effect: bool) -> tuple[Fault, Doc] | None:
        """Return the first fault that hits this call, counted down, with its snapshot.

        What changes something is never stale, and what changes nothing is never accepted and not done.
        """
        if not self._table:
            return None
        for key, doc in self._table.items():
            fault = Fault(**doc["fault"])
            fits = fault.name != ("stale" if has_effect else "accepted")
            if fits and fault.hits(vendor, call):
                self._count_down(key, doc, fault)
                return fault, doc["snapshot"]
        return None

    def _count_down(self, key: str, doc: Doc, fault: Fault) -> None:
        if fault.times is None:
            return
        if fault.times <= 1:
            self._table.drop(key)
        else:
            left: dict[str, Any] = {**doc["fault"], "times": fault.times - 1}
            self._table.put(key, {**doc, "fault": left})
