"""Namecheap's API as far as the runbooks use it, traps included.

- One path; the query's Command says which operation, and the key travels beside it.
- A refusal is HTTP 200 with Status="ERROR" and numbered errors.
- 20 calls a minute, 700 an hour, 8,000 a day; one more is HTTP 405 with a page of HTML.
- Only machines on the account's list may call, and each call must name its own address.
- Custom nameservers switch off what hangs on Namecheap's: host records, URL and e-mail forwarding.
- The registry hears of a change two minutes later (assumed: the vendor says "not instant" and no figure).

Numbers of errors are the vendor's; 2050900 for a name that is no host name is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import ClassVar, Final

from runbook.sandbox.registrar import BY_HAND, MAIN, Registrar
from runbook.sandbox.vendors.namecheap.envelope import done, element, leaf, refused
from runbook.sandbox.world.part import HEX, Answer, Call, Route
from runbook.sandbox.world.quota import Quota, Window
from runbook.sandbox.world.state import Doc

USER, CLIENT_IP = "omnihub", "192.0.2.10"
FORWARDED: Final = "omnihub.app"
"""A domain on Namecheap's own nameservers, with what custom ones would switch off."""

OWN: Final = ("dns1.registrar-servers.com", "dns2.registrar-servers.com")
PARKED: Final = 23
_WINDOWS: Final = (Window(20, 60), Window(700, 3600), Window(8000, 86_400))
_PAGE, _PAGE_LEAST, _PAGE_MOST, _SERVERS_LEAST, _SERVERS_MOST = 20, 10, 100, 2, 12
_HOST: Final = re.compile(r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*$", re.IGNORECASE)
_MISSING: Final = (
    ("ApiUser", "1010101", "Parameter APIUser is missing"),
    ("ApiKey", "1010102", "Parameter APIKey is missing"),
    ("ClientIp", "1010105", "Parameter ClientIP is missing"),
)
_TOO_MANY = "<html><title>405 - HTTP verb used to access this page is not allowed.</title></html>"


class Namecheap(Registrar):
    name = "namecheap"
    mounts = ("namecheap",)
    published_after = timedelta(minutes=2)
    scenarios: ClassVar[Mapping[str, str]] = {
        **BY_HAND,
        "namecheap-key-refused": "Namecheap's API access is switched off: its balance fell below the least",
        "namecheap-hiccup": "Namecheap's next three replies are an error that goes away",
        "namecheap-busy": "Somebody else has used up this minute's calls to Namecheap: the next two are 405",
        "registered-at-godaddy": f"{MAIN} is registered at GoDaddy",
    }

    def routes(self) -> Iterable[Route]:
        for command, call, handler, changes in (
            ("domains.dns.getList", "read_nameservers", self.nameservers, False),
            ("domains.dns.setCustom", "set_nameservers", self.set_custom, True),
            ("domains.dns.setDefault", "set_default", self.set_default, True),
            ("domains.dns.getHosts", "read_hosts", self.hosts, False),
            ("domains.getList", "read_domains", self.domains, False),
        ):
            yield Route(
                "GET",
                "/namecheap/xml.response",
                call,
                handler,
                changes=changes,
                select=("Command", f"namecheap.{command}"),
            )
        yield Route("GET", "/namecheap/xml.response", "unknown", self.unknown)

    def seed(self) -> None:
        self.table("secrets").put("api_key", {"value": self.token(32, HEX)})
        self.register(MAIN, self.servers("vercel"))
        self.register(FORWARDED, OWN, forwards=True)
        for number in range(1, PARKED + 1):
            self.table("domains").put(
                f"omnihub-{number:02}.com", {"nameservers": list(OWN), "given": list(OWN)}
            )

    def secrets(self) -> Mapping[str, str]:
        return {"api_key": self.table("secrets")["api_key"]["value"]}

    def status(self) -> Doc:
        held = {name: doc["nameservers"] for name, doc in self.table("domains").items()}
        ours = [f"{name}: {', '.join(held[name])}" for name in (MAIN, FORWARDED) if name in held]
        return {"domains": [*ours, f"and {len(held) - len(ours)} more"]}

    def play(self, scenario: str) -> None:
        match scenario:
            case "namecheap-key-refused":
                self.table("state").put("access", {"off": True})
            case "namecheap-hiccup":
                self.table("state").put("hiccups", {"left": 3})
            case "namecheap-busy":
                self.table("state").put("busy", {"left": 2})
            case "registered-at-godaddy" if MAIN in self.table("domains"):
                self.table("domains").drop(MAIN)
            case _:
                super().play(scenario)

    # Saying no

    def authorize(self, call: Call) -> Answer | None:
        """Judge key and address; before both, whether there were too many calls."""
        if Quota(self.table("usage"), _WINDOWS).take("all", self.now) or self._used_up("busy"):
            return self.limited(None)
        command = call.one("Command")
        for name, number, words in _MISSING:
            if not call.one(name):
                return refused(command, [(number, words)])
        known = call.one("ApiUser") == USER and call.one("ApiKey") == self.secrets()["api_key"]
        if not known or "access" in self.table("state"):
            words = "API Key is invalid or API access has not been enabled"
            return refused(command, [("1011102", words)])
        if call.one("ClientIp") != CLIENT_IP:
            return refused(command, [("1011150", "Invalid request IP: " + call.one("ClientIp"))])
        return self._hiccup(command)

    def error(self, status: int) -> Answer:
        return Answer(status, f"<html><body>{status}</body></html>", content_type="text/html")

    def limited(self, retry_after_s: int | None) -> Answer:
        """Refuse one call too many: not by 429, and without a word of when to come again."""
        del retry_after_s
        return Answer(405, _TOO_MANY, content_type="text/html")

    def _hiccup(self, command: str) -> Answer | None:
        if not self._used_up("hiccups"):
            return None
        return refused(command, [("3050900", "Unknown error from UserInfo")])

    def _used_up(self, what: str) -> bool:
        """Return whether one more call meets that trouble; with the last it is over."""
        left = int(self.table("state").get(what, {"left": 0})["left"])
        if left:
            self.table("state").put(what, {"left": left - 1})
        return left > 0

    # Commands

    def unknown(self, call: Call) -> Answer:
        return refused(call.one("Command"), [("1010104", "Parameter Command is missing or unknown")])

    def nameservers(self, call: Call) -> Answer:
        return self._of_domain(call, self._nameservers)

    def _nameservers(self, domain: str, doc: Doc, _call: Call) -> str:
        ours = doc["nameservers"] == list(OWN)
        said = {"Domain": domain, "IsUsingOurDNS": ours, "IsPremiumDNS": False, "IsUsingFreeDNS": False}
        listed = "".join(leaf("Nameserver", name) for name in doc["nameservers"])
        return element("DomainDNSGetListResult", said, listed)

    def set_custom(self, call: Call) -> Answer:
        names = [name for name in call.one("Nameservers").lower().split(",") if name]
        wrong = next((name for name in names if not _HOST.match(name)), None)
        if wrong is not None or not _SERVERS_LEAST <= len(names) <= _SERVERS_MOST:
            words = f"Nameserver {wrong} is invalid" if wrong else "Two to twelve nameservers are required"
            return refused(call.one("Command"), [("2050900", words)])

        def change(domain: str, _doc: Doc, _call: Call) -> str:
            self.give(domain, names)
            return element("DomainDNSSetCustomResult", {"Domain": domain, "Updated": True})

        return self._of_domain(call, change)

    def set_default(self, call: Call) -> Answer:
        def change(domain: str, _doc: Doc, _call: Call) -> str:
            self.give(domain, OWN)
            return element("DomainDNSSetDefaultResult", {"Domain": domain, "Updated": True})

        return self._of_domain(call, change)

    def hosts(self, call: Call) -> Answer:
        found = self.table("domains").get(_domain(call))
        if found is not None and found["nameservers"] != list(OWN):
            words = "Cannot complete this command as this domain is not using proper DNS servers"
            return refused(call.one("Command"), [("2030288", words)])
        return self._of_domain(call, self._hosts)

    def _hosts(self, domain: str, doc: Doc, _call: Call) -> str:
        forwards = doc.get("forwards", False)
        said = {"Domain": domain, "EmailType": "FWD" if forwards else "NONE", "IsUsingOurDNS": True}
        kinds = [("@", "URL301", "https://omnihub.dev/"), ("www", "CNAME", "parkingpage.namecheap.com.")]
        listed = "".join(
            element("host", _host(number, *kind))
            for number, kind in enumerate(kinds if forwards else kinds[1:], start=1)
        )
        return element("DomainDNSGetHostsResult", said, listed)

    def domains(self, call: Call) -> Answer:
        size = call.number("PageSize", _PAGE, least=_PAGE_LEAST, most=_PAGE_MOST)
        page = call.number("Page", 1, least=1)
        names = sorted(self.table("domains"))
        chosen = names[(page - 1) * size : page * size]
        listed = "".join(element("Domain", self._domain(names.index(name), name)) for name in chosen)
        counts = {"TotalItems": len(names), "CurrentPage": page, "PageSize": size}
        paging = element("Paging", inside="".join(leaf(key, value) for key, value in counts.items()))
        return done(call.one("Command"), element("DomainGetListResult", inside=listed), paging)

    def _domain(self, number: int, name: str) -> dict[str, object]:
        return {
            "ID": 700_000 + number,
            "Name": name,
            "User": USER,
            "Created": "03/14/2024",
            "Expires": "03/14/2028",
            "IsExpired": False,
            "IsLocked": False,
            "AutoRenew": True,
            "WhoisGuard": "ENABLED",
            "IsPremium": False,
            "IsOurDNS": self.table("domains")[name]["nameservers"] == list(OWN),
        }

    def _of_domain(self, call: Call, result: Callable[[str, Doc, Call], str]) -> Answer:
        """Return what a command makes of the domain it names, or that there is none."""
        domain, command = _domain(call), call.one("Command")
        doc = self.table("domains").get(domain)
        if doc is None:
            return refused(command, [("2019166", "Domain name not found")])
        return done(command, result(domain, doc, call))


def _domain(call: Call) -> str:
    return f"{call.one('SLD')}.{call.one('TLD')}".lower()


def _host(number: int, name: str, kind: str, address: str) -> dict[str, object]:
    return {
        "HostId": 877_000 + number,
        "Name": name,
        "Type": kind,
        "Address": address,
        "MXPref": 10,
        "TTL": 1800,
        "AssociatedAppTitle": "",
        "FriendlyName": "",
        "IsActive": True,
        "IsDDNSEnabled": False,
    }
