"""What the rollout plan says of people, money and time: roles, costs, windows, messages, checklists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Annotated, Final, Literal

from pydantic import Field

from runbook.plan.judging import Params, Wrong
from runbook.plan.reading import KeyPath
from runbook.plan.service import Name, Percent, Positive, Text, rising
from runbook.plan.words import Words
from runbook.wording import unknown_names

Count = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0)]
TimeOfDay = Annotated[
    str,
    Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"),
    Words('a time of day in quotes, such as "02:00"'),
]
Level = Literal["very low", "low", "medium", "high"]


def repeated(key: str, names: Iterable[str], *, field: str = "name") -> Iterator[Wrong]:
    """Return what is wrong when a name stands twice in the list under `key`."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield Wrong((key, index, field), f"{name} a second time", "each name once")
        seen.add(name)


class Source(Params):
    """The document that every number comes from."""

    title: Text = Field(description="its title")
    version: Text = Field(description="its version stamp")
    stamped_on: date = Field(description="the date of the stamp at its head")
    updated_on: date = Field(description="the date at its foot")
    status: Text = Field(description="its status")
    owner: Name = Field(description="the role that owns it")
    risk_level: Level = Field(description="the risk it states for the whole rollout")
    duration_weeks: Count = Field(description="how long the rollout takes after approval")


class Note(Params):
    """Something in the plan that is wrong or contradicts itself; the number is kept as stated."""

    where: Text = Field(description="the section of the plan")
    stated: Text = Field(description="what it says")
    noted: Text = Field(description="what does not fit, and what that means for the runbooks")


class Role(Params):
    """Somebody the plan names."""

    name: Name = Field(description="how other keys refer to the role")
    title: Text = Field(description="what the plan calls it")


class Channel(Params):
    """Where messages and alerts go."""

    name: Name = Field(description="how other keys refer to the channel")
    kind: Literal["slack", "pagerduty", "email", "meeting"] = Field(description="what carries it")
    address: str = Field(description="the Slack channel; empty for other kinds")


class SignatureRule(Params):
    """Whose signatures count, and how many it takes."""

    any_of: tuple[Name, ...] = Field(min_length=1, description="roles whose signature counts")
    signatures_at_least: Count = Field(description="how many of them must sign")

    def wrongs(self) -> Iterator[Wrong]:
        if self.signatures_at_least > len(self.any_of):
            expected = f"at most {len(self.any_of)}, the number of roles in `any_of`"
            yield Wrong(("signatures_at_least",), str(self.signatures_at_least), expected)


class Approval(SignatureRule):
    """Who must sign before production is changed."""

    stricter: dict[Name, SignatureRule] = Field(
        default={}, description="other rules for single runbooks, such as both signatures for one of them"
    )

    def rule_for(self, runbook: str) -> SignatureRule:
        """Return the rule that holds for a runbook."""
        return self.stricter.get(runbook, self)


class OnCall(Params):
    """Who answers, and who is asked next."""

    primary: Name = Field(description="the role that is called first")
    secondary: Name = Field(description="the role that is called when the first does not answer")
    rotates_every_days: Count = Field(description="how often the primary changes")
    hours_per_day: Annotated[int, Field(ge=1, le=24)] = Field(description="coverage")
    days_per_week: Annotated[int, Field(ge=1, le=7)] = Field(description="coverage")
    escalation: tuple[Name, ...] = Field(min_length=1, description="roles in the order they are called")


class CostLine(Params):
    """What one service costs."""

    service: Text = Field(description="the service")
    tier: Text = Field(description="the tier that is paid for")
    quota: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="what the tier includes, as a number"
    )
    quota_of: str = Field(default="", description="what the quota counts")
    cost_usd_per_month: Amount = Field(description="the price")


class CostGroup(Params):
    """A sum over services that the plan states elsewhere."""

    title: Text = Field(description="what the plan calls it")
    services: tuple[Text, ...] = Field(min_length=1, description="the services in it")
    cost_usd_per_month: Amount = Field(description="the sum the plan states")


class Costs(Params):
    """The monthly costs, which add up, and the sums that raise an alert."""

    lines: tuple[CostLine, ...] = Field(min_length=1, description="one line a service")
    total_usd_per_month: Amount = Field(description="the sum of the lines")
    groups: tuple[CostGroup, ...] = Field(description="sums over some of the lines")
    warning_usd_per_month: Positive = Field(description="costs over this raise a warning")
    warning_stated_over_percent: Amount = Field(description="how far over budget the plan says that is")
    critical_usd_per_month: Positive = Field(description="costs over this raise a critical alert")
    critical_stated_over_percent: Amount = Field(description="how far over budget the plan says that is")

    def wrongs(self) -> Iterator[Wrong]:
        by_service = {line.service: line.cost_usd_per_month for line in self.lines}
        total = sum(by_service.values())
        yield from repeated("lines", (line.service for line in self.lines), field="service")
        if not _same(total, self.total_usd_per_month):
            expected = f"{total:g}, the sum of the {len(self.lines)} lines"
            yield Wrong(("total_usd_per_month",), f"{self.total_usd_per_month:g}", expected)
        for index, group in enumerate(self.groups):
            for number, service in enumerate(group.services):
                yield from unknown_at(("groups", index, "services", number), service, by_service)
            total_of = sum(by_service.get(service, 0) for service in group.services)
            if set(group.services) <= set(by_service) and not _same(total_of, group.cost_usd_per_month):
                expected = f"{total_of:g}, the sum of {', '.join(group.services)}"
                yield Wrong(
                    ("groups", index, "cost_usd_per_month"), f"{group.cost_usd_per_month:g}", expected
                )
        yield from rising(self, "total_usd_per_month", "warning_usd_per_month", "critical_usd_per_month")


