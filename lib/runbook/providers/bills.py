"""Every bill there is, for one month: the vendors', and what we declare where no vendor tells.

A vendor that does not tell its bill makes its service *unknown*, with its own words; nothing is left out, and
nothing reads 0 that is not known.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Final

from runbook.costs.charges import Charge, unknown
from runbook.costs.declared import read_declared
from runbook.errors import VendorError
from runbook.providers import upstash
from runbook.providers.cloudflare import charges as cloudflare
from runbook.providers.datadog import charges as datadog
from runbook.providers.supabase import addons as supabase
from runbook.providers.vercel import charges as vercel
from runbook.step import Step

READERS: Final[tuple[tuple[str, Callable[..., tuple[Charge, ...]]], ...]] = (
    (cloudflare.SERVICE, cloudflare.read_charges),
    (datadog.SERVICE, datadog.read_charges),
    (upstash.SERVICE, upstash.read_charges),
    (vercel.SERVICE, vercel.read_charges),
    (supabase.SERVICE, supabase.read_charges),
)


def read_bills(step: Step, *, month: date) -> tuple[Charge, ...]:
    """Return every charge of the calendar month that `month` lies in, as far as it is told by now."""
    found: list[Charge] = []
    for service, read in READERS:
        try:
            found += read(step, month=month)
        except VendorError as error:
            step.remark(f"the bill of {service} could not be read: {error}")
            found.append(
                unknown(service, f"its bill could not be read ({error.vendor} {error.call})", month=month)
            )
    return (*found, *read_declared(step, month=month))
