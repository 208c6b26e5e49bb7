"""Who may say yes, when, and to how much: the gates of one environment, part of its environment.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from runbook.plan.judging import Params, Wrong
from runbook.plan.service import Name, Positive, Text
from runbook.plan.words import Words

Principal = Annotated[
    str,
    Field(pattern=r"^[^\s,*?!\"]+$"),
    Words("a principal of allowed_signers, such as ada@omnihub.dev (no blanks, no patterns)"),
]
Moment = Annotated[AwareDatetime, Words("a time with its zone, such as 2026-01-31T02:00:00Z")]


class Person(Params):
    """Somebody who signs: a principal of allowed_signers, and what they may sign as."""

    principal: Principal = Field(
        description="the name that params/<environment>/allowed_signers has for them"
    )
    roles: tuple[Name, ...] = Field(default=(), description="roles of the plan that they hold")
    accounts: tuple[Text, ...] = Field(
        default=(), description="accounts under which they open runs; who asks may not be who approves"
    )


class Freeze(Params):
    """A stretch of time in which nothing is changed; a rollback is never held up by it."""

    says: Text = Field(description="why nothing is changed")
    starts_at: Moment = Field(description="when it begins")
    ends_at: Moment = Field(description="when it is over")

    def wrongs(self) -> Iterator[Wrong]:
        if self.ends_at <= self.starts_at:
            yield Wrong(("ends_at",), f"{self.ends_at:%Y-%m-%dT%H:%M%z}", "a time after starts_at")

    def holds_at(self, when: datetime) -> bool:
        return self.starts_at <= when < self.ends_at


class BreakGlass(Params):
    """Who may approve alone in an emergency, and how soon somebody else looks at it."""

    roles: tuple[Name, ...] = Field(min_length=1, description="roles that may")
    review_within_h: Positive = Field(description="how soon another person signs that they looked at it")


class Gates(Params):
    """What a run must pass before it changes anything outside its scratch folder."""

    approvals: Literal["signed", "rehearsed"] = Field(
        default="signed",
        description="signed: people sign with their keys; rehearsed: the sandbox signs with throw-away keys",
    )
    approval_valid_h: Positive = Field(default=24.0, description="how long an approval may be used")
    requester_may_approve: bool = Field(
        default=False, description="whether who opened a run may also approve it"
    )
    break_glass: BreakGlass | None = Field(
        default=None, description="approval by one person in an emergency; null: there is none"
    )
    windows: dict[Name, Text] = Field(
        default={}, description="runbooks that change things only inside a window of the plan, by its name"
    )
    freezes: tuple[Freeze, ...] = Field(default=(), description="times in which nothing is changed")
    limits: dict[Name, Positive] = Field(
        default={},
        description="how much one plan may change: `changes`, and what changes count, such as records",
    )
    inline_wait_s: Positive = Field(default=60.0, description="longer waits park the run")
