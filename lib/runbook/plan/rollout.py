"""The rollout plan as one frozen value: params/plan.yaml, the source of every number the runbooks use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from runbook.plan.judging import Params, Wrong
from runbook.plan.organisation import (
    Approval,
    Communication,
    Costs,
    Note,
    OnCall,
    Readiness,
    Risk,
    Role,
    Schedule,
    Source,
    repeated,
    unknown_at,
)
from runbook.plan.reading import KeyPath
from runbook.plan.service import Alert, Canary, Positive, Rollback, Slos, Success, Text
from runbook.plan.words import Words

Address = Annotated[
    str, Field(pattern=r"^[0-9a-fA-F.:]{3,}$"), Words('an IP address in quotes, such as "1.1.1.1"')
]


class Service(Params):
    """What is rolled out."""

    name: Text = Field(description="the service's name")
    domain: Text = Field(description="the domain its users type")


class Dns(Params):
    """The move of the domain's delegation."""

    move_from: Text = Field(description="who answers for the domain before")
    move_to: Text = Field(description="who answers afterwards")
    nameservers: tuple[Text, ...] = Field(
        min_length=2, description="the nameservers afterwards, as the plan names them"
    )
    ttl_lowered_s: Annotated[int, Field(ge=1)] = Field(
        description="time to live of the records before the move"
    )
    ttl_lowered_before_h: Positive = Field(
        description="how long before the move the TTL is lowered, and waited for"
    )
    propagation_at_most_h: Positive = Field(
        description="how long until every resolver asks the new nameservers"
    )
    resolvers: tuple[Address, ...] = Field(
        min_length=1, description="public resolvers that are asked while it spreads"
    )

    def wrongs(self) -> Iterator[Wrong]:
        if self.ttl_lowered_s >= self.ttl_lowered_before_h * 3600:
            expected = f"less than the {self.ttl_lowered_before_h:g} h it is waited for"
            yield Wrong(("ttl_lowered_s",), f"{self.ttl_lowered_s}", expected)


class Monitoring(Params):
    """What watches the service."""

    packages: tuple[Text, ...] = Field(description="the SDKs that are installed")
    dashboards: tuple[Text, ...] = Field(description="the dashboards, by their files in the plan")
    backups_every_days: Positive = Field(description="how often an automated backup is made")


class WhatChanges(Params):
    """What the approvers are shown."""

    infrastructure: tuple[Text, ...] = Field(min_length=1, description="infrastructure changes")
    application: tuple[Text, ...] = Field(min_length=1, description="application changes")
    operational: tuple[Text, ...] = Field(min_length=1, description="operational changes")


class RolloutPlan(Params):
    """The rollout plan; every number stands in one place."""

    refers: ClassVar[tuple[str, ...]] = (
        "roles",
        "source",
        "approval",
        "on_call",
        "communication",
        "alerts",
        "rollback",
    )

    source: Source = Field(description="the document behind this file")
    service: Service = Field(description="what is rolled out")
    roles: tuple[Role, ...] = Field(min_length=1, description="who is named")
    approval: Approval = Field(description="who must sign")
    on_call: OnCall = Field(description="who answers")
    schedule: Schedule = Field(description="windows and stages")
    readiness: Readiness = Field(description="the checklist before approval")
    changes: WhatChanges = Field(description="what will change in production")
    risks: tuple[Risk, ...] = Field(description="the risk assessment")
    dns: Dns = Field(description="the move of the delegation")
    slos: Slos = Field(description="objectives and alert thresholds")
    alerts: tuple[Alert, ...] = Field(min_length=1, description="the critical alerts")
    canary: Canary = Field(description="the progressive rollout")
    monitoring: Monitoring = Field(description="what watches the service")
    costs: Costs = Field(description="costs and budget alerts")
    rollback: Rollback = Field(description="rollback procedures")
    success: Success = Field(description="success criteria")
    communication: Communication = Field(description="messages and channels")
    notes: tuple[Note, ...] = Field(description="where the plan errs or contradicts itself")

    @classmethod
    def misfits(cls, parts: Mapping[str, Any]) -> Iterator[Wrong]:
        if "roles" in parts:
            roles = [role.name for role in parts["roles"]]
            yield from repeated("roles", roles)
            for at, name in _roles_used(parts):
                yield from unknown_at(at, name, roles)
        alerts = parts.get("alerts", ())
        yield from repeated("alerts", (alert.name for alert in alerts))
        if "communication" in parts:
            channels = [channel.name for channel in parts["communication"].channels]
            for number, alert in enumerate(alerts):
                for index, name in enumerate(alert.tell):
                    yield from unknown_at(("alerts", number, "tell", index), name, channels)


def _roles_used(parts: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Return every place that refers to a role, with the name it uses."""
    single = [("source", "owner"), ("on_call", "primary"), ("on_call", "secondary")]
    single += [("rollback", "authority_primary"), ("rollback", "authority_secondary")]
    for part, key in single:
        if part in parts and (name := getattr(parts[part], key)) is not None:
            yield (part, key), name
    for part, key in (("approval", "any_of"), ("on_call", "escalation")):
        for index, name in enumerate(getattr(parts[part], key) if part in parts else ()):
            yield (part, key, index), name
    for runbook, rule in (parts["approval"].stricter if "approval" in parts else {}).items():
        for index, name in enumerate(rule.any_of):
            yield ("approval", "stricter", runbook, "any_of", index), name
    for number, message in enumerate(parts["communication"].messages if "communication" in parts else ()):
        for index, name in enumerate(message.to):
            yield ("communication", "messages", number, "to", index), name
