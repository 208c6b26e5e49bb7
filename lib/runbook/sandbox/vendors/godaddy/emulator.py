"""GoDaddy's Domains API as far as the runbooks use it, traps included.

- A change of nameservers is 200 with no body; reading shows the old ones for a while longer.
- 429 tells its wait in the body (`retryAfterSec`), no header does: 60 calls a minute for each endpoint.
- 403 for an account without API access, however right the key.
- 409 for a domain whose nameservers may not be changed by API: protected ones want a second factor.
- A nameserver written with a dot at its end fails validation.
- A domain is read with its transfer code and its owner's address in it.

Not told by the vendor, so assumed: that reading lags 30 s and the registry ten minutes; the code of a 409.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final

from runbook.sandbox.registrar import BY_HAND, MAIN, Registrar
from runbook.sandbox.world.part import LOWER, UPPER, Answer, Call, Route
from runbook.sandbox.world.quota import Quota, Window
from runbook.sandbox.world.state import Doc

OURS, PROTECTED = "omnihub.net", "omnihub.org"
NO_ACCESS: Final = "ACCESS_DENIED"
_PAGE, _PAGE_MOST, _SERVERS_LEAST, _SERVERS_MOST = 100, 1000, 2, 13
_WINDOWS: Final = (Window(60, 60),)
_HOST: Final = re.compile(r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*$", re.IGNORECASE)
_CODES: Final = {
    401: ("UNABLE_TO_AUTHENTICATE", "Unauthorized : Could not authenticate API key/secret"),
    403: (NO_ACCESS, "Authenticated user is not allowed access"),
    404: ("UNKNOWN_DOMAIN", "The given domain is not registered, or does not have a zone file"),
    409: ("INELIGIBLE_DOMAIN", "The given domain is not eligible to have its nameservers changed"),
    429: ("TOO_MANY_REQUESTS", "Too many requests received within interval"),
}
_OWNER: Final = {
    "nameFirst": "Ada",
    "nameLast": "Okafor",
    "email": "ada@omnihub.example",
    "phone": "+1.5555550100",
    "addressMailing": {
        "address1": "1 Rehearsal Street",
        "city": "Springfield",
        "state": "OR",
        "postalCode": "97477",
        "country": "US",
    },
}


class GoDaddy(Registrar):
    name = "godaddy"
    mounts = ("godaddy",)
    shown_after = timedelta(seconds=30)
    published_after = timedelta(minutes=10)
    scenarios: ClassVar[Mapping[str, str]] = {
        **BY_HAND,
        "registered-at-godaddy": f"{MAIN} is registered at GoDaddy",
        "godaddy-no-api-access": "GoDaddy lets this account use its API no more: it has too few domains",
        "godaddy-protected": f"{OURS} is protected: its nameservers change with a second factor only",
    }

    def routes(self) -> Iterable[Route]:
        yield Route("GET", "/godaddy/v1/domains", "read_domains", self.domains)
        yield Route("GET", "/godaddy/v1/domains/{domain}", "read_domain", self.domain)
        yield Route("PATCH", "/godaddy/v1/domains/{domain}", "update_domain", self.update)

    def seed(self) -> None:
        self.table("secrets").put("key", {"value": self.token(37, UPPER + LOWER)})
        self.table("secrets").put("secret", {"value": self.token(22, UPPER + LOWER)})
        self.table("secrets").put("auth_code", {"value": self.token(16, UPPER + LOWER)})
        for domain in (OURS, PROTECTED):
            self.register(domain, self.servers("vercel"), protected=domain == PROTECTED)

    def secrets(self) -> Mapping[str, str]:
        """Return key and secret, and the transfer code, which no client asks for and every reading shows."""
        return {name: doc["value"] for name, doc in self.table("secrets").items()}

    def play(self, scenario: str) -> None:
        match scenario:
            case "godaddy-no-api-access":
                self.table("state").put("access", {"off": True})
            case "godaddy-protected":
                self.table("domains").change(OURS, protected=True)
            case "registered-at-godaddy":
                self.register(MAIN, self.delegated(), protected=False)
            case _:
                super().play(scenario)

    # Saying no

    def authorize(self, call: Call) -> Answer | None:
        shown, secrets = call.header("Authorization"), self.secrets()
        if not shown:
            return _no(401, "MISSING_CREDENTIALS", "Unauthorized : Credentials must be specified")
        if shown != f"sso-key {secrets['key']}:{secrets['secret']}":
            return self.error(401)
        if "access" in self.table("state"):
            return self.error(403)
        endpoint = f"{call.method} {'one' if 'domain' in call.args else 'all'}"
        wait_s = Quota(self.table("usage"), _WINDOWS).take(endpoint, self.now)
        return self.limited(wait_s) if wait_s else None

    def error(self, status: int) -> Answer:
        return _no(status, *_CODES.get(status, ("INTERNAL_SERVER_ERROR", "Internal server error")))

    def limited(self, retry_after_s: int | None) -> Answer:
        """Refuse one call too many; how long to wait stands in the body."""
        wait = {} if retry_after_s is None else {"retryAfterSec": retry_after_s}
        return Answer(429, {**self.error(429).body, **wait})

    # Calls

    def domains(self, call: Call) -> Answer:
        names = sorted(self.table("domains"))
        if marker := call.one("marker"):
            names = [name for name in names if name > marker]
        limit = call.number("limit", _PAGE, least=1, most=_PAGE_MOST)
        with_servers = "nameServers" in ",".join(call.all("includes")).split(",")
        found = []
        for name in names[:limit]:
            whole = self._detail(name)
            left_out = ("contactBilling", "contactAdmin", "contactTech", "authCode")
            shown = {key: value for key, value in whole.items() if key not in left_out}
            servers = whole["nameServers"] if with_servers else None
            found.append({**shown, "renewable": True, "nameServers": servers})
        return Answer(200, [{k: v for k, v in one.items() if v is not None} for one in found])

    def domain(self, call: Call) -> Answer:
        domain = call.args["domain"].lower()
        return Answer(200, self._detail(domain)) if domain in self.table("domains") else self.error(404)

    def update(self, call: Call) -> Answer:
        domain, asked = call.args["domain"].lower(), call.json()
        if domain not in self.table("domains"):
            return self.error(404)
        if not isinstance(asked, dict):
            return _no(422, "INVALID_BODY", "Request body doesn't fulfill schema, see details in `fields`")
        if "nameServers" in asked:
            if refusal := self._refusal(domain, asked["nameServers"]):
                return refusal
            self.give(domain, [name.lower() for name in asked["nameServers"]])
        return Answer(200)

    def _refusal(self, domain: str, names: Any) -> Answer | None:
        """Return why nameservers are not taken, None when they are."""
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return _no(422, "INVALID_BODY", "Request body doesn't fulfill schema, see details in `fields`")
        if not _SERVERS_LEAST <= len(set(names)) <= _SERVERS_MOST:
            words = "At least two NS records must be specified in the request body"
            return _no(422, "MISSING_NAME_SERVER", words)
        if wrong := [name for name in names if not _HOST.match(name)]:
            field = {"path": "nameServers", "code": "INVALID_FIELD", "message": f"Nameservers {wrong}"}
            words = "Failed to update nameservers"
            return Answer(422, {"code": "FAILED_NAME_SERVER_VALIDATION", "message": words, "fields": [field]})
        return self.error(409) if self.table("domains")[domain]["protected"] else None

    def _detail(self, domain: str) -> Doc:
        doc = self.table("domains")[domain]
        return {
            "domainId": 300_000_000 + sorted(self.table("domains")).index(domain),
            "domain": domain,
            "status": "ACTIVE",
            "expires": "2028-03-14T12:00:00.000Z",
            "expirationProtected": False,
            "holdRegistrar": False,
            "locked": True,
            "privacy": True,
            "renewAuto": True,
            "renewDeadline": "2028-04-28T12:00:00.000Z",
            "transferProtected": doc["protected"],
            "createdAt": "2024-03-14T12:00:00.000Z",
            "authCode": self.table("secrets")["auth_code"]["value"],
            "nameServers": doc["nameservers"],
            "contactRegistrant": _OWNER,
            "contactBilling": _OWNER,
            "contactAdmin": _OWNER,
            "contactTech": _OWNER,
        }


def _no(status: int, code: str, words: str) -> Answer:
    return Answer(status, {"code": code, "message": words})
