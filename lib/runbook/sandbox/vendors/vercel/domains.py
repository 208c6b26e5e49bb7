"""Domains: ours, registered at Vercel, and one registered elsewhere; whether they lead to Vercel.

The registrar takes new nameservers at once and writes them into the registry half a minute later. Its
endpoint refuses in another envelope than the rest of the API.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from runbook.sandbox.dns.internet import Internet
from runbook.sandbox.dns.zone import Delegation
from runbook.sandbox.vendors.vercel.desk import (
    MOUNT,
    TEAM,
    USER,
    Desk,
    missing,
    ms,
    no_unwrapped,
    page,
)
from runbook.sandbox.vendors.vercel.records import SIDE
from runbook.sandbox.vendors.vercel.serving import dotted
from runbook.sandbox.vendors.vercel.zonefile import EDGE, EDGE_IPV4
from runbook.sandbox.world.part import Answer, Call, Route
from runbook.sandbox.world.state import Doc

DOMAIN: Final = "omnihub.dev"
ELSEWHERE: Final = "omnihub-status.com"
DELEGATED_AFTER: Final = timedelta(seconds=30)
_NOT_TOLD: Final = "The domain was not found in our system."


class Domains(Desk):
    """The domains of the team, in the table `domains`."""

    def routes(self) -> Iterable[Route]:
        for path, call, handler in (
            ("/v5/domains", "read_domains", self.listing),
            ("/v5/domains/{domain}", "read_domain", self.get),
            ("/v6/domains/{domain}/config", "read_domain_config", self.config),
            ("/v9/projects/{project}/domains", "read_project_domains", self.of_project),
            ("/v9/projects/{project}/domains/{domain}", "read_project_domain", self.one_of_project),
        ):
            yield Route("GET", f"{MOUNT}{path}", call, handler)
        path = f"{MOUNT}/v1/registrar/domains/{{domain}}/nameservers"
        yield Route("PATCH", path, "set_nameservers", self.set_nameservers)

    def seed(self) -> None:
        """Register ours here and one elsewhere, and let the registry delegate ours, if nobody did yet."""
        self.internet.put_host(EDGE, *EDGE_IPV4)
        for name, registered in ((DOMAIN, True), (ELSEWHERE, False)):
            born = self.now - timedelta(days=400 if registered else 300)
            doc = {"id": f"dom_{self.part.token(20)}", "registered": registered, "created": ms(born)}
            self.table("domains").put(name, {**doc, "custom": []})

    def delegate_at_first(self) -> None:
        """Delegate our domain, unless a registrar did, and let every resolver know it."""
        servers = self.internet.assigned(SIDE, DOMAIN)
        found = self.internet.delegation(DOMAIN)
        if found is None:
            self.internet.delegate(Delegation(f"{DOMAIN}.", servers))
        if found is None or set(found.nameservers) == set(servers):
            self.internet.warm(DOMAIN)

    @property
    def internet(self) -> Internet:
        found: Any = self.part.world.part("dns")
        internet: Internet = found.internet
        return internet

    # Calls

    def listing(self, call: Call) -> Answer:
        found = [{"name": name, **doc} for name, doc in self.table("domains").items()]
        chosen, pagination = page(call, found, lambda doc: int(doc["created"]))
        return Answer(
            200, {"domains": [self._domain(doc["name"]) for doc in chosen], "pagination": pagination}
        )

    def get(self, call: Call) -> Answer:
        domain = call.args["domain"]
        if domain not in self.table("domains"):
            return missing("Domain")
        return Answer(200, {"domain": {"suffix": False, **self._domain(domain)}})

    def config(self, call: Call) -> Answer:
        """Answer how the name leads to Vercel, by what its zone holds now, wherever it is delegated to."""
        by = self._configured_by(call.args["domain"])
        body = {
            "configuredBy": by,
            "acceptedChallenges": ["dns-01", "http-01"] if by else [],
            "recommendedIPv4": [
                {"rank": 1, "value": [EDGE_IPV4[0]]},
                {"rank": 2, "value": [EDGE_IPV4[1]]},
            ],
            "recommendedCNAME": [{"rank": 1, "value": EDGE}],
            "misconfigured": by is None,
        }
        return Answer(200, body)

    def of_project(self, call: Call) -> Answer:
        names = (DOMAIN, f"www.{DOMAIN}")
        chosen, pagination = page(
            call, [self._of_project(n) for n in names], lambda doc: int(doc["createdAt"])
        )
        return Answer(200, {"domains": chosen, "pagination": pagination})

    def one_of_project(self, call: Call) -> Answer:
        name = call.args["domain"]
        if name not in (DOMAIN, f"www.{DOMAIN}"):
            return missing("Project Domain")
        return Answer(200, self._of_project(name))

    def set_nameservers(self, call: Call) -> Answer:
        domain, body = call.args["domain"], call.json()
        doc = self.table("domains").get(domain)
        if doc is None:
            return no_unwrapped(404, "domain_not_found", _NOT_TOLD)
        if not doc["registered"]:
            return no_unwrapped(400, "domain_not_registered", "The domain is not registered with Vercel.")
        asked = body.get("nameservers") if isinstance(body, dict) else None
        if not isinstance(asked, list) or not all(isinstance(name, str) for name in asked):
            issue = {"path": ["nameservers"], "message": "Expected an array of strings"}
            issues = {"issues": [issue], "message": "The request did not match the expected schema"}
            return Answer(400, issues)
        self.table("domains").change(domain, custom=asked)
        self.part.later("delegate", after=DELEGATED_AFTER, domain=domain, nameservers=asked)
        return Answer(204)

    def delegate(self, domain: str, nameservers: list[str]) -> None:
        """Write the nameservers into the registry; none are Vercel's own."""
        names = tuple(map(dotted, nameservers)) or self.internet.assigned(SIDE, domain)
        found = self.internet.delegation(domain)
        new = replace(found, nameservers=names) if found else Delegation(f"{domain}.", names)
        self.internet.delegate(new)

    # What is told

    def _domain(self, name: str) -> Doc:
        doc = self.table("domains")[name]
        found = self.internet.delegation(name)
        current = [server.removesuffix(".") for server in found.nameservers] if found else []
        intended = [server.removesuffix(".") for server in self.internet.assigned(SIDE, name)]
        bought = doc["created"] if doc["registered"] else None
        year_ms = 365 * 86_400_000
        return {
            "id": doc["id"],
            "name": name,
            "verified": True,
            "nameservers": current,
            "intendedNameservers": intended,
            **({"customNameservers": doc["custom"]} if doc["registered"] and doc["custom"] else {}),
            "creator": {"id": USER, "username": "omnihub", "email": "ops@omnihub.dev"},
            **({"registrar": "new", "renew": True} if doc["registered"] else {}),
            "teamId": TEAM,
            "userId": USER,
            "createdAt": doc["created"],
            "boughtAt": bought,
            "expiresAt": bought + 2 * year_ms if bought else None,
            "serviceType": "zeit.world" if set(current) == set(intended) else "external",
        }

    def _of_project(self, name: str) -> Doc:
        redirect = DOMAIN if name != DOMAIN else None
        return {
            "name": name,
            "apexName": DOMAIN,
            "projectId": next(iter(self.table("project"))),
            "redirect": redirect,
            "redirectStatusCode": 308 if redirect else None,
            "gitBranch": None,
            "customEnvironmentId": None,
            "createdAt": self.table("domains")[DOMAIN]["created"],
            "updatedAt": self.table("domains")[DOMAIN]["created"],
            "verified": True,
        }

    def _configured_by(self, name: str) -> str | None:
        apex = next((one for one in self.table("domains") if name == one or name.endswith(f".{one}")), None)
        found = self.internet.delegation(apex) if apex else None
        for side in (SIDE, "cloudflare"):
            hosted = self.internet.hosted(side, apex) if apex else None
            if hosted is None or found is None or set(hosted.servers) != set(found.nameservers):
                continue
            kinds = {kind: hosted.zone.get(name, kind) for kind in ("CNAME", "ALIAS", "A")}
            values = {kind: set(one.values) for kind, one in kinds.items() if one is not None}
            if values.get("CNAME") == {EDGE}:
                return "CNAME"
            if values.get("ALIAS") == {EDGE} or (values.get("A") or {""}) <= set(EDGE_IPV4):
                return "A"
        return None
