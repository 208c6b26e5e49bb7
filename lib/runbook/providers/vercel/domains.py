"""Domains at Vercel: who hosts them, whether they lead to Vercel, nameservers of those bought there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from runbook.providers.dns import absolute
from runbook.providers.request import Query
from runbook.providers.shape import Shape
from runbook.providers.vercel.api import Api, Paging, at, open_api, project_id
from runbook.step import Step
from runbook.values import Value

_ONE_DOMAIN: Final = "/v5/domains/{domain}"


class Domain(Value):
    """A domain of the team; nameservers as host names in normal form, sorted.

    `nameservers` are those that the registry delegates to, as Vercel sees it; `intended` Vercel's own;
    `custom` those put into its registrar's book instead, for a domain that was bought there.
    """

    name: str
    verified: bool
    service: Literal["zeit.world", "external", "na"]
    nameservers: tuple[str, ...]
    intended: tuple[str, ...]
    custom: tuple[str, ...]
    bought_here: bool
    expires_at: datetime | None


class Leading(Value):
    """How a name leads to Vercel (None: it does not), and to what it should be led from elsewhere."""

    name: str
    configured_by: Literal["CNAME", "A", "http", "dns-01"] | None
    misconfigured: bool
    recommended_ipv4: tuple[str, ...]
    recommended_cname: str


class ProjectDomain(Value):
    """A name that a project answers to; unverified it is not served."""

    name: str
    verified: bool
    redirect: str


class _Domain(Shape):
    name: str
    verified: bool
    serviceType: Literal["zeit.world", "external", "na"]  # noqa: N815  # its name
    nameservers: tuple[str, ...]
    intendedNameservers: tuple[str, ...]  # noqa: N815
    customNameservers: tuple[str, ...] = ()  # noqa: N815
    boughtAt: int | None  # noqa: N815
    expiresAt: int | None  # noqa: N815


class _One(Shape):
    domain: _Domain


class _Domains(Shape):
    domains: tuple[_Domain, ...]
    pagination: Paging


class _Addresses(Shape):
    rank: int
    value: tuple[str, ...]


class _Name(Shape):
    rank: int
    value: str


class _Config(Shape):
    configuredBy: Literal["CNAME", "A", "http", "dns-01"] | None  # noqa: N815
    misconfigured: bool
    recommendedIPv4: tuple[_Addresses, ...]  # noqa: N815
    recommendedCNAME: tuple[_Name, ...]  # noqa: N815


class _ProjectDomain(Shape):
    name: str
    verified: bool
    redirect: str | None = None


class _ProjectDomains(Shape):
    domains: tuple[_ProjectDomain, ...]
    pagination: Paging


def read_domains(step: Step) -> tuple[Domain, ...]:
    """Return the team's domains."""
    with open_api(step) as api:

        def fetch(query: Query) -> tuple[Sequence[_Domain], Paging]:
            reply = api.call("read_domains", "GET", "/v5/domains", query=query, into=_Domains)
            return reply.domains, reply.pagination

        return tuple(_told(one) for one in api.pages("read_domains", fetch, key=lambda one: one.name))


def read_domain(step: Step, *, domain: str) -> Domain:
    """Return one domain; VendorRefused when the team does not have it."""
    with open_api(step) as api:
        return _domain(api, domain)


def read_leading(step: Step, *, name: str) -> Leading:
    """Return how a name leads to Vercel, as Vercel finds it in the DNS."""
    with open_api(step) as api:
        path, args = "/v6/domains/{domain}/config", {"domain": name}
        reply = api.call("read_domain_config", "GET", path, args=args, into=_Config)
    addresses = min(reply.recommendedIPv4, key=lambda one: one.rank, default=None)
    names = min(reply.recommendedCNAME, key=lambda one: one.rank, default=None)
    return Leading(
        name=name,
        configured_by=reply.configuredBy,
        misconfigured=reply.misconfigured,
        recommended_ipv4=addresses.value if addresses else (),
        recommended_cname=absolute(names.value) if names else "",
    )


def read_project_domains(step: Step) -> tuple[ProjectDomain, ...]:
    """Return the names that our project answers to."""
    with open_api(step) as api:

        def fetch(query: Query) -> tuple[Sequence[_ProjectDomain], Paging]:
            path, args = "/v9/projects/{project}/domains", {"project": project_id(step)}
            reply = api.call(
                "read_project_domains", "GET", path, args=args, query=query, into=_ProjectDomains
            )
            return reply.domains, reply.pagination

        found = api.pages("read_project_domains", fetch, key=lambda one: one.name)
    return tuple(
        ProjectDomain(name=one.name, verified=one.verified, redirect=one.redirect or "") for one in found
    )


def read_project_domain(step: Step, *, name: str) -> ProjectDomain:
    """Return one name of our project; VendorRefused when the project does not answer to it."""
    with open_api(step) as api:
        path = "/v9/projects/{project}/domains/{domain}"
        args = {"project": project_id(step), "domain": name}
        one = api.call("read_project_domain", "GET", path, args=args, into=_ProjectDomain)
    return ProjectDomain(name=one.name, verified=one.verified, redirect=one.redirect or "")


def apply_nameservers(step: Step, *, domain: str, nameservers: Sequence[str]) -> Domain:
    """Have these nameservers in the book of Vercel's registrar; none are Vercel's own.

    In the book is not yet at the registry, and that is not yet in resolvers' caches. Raises VendorRefused
    (`domain_not_registered`) for a domain that was bought elsewhere.
    """
    wanted = _names(nameservers)
    with open_api(step) as api:

        def look() -> Domain | None:
            found = _domain(api, domain)
            book = found.custom or found.intended
            return found if found.bought_here and book == (wanted or found.intended) else None

        def act() -> None:
            own = set(wanted) == set(_domain(api, domain).intended)
            plain = [] if own else [name.removesuffix(".") for name in wanted]
            path, args = "/v1/registrar/domains/{domain}/nameservers", {"domain": domain}
            api.send("set_nameservers", "PATCH", path, args=args, json={"nameservers": plain}, once=False)

        what = f"{domain} has the nameservers {', '.join(wanted) or 'of Vercel'} in its book"
        return api.brought_about(look, act, what=what, call="set_nameservers")[0]


def _domain(api: Api, domain: str) -> Domain:
    return _told(api.call("read_domain", "GET", _ONE_DOMAIN, args={"domain": domain}, into=_One).domain)


def _told(one: _Domain) -> Domain:
    return Domain(
        name=one.name,
        verified=one.verified,
        service=one.serviceType,
        nameservers=_names(one.nameservers),
        intended=_names(one.intendedNameservers),
        custom=_names(one.customNameservers),
        bought_here=one.boughtAt is not None,
        expires_at=None if one.expiresAt is None else at(one.expiresAt),
    )


def _names(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({absolute(name) for name in names}))
