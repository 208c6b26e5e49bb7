"""What a person or a test sees of a zone: who hosts it, where it is delegated to, whom resolvers go by."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from runbook.sandbox.dns.documents import Doc
from runbook.sandbox.dns.internet import Internet
from runbook.sandbox.dns.zone import Delegation, to_name

CUSTOMERS = ("vercel", "cloudflare")  # the sides whose zones are of interest
ELSEWHERE = "elsewhere"


def origins(internet: Internet) -> list[str]:
    """Return the zones that customers have, each once."""
    return list(dict.fromkeys(origin for side in CUSTOMERS for origin in internet.origins(side)))


def zone_view(internet: Internet, origin: str) -> Doc:
    """Return one zone as JSON data.

    `hosted` by side: servers and serial; `delegation`: servers, ds; `resolvers` that know the delegation:
    whose servers they go by (`side`), which, and for how many seconds yet.
    """
    internet.catch_up()
    name, now_s = to_name(origin), internet.now_s()
    hosted = {side: found for side in CUSTOMERS if (found := internet.hosted(side, origin))}
    delegated = internet.delegation(origin) or Delegation(origin, ())
    sides = {server: side for side, one in hosted.items() for server in one.servers}
    resolvers: Doc = {}
    for key, resolver in internet.resolvers.items():
        held = resolver.cache.delegations.get(name)
        if held is not None and held.until_s > now_s:
            servers = [server.to_text() for server in held.servers]
            side = sides.get(servers[0], ELSEWHERE)
            resolvers[key] = {"side": side, "servers": servers, "left_s": held.until_s - now_s}
    return {
        "hosted": {
            side: {"servers": list(one.servers), "serial": one.zone.serial} for side, one in hosted.items()
        },
        "delegation": {"servers": list(delegated.nameservers), "ds": list(delegated.ds)},
        "resolvers": resolvers,
    }


def zone_lines(internet: Internet, origin: str) -> list[str]:
    """Return one zone in sentences."""
    view, now_s = zone_view(internet, origin), internet.now_s()
    hosts = [f"{side} (serial {one['serial']})" for side, one in view["hosted"].items()]
    servers = ", ".join(view["delegation"]["servers"]) or "nowhere"
    signed = "a DS" if view["delegation"]["ds"] else "no DS"
    lines = [f"{origin} hosted at {', '.join(hosts)}; delegated to {servers}, {signed}"]
    counts = Counter(one["side"] for one in view["resolvers"].values())
    for side, count in counts.most_common():
        last_s = max(one["left_s"] for one in view["resolvers"].values() if one["side"] == side)
        until = datetime.fromtimestamp(now_s + last_s, UTC)
        verb = "resolvers go" if count > 1 else "resolver goes"
        lines.append(f"{origin} {count} {verb} by {side}, at the longest until {until:%Y-%m-%d %H:%M:%S}Z")
    return lines
