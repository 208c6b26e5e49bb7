"""The DNS as a part of the world: its tables, its sockets, its DoH endpoints, its scenarios.

Another part writes zones through it (internet.py shows how):

    dns = world.part("dns").internet
    zone = dns.hosted("cloudflare", "omnihub.dev.").zone
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

import dns.rdatatype

from runbook.sandbox.dns.doh import Response, Vendor, answer_json, answer_wire
from runbook.sandbox.dns.internet import Internet
from runbook.sandbox.dns.listening import HOST, Listener
from runbook.sandbox.dns.lookup import Question
from runbook.sandbox.dns.resolver import Resolver
from runbook.sandbox.dns.views import origins, zone_lines, zone_view
from runbook.sandbox.dns.zone import to_name
from runbook.sandbox.world.part import Answer, Call, Part, Route
from runbook.sandbox.world.state import Doc
from runbook.sandbox.world.world import World

# Who stands behind a DoH endpoint: a resolver that caps at six hours, as Google says of itself; a
# child-centric one.
BEHIND: Mapping[Vendor, str] = {"google": "resolver-08", "cloudflare": "resolver-02"}
BAD = 400


class Tables:
    """The part's tables in the world's state, as the DNS writes to them."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def put(self, table: str, key: str, doc: Doc) -> None:
        self._part.table(table).put(key, doc)

    def drop(self, table: str, key: str) -> None:
        found = self._part.table(table)
        if key in found:
            found.drop(key)


