"""The gate of checks: what a check function may return, and when the run may go on."""

from __future__ import annotations

from collections.abc import Iterable

from runbook.errors import CheckFailed
from runbook.values import Check, Checks

NAMED_AT_MOST = 3


def as_checks(result: Check | Checks | Iterable[Check]) -> Checks:
    """Return one check, or several, as a table."""
    if isinstance(result, Checks):
        return result
    return Checks(items=(result,) if isinstance(result, Check) else tuple(result))


def require(title: str, checks: Checks) -> None:
    """Raise CheckFailed unless nothing failed and something passed."""
    if checks.failed:
        named = [f"{c.title}: {c.observed}, expected {c.expected}" for c in checks.failed[:NAMED_AT_MOST]]
        more = len(checks.failed) - NAMED_AT_MOST
        raise CheckFailed("; ".join(named) + (f" (and {more} more)" if more > 0 else ""), checks=checks)
    if not checks.holds:
        looked = "could check nothing of it" if checks.items else "looked at nothing"
        raise CheckFailed(f"“{title}” {looked}", checks=checks)
