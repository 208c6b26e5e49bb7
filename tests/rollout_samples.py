"""Accounts of rollouts that change production: parked, signed, half-done, rolled back, broken glass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from runbook.summary import (
    ApprovalLine,
    ChangeLine,
    ChangeStatus,
    CheckLine,
    RunStatus,
    StepLine,
    StepStatus,
    Summary,
)
from runbook.values import Check, Phase

BEGAN = datetime(2026, 3, 3, 1, 52, 10, tzinfo=UTC)
TITLE = "move the delegation to Cloudflare"
APPLY, APPROVE, WATCH = f"{TITLE}: apply", f"{TITLE}: approval", "canary at 5 %"
CHANGES = (
    ("lower the TTL of omnihub.dev NS to 300 s", "zone omnihub.dev"),
    ("set omnihub.dev NS to ada.ns.cloudflare.com, bob.ns.cloudflare.com", "delegation omnihub.dev"),
    ("remove omnihub.dev from the domains of the project omnihub-web", "project omnihub-web"),
)
KEY = "SHA256:Vd0pX1o2bq7cW9tQmG4nJ8sLr5kYhZ3fEaTuBiNwCgM"
DIGEST = "4d1f0b7a9c62e85d3370f1a8bb24c6d95e0f7a13c8d2469be51a07f3dc98b216"


def changes(*states: ChangeStatus, remark: str = "", step: str = APPLY) -> tuple[ChangeLine, ...]:
    """Return the plan's changes as they stand; the last one may carry a remark."""
    return tuple(
        ChangeLine(
            step=step,
            number=number,
            sentence=CHANGES[number - 1][0],
            resource=CHANGES[number - 1][1],
            status=state,
            at=BEGAN + timedelta(minutes=12 + number),
            remark=remark if number == len(states) else "",
        )
        for number, state in enumerate(states, start=1)
    )


def steps(last: StepStatus, *more: tuple[str, str], message: str = "") -> tuple[StepLine, ...]:
    """Return the steps of a migration up to the last of `more`, which ended as `last` says."""
    before = (
        ("read", "records at Vercel"),
        ("check", "Cloudflare answers as Vercel does"),
        ("plan", TITLE),
    )
    rows = (*before, *more)
    return tuple(
        StepLine(
            verb=verb,
            title=title,
            status=last if place == len(rows) else "done",
            began_at=BEGAN + timedelta(minutes=3 * place),
            seconds=0.0 if last == "unknown" and place == len(rows) else 0.4 * place,
            attempts=1,
            message=message if place == len(rows) else "",
        )
        for place, (verb, title) in enumerate(rows, start=1)
    )


def approval(*, broken: str = "", review: str = "") -> ApprovalLine:
    """Return an approval of the plan, by one person alone when `broken` gives a reason."""
    alone = f", BREAK GLASS: {broken}" if broken else ""
    says = f"tech lead ada@omnihub.dev at 2026-03-03 01:58:21 UTC with {KEY}{alone}"
    return ApprovalLine(
        step=APPROVE,
        says=says,
        request_digest=DIGEST,
        expires_at=BEGAN + timedelta(hours=24),
        break_glass=broken,
        review=review,
    )


def rollout(status: RunStatus, verdict: str, *, stem: str, hours: int = 0, **more: Any) -> Summary:
    """Return the account of a DNS migration in production."""
    began_at = BEGAN - timedelta(hours=hours)
    exit_codes: dict[RunStatus, int] = {"no-go": 3, "failed": 1, "parked": 75, "left in between": 4}
    compared = Check.of("answers compared", holds=True, observed="41 of 41 alike", expected="41 of 41 alike")
    fields: dict[str, Any] = {
        "run_id": f"dns_migration-production-{began_at:%Y%m%dT%H%M%SZ}-{stem}",
        "runbook": "dns_migration",
        "environment": "production",
        "mode": "apply",
        "status": status,
        "exit_code": exit_codes.get(status, 0),
        "verdict": verdict,
        "opened_by": "carol",
        "opened_at": began_at,
        "ended_at": began_at + timedelta(minutes=18),
        "wall_s": 18 * 60.0,
        "times": (Phase(name="the steps’ own work", seconds=31.0),),
        "params": {"zone": "omnihub.dev", "to": "cloudflare"},
        "checks": (CheckLine(step="Cloudflare answers as Vercel does", **dict(compared)),),
        "numbers": {},
        "steps": steps("done"),
        "versions": {"runbook": "0.1.0", "Python": "3.11.7"},
        "signature": "signed",
        "terminal": status == "done",
    }
    return Summary(**{**fields, **more})


