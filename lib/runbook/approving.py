"""What people do to a run from outside: approve what it asks for, review an emergency, verify the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runbook import surroundings
from runbook.clock import Clock
from runbook.errors import InputError, UnknownName
from runbook.gates import approvals
from runbook.gates.approvals import Context, Request, Signature, Standing
from runbook.gates.asked import Asked, asked_for
from runbook.journal import FileJournal, Record, read_journal
from runbook.opening import JOURNAL, beginning_of, find_run
from runbook.plan import Environment, Person, Secrets, environments, load_environment, load_plan, project_root
from runbook.rehearsing import clock_of
from runbook.signatures import Key, KeyFile, Signers, signers_of, with_revoked
from runbook.verifying import Verification
from runbook.verifying import verify as verify_folder


@dataclass(frozen=True)
class Desk:
    """A run before somebody who signs: its requests, and against what signatures are held."""

    folder: Path
    asked: list[Asked]
    environment: Environment
    roles: tuple[str, ...]
    context: Context
    clock: Clock


def desk(root: Path, run_id: str) -> Desk:
    """Return what a signer needs of a run; raises UnknownName, JournalCorrupt, InputError of every kind."""
    folder = find_run(root, run_id)
    begin = beginning_of(folder)
    environment, plan = load_environment(root, begin.environment), load_plan(root)
    clock = clock_of(begin.environment)
    context = Context(
        people=environment.people,
        gates=environment.gates,
        rule=plan.approval.rule_for(begin.runbook),
        signers=signers_of(root, surroundings.outputs_folder(root), begin.environment),
        now=clock.now(),
    )
    asked = asked_for(read_journal(folder / JOURNAL))
    return Desk(folder, asked, environment, tuple(role.name for role in plan.roles), context, clock)


def waiting_request(root: Path, run_id: str) -> Request:
    """Return what a run waits for a signature on, to be shown in full before anybody signs.

    Raises InputError when it waits for none.
    """
    return _waiting(desk(root, run_id), run_id)


def _waiting(at: Desk, run_id: str) -> Request:
    waiting = [one.request for one in at.asked if one.answer is None]
    if not waiting:
        raise InputError(f"the run {run_id} waits for no signature; what it does: runbook status {run_id}")
    return waiting[-1]


def approve(
    root: Path, run_id: str, *, role: str, key: Path | None, reason: str = "", break_glass: bool = False
) -> Standing:
    """Sign what a run asks for and return how its approval then stands.

    `key` is a private key, or the .pub of one in an agent; without it RUNBOOK_SIGNING_KEY_FILE names it.
    Raises ApprovalRefused, with nothing left behind, when the signature would not count.
    """
    at = desk(root, run_id)
    request = _waiting(at, run_id)
    return approvals.sign_request(
        at.folder,
        request,
        at.context,
        role=_role(at, role),
        key=_key(key),
        says="break glass" if break_glass else "approve",
        reason=_reason(at, reason),
    )


def review(root: Path, run_id: str, *, role: str, key: Path | None, reason: str) -> Signature:
    """Sign that a break-glass approval was looked at afterwards, and put that on record.

    `reason` says what was found. The run is to be sealed again then. Raises InputError when there is nothing
    to be looked at, RunBusy while the run is executed, ApprovalRefused when the signature would not count.
    """
    at = desk(root, run_id)
    journal = FileJournal.open(at.folder / JOURNAL, clock=at.clock)
    try:
        request, broken = _emergency(at, journal.records, run_id)
        signature = approvals.sign_review(
            at.folder,
            request,
            at.context,
            broken=broken,
            role=_role(at, role),
            key=_key(key),
            reason=_reason(at, reason),
        )
        data = {"request_digest": request.digest, "by": signature.principal, "says": signature.reason}
        journal.append("reviewed", request.title, data=data)
    finally:
        journal.close()
    return signature


def _emergency(at: Desk, records: Sequence[Record], run_id: str) -> tuple[Request, Signature]:
    """Return the oldest break-glass approval that nobody has reviewed."""
    reviewed = {record.data["request_digest"] for record in records if record.kind == "reviewed"}
    for one in at.asked:
        if one.emergency is not None and one.request.digest not in reviewed:
            return one.request, one.emergency
    raise InputError(f"in the run {run_id} nobody broke the glass, or it has been reviewed already")


def _role(at: Desk, role: str) -> str:
    name = role.replace("-", "_")
    if name not in at.roles:
        raise UnknownName(f"the plan has no role {role!r}; it has {', '.join(at.roles)}")
    return name


def _key(path: Path | None) -> Key:
    found = path or surroundings.signing_key_file()
    if found is None:
        raise InputError(
            "name your key with --key FILE (a private key, or the .pub of one that your agent holds), "
            f"or set {surroundings.SIGNING_KEY_FILE_VARIABLE}"
        )
    return KeyFile(found.expanduser())


def _reason(at: Desk, reason: str) -> str:
    leaked = Secrets(at.environment).found_in(reason)
    if leaked:
        raise InputError(f"the reason holds the value of {', '.join(leaked)}; say it without")
    return reason.strip()


def verify(run_or_folder: str, *, start: Path, signers: Path | None = None) -> Verification:
    """Check a sealed run, named by its id or its folder; `start` is where the project is looked for.

    Whose signatures count: the list `signers` with revoked_keys beside it, else the project's for the run's
    environment. Outside a project it takes a folder. Raises UnknownName when there is no such run, InputError
    when the list, or the project, lies in the run's own folder.
    """
    root = _project(start)
    folder = Path(run_or_folder)
    by_name = not folder.is_dir()
    if by_name:
        folder = find_run(root or project_root(start), run_or_folder)
    if signers is not None and not signers.is_file():
        raise InputError(f"there is no list of signers {signers}")
    for trusted in (signers, root):
        if trusted is not None and _within(trusted, folder):
            raise InputError(f"{trusted} lies in the run's own folder; what is trusted comes from elsewhere")

    def whose(environment: str) -> Signers | None:
        if signers is not None:
            # A list named by hand changes nothing of what a rehearsal's key proves.
            return replace(with_revoked(signers), rehearsed=environment == "sandbox")
        known = root is not None and environment in environments(root)
        if root is None or not known:
            return None
        return signers_of(root, surroundings.outputs_folder(root), environment)

    def people(environment: str) -> tuple[Person, ...] | None:
        known = root is not None and environment in environments(root) and environment != "sandbox"
        return load_environment(root, environment).people if root is not None and known else None

    found = verify_folder(folder, signers=whose, people=people)
    if by_name and found.run_id != run_or_folder:
        wrong = f"journal.jsonl:1: this is the record of {found.run_id}, in the folder of {run_or_folder}"
        return found.model_copy(update={"wrong": (wrong, *found.wrong)})
    return found


def _within(path: Path, folder: Path) -> bool:
    return folder.resolve() in (path.resolve(), *path.resolve().parents)


def _project(start: Path) -> Path | None:
    try:
        return project_root(start)
    except InputError:
        return None
