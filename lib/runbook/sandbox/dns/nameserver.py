"""An authoritative nameserver: the zones it serves, and what is wrong with it.

Several servers share one `Zone`, so a change shows at all of them at once, except where one is `stale`: it
goes on with a copy made when the fault began, or when a zone that came later was made. The other faults, each
for one zone: `refused` (the vendor does not serve it: what Cloudflare and Vercel say to a lame delegation),
`lame` (it answers without authority and points to the root), `servfail`, `silent`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import dns.name
import dns.rrset
from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from runbook.sandbox.dns.lookup import Flatten, Question, Reply, lookup
from runbook.sandbox.dns.wire import Endpoint
from runbook.sandbox.dns.zone import Zone, to_name

Fault = Literal["stale", "refused", "lame", "servfail", "silent"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
REFUSED = Reply(Rcode.REFUSED)
SERVFAIL = Reply(Rcode.SERVFAIL)
UPWARD = Reply(authority=(dns.rrset.from_text(".", 518_400, "IN", "NS", "a.root-servers.net."),))


class Nameserver(Endpoint):
    """One authoritative server. `revision` rises with every change of what any server could say."""

    def __init__(self, name: str, address: str, *, revision: Callable[[], int], flatten: Flatten) -> None:
        super().__init__(name, address)
        self.zones: dict[Name, Zone] = {}
        self.faults: dict[Name, Fault] = {}
        self.copies: dict[Name, Zone] = {}
        self._revision, self._flatten = revision, flatten

    def stamp(self) -> int:
        return self._revision()

    def reply(self, question: Question) -> Reply | None:
        zone = self._zone_of(question)
        if zone is None:
            return REFUSED
        match self.faults.get(zone.name):
            case "silent":
                return None
            case "servfail":
                return SERVFAIL
            case "refused":
                return REFUSED
            case "lame":
                return UPWARD
            case "stale":
                zone = self.copies[zone.name]
            case None:
                pass
        return lookup(zone, question.name, question.rdtype, flatten=self._flatten)

    def break_zone(self, origin: str, fault: Fault) -> None:
        """Let a zone fail here, also one that comes later; ValueError when there is no such fault."""
        if fault not in FAULTS:
            raise ValueError(f"a nameserver cannot be {fault!r}; right would be {', '.join(FAULTS)}")
        self.mend_zone(origin)
        name = to_name(origin)
        self.faults[name] = fault
        if fault == "stale":
            self.hear_last_of(name)

    def hear_last_of(self, name: Name) -> None:
        """Let a stale zone be for ever as it is now; fine when it is not here, or not stale."""
        if name in self.zones and self.faults.get(name) == "stale":
            self.copies[name] = self.zones[name].copy()

    def mend_zone(self, origin: str) -> None:
        """Let a zone be served as it should; fine when nothing was wrong."""
        self.faults.pop(to_name(origin), None)
        self.copies.pop(to_name(origin), None)

    def drop_zone(self, origin: str) -> None:
        """No longer serve a zone; fine when it was not served."""
        self.mend_zone(origin)
        self.zones.pop(to_name(origin), None)

    def _zone_of(self, question: Question) -> Zone | None:
        """Return the closest zone that encloses the name; the DS of a zone is its parent's to tell."""
        name = question.name
        if question.rdtype == RdataType.DS and name != dns.name.root:
            above = self._closest(name.parent())
            if above is not None:
                return above
        return self._closest(name)

    def _closest(self, name: Name) -> Zone | None:
        while (zone := self.zones.get(name)) is None and name != dns.name.root:
            name = name.parent()
        return zone
