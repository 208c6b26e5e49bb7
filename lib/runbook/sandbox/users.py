"""Users at every resolver, who ask for every name of the zone in every second, and say what went wrong.

Nothing is asked 172,800 times. Between two changes a resolver's answer to a question that is asked every
second can become another one only when something runs out that it fetched before the last change: an answer,
a DS, or whom it asks for the zone. The world's clock stops at each of these seconds, where the resolver's
users ask, and at each change, where all do. In every second between, they would get what they got last: what
runs out meanwhile was fetched after the last change, from the same servers, and comes again as it was
(`Resolver.catch_up`). A test asks in every second of a stretch of time, and compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import dns.name
import dns.rdatatype
from dns.name import Name
from dns.rdatatype import RdataType

from runbook.clock import utc_text
from runbook.sandbox.dns.cache import NEVER_S
from runbook.sandbox.dns.lookup import Question, Reply
from runbook.sandbox.dns.resolver import Resolver
from runbook.sandbox.dns.zone import ALIAS, Zone, to_name
from runbook.sandbox.registrar import MAIN
from runbook.sandbox.site import HOSTS
from runbook.sandbox.world.part import Part
from runbook.sandbox.world.state import Doc
from runbook.sandbox.world.world import World

ASK: Final = "users-ask"
KEPT: Final = 200  # wrong answers that are written down; all are counted
_OK: Final = 200
_ANYBODY: Final = b"anybody"
_BY_ADDRESS: Final = (ALIAS, "CNAME")
_OWN_OF_A_SIDE: Final = ("NS", "SOA", "DNSKEY")


class Users(Part):
    """Users of the main domain; none ask until the scenario is played."""

    name = "users"
    scenarios: ClassVar[Mapping[str, str]] = {
        ASK: "at every resolver users ask for every name, in every second from now on, and open the site"
    }

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._revision = -1

    def play(self, scenario: str) -> None:
        """Remember what is right, which is what the resolvers say now, and begin to ask."""
        del scenario
        first = next(iter(self._internet.resolvers.values()))
        for question in _questions(self._zone):
            said = _said(first.reply(question))
            self.table("right").put(_key(question), {"said": said})
        self.table("meta").put("count", {"since": utc_text(self.now), "stops": 0, "answers": 0, "wrong": 0})

    def status(self) -> Doc:
        """Return since when they ask, how many answers they got, how many were wrong, the first of them."""
        count = self.table("meta").get("count")
        wrong = list(self.table("wrong").values())[:3]
        first = [f"{one['at']} {one['resolver']} {one['asked']}: {one['trouble']}" for one in wrong]
        return {**count, "first": first} if count else {"asking": "nobody"}

    def next_due(self) -> datetime | None:
        """Return the next second in which an answer can become another one."""
        if "count" not in self.table("meta"):
            return None
        if self._revision != self._internet.revision:
            return self.now
        next_s = min((one.unsettled_s() for one in self._internet.resolvers.values()), default=NEVER_S)
        return None if next_s == NEVER_S else max(self.now, datetime.fromtimestamp(next_s, UTC))

    def on_time(self, now: datetime) -> None:
        """Let users ask, and open the site: all after a change, else those whose answers may change."""
        changed, now_s = self._revision != self._internet.revision, int(now.timestamp())
        self._revision = self._internet.revision
        answers = wrong = 0
        questions = [(question, self.table("right")[_key(question)]["said"]) for question in self._asked()]
        for resolver in self._internet.resolvers.values():
            if not changed and resolver.unsettled_s() > now_s:
                continue
            asked = set()
            for question, right in questions:
                reply = resolver.reply(question)
                asked |= {(one.name, one.rdtype) for one in (reply.answer if reply else ())}
                said, answers = _said(reply), answers + 1
                trouble = self._trouble(question, said, right)
                if trouble:
                    wrong += 1
                    self._write_down(now, resolver, question, trouble)
            resolver.asked = asked
        count = self.table("meta")["count"]
        self.table("meta").change(
            "count",
            stops=count["stops"] + 1,
            answers=count["answers"] + answers,
            wrong=count["wrong"] + wrong,
        )
        self._internet.keep_caches()

    def _trouble(self, question: Question, said: list[str], right: list[str]) -> str:
        if said != right:
            return f"got {'; '.join(said)}; right would be {'; '.join(right)}"
        host = question.name.to_text(omit_final_dot=True)
        if host not in HOSTS or question.rdtype != RdataType.A:
            return ""
        site: Any = self.world.part("site")
        visits = {
            line.rpartition(" ")[2]: site.visit(line.rpartition(" ")[2], host)
            for line in said
            if " A " in line
        }
        broken = [address for address, page in visits.items() if page is None or page.status != _OK]
        return f"the site does not open at {', '.join(broken)}" if broken else ""

    def _write_down(self, now: datetime, resolver: Resolver, question: Question, trouble: str) -> None:
        wrong = self.table("wrong")
        if len(wrong) < KEPT:
            key = f"{len(wrong):04}"
            wrong.put(
                key,
                {"at": utc_text(now), "resolver": resolver.name, "asked": _key(question), "trouble": trouble},
            )

    def _asked(self) -> Iterator[Question]:
        for key in self.table("right"):
            name, _, kind = key.rpartition(" ")
            yield Question(to_name(name), dns.rdatatype.from_text(kind), recurse=True)

    @property
    def _zone(self) -> Zone:
        found = self._internet.hosted("vercel", MAIN)
        if found is None:
            raise ValueError(f"{MAIN} is not hosted at Vercel, so nobody knows what is right")
        zone: Zone = found.zone
        return zone

    @property
    def _internet(self) -> Any:
        part: Any = self.world.part("dns")
        return part.internet


def _questions(zone: Zone) -> Iterator[Question]:
    """Return a question for every record set; a wildcard's is for a name that it stands for."""
    found: dict[tuple[Name, RdataType], None] = {}
    for one in zone.record_sets():
        name = to_name(one.name)
        if name == zone.name and one.type in _OWN_OF_A_SIDE:
            continue
        if name.is_wild():
            name = Name((_ANYBODY, *name.labels[1:]))
        kind = "A" if one.type in _BY_ADDRESS else one.type
        found[name, dns.rdatatype.from_text(kind)] = None
    for name, rdtype in found:
        yield Question(name, rdtype, recurse=True)


def _key(question: Question) -> str:
    return f"{question.name.to_text()} {dns.rdatatype.to_text(question.rdtype)}"


def _said(reply: Reply | None) -> list[str]:
    """Return an answer as lines without TTLs, or what came in its place."""
    if reply is None:
        return ["silence"]
    lines = [
        f"{one.name.to_text()} {dns.rdatatype.to_text(one.rdtype)} {rdata.to_text()}"
        for one in reply.answer
        for rdata in one
    ]
    return sorted(lines) or [reply.rcode.name]


PART = Users
