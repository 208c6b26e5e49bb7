"""What whoever takes a run over is told: state, last effect, safe now?, owner, what to type next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from runbook import approving
from runbook.account import summarize
from runbook.gates.reservations import Reservation
from runbook.handover import Handover, handover, unreviewed, waiting_for
from runbook.journal import read_journal
from runbook.summary import ApprovalLine, ChangeLine, ChangeStatus, RunStatus, StepLine, StepStatus
from tests.commands import parse
from tests.rollout_samples import rollouts
from tests.run_samples import summary
from tests.signed_runs import Office

NOW = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
APPLY = "move the delegation: apply"
RUN = "r1"
ASKS = f"… Look yourself, then: runbook resume {RUN} --took-effect, or: runbook resume {RUN} --try-again"


def step(verb: str, status: StepStatus, *, title: str = APPLY, message: str = "") -> StepLine:
    return StepLine(verb=verb, title=title, status=status, began_at=NOW, seconds=1, message=message)


def change(number: int, status: ChangeStatus, *, remark: str = "", title: str = APPLY) -> ChangeLine:
    return ChangeLine(
        step=title,
        number=number,
        sentence=f"change {number}",
        resource="zone omnihub.dev",
        status=status,
        at=NOW + timedelta(minutes=number),
        remark=remark,
    )


def approval(*, reason: str = "", review: str = "") -> ApprovalLine:
    return ApprovalLine(
        step="a", says="ada", request_digest="d" * 64, expires_at=NOW, break_glass=reason, review=review
    )


def told(
    status: RunStatus, *, held: tuple[Reservation, ...] = (), sealed: bool = True, **changes: Any
) -> Handover:
    fields = {"run_id": RUN, "runbook": "dns_migration", "environment": "production", **changes}
    return handover(summary(status, **fields), held=held, sealed=sealed, now=NOW)


def typed(found: Handover) -> list[str]:
    return [command.type for command in found.next]


def test_every_status_is_answered_in_full() -> None:
    """Whatever a run came to, none of the five answers is missing; the sentence never flatters."""
    for status in get_args(RunStatus):
        found = told(status, terminal=status in ("done", "abandoned"))
        assert all(text for _, text in found.rows())
        assert found.next or status == "abandoned"
        assert found.safe == {"running": "busy", "left in between": "no"}.get(status, "yes")


def test_a_running_run_is_left_alone() -> None:
    """What is begun by a living process is under way, not in doubt; what to type is to look again."""
    found = told(
        "running", steps=(step("apply", "unknown"),), changes=(change(1, "applied"), change(2, "begun"))
    )
    assert found.state == f"running: “{APPLY}”"
    assert found.last_effect == "“change 2” (zone omnihub.dev): under way, 2026-03-02 03:02 UTC"
    assert found.safe == "busy"
    assert found.safety.endswith("So far 1 change is in place.")
    assert typed(found) == [f"runbook status {RUN}"]


def test_a_parked_run_waits_for_people_or_for_a_time() -> None:
    """Each missing role has its command, in the form that approve takes; then resume; then abort."""
    found = told("parked", waits_for=("tech_lead", "cto"))
    assert found.state == "parked for the signature of tech lead or cto"
    assert found.owner.endswith("it waits for tech lead or cto")
    assert typed(found) == [
        f"runbook approve {RUN} --as tech-lead --key FILE",
        f"runbook approve {RUN} --as cto --key FILE",
        f"runbook resume {RUN}",
        f"runbook abort {RUN} --reason …",
    ]
    until = told("parked", waits_until=NOW + timedelta(hours=7, minutes=12))
    assert (
        until.state.replace("\N{NO-BREAK SPACE}", " ") == "parked until 2026-03-02 10:12 UTC (in 7 h 12 min)"
    )
    assert typed(until)[0] == f"runbook resume {RUN}"
    late = told("parked", waits_until=NOW - timedelta(minutes=3))
    assert "(due since 3 min)" in late.state.replace("\N{NO-BREAK SPACE}", " ")


def test_without_a_present_only_the_time_is_told() -> None:
    """A report is read weeks later: it names the time, and not how far off it once was."""
    run = summary("parked", waits_until=NOW, waits_for=("cto",))
    assert waiting_for(run) == "until 2026-03-02 03:00 UTC, for the signature of cto"
    assert waiting_for(summary("parked")) == ""


@pytest.mark.parametrize(
    ("status", "changes", "safe", "said"),
    [
        ("parked", {}, "yes", "Yes: it parked before any effect, nothing was changed."),
        ("failed", {}, "yes", "Yes: nothing was changed outside its scratch folder."),
        ("done", {"mode": "plan"}, "yes", "Yes: it only plans, nothing was changed."),
        (
            "done",
            {"changes": (change(1, "was in place"),)},
            "yes",
            "Yes: it changed nothing; what it asked for was in place before.",
        ),
        (
            "done",
            {"changes": (change(1, "applied"), change(2, "applied"))},
            "yes",
            "Yes: 2 changes are in place and verified.",
        ),
        (
            "no-go",
            {"changes": (change(1, "undone"),), "terminal": True},
            "yes",
            "Yes: rolled back, 1 change was undone and verified.",
        ),
        (
            "parked",
            {
                "changes": (change(1, "applied"),),
                "steps": (step("apply", "done"), step("wait", "waiting", title="w")),
            },
            "yes",
            "Yes, as it stands: 1 change is in place and verified; nothing is half-done.",
        ),
        (
            "parked",
            {
                "changes": (change(1, "applied"),),
                "steps": (step("apply", "done"), step("watch", "waiting", title="w")),
            },
            "look",
            "nobody watches until it is taken up again",
        ),
        (
            "failed",
            {
                "changes": (change(1, "applied"),),
                "steps": (step("apply", "done"), step("check", "failed", title="c")),
            },
            "look",
            "1 change is in place and verified, and the run did not come to its end: “change 1”",
        ),
        (
            "no-go",
            {"changes": (change(1, "applied"), change(2, "undone")), "terminal": True, "steps": ()},
            "look",
            "1 change is in place and verified; 1 change was undone, and this run is over: “change 1”",
        ),
    ],
)
def test_what_is_settled_is_said_as_it_is(
    status: RunStatus, changes: dict[str, Any], safe: str, said: str
) -> None:
    """Nothing half-done is safe; what is in place and looked after by nobody is not called safe."""
    found = told(status, **changes)
    assert (found.safe, said in found.safety) == (safe, True), found.safety


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"changes": (change(1, "begun"),)}, "“change 1”: begun, and nobody saw it end"),
        ({"changes": (change(1, "undo begun"),)}, "“change 1”: its undo was begun, and nobody saw it end"),
        ({"changes": (change(1, "not undone", remark="503"),)}, "“change 1” (503): its undo failed"),
        (
            {"changes": (change(1, "applied"),), "steps": (step("apply", "failed"),)},
            f"“change 1”: in place, and the rest of “{APPLY}” is not",
        ),
        (
            {"changes": (change(1, "applied"),), "steps": (step("apply", "unknown"),)},
            f"“change 1”: in place, and the rest of “{APPLY}” is not",
        ),
        (
            {
                "changes": (change(1, "applied"), change(2, "undone")),
                "steps": (step("apply", "done"), step("rollback", "unknown", title="rollback")),
            },
            "“change 1”: in place still, after a rollback that did not end well",
        ),
    ],
)
@pytest.mark.parametrize("status", ["failed", "left in between", "no-go", "done"])
def test_what_is_half_done_or_in_doubt_is_never_safe(
    status: RunStatus, changes: dict[str, Any], said: str
) -> None:
    """Whatever the run calls itself, a change in doubt, left or half of a whole is named and not safe."""
    found = told(status, **{"steps": (), **changes})
    assert found.safe == "no"
    assert found.safety.startswith("No: ")
    assert said in found.safety


def test_a_record_that_lost_lines_cannot_tell() -> None:
    """What a rollback could not write down is not known from the record, and where to look is named."""
    found = told("no-go", lost_lines=3, changes=(change(1, "applied"),))
    assert found.safe == "no"
    assert found.safety.startswith("No: 3 lines were lost of the record of a rollback; they went to stderr")
    assert "look for yourself at zone omnihub.dev" in found.safety


def test_left_in_between_without_a_change_says_what_is_left() -> None:
    """A scratch folder that could not be destroyed leaves no change behind, and is not safe either."""
    found = told("left in between", steps=(step("read", "failed", message="the scratch folder is left"),))
    assert (found.safe, found.safety) == ("no", "No: the scratch folder is left")


def test_many_changes_are_named_up_to_four() -> None:
    """A sentence stays one: the rest is counted."""
    found = told("left in between", changes=tuple(change(n, "begun") for n in range(1, 8)), steps=())
    assert "“change 4”, 3\N{NO-BREAK SPACE}more changes: begun" in found.safety


def test_left_in_between_is_observed_again_or_rolled_back() -> None:
    """To go on comes first, undoing second; leaving it as it is, is not offered."""
    found = told("left in between", changes=(change(1, "begun"),), steps=(step("apply", "unknown"),))
    assert typed(found) == [f"runbook resume {RUN}", f"runbook abort {RUN} --rollback --reason …"]


def test_half_a_way_back_is_gone_to_its_end() -> None:
    """After a rollback that did not end well nothing is applied forward again: the way is back.

    One that came to its end may have left what cannot be undone; the run can then be ended as it is.
    """
    back, leave = (f"runbook abort {RUN} {words}--reason …" for words in ("--rollback ", ""))
    for status, ways in (("failed", [back, leave]), ("unknown", [back])):
        found = told(
            "left in between",
            changes=(change(1, "undone"), change(2, "not undone")),
            steps=(step("apply", "done"), step("rollback", status, title="rollback")),
        )
        assert typed(found) == ways


def test_what_nobody_can_tell_is_asked_of_a_person() -> None:
    """A change of the class `asks` goes on with what the person saw, in one of two words."""
    message = (
        f"… Look yourself, then: runbook resume {RUN} --took-effect, or: runbook resume {RUN} --try-again"
    )
    found = told(
        "left in between", changes=(change(1, "begun"),), steps=(step("apply", "failed", message=message),)
    )
    assert typed(found)[:2] == [f"runbook resume {RUN} --took-effect", f"runbook resume {RUN} --try-again"]


def test_a_failed_run_with_changes_can_be_undone_or_left() -> None:
    """Resume first; then the two ways to end it, each with what becomes of its changes."""
    found = told("failed", changes=(change(1, "applied"),))
    assert typed(found) == [
        f"runbook resume {RUN}",
        f"runbook abort {RUN} --rollback --reason …",
        f"runbook abort {RUN} --reason …",
    ]
    parted = told("failed", exit_code=2)
    assert "as they were recorded" in parted.next[0].why


def test_what_is_over_is_not_resumed() -> None:
    """A terminal run offers a new one, and the check of its record; never resume."""
    refused = told("no-go", terminal=True)
    assert typed(refused) == ["runbook run dns_migration --env production", f"runbook verify {RUN}"]
    stays = told("no-go", terminal=True, changes=(change(1, "applied"),))
    assert typed(stays)[0] == f"runbook abort {RUN} --rollback --reason …"
    assert typed(told("done", terminal=True)) == [f"runbook verify {RUN}"]
    assert typed(told("abandoned", terminal=True)) == []


def test_a_planned_run_leads_to_the_run_that_applies_it() -> None:
    """The command is whole: parameters as the command line reads them, quoted for a shell."""
    found = told("done", terminal=True, mode="plan", params={"zone": "a b", "n": 2, "on": True, "x": None})
    assert typed(found)[0] == (
        "runbook run dns_migration --env production --mode apply -p 'zone=a b' -p n=2 -p on=true -p x=null"
    )


def test_an_unsealed_run_is_sealed_and_not_verified() -> None:
    """After JupyterLab or plain papermill there is no report yet."""
    assert typed(told("done", terminal=True, sealed=False)) == [f"runbook seal {RUN}"]
    assert typed(told("parked", sealed=False))[-1] == f"runbook seal {RUN}"
    assert f"runbook seal {RUN}" not in typed(told("running", sealed=False))


def test_what_a_run_holds_is_told_and_freed_when_it_is_over() -> None:
    """Reservations of this run alone; one that is kept for the next runbook is not offered to be freed."""
    ours = Reservation(resource="zone omnihub.dev", run_id=RUN, by="ada", since=NOW)
    theirs = Reservation(resource="database x", run_id="other", by="bob", since=NOW)
    parked = told("parked", held=(ours, theirs))
    assert parked.owner.endswith("it holds zone omnihub.dev since 2026-03-02 03:00 UTC")
    over = told("no-go", terminal=True, held=(ours, theirs))
    assert typed(over)[0] == "runbook release 'zone omnihub.dev' --env production --reason …"
    kept = told("done", terminal=True, held=(ours.model_copy(update={"kept_for": "canary"}),))
    assert "(kept for the next run of canary)" in kept.owner
    assert typed(kept) == [f"runbook verify {RUN}"]


def every_handover() -> Iterator[Handover]:
    """Yield the handovers of all samples, and of those cases that they lack."""
    held = (Reservation(resource="zone omnihub.dev", run_id="any", by="ada", since=NOW),)
    planned = summary(mode="plan", terminal=True, params={"zone": "a b", "n": 2})
    asks = summary("left in between", steps=(step("apply", "failed", message=ASKS),), run_id=RUN)
    for run in [*map(summary, get_args(RunStatus)), *rollouts().values(), planned, asks]:
        for terminal in (run.terminal, True):
            account = run.model_copy(update={"terminal": terminal})
            ours = tuple(one.model_copy(update={"run_id": run.run_id}) for one in held)
            yield handover(account, held=ours, sealed=False)
            yield handover(account, held=ours, now=NOW)


def test_every_command_is_one_that_the_command_line_takes() -> None:
    """What is offered is typed as it stands: its words are parsed by the real command line."""
    seen = set()
    for command in {command.type for found in every_handover() for command in found.next}:
        name, *words = parse(command)
        seen |= {name, *(word for word in words if word.startswith("--"))}
    assert seen >= {"resume", "approve", "abort", "release", "seal", "verify", "status", "run"}
    assert seen >= {"--as", "--review", "--rollback", "--reason", "--took-effect", "--try-again", "--env"}


def test_who_took_it_up_last_owns_it() -> None:
    """The one who opened a run is named, and the one who has it now."""
    assert told("failed", taken_up_by=("bob",)).owner.endswith("taken up by bob")
    assert told("failed", taken_up_by=("bob", "ci")).owner.endswith("taken up 2 times, last by ci")


def test_broken_glass_waits_for_another_person() -> None:
    """An emergency approval is asked about until somebody has looked at it, however long over."""
    open_glass, seen = approval(reason="site down"), approval(reason="site down", review="bob: right so")
    found = told("done", terminal=True, approvals=(open_glass, seen, approval()))
    assert typed(found)[-1].startswith(f"runbook approve {RUN} --review --as ROLE")
    assert unreviewed(summary(approvals=(open_glass, seen, approval()))) == [open_glass]
    assert "--review" not in "".join(typed(told("done", terminal=True, approvals=(seen, approval()))))


def test_the_last_effect_is_the_latest_on_record() -> None:
    """By time, not by place; what was in place before is no effect of this run."""
    found = told("failed", changes=(change(2, "undone"), change(1, "applied"), change(3, "was in place")))
    assert found.last_effect == "“change 2” (zone omnihub.dev): undone and verified, 2026-03-02 03:02 UTC"
    assert told("failed").last_effect == "none"
    assert told("done", changes=(change(1, "was in place"),)).last_effect.startswith("none: all it asked for")


def test_real_records_are_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From journals that runs wrote: parked for signatures, gone on with by one person alone, reviewed."""
    office = Office(tmp_path)
    monkeypatch.setenv("RUNBOOK_ROOT", str(office.root))

    def now() -> Handover:
        return handover(summarize(read_journal(office.folder() / "journal.jsonl")))

    office.ask()._recorder.close()
    assert now().safety == "Yes: it parked before any effect, nothing was changed."
    assert typed(now())[0] == "runbook approve r1 --as tech-lead --key FILE"
    office.approve(break_glass=True, reason="the site is down")
    office.go_on()
    assert now().safety == "Yes: 1 change is in place and verified."
    assert now().last_effect.startswith("“write 1 to world.txt”: applied and verified, ")
    assert typed(now())[-1].startswith("runbook approve r1 --review")
    approving.review(office.root, "r1", role="cto", key=office.keys["bob"], reason="it was right")
    assert typed(now()) == ["runbook verify r1"]
