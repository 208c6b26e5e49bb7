"""The table of criteria: each with its evidence and finding, and a place to sign for what a person knows."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from runbook.milestone.order import Milestone
from runbook.values import Check, Value, html_table

Finding = Literal["met", "not met", "not known", "needs a person"]
FINDINGS: Final[tuple[Finding, ...]] = ("not met", "not known", "needs a person", "met")
Group = Literal["record", "technical", "business", "operational"]
GROUPS: Final[dict[Group, str]] = {
    "record": "The runs it rests on",
    "technical": "Technical success",
    "business": "Business success",
    "operational": "Operational success",
}
MARKS: Final[dict[Finding, str]] = {"met": "✓", "not met": "✗", "not known": "?", "needs a person": "✎"}
_HUNDRED: Final = 100
TO_SIGN: Final = "________________"


class Criterion(Value):
    """One criterion: what the plan expects, what was observed and where, and what follows from it.

    `value` is the number behind it in `unit`, None where there is none; milestones are compared by it. Where
    there is a `limit`, `share` is how much of it is used: 1 is the limit.
    """

    group: Group
    title: str
    finding: Finding
    observed: str
    expected: str
    source: str
    value: float | None = None
    unit: str = ""
    limit: str = ""
    share: float | None = None

    @property
    def number(self) -> str:
        """Return its number with its unit, short enough for a chart."""
        if self.value is None:
            return "not known"
        digits = 0 if self.value >= _HUNDRED and self.unit != "%" else 3 if self.unit == "%" else 2
        text = f"{self.value:,.{digits}f}"
        return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {self.unit}"

    @classmethod
    def of(
        cls,
        group: Group,
        title: str,
        *,
        holds: bool | None,
        observed: str,
        expected: str,
        source: str,
        value: float | None = None,
        unit: str = "",
        limit: str = "",
        share: float | None = None,
    ) -> Criterion:
        """Return a criterion that was measured; `holds` is None where it could not be."""
        finding: Finding = "not known" if holds is None else "met" if holds else "not met"
        return cls(
            group=group,
            title=title,
            finding=finding,
            observed=observed,
            expected=expected,
            source=source,
            value=value,
            unit=unit,
            limit=limit,
            share=share,
        )

    @classmethod
    def of_a_person(cls, group: Group, title: str, *, expected: str, known: str = "") -> Criterion:
        """Return a criterion that nothing here measures; `known` is what may help who decides."""
        return cls(
            group=group,
            title=title,
            finding="needs a person",
            observed=known or "nothing here measures it",
            expected=expected,
            source="a person",
        )

    def in_a_row(self) -> tuple[str, str]:
        """Return it as a pair of texts."""
        said = f"{self.finding}: {self.observed}; expected {self.expected}"
        return (f"{MARKS[self.finding]} {self.title}", said)

    def as_check(self) -> Check:
        """Return it as a check: what is not known has not passed; what a person must say stays open."""
        if self.finding == "needs a person":
            return Check.unchecked(
                self.title, why=f"needs a person to sign: {self.observed}", expected=self.expected
            )
        said = self.observed if self.finding != "not known" else f"not known: {self.observed}"
        return Check.of(self.title, holds=self.finding == "met", observed=said, expected=self.expected)


class Part(Value):
    """The criteria of one group, as a table to read and to sign."""

    group: Group
    criteria: tuple[Criterion, ...]

    def count(self, finding: Finding) -> int:
        return sum(one.finding == finding for one in self.criteria)

    def rows(self) -> list[tuple[str, str]]:
        return [one.in_a_row() for one in self.criteria]

    def _repr_html_(self) -> str:
        head = ("", "criterion", "observed", "expected", "source", "signed: name, date")
        rows = [
            (
                f"{MARKS[one.finding]} {one.finding}",
                one.title,
                one.observed,
                one.expected,
                one.source,
                TO_SIGN if one.finding == "needs a person" else "",
            )
            for one in self.criteria
        ]
        return html_table(rows, head=head)


class Scorecard(Value):
    """Every criterion at a milestone."""

    milestone: Milestone
    since: datetime
    until: datetime
    deployed_at: datetime | None
    criteria: tuple[Criterion, ...]

    def count(self, finding: Finding) -> int:
        return sum(one.finding == finding for one in self.criteria)

    def counts(self) -> str:
        """Return how many there are of each finding, the worst first: `1 not met, 2 not known, …`."""
        return ", ".join(f"{self.count(one)} {_plural(one, self.count(one))}" for one in FINDINGS)

    @property
    def to_sign(self) -> tuple[Criterion, ...]:
        return tuple(one for one in self.criteria if one.finding == "needs a person")

    @property
    def missed(self) -> tuple[Criterion, ...]:
        """Return what is not met or not known: neither lets the report look good."""
        return tuple(one for one in self.criteria if one.finding in ("not met", "not known"))

    def rows(self) -> list[tuple[str, str]]:
        return [one.in_a_row() for one in self.criteria]

    def of(self, group: Group) -> Part:
        """Return the criteria of one group, with their places to sign."""
        return Part(group=group, criteria=tuple(one for one in self.criteria if one.group == group))

    def _repr_html_(self) -> str:
        rows = [
            (title, *(str(self.of(group).count(one)) for one in FINDINGS)) for group, title in GROUPS.items()
        ]
        return html_table(rows, head=("criteria", *FINDINGS))


def _plural(finding: Finding, count: int) -> str:
    return "need a person" if finding == "needs a person" and count != 1 else finding
