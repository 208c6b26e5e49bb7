"""What Supabase charges for besides the plan: the project's add-ons and their prices."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final, Literal

from runbook.costs.charges import Charge, month_bounds
from runbook.providers.connect import connect
from runbook.providers.shape import Shape
from runbook.providers.supabase.project import API, project_ref
from runbook.step import Step
from runbook.values import Value

SERVICE: Final = "Supabase"


class Addon(Value):
    """An add-on that is paid for; `price_usd` is per hour or per month, as `per` says."""

    kind: str
    name: str
    price_usd: float
    per: Literal["hour", "month"]


class _Price(Shape):
    interval: Literal["monthly", "hourly"]
    amount: float


class _Variant(Shape):
    name: str
    price: _Price


class _Addon(Shape):
    type: str
    variant: _Variant


class _Addons(Shape):
    selected_addons: tuple[_Addon, ...]


def read_addons(step: Step) -> tuple[Addon, ...]:
    """Return the add-ons that are paid for, compute among them; neither the plan nor egress is told."""
    with connect(step, API) as http:
        path = "/v1/projects/{ref}/billing/addons"
        found = http.call("read_addons", "GET", path, args={"ref": project_ref(step)}, into=_Addons)
    return tuple(
        Addon(
            kind=one.type,
            name=one.variant.name,
            price_usd=one.variant.price.amount,
            per="hour" if one.variant.price.interval == "hourly" else "month",
        )
        for one in found.selected_addons
    )


def read_charges(step: Step, *, month: date) -> tuple[Charge, ...]:
    """Return what the add-ons cost for a whole month by their prices; the plan's is told nowhere."""
    since, until = month_bounds(month)
    hours = (until - since) / timedelta(hours=1)
    return tuple(
        Charge(
            service=SERVICE,
            what=f"{one.kind.replace('_', ' ')}: {one.name}",
            cost_usd=one.price_usd * (hours if one.per == "hour" else 1.0),
            since=since,
            until=until,
            source="usage",
            recurring=True,
        )
        for one in read_addons(step)
    )
