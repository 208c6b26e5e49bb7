"""What a picture points to: the canary, the last deployment, something that all builds share, or nothing."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from runbook.changes.incident.picture import Build, Picture, Rate
from runbook.judge.bands import ratio_edges, ratio_gain
from runbook.judge.calibrating import ASSUMED
from runbook.judge.evidence import MARGIN
from runbook.step import Step
from runbook.values import Check, Value

Cause = Literal["canary", "last deployment", "shared", "nothing", "not known"]
_WAYS: Final[dict[Cause, str]] = {
    "canary": "roll the release back",
    "last deployment": "roll back to the build before",
    "shared": "none of the release: look at the database, the network, a vendor of ours",
    "nothing": "none: nothing is to be mended",
    "not known": "none: look for yourself before anything is moved",
}


class Finding(Value):
    """What it points to, on what grounds, and which way is offered: `back_to` is the build to go back to."""

    cause: Cause
    grounds: tuple[str, ...]
    back_to: str
    way: str

    @property
    def offers_way(self) -> bool:
        return bool(self.back_to)

    def rows(self) -> list[tuple[str, str]]:
        offered = f"{self.way}: {self.back_to} serves everybody" if self.back_to else self.way
        return [
            ("it points to", self.cause),
            *(("because", text) for text in self.grounds),
            ("way", offered),
        ]


def diagnose(step: Step, picture: Picture) -> Finding:
    """Return what the picture points to; surely so, or it is not said."""
    limit = step.rollout().slos.error_rate.target_below_percent / 100
    current = picture.build(picture.production)
    canary = picture.build(picture.canary) if picture.canary else None
    if current is None or not any(one.lately.requests for one in picture.builds):
        return _found("not known", (*picture.unseen, "there is nothing of the last minutes to go by"))
    if canary is not None and canary.lately.requests:
        return _with_canary(canary, current, limit, picture)
    return _without(current, limit, picture)


def _with_canary(canary: Build, current: Build, limit: float, picture: Picture) -> Finding:
    beside = f"{canary.lately.in_a_line()} in the canary, {current.lately.in_a_line()} beside it"
    worse = max(
        _surely_worse(canary.lately, current.lately),
        _surely_worse(canary.lately + canary.earlier, picture.beside),
    )
    both = (*picture.alerts, beside)
    if worse > MARGIN:
        return _found("canary", (beside, f"surely {worse:.1f} times as many"), back_to=picture.production)
    if (current.lately.ratio or 0.0) >= limit:
        return _found("shared", (*both, "the build beside it fails as well: both arms share the cause"))
    return _found("nothing", (beside, f"under {limit * 100:g} %, and the canary is no worse"))


def _without(current: Build, limit: float, picture: Picture) -> Finding:
    now = f"{current.lately.in_a_line()} lately"
    if (current.lately.ratio or 0.0) < limit:
        return _found("nothing", (now, f"under {limit * 100:g} %"))
    before = picture.before
    worse = _surely_worse(current.lately, before) if before.requests else 0.0
    if current.live_since is not None and worse > MARGIN and picture.candidates:
        since = f"{current.id} is live since {current.live_since:%H:%M} UTC"
        grounds = (since, f"{now}, {before.in_a_line()} before it; surely {worse:.1f} times as many")
        return _found("last deployment", grounds, back_to=picture.candidates[0])
    why = (
        "no build went live lately" if current.live_since is None else "it was so before the last build, too"
    )
    return _found("shared", (*picture.alerts, now, f"{why}: it is not the release"))


def _surely_worse(one: Rate, other: Rate) -> float:
    """Return how many times the error rate of `one` is that of `other` at least, with 99 % certainty."""
    counts = (one.errors, other.errors, one.requests, other.requests)
    gains = ratio_gain(*(np.array(float(count)) for count in counts))
    low, _ = ratio_edges(gains, noise=ASSUMED.factor)
    return float(low)


def _found(cause: Cause, grounds: tuple[str, ...], *, back_to: str = "") -> Finding:
    return Finding(cause=cause, grounds=grounds, back_to=back_to, way=_WAYS[cause])


def way_would_help(step: Step, finding: Finding) -> Check:
    """Refuse to move the traffic where that would not help, or where nobody knows."""
    del step
    return Check.of(
        "moving the traffic would help, or nothing has to be moved",
        holds=finding.cause not in ("shared", "not known"),
        observed=f"{finding.cause}: {'; '.join(finding.grounds)}",
        expected="the canary, the last deployment, or nothing",
    )