class Dns(Part):
    """Nameservers and resolvers on ports of their own; DoH under /doh/, faults and answers under /dns/."""

    name = "dns"
    mounts = ("doh", "dns")
    scenarios: ClassVar[Mapping[str, str]] = {
        "lame-delegation": "the first nameserver Cloudflare gives a zone refuses to answer for it",
        "stale-nameserver": "the first nameserver Cloudflare gives a zone does not hear of changes any more",
        "stale-at-vercel": "the first of Vercel's nameservers does not hear of changes to a zone any more",
        "ds-left-at-parent": "the zone is signed at Vercel, so its DS stands at the registry",
        "ds-taken-out": "a person has switched DNSSEC off at the registrar: no DS stands at the registry",
    }

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.internet = Internet(lambda: self.now, seed=world.seed, store=Tables(self))
        self._listeners: list[Listener] = []
        self.internet.load(super().dump())
        for endpoint in self.internet.endpoints():
            endpoint.port = self.table("ports").get(endpoint.name, {"port": 0})["port"]

    def seed(self) -> None:
        self.internet.create()

    def routes(self) -> Iterable[Route]:
        yield Route("GET", "/doh/google/resolve", "resolve", self._google, open=True)
        yield Route("GET", "/doh/cloudflare/dns-query", "dns_query", self._cloudflare, open=True)
        yield Route("POST", "/doh/cloudflare/dns-query", "dns_query_post", self._cloudflare, open=True)
        yield Route("GET", "/dns/answers", "answers", self._answers, open=True)
        yield Route("GET", "/dns/zones", "zones", self._zones, open=True)
        yield Route("POST", "/dns/faults", "set_fault", self._set_fault, open=True)

    def addresses(self) -> Mapping[str, str]:
        """Return where each server listens, by its name and by the address the DNS gives for it."""
        listening = [one for one in self.internet.endpoints() if one.port]
        by_name = {one.name: f"{HOST}:{one.port}" for one in listening}
        resolvers = {name: where for name, where in by_name.items() if name in self.internet.resolvers}
        return {**resolvers, **by_name, **{one.address: f"{HOST}:{one.port}" for one in listening}}

    def status(self) -> Doc:
        """Return each customer's zone in sentences; `GET /dns/zones` has them as data."""
        zones = origins(self.internet)
        return {"zones": [line for origin in zones for line in zone_lines(self.internet, origin)]}

    def play(self, scenario: str) -> None:
        for origin in self.internet.origins("vercel"):
            servers = self.internet.assigned("cloudflare", origin)
            match scenario:
                case "lame-delegation":
                    self.internet.break_zone(servers[0], origin, "refused")
                case "stale-nameserver":
                    self.internet.break_zone(servers[0], origin, "stale")
                case "stale-at-vercel":
                    self.internet.break_zone(self.internet.assigned("vercel", origin)[0], origin, "stale")
                case "ds-left-at-parent":
                    self.internet.sign("vercel", origin)
                case "ds-taken-out" if (found := self.internet.delegation(origin)) is not None:
                    self.internet.delegate(replace(found, ds=()))

    async def start(self) -> None:
        for endpoint in self.internet.endpoints():
            listener = Listener(endpoint, after=self._keep)
            await listener.start()
            self._listeners.append(listener)
        self._put_ports()
        self.world.state.save()

    async def stop(self) -> None:
        for listener in self._listeners:
            await listener.close()
        self._listeners.clear()

    def dump(self) -> Doc:
        self.internet.keep_caches()
        return super().dump()

    def load(self, dumped: Doc) -> None:
        super().load(dumped)
        self.internet.load(dumped)
        self._put_ports()

    def _put_ports(self) -> None:
        ports = self.table("ports")
        for endpoint in self.internet.endpoints():
            if endpoint.port:
                ports.put(endpoint.name, {"port": endpoint.port})

    def _keep(self) -> None:
        """Write down what the resolvers learnt from the queries just answered."""
        self.internet.keep_caches()
        self.world.state.save()

    # Calls

    def _google(self, call: Call) -> Answer:
        return self._http(answer_json(self._behind("google"), "google", dict(reversed(call.query))))

    def _cloudflare(self, call: Call) -> Answer:
        resolver = self._behind("cloudflare")
        if call.method == "POST":
            return self._http(answer_wire(resolver, call.body))
        if message := call.one("dns"):
            return self._http(answer_wire(resolver, message))
        return self._http(answer_json(resolver, "cloudflare", dict(reversed(call.query))))

    def _http(self, response: Response) -> Answer:
        self.internet.keep_caches()
        return Answer(response.status, response.body, content_type=response.content_type)

    def _behind(self, vendor: Vendor) -> Resolver:
        return self.internet.resolvers[BEHIND[vendor]]

    def _zones(self, _call: Call) -> Answer:
        """Answer with each customer's zone, see `zone_view`."""
        return Answer(200, {origin: zone_view(self.internet, origin) for origin in origins(self.internet)})

    def _answers(self, call: Call) -> Answer:
        """Answer `?name=&type=` with what each resolver says now; asking is what their users do, too."""
        try:
            question = Question(
                to_name(call.one("name")), dns.rdatatype.from_text(call.one("type", "A")), recurse=True
            )
        except ValueError as error:
            return Answer(BAD, {"error": str(error)})
        said = {name: _said(one, question) for name, one in self.internet.resolvers.items()}
        self.internet.keep_caches()
        return Answer(200, said)

    def _set_fault(self, call: Call) -> Answer:
        """Break `server` for `zone` (a `fault` of nameserver.py, "none" mends), or all of it (`mute`, …)."""
        fields = call.fields()
        server, zone, fault = fields.get("server", ""), fields.get("zone"), fields.get("fault", "none")
        try:
            if zone and fault == "none":
                self.internet.mend_zone(server, zone)
            elif zone:
                self.internet.break_zone(server, zone, fault)
            else:
                self.internet.break_server(
                    server,
                    mute=bool(fields.get("mute")),
                    garbled=bool(fields.get("garbled")),
                    delay_s=float(fields.get("delay_s", 0.0)),
                )
        except ValueError as error:
            return Answer(BAD, {"error": str(error)})
        return Answer(200, {})


def _said(resolver: Resolver, question: Question) -> Doc | None:
    reply = resolver.reply(question)
    if reply is None or resolver.mute:
        return None
    records = [
        [records.name.to_text(), records.ttl, dns.rdatatype.to_text(records.rdtype), rdata.to_text()]
        for records in reply.answer
        for rdata in records
    ]
    return {"rcode": reply.rcode.name, "records": records}


PART = Dns