_CENT_USD: Final = 0.005


def _same(one_usd: float, other_usd: float) -> bool:
    return abs(one_usd - other_usd) < _CENT_USD


def unknown_at(at: KeyPath, name: str, known: Iterable[str]) -> Iterator[Wrong]:
    """Return what is wrong when the key `at` refers to something that is not defined."""
    listed = list(known)
    if name not in listed:
        yield Wrong(at, f"`{name}`, which is not defined", unknown_names(name, listed))


class Window(Params):
    """Hours of the day in which production may be changed; a window over midnight is written as two."""

    name: Text = Field(description="the window's name")
    opens_utc: TimeOfDay = Field(description="when it opens")
    closes_utc: TimeOfDay = Field(description="when it closes, later on the same day; 24:00 is its end")

    def wrongs(self) -> Iterator[Wrong]:
        if self.closes_utc <= self.opens_utc:
            expected = f"a time after {self.opens_utc}, on the same day (over midnight: two windows)"
            yield Wrong(("closes_utc",), self.closes_utc, expected)


class Stage(Params):
    """Some days of the rollout and what is done on them."""

    week: Count = Field(description="the week of the plan")
    first_day: Annotated[int, Field(ge=1, le=7)] = Field(description="first day in that week")
    last_day: Annotated[int, Field(ge=1, le=7)] = Field(description="last day in that week")
    title: Text = Field(description="what is done")


class Schedule(Params):
    """When production is deployed."""

    windows: tuple[Window, ...] = Field(
        min_length=1, description="the hours in which production may be changed"
    )
    scheduled_on: date | None = Field(description="the day of the deployment; null: still blank in the plan")
    stages: tuple[Stage, ...] = Field(min_length=1, description="what is done on which days, in order")

    def wrongs(self) -> Iterator[Wrong]:
        yield from repeated("windows", (window.name for window in self.windows))
        days = [(stage.week, stage.first_day, stage.last_day) for stage in self.stages]
        for index, (week, first, last) in enumerate(days):
            if last < first:
                yield Wrong(
                    ("stages", index, "last_day"), str(last), f"{first} or later, the stage's first day"
                )
            if index and (week, first) <= (days[index - 1][0], days[index - 1][2]):
                expected = "a day after the last of the stage before"
                yield Wrong(("stages", index, "first_day"), f"day {first} of week {week}", expected)


class Message(Params):
    """A message that is due at a time before or after the deployment."""

    amount: Count = Field(description="how many of the unit")
    unit: Literal["hours", "days", "weeks", "months"] = Field(description="the unit of the amount")
    side: Literal["before", "after"] = Field(description="before or after the deployment")
    to: tuple[Name, ...] = Field(description="roles that get it")
    by: Name | None = Field(description="the channel, where the plan names one")
    says: Text = Field(description="what it is")


class Communication(Params):
    """Who is told what, when, and where."""

    channels: tuple[Channel, ...] = Field(min_length=1, description="where messages and alerts go")
    messages: tuple[Message, ...] = Field(description="messages due before and after the deployment")
    start_by: Name = Field(description="the channel that hears of the start")
    status_every_h: Positive = Field(description="how often a status is posted during the deployment")
    issues_by: Name = Field(description="the channel that hears of issues at once")

    def wrongs(self) -> Iterator[Wrong]:
        names = [channel.name for channel in self.channels]
        yield from repeated("channels", names)
        used = [
            (("messages", index, "by"), message.by)
            for index, message in enumerate(self.messages)
            if message.by
        ]
        for at, name in (*used, (("start_by",), self.start_by), (("issues_by",), self.issues_by)):
            yield from unknown_at(at, name, names)


class ChecklistItem(Params):
    """One line of the pre-production checklist."""

    name: Name = Field(description="the line's name, unique in the checklist")
    says: Text = Field(description="what must be true")


class ReadinessNumbers(Params):
    """The numbers inside the checklist's lines; the restore's time is `rollback.database_corruption`."""

    staging_smoke_runs: Count = Field(description="how many of the last smoke runs are looked at")
    staging_smoke_pass_percent: Percent = Field(description="share of them that must pass")
    critical_vulnerabilities_at_most: Annotated[int, Field(ge=0)] = Field(
        description="critical findings of the scans"
    )
    unexpected_changes_at_most: Annotated[int, Field(ge=0)] = Field(
        description="in the Terraform plan for production"
    )
    integration_pass_percent: Percent = Field(description="share of integration tests that pass")
    unit_tests_at_least: Count = Field(description="how many unit tests there are")
    unit_pass_percent: Percent = Field(description="share of them that pass")


class Readiness(Params):
    """The pre-production checklist."""

    numbers: ReadinessNumbers = Field(description="the numbers in it")
    technical: tuple[ChecklistItem, ...] = Field(min_length=1, description="technical readiness")
    infrastructure: tuple[ChecklistItem, ...] = Field(min_length=1, description="infrastructure readiness")
    operational: tuple[ChecklistItem, ...] = Field(min_length=1, description="operational readiness")
    business: tuple[ChecklistItem, ...] = Field(min_length=1, description="business readiness")

    def wrongs(self) -> Iterator[Wrong]:
        seen: set[str] = set()
        for group in ("technical", "infrastructure", "operational", "business"):
            for index, item in enumerate(getattr(self, group)):
                if item.name in seen:
                    yield Wrong(
                        (group, index, "name"),
                        f"{item.name} a second time",
                        "each name once in the checklist",
                    )
                seen.add(item.name)


class Risk(Params):
    """One line of the risk assessment."""

    says: Text = Field(description="what may go wrong")
    severity: Level = Field(description="how bad it would be")
    probability: Level = Field(description="how likely it is")
    mitigation: Text = Field(description="what is done about it")
