"""Effects and what stands before them: limits, approvals, windows, reservations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Literal

from runbook import surroundings
from runbook.changes.applying import apply_change
from runbook.changes.interface import Applied, Change, Plan
from runbook.errors import (
    ApprovalRefused,
    InputError,
    Parked,
    StepFailed,
)
from runbook.gates import approvals
from runbook.gates.limits import require_within
from runbook.gates.reservations import Reservations
from runbook.gates.windows import opens_at
from runbook.journal import decode, encode
from runbook.outline import title_of
from runbook.recording import Place, Recorder
from runbook.step import Step
from runbook.undoing import Undoing
from runbook.values import Value


class Effects(Undoing):
    """Applies plans and asks for approvals."""

    def __init__(
        self, place: Place, recorder: Recorder, *, reservations: Reservations, signers: approvals.Signers
    ) -> None:
        super().__init__(place, recorder)
        self._reservations, self._signers = reservations, signers

    # Apply

    def _apply(self, plan: Plan) -> Applied:
        title = title_of("apply", _title(plan))

        def work(step: Step) -> Applied:
            if not plan.in_scratch:
                self._pass_gates(step, plan, title)
            numbered = enumerate(plan.changes, start=1)
            results = [
                apply_change(change, self._site(step, title, number, change)) for number, change in numbered
            ]
            return Applied(title=plan.title, results=tuple(results))

        result: Applied = self._step("apply", title, (plan,), work, effect=True)
        return result

    def _pass_gates(self, step: Step, plan: Plan, title: str) -> None:
        """Let a plan through whose effects have begun; else hold it against every gate, in full."""
        self._refuse_effect_beside_scratch()
        self._refuse_secret_resources(plan)
        self._refuse_unrecorded(plan)
        if title not in self._begun:
            self._place = self._place.as_now()  # a kernel may be open for days
            require_within(plan.title, plan.amounts(), self._place.environment.gates.limits)
            self._require_approval(step, plan)
            self._require_window()
        self._reservations.take(
            plan.resources,
            run_id=self._recorder.run_id,
            runbook=self._recorder.opened["runbook"],
            by=self._recorder.opened["opened_by"],
            now=self._place.clock.now(),
        )

    def _refuse_unrecorded(self, plan: Plan) -> None:
        """Refuse a plan that is not on record as it stands: a rollback reads from there what was applied."""
        line = self._done.get(plan.title)
        recorded = decode(line.data["result"]) if line is not None and line.kind == "done" else None
        if recorded != plan:
            raise InputError(
                f"“{plan.title}” is not on record as a plan with these changes; nothing was done. "
                "What is applied is what run.plan returned, whole: its function says what is to be changed"
            )

    def _refuse_secret_resources(self, plan: Plan) -> None:
        """Refuse a resource whose name holds a secret: reservations are files that others read."""
        names = self._place.known.found_in(list(plan.resources))
        if names:
            raise StepFailed(
                f"“{plan.title}” would reserve a resource named by the value of {', '.join(names)}; "
                "name it otherwise"
            )

    def _require_window(self) -> None:
        gates, runbook = self._place.environment.gates, self._recorder.opened["runbook"]
        name, now = gates.windows.get(runbook), self._place.clock.now()
        held = opens_at(self._place.rollout, name, gates.freezes, now=now)
        if held is not None:
            when, why = held
            raise Parked(f"nothing is changed before {when:%Y-%m-%d %H:%M} UTC: {why}", until=when)

    def _give_back(self, keep_for: str) -> None:
        held = [r.resource for r in self._reservations.held() if r.run_id == self._recorder.run_id]
        self._reservations.give_back(self._recorder.run_id, keep=held if keep_for else (), kept_for=keep_for)

    # Approve

    def _approve(self, plan: Plan) -> Value:
        title = title_of("approve", _title(plan))
        self._forget_expired(plan, title)

        def work(step: Step) -> Value:
            return self._signed(step, title, lambda: self._request(step, plan, kind="plan"))

        result: Value = self._step("approve", title, (plan,), work, effect=True)
        return result

    def _forget_expired(self, plan: Plan, title: str) -> None:
        """Let an approval be asked for anew that expired unused: else the run could never go on."""
        self._learn()
        approval, outline = self._approval_of(plan), self._place.outline()
        if approval is None or not self._recorder.is_open:
            return
        later = {*outline.after(title), title_of("apply", _title(plan))}
        used = later & (self._done.keys() | self._begun.keys())
        if self._place.clock.now() > approval.request.expires_at and not used:
            del self._done[title]
            self._unasked.discard(title)

    def _signed(self, step: Step, title: str, ask: Callable[[], approvals.Request]) -> approvals.Approval:
        """Return the approval of what `ask` asks for; raises Parked while signatures are missing."""
        self._place = self._place.as_now()
        request = self._asked_for(title, ask())
        context = self._context()
        step.evidence(request.file_name, request.content())
        if self._place.environment.gates.approvals == "rehearsed":
            approvals.rehearse(self._place.folder, request, context, surroundings.rehearsed_signatures())
        standing = approvals.collect(self._place.folder, request, context)
        if standing.enough:
            return approvals.Approval(request=request, signatures=standing.valid)
        # What does not count is named and passed over: a stray file must not keep a run from its way.
        beside = f". What does not count: {'; '.join(standing.refusals)}" if standing.refusals else ""
        raise Parked(
            f"waits for the signature of {self._titles(standing.missing)}, "
            f"until {request.expires_at:%Y-%m-%d %H:%M} UTC{beside}",
            whom=tuple(standing.missing),
        )

    def _titles(self, roles: Iterable[str]) -> str:
        """Return roles as the plan calls them: Tech Lead or CTO."""
        titles = {role.name: role.title for role in self._place.rollout.roles}
        return " or ".join(titles.get(role, role) for role in roles)

    def _asked_for(self, title: str, fresh: approvals.Request) -> approvals.Request:
        """Return what was asked for before, as long as it still says the same; else ask anew, on record."""
        asked = [line for line in self._recorder.lines() if line.kind == "asked" and line.title == title]
        if asked:
            before = decode(asked[-1].data["request"])
            if before.says_the_same(fresh) and self._place.clock.now() < before.expires_at:
                request: approvals.Request = before
                return request
        self._recorder.append("asked", title, "", {"request": encode(fresh)})
        return fresh

    def _request(self, step: Step, plan: Plan, *, kind: Literal["plan", "decision"]) -> approvals.Request:
        opened, now = self._recorder.opened, self._place.clock.now()
        rule = self._place.rollout.approval.rule_for(opened["runbook"])
        return approvals.Request(
            kind=kind,
            run_id=self._recorder.run_id,
            runbook=opened["runbook"],
            environment=opened["environment"],
            mode=opened["mode"],
            requester=opened["opened_by"],
            params=opened["params"],
            title=plan.title,
            plan_digest=plan.digest,
            changes=tuple(_line(step, change) for change in plan.changes),
            journal_head=self._recorder.head,
            requested_at=now,
            expires_at=now + timedelta(hours=self._place.environment.gates.approval_valid_h),
            any_of=rule.any_of,
            signatures_at_least=rule.signatures_at_least,
        )

    def _context(self) -> approvals.Context:
        """Return against what signatures are held: people, keys, rules, as they are now."""
        gates, opened = self._place.environment.gates, self._recorder.opened
        return approvals.Context(
            people=self._place.environment.people,
            gates=gates,
            rule=self._place.rollout.approval.rule_for(opened["runbook"]),
            signers=self._signers,
            now=self._place.clock.now(),
        )

    def _require_approval(self, step: Step, plan: Plan) -> None:
        """Recompute what was signed, in full, and hold it against the signatures, once more."""
        approval = self._approval_of(plan)
        if approval is None:
            if self._place.environment.gates.approvals == "rehearsed":
                return
            raise ApprovalRefused(
                f"“{plan.title}” has no approval on record; nothing was changed. "
                "The notebook asks for it with run.approve(plan), before run.apply(plan)"
            )
        now = self._request(step, plan, kind="plan")
        approvals.still_holds(approval.request, now, now=self._place.clock.now())
        standing = approvals.collect(self._place.folder, approval.request, self._context())
        if not standing.enough:
            said = (
                "; ".join(standing.refusals)
                or f"the signature of {self._titles(standing.missing)} is missing"
            )
            raise ApprovalRefused(f"“{plan.title}” was approved, and that no longer holds: {said}")

    def _approval_of(self, plan: Plan) -> approvals.Approval | None:
        line = self._done.get(title_of("approve", plan.title))
        found = decode(line.data["result"]) if line is not None and line.kind == "done" else None
        return found if isinstance(found, approvals.Approval) else None

    def _gate_rows(self) -> list[tuple[str, str]]:
        """Return what the card says of windows and approvals."""
        gates, runbook = self._place.environment.gates, self._recorder.opened["runbook"]
        rows = []
        if self._recorder.opened["mode"] == "apply" and (runbook in gates.windows or gates.freezes):
            held = opens_at(
                self._place.rollout, gates.windows.get(runbook), gates.freezes, now=self._place.clock.now()
            )
            says = f"opens {held[0]:%Y-%m-%d %H:%M} UTC ({held[1]})" if held else "open now"
            rows.append(("window", says))
        signed = [line for line in self._done.values() if line.data.get("verb") == "approve"]
        texts = (decode(line.data["result"]).in_a_line() for line in signed if line.kind == "done")
        return [*rows, *(("approval", text) for text in texts)]


def _title(plan: Plan) -> str:
    """Return a plan's title; one that was skipped still has it."""
    return str(plan.title)


def _line(step: Step, change: Change) -> approvals.ChangeLine:
    """Return a change as a person signs it, with what is there now."""
    seen = None if change.in_scratch else change.observe(step)
    return approvals.ChangeLine(
        sentence=change.sentence(),
        resource=change.resource(),
        before=change.before(),
        after=change.after(),
        observed="cannot be told" if seen is None else seen,
        touches=change.touches(),
        way_back=change.way_back(),
    )
