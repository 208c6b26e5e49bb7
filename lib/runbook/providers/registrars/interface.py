"""What a registrar can do, and the values in which it is spoken of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Protocol

from runbook.errors import InputError
from runbook.providers.dns import Delegation, absolute
from runbook.step import Step
from runbook.values import Value

LEAST: Final = 2  # RFC 2182 §5; Namecheap and GoDaddy refuse fewer


class Nameservers(Value):
    """A domain's nameservers in a registrar's book: host names in normal form, sorted.

    `own_dns` says that they are the registrar's own, with which other services of it may go.
    """

    zone: str
    registrar: str
    names: tuple[str, ...]
    own_dns: bool = False


class Loss(Value):
    """Something that other nameservers would switch off at the registrar."""

    what: str
    name: str
    leads_to: str


class Handed(Value):
    """A registrar has nameservers in its book; `found` says that it had them before it was asked."""

    zone: str
    registrar: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    found: bool
    at: datetime


class Published(Value):
    """All of the parent's servers delegate a zone to these nameservers, seen at `seen_at`."""

    zone: str
    nameservers: tuple[str, ...]
    seen_at: datetime
    delegation: Delegation


class Registrar(Protocol):
    """One registrar. `zone` and `names` are in normal form (a dot at the end)."""

    @property
    def name(self) -> str: ...

    def read(self, step: Step, zone: str) -> Nameservers:
        """Return what its book says."""
        ...

    def give(self, step: Step, zone: str, names: tuple[str, ...], *, before: tuple[str, ...]) -> None:
        """Put nameservers into its book; the same ones twice do no harm. `before` is what stands there."""
        ...

    def losses(self, step: Step, zone: str) -> tuple[Loss, ...]:
        """Return what other nameservers would switch off there."""
        ...


def normal(names: Iterable[str]) -> tuple[str, ...]:
    """Return host names in normal form, sorted, each once; InputError when there are fewer than two."""
    try:
        found = tuple(sorted({absolute(name) for name in names}))
    except ValueError as error:
        raise InputError(f"a nameserver has no valid name: {error}") from None
    if len(found) < LEAST:
        raise InputError(f"a domain has two nameservers or more, not {', '.join(found) or 'none'}")
    return found


def plain(name: str) -> str:
    """Return a name as registrars write it, without the dot at its end."""
    return name.rstrip(".")