REASON = "the site is down, the CTO is on a plane, customers cannot log in"
ASKED = (
    "waits for the signature of tech_lead or cto, until 2026-03-04 01:58 UTC: "
    "runbook approve RUN --as tech-lead --key FILE"
)
DOUBT = f"Left in between at “{APPLY}”: a person is needed now."


def rollouts() -> dict[str, Summary]:
    """Return a rollout of each kind by a word for it."""
    signed: dict[str, Any] = {"approvals": (approval(),)}
    until = datetime(2026, 3, 5, 2, 0, tzinfo=UTC)
    return {
        "waits for a signature": rollout(
            "parked",
            f"Parked at “{APPROVE}”: {ASKED}",
            stem="a001",
            steps=steps("waiting", ("approve", APPROVE), message=ASKED),
            waits_for=("tech_lead", "cto"),
        ),
        "waits for a time": rollout(
            "parked",
            "Parked at “old TTLs have run out”: waits until 2026-03-05 02:00:00 UTC",
            stem="a002",
            hours=30,
            steps=steps("waiting", ("approve", APPROVE), ("apply", APPLY), ("wait", "old TTLs have run out")),
            changes=changes("applied", "applied", "was in place"),
            waits_until=until,
            taken_up_by=("bob",),
            **signed,
        ),
        "in doubt": rollout(
            "left in between",
            DOUBT,
            stem="a003",
            hours=2,
            reasons=(
                f"{CHANGES[0][0]}: applied",
                f"{CHANGES[1][0]}: begun, and nobody saw it end",
                "its process ended in the middle",
            ),
            steps=steps("unknown", ("approve", APPROVE), ("apply", APPLY)),
            changes=changes("applied", "begun"),
            **signed,
        ),
        "not undone": rollout(
            "left in between",
            "Left in between at “rollback”: a person is needed now.",
            stem="a004",
            hours=55,
            steps=steps(
                "failed", ("apply", APPLY), ("rollback", "rollback"), message="the rollback undid 1 of 2"
            ),
            changes=changes("undone", "not undone", remark="the registrar answers 503"),
            lost_lines=3,
            **signed,
        ),
        "rolled back": rollout(
            "no-go",
            "No-go, rolled back: 2 changes were undone and verified. Error ratio 2.1 % against 0.4 %.",
            stem="a005",
            hours=80,
            steps=steps("failed", ("apply", APPLY), ("watch", WATCH), ("decide", f"{WATCH}: decision")),
            changes=changes("undone", "undone"),
            terminal=True,
            **signed,
        ),
        "stays in place": rollout(
            "failed",
            "Failed at “Cloudflare serves the zone”: 2 of 13 resolvers time out.",
            stem="a006",
            hours=104,
            steps=steps("failed", ("apply", APPLY), ("check", "Cloudflare serves the zone")),
            changes=changes("applied", "applied"),
            **signed,
        ),
        "broken glass": rollout(
            "done",
            "omnihub.dev is served by Cloudflare: 41 records answer alike from 13 resolvers.",
            stem="a007",
            hours=129,
            steps=steps("done", ("approve", APPROVE), ("apply", APPLY)),
            changes=changes("applied", "applied", "applied"),
            approvals=(approval(broken=REASON),),
        ),
        "broken glass, reviewed": rollout(
            "done",
            "omnihub.dev is served by Cloudflare: 41 records answer alike from 13 resolvers.",
            stem="a008",
            hours=153,
            steps=steps("done", ("approve", APPROVE), ("apply", APPLY)),
            changes=changes("applied", "applied", "applied"),
            approvals=(approval(broken=REASON, review="bob@omnihub.dev: looked at all three, right so"),),
            taken_up_by=("carol", "bob"),
            edits=2,
            predecessor="9b1de0c44f7a53286ec10b97d8e2f3a6517c08db92e46f1a3350d7c9ba68e4f2",
            signature="unsigned",
        ),
    }
