"""Rollback and promote at Vercel: accepted at once, done later, believed only when production is there.

A rollback is safe to ask for twice, and is: until its job shows, it is asked for again. An older job to the
same deployment proves nothing, however well it ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from runbook.errors import OutcomeUnknown, VendorError, VendorRefused, VendorUnavailable
from runbook.providers.shape import Shape
from runbook.providers.vercel.api import CONFLICT, VENDOR, Api, open_api, project_id, refused
from runbook.providers.vercel.projects import Move, Project, project_of
from runbook.providers.vercel.releases import ALL, Release, release_of
from runbook.step import Step
from runbook.values import Value

_SHOWS_WITHIN_S: Final = 30.0
Kind = Literal["promote", "rollback"]


class Moved(Value):
    """Production where it was to be, seen at `seen_at`, `took_s` after it was asked for.

    `came_from` is what served before, the canary if a release was under way; "" when it is not known, because
    production was there already (`found`). `percent` of the visitors get `to`: a promote while rolling
    releases are on only begins one. `assigns_domains` False: builds do not go live by themselves, as ever
    after a rollback.
    """

    kind: Kind
    to: str
    came_from: str
    percent: float
    seen_at: datetime
    took_s: float
    assigns_domains: bool
    found: bool


@dataclass(frozen=True)
class _State:
    project: Project
    release: Release | None

    @property
    def releasing(self) -> bool:
        return self.release is not None and self.release.active

    @property
    def newest(self) -> str:
        """What visitors get, or begin to get."""
        return self.release.canary if self.release and self.release.active else self.project.production

    def rests_at(self, deployment: str) -> bool:
        return self.project.production == deployment and not self.releasing


class _Alias(Shape):
    alias: str = ""
    status: str = ""


class _Aliases(Shape):
    aliases: tuple[_Alias, ...]


def apply_rollback(step: Step, *, to: str, reason: str, within_s: float = 300.0) -> Moved:
    """Have production served by an earlier deployment, the release under way ended.

    Environment variables and crons are then that build's, and builds do not go live by themselves until a
    promote. Raises VendorUnavailable when it failed, or took longer than `within_s` seconds.
    """
    with open_api(step) as api:
        state = _look(api)
        if state.rests_at(to):
            return _moved(api, "rollback", to, state)

        def ask() -> None:
            path, query = "/v1/projects/{project}/rollback/{deployment}", {"description": reason}
            args = {"project": project_id(step), "deployment": to}
            api.send("rollback", "POST", path, args=args, query=query, once=False)

        return _Watch(api, "rollback", to, state, within_s).until_there(ask)


def apply_promotion(step: Step, *, to: str, within_s: float = 300.0) -> Moved:
    """Have production served by a deployment, and a rollback undone by it.

    Where rolling releases are on it begins one (`percent`), and the rollback is undone when that is complete.
    Never during another: VendorRefused (`release_active`), because it would give its canary everybody.
    """
    with open_api(step) as api:
        state = _look(api)
        if state.rests_at(to) and not state.project.rolled_back:
            return _moved(api, "promote", to, state)
        if state.release is not None and state.release.active:
            if state.release.canary == to and state.project.rolled_back:
                return _moved(api, "promote", to, state)
            raise refused(
                "promote",
                "release_active",
                f"a release of {state.release.canary} is under way, and a promote would give it everybody; "
                "complete it or roll back, then resume",
            )

        def ask() -> None:
            path = "/v10/projects/{project}/promote/{deployment}"
            args = {"project": project_id(step), "deployment": to}
            api.send("promote", "POST", path, args=args)

        return _Watch(api, "promote", to, state, within_s).until_there(ask)


class _Watch:
    """Asks for a move and watches it to its end."""

    def __init__(self, api: Api, kind: Kind, to: str, before: _State, within_s: float) -> None:
        self._api, self._kind, self._to, self._before = api, kind, to, before
        self._clock, self._within_s, self._began = api.step.clock, within_s, api.step.clock.now()
        self._ours = before.project.move if self._to_there(before.project.move, in_flight=True) else None

    def until_there(self, ask: Callable[[], None]) -> Moved:
        """Ask, unless a job like it is in flight, and return when production is there."""
        began, move = self._began, None
        asked, lost = began, None if self._ours else self._asked(ask)
        for now in self._api.moments(until=began + timedelta(seconds=self._within_s)):
            state = _look(self._api)
            if self._there(state):
                return _moved(self._api, self._kind, self._to, state, before=self._before, began=began)
            move = state.project.move if self._is_ours(state.project.move) else None
            if move is not None and move.status == "failed":
                raise self._failed()
            if move is None and now - asked >= timedelta(seconds=_SHOWS_WITHIN_S):
                if self._kind == "promote":
                    break
                asked, lost = now, self._asked(ask)
        raise lost or self._late(move)

    def _asked(self, ask: Callable[[], None]) -> OutcomeUnknown | None:
        """Ask; a conflict may be our own request, sent twice: the look tells."""
        try:
            ask()
        except VendorRefused as error:
            if error.status != CONFLICT or not self._shows():
                raise
        except OutcomeUnknown as error:
            return error
        return None

    def _shows(self) -> bool:
        state = _look(self._api)
        return self._is_ours(state.project.move) or self._there(state)

    def _there(self, state: _State) -> bool:
        if self._kind == "promote" and state.release is not None and state.release.active:
            return state.release.canary == self._to
        move = state.project.move
        ended = move is not None and self._is_ours(move) and not move.in_flight and move.status != "failed"
        return state.rests_at(self._to) and ended

    def _is_ours(self, move: Move | None) -> bool:
        """Say whether a job is the one we asked for, or came upon; an older one to the same place is not."""
        if not self._to_there(move):
            return False
        old = self._before.project.move
        return move is not None and (
            self._ours is not None or old is None or move.requested_at > old.requested_at
        )

    def _to_there(self, move: Move | None, *, in_flight: bool = False) -> bool:
        fits = move is not None and (move.kind, move.to) == (self._kind, self._to)
        return fits and (not in_flight or (move is not None and move.in_flight))

    def _failed(self) -> VendorError:
        path = "/v9/projects/{project}/rollback/aliases"
        if self._kind == "promote":
            path = "/v1/projects/{project}/promote/aliases"
        found = self._api.call(
            f"read_{self._kind}_aliases",
            "GET",
            path,
            args={"project": project_id(self._api.step)},
            query={"failedOnly": "true"},
            into=_Aliases,
        )
        names = ", ".join(one.alias for one in found.aliases) or "it names none"
        return VendorUnavailable(
            f"{VENDOR} could not do the {self._kind} to {self._to}; these domains did not move: {names}. "
            "Look at the deployment there, then resume: it is asked for again",
            vendor=VENDOR,
            call=self._kind,
            code="failed",
        )

    def _late(self, move: Move | None) -> VendorError:
        how = f"its job is {move.status}" if move is not None else "no job shows"
        return VendorUnavailable(
            f"{VENDOR} took the {self._kind} to {self._to}, and production is not there after "
            f"{(self._clock.now() - self._began).total_seconds():g} s ({how}); look at Vercel, then resume",
            vendor=VENDOR,
            call=self._kind,
        )


def _look(api: Api) -> _State:
    return _State(project_of(api), release_of(api))


def _moved(
    api: Api,
    kind: Kind,
    to: str,
    state: _State,
    *,
    before: _State | None = None,
    began: datetime | None = None,
) -> Moved:
    """Tell that production is there; without `before` and `began` it was so when it was looked for first."""
    now = api.step.clock.now()
    release = state.release
    rolling = release is not None and release.active and release.canary == to
    return Moved(
        kind=kind,
        to=to,
        came_from=before.newest if before else "",
        percent=release.percent if rolling and release is not None else ALL,
        seen_at=now,
        took_s=(now - (began or now)).total_seconds(),
        assigns_domains=state.project.assigns_domains,
        found=before is None,
    )
