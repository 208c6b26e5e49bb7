"""Namecheap: XML over one path, refusals inside HTTP 200, the key in the query.

Source: Namecheap's API, and its SDK for Go (which errors are worth another try). Setting the same nameservers
twice does no harm, so a lost reply is asked for again. Over its limit (20 calls a minute, 700 an hour, 8,000
a day) it answers HTTP 405 and does not say until when.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError  # their types; defusedxml does the parsing

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from runbook.errors import SurprisingReply
from runbook.providers.connect import connect, vendor_id
from runbook.providers.dialect import OK, Dialect, Reply, Verdict, by_status
from runbook.providers.dns import absolute
from runbook.providers.http import Http
from runbook.providers.paging import by_number
from runbook.providers.registrars.book import see_in_book
from runbook.providers.registrars.interface import Loss, Nameservers, plain
from runbook.providers.request import Query
from runbook.step import Step
from runbook.values import Value

VENDOR: Final = "namecheap"
_SPACE: Final = "{http://api.namecheap.com/xml.response}"
_OVER_LIMIT: Final = 405
_PASSES: Final = frozenset({"3050900", "5019169", "5050169", "5050900"})  # errors that go away
_PAGE: Final = 20
_FORWARDS: Final = frozenset({"URL", "URL301", "FRAME"})
_NO_EMAIL: Final = frozenset({"NONE", "MX", "MXE", "No Email Service"})  # nothing that Namecheap forwards
_ACCESS: Final = {
    "1011102": "check the key, that API access is on, and what Namecheap asks of the account for it",
    "1011150": "put this machine's address on Namecheap's list, and into `ids: client_ip`",
}


class Host(Value):
    """A record that Namecheap's own nameservers serve; `kind` may be a forward (URL301) besides DNS's own."""

    name: str
    kind: str
    address: str
    ttl_s: int


class Hosts(Value):
    """What Namecheap's own nameservers serve for a domain; `email` is FWD where it forwards mail."""

    zone: str
    email: str
    hosts: tuple[Host, ...]


def _verdict(reply: Reply) -> Verdict:
    """Judge by the envelope's Status, whatever HTTP's says; what is no envelope is left to the reading."""
    if reply.status == _OVER_LIMIT:
        return Verdict("later", str(_OVER_LIMIT), "its way to say: too many calls")
    if reply.status != OK:
        return by_status(reply)
    root = _parsed(reply.content)
    if root is None or root.get("Status") != "ERROR":
        return by_status(reply)
    error = root.find(f"{_SPACE}Errors/{_SPACE}Error")
    number = "" if error is None else error.get("Number", "")
    words = "" if error is None else (error.text or "").strip()
    if hint := _ACCESS.get(number):
        words = f"{words}; {hint}"
    return Verdict("failed" if number in _PASSES else "refused", number, words)


API: Final = Dialect(
    vendor=VENDOR,
    mount="/namecheap",
    secrets=("api_key",),
    verdict=_verdict,
    attempts=4,
    blind_wait_s=60.0,  # its shortest window
)


class Namecheap:
    """Namecheap as one of the registrars."""

    name = VENDOR

    def read(self, step: Step, zone: str) -> Nameservers:
        with connect(step, API) as http:
            result = _asked(step, http, "read_nameservers", "domains.dns.getList", _of(zone))
            found = _one(result, "DomainDNSGetListResult", "read_nameservers")
        names = [(one.text or "").strip() for one in found.findall(f"{_SPACE}Nameserver")]
        if not all(names):
            raise _surprising("read_nameservers", "Nameserver")
        return Nameservers(
            zone=zone,
            registrar=VENDOR,
            names=tuple(sorted(map(absolute, names))),
            own_dns=_flag(found, "IsUsingOurDNS", "read_nameservers"),
        )

    def give(self, step: Step, zone: str, names: tuple[str, ...], *, before: tuple[str, ...]) -> None:
        del before
        query = {**_of(zone), "Nameservers": ",".join(map(plain, names))}
        with connect(step, API) as http:
            _updated(step, http, "set_nameservers", "domains.dns.setCustom", query)

    def losses(self, step: Step, zone: str) -> tuple[Loss, ...]:
        if not self.read(step, zone).own_dns:
            return ()
        found = read_hosts(step, zone=zone)
        lost = [
            Loss(
                what="URL forwarding" if one.kind in _FORWARDS else f"host record {one.kind}",
                name=one.name,
                leads_to=one.address,
            )
            for one in found.hosts
        ]
        if found.email not in _NO_EMAIL:
            lost.append(Loss(what="e-mail forwarding", name="@", leads_to=found.email))
        return tuple(lost)


