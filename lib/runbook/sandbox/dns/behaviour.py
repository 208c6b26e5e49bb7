"""How caching resolvers differ, in what decides when a change of nameservers reaches their users."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal

WEEK_S = 604_800
MAX_TTL_S = WEEK_S  # what BIND keeps a record at most
MAX_NEGATIVE_S = 10_800  # and "there is none"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One kind of resolver.

    `centricity`: a parent-centric one goes by the parent's NS set and TTL; a child-centric one asks the zone
    itself as soon as it has followed the parent, and goes by the zone's own NS set and TTL (RFC 2181 §5.4.1).
    `stale_s`: how long an answer that has run out is still given while nobody answers (RFC 8767).
    `busy`: its users ask all the time, so a delegation is fetched anew in the second it runs out.
    """

    centricity: Literal["parent", "child"] = "parent"
    min_ttl_s: int = 0
    max_ttl_s: int = MAX_TTL_S
    max_negative_s: int = MAX_NEGATIVE_S
    stale_s: int = 0
    validates: bool = True
    busy: bool = True

    def kept_for_s(self, ttl_s: int, *, negative: bool = False) -> int:
        """Return how long something with that TTL is kept."""
        most = min(self.max_ttl_s, self.max_negative_s) if negative else self.max_ttl_s
        return min(max(ttl_s, self.min_ttl_s), most)


# The last of these caps at six hours, as Google Public DNS says of itself; the fourth raises short TTLs, as
# some access networks do.
VARIETY = (
    Behaviour(),
    Behaviour(centricity="child"),
    Behaviour(validates=False),
    Behaviour(centricity="child", min_ttl_s=300, validates=False),
    Behaviour(stale_s=86_400),
    Behaviour(centricity="child", stale_s=3_600),
    Behaviour(max_ttl_s=86_400),
    Behaviour(max_ttl_s=21_600),
)


def behaviours(count: int) -> list[Behaviour]:
    """Return `count` kinds of resolver, the variety in turn."""
    return list(islice(cycle(VARIETY), count))
