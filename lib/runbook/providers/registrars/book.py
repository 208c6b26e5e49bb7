"""A registrar's yes is believed once its own book shows it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from runbook.errors import VendorUnavailable
from runbook.providers.registrars.interface import Nameservers, Registrar
from runbook.step import Step

LOOK_EVERY_S: Final = 10.0


def see_in_book(
    step: Step,
    registrar: Registrar,
    zone: str,
    *,
    holds: Callable[[Nameservers], bool],
    expected: str,
    within_s: float,
) -> Nameservers:
    """Look until a registrar's book is as it should be; VendorUnavailable when `within_s` were not enough."""
    ends = step.clock.now() + timedelta(seconds=within_s)
    while not holds(shown := registrar.read(step, zone)):
        now = step.clock.now()
        if now >= ends:
            raise VendorUnavailable(
                f"{registrar.name} took new nameservers for {zone}, and after {within_s:g} s still shows "
                f"{', '.join(shown.names)}; expected {expected}. Look there, then resume",
                vendor=registrar.name,
                call="apply_nameservers",
            )
        step.clock.sleep_until(min(ends, now + timedelta(seconds=LOOK_EVERY_S)))
    return shown