def apply_default(step: Step, *, zone: str, within_s: float = 300.0) -> Nameservers:
    """Give a domain Namecheap's own nameservers, unless it has them, and see them in its book."""
    registrar, zone = Namecheap(), absolute(zone)
    before = registrar.read(step, zone)
    if before.own_dns:
        return before
    with connect(step, API) as http:
        _updated(step, http, "set_default", "domains.dns.setDefault", _of(zone))
    return see_in_book(
        step,
        registrar,
        zone,
        holds=lambda shown: shown.own_dns,
        expected="its own",
        within_s=within_s,
    )


def read_hosts(step: Step, *, zone: str) -> Hosts:
    """Return what Namecheap's own nameservers serve; VendorRefused (2030288) for a domain that has others."""
    with connect(step, API) as http:
        result = _asked(step, http, "read_hosts", "domains.dns.getHosts", _of(absolute(zone)))
        found = _one(result, "DomainDNSGetHostsResult", "read_hosts")
    hosts = tuple(
        Host(
            name=_text(one, "Name", "read_hosts"),
            kind=_text(one, "Type", "read_hosts"),
            address=_text(one, "Address", "read_hosts"),
            ttl_s=_number(_text(one, "TTL", "read_hosts"), "TTL", "read_hosts"),
        )
        for one in found.findall(f"{_SPACE}host")
    )
    return Hosts(zone=absolute(zone), email=_text(found, "EmailType", "read_hosts"), hosts=hosts)


def read_domains(step: Step) -> tuple[str, ...]:
    """Return the domains of the account, in the vendor's order."""
    with connect(step, API) as http:

        def fetch(page: int) -> tuple[Sequence[str], bool]:
            query = {"Page": page, "PageSize": _PAGE}
            result = _asked(step, http, "read_domains", "domains.getList", query)
            found = _one(result, "DomainGetListResult", "read_domains")
            total = _one(_one(result, "Paging", "read_domains"), "TotalItems", "read_domains").text
            names = [_text(one, "Name", "read_domains") for one in found.findall(f"{_SPACE}Domain")]
            more = page * _PAGE < _number(total, "TotalItems", "read_domains")
            if more and len(names) != _PAGE:
                raise _surprising("read_domains", "a page that is not full, and not the last")
            return names, more

        return tuple(by_number(fetch, what=f"{VENDOR} read_domains"))


def _asked(step: Step, http: Http, name: str, command: str, query: Query) -> Element:
    """Return the CommandResponse of a command that was done."""
    who = {
        "ApiUser": vendor_id(step, VENDOR, "api_user"),
        "ApiKey": http.secrets["api_key"],
        "UserName": vendor_id(step, VENDOR, "user_name"),
        "ClientIp": vendor_id(step, VENDOR, "client_ip"),
        "Command": f"namecheap.{command}",
    }
    reply = http.exchange(name, "GET", "/xml.response", query={**who, **query})
    root = _parsed(reply.content)
    if root is None or root.tag != f"{_SPACE}ApiResponse" or root.get("Status") != "OK":
        raise _surprising(name, "ApiResponse")
    return _one(root, "CommandResponse", name)


def _updated(step: Step, http: Http, name: str, command: str, query: Query) -> None:
    """Make a change and see that the vendor says so: `Updated`, of the command's one result."""
    result = _asked(step, http, name, command, query)
    found = next(iter(result), None)
    if found is None or not _flag(found, "Updated", name):
        raise _surprising(name, "Updated")


def _of(zone: str) -> dict[str, str]:
    """Return a registered domain in the two parts the vendor wants it in."""
    sld, _, tld = plain(zone).partition(".")
    return {"SLD": sld, "TLD": tld}


def _parsed(content: bytes) -> Element | None:
    """Return a body's root; None when it is no XML, or XML with entities or a DTD in it."""
    try:
        found: Any = fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        return None
    return found if isinstance(found, Element) else None


def _one(parent: Element, name: str, call: str) -> Element:
    found = parent.findall(f"{_SPACE}{name}")
    if len(found) != 1:
        raise _surprising(call, name)
    return found[0]


def _text(element: Element, attribute: str, call: str) -> str:
    found = element.get(attribute)
    if found is None:
        raise _surprising(call, attribute)
    return found


def _flag(element: Element, attribute: str, call: str) -> bool:
    found = _text(element, attribute, call).lower()
    if found not in ("true", "false"):
        raise _surprising(call, attribute)
    return found == "true"


def _number(text: str | None, field: str, call: str) -> int:
    if text is None or not text.strip().isdigit():
        raise _surprising(call, field)
    return int(text)


def _surprising(call: str, field: str) -> SurprisingReply:
    return SurprisingReply(
        f"{VENDOR} answered {call} with a reply of another shape than documented: {field}. "
        "Look at it in the run's evidence/",
        vendor=VENDOR,
        call=call,
    )
