"""When production may be changed: the plan's windows, the environment's freezes. Pure functions of times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from runbook.errors import InputError
from runbook.plan import Freeze, RolloutPlan
from runbook.plan.organisation import Window

DAYS_LOOKED_AHEAD = 400


def opens_at(
    rollout: RolloutPlan, window_name: str | None, freezes: Sequence[Freeze], *, now: datetime
) -> tuple[datetime, str] | None:
    """Return when changes may begin and what holds them up until then; None when they may begin now.

    Without a window only freezes hold. On a day of `scheduled_on`, the window is that day's.
    Raises InputError when the window is not in the plan, or does not open again.
    """
    window = _named(rollout, window_name) if window_name else None
    when, why = now.astimezone(UTC), ""
    for _ in range(DAYS_LOOKED_AHEAD):
        if (freeze := _freeze_at(freezes, when)) is not None:
            when, why = freeze.ends_at.astimezone(UTC), f"the freeze “{freeze.says}”"
        elif window is not None and (opening := _next(window, rollout.schedule.scheduled_on, when)) != when:
            when, why = opening, f"the window “{window.name}” ({window.opens_utc} to {window.closes_utc} UTC)"
        else:
            return (when, why) if why else None
    raise InputError(f"the window “{window_name}” does not open between freezes; see params")


def _named(rollout: RolloutPlan, name: str) -> Window:
    for window in rollout.schedule.windows:
        if window.name == name:
            return window
    known = ", ".join(window.name for window in rollout.schedule.windows)
    raise InputError(
        f"params/plan.yaml: schedule.windows has no {name!r}, which gates.windows asks for; it has {known}"
    )


def _freeze_at(freezes: Sequence[Freeze], when: datetime) -> Freeze | None:
    return next((freeze for freeze in freezes if freeze.holds_at(when)), None)


def _next(window: Window, scheduled_on: date | None, when: datetime) -> datetime:
    """Return `when` if the window is open then, else when it opens next."""
    if scheduled_on is not None and when.date() <= scheduled_on:
        opens, closes = _on(window, scheduled_on)
        if when < closes:
            return max(when, opens)
    if scheduled_on is not None:
        raise InputError(
            f"the deployment was scheduled on {scheduled_on} and its window is over: "
            "set schedule.scheduled_on in params/plan.yaml to a day to come"
        )
    opens, closes = _on(window, when.date())
    if when >= closes:
        opens, closes = _on(window, when.date() + timedelta(days=1))
    return max(when, opens)


def _on(window: Window, day: date) -> tuple[datetime, datetime]:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return midnight + _since_midnight(window.opens_utc), midnight + _since_midnight(window.closes_utc)


def _since_midnight(text: str) -> timedelta:
    hours, minutes = map(int, text.split(":"))
    return timedelta(hours=hours, minutes=minutes)
