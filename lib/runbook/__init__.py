"""Runbooks as notebooks: durable, approved, verifiable, rehearsable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runbook.opening import open_run

__all__ = ["open_run"]


def __getattr__(name: str) -> Any:
    # Late, so that a small program of this package (a workload, a kernel's driver) starts in no time.
    if name == "open_run":
        from runbook.opening import open_run  # noqa: PLC0415

        return open_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
