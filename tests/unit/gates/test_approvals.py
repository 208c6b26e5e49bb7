"""Who may say yes: each signature that does not count is refused in its own words, and leaves nothing."""

import hashlib
import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from runbook.errors import ApprovalRefused
from runbook.gates import approvals
from runbook.gates.approvals import Approval, ChangeLine, Context, Request, Statement
from runbook.gates.requests import OF_THE_MOMENT
from runbook.plan import BreakGlass, Gates, Person, SignatureRule
from runbook.signatures import APPROVAL, SEAL, KeyFile, Signers, with_revoked
from tests.keys import allow, listed, make_key, public

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
LINE = ChangeLine(
    sentence="set the TTL to 300 s",
    resource="zone x.dev",
    before="ttl 3600 s",
    after="ttl 300 s",
    observed="ttl 3600 s",
    touches="4 records",
    way_back="set it to 3600 s again",
)
REQUEST = Request(
    kind="plan",
    run_id="r1",
    runbook="dns",
    environment="production",
    mode="apply",
    requester="carl",
    params={"zone": "x.dev"},
    title="lower the TTL",
    plan_digest="d" * 64,
    changes=(LINE,),
    journal_head="a" * 64,
    requested_at=NOW,
    expires_at=NOW + timedelta(hours=24),
    any_of=("tech_lead", "cto"),
    signatures_at_least=1,
)
PEOPLE = (
    Person(principal="ada@x", roles=("tech_lead",)),
    Person(principal="bob@x", roles=("cto", "tech_lead")),
    Person(principal="carl@x", roles=("tech_lead",), accounts=("carl",)),
    Person(principal="dora@x", roles=("devops",)),
)
GLASS = BreakGlass(roles=("tech_lead",), review_within_h=24)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("ada", "bob", "carl", "dora", "eve", "frank")}


@pytest.fixture
def run(tmp_path):
    """A run's folder that waits for signatures."""
    folder = tmp_path / "r1"
    folder.mkdir()
    approvals.write_request(folder, REQUEST)
    return folder


@pytest.fixture
def here(keys, tmp_path):
    """Against what signatures are held, an hour after it was asked."""
    lines = [listed(keys[name], f"{name}@x") for name in keys if name != "eve"]
    return context(with_revoked(allow(tmp_path / "production/allowed_signers", *lines)))


def context(signers, **changes):
    given = {"people": PEOPLE, "gates": Gates(), "now": LATER, "rule": rule(1)} | changes
    return Context(signers=signers, **given)


def rule(at_least):
    return SignatureRule(any_of=("tech_lead", "cto"), signatures_at_least=at_least)


def sign(run, here, keys, who="ada", role="tech_lead", request=REQUEST, **options):
    return approvals.sign_request(run, request, here, role=role, key=KeyFile(keys[who]), **options)


def evidence(run):
    return sorted(path.name for path in (run / "evidence").iterdir())


def refused(run, here, keys, match, **options):
    """Signing is refused with these words, and nothing is left behind."""
    before = evidence(run)
    with pytest.raises(ApprovalRefused, match=match):
        sign(run, here, keys, **options)
    assert evidence(run) == before


def left(run, here, keys, match, request=REQUEST, **changes):
    """A statement that somebody left by other means does not count, and the words say why."""
    who = changes.pop("who", "ada")
    namespace = changes.pop("namespace", APPROVAL)
    given = {
        "request_sha256": request.digest,
        "run_id": request.run_id,
        "plan_digest": request.plan_digest,
        "role": "tech_lead",
        "principal": f"{who}@x",
        "says": "approve",
        "signed_at": LATER,
    } | changes
    content = Statement(**given).content()
    with KeyFile(keys[who]).opened() as pen:
        put(run, request, content, pen.sign(content, namespace=namespace))
    standing = approvals.collect(run, request, here)
    assert not standing.enough
    assert standing.valid == ()
    assert len(standing.refusals) == 1
    assert match in standing.refusals[0]


def put(run, request, content, armor, role="tech_lead"):
    name = request.statement_name(role, "approve")
    (run / "evidence" / name).write_bytes(content)
    (run / "evidence" / f"{name}.sig").write_bytes(armor)


# What counts


def test_one_signature_of_a_role_is_enough(run, here, keys):
    """Signed by the tech lead: enough, nobody missing, who and with which key on record."""
    standing = sign(run, here, keys)
    assert (standing.enough, standing.missing, standing.refusals) == (True, (), ())
    signature = standing.valid[0]
    assert (signature.role, signature.principal, signature.signed_at) == ("tech_lead", "ada@x", LATER)
    assert signature.fingerprint.startswith("SHA256:")
    assert approvals.collect(run, REQUEST, here) == standing


def test_nobody_has_signed_yet(run, here):
    """Not enough, and it says whose signature may come."""
    standing = approvals.collect(run, REQUEST, here)
    assert (standing.enough, standing.valid, standing.missing) == (False, (), ("tech_lead", "cto"))


def test_two_roles_take_two_people(run, here, keys):
    """Where both must sign, one is not enough and the other is named."""
    both = replace(here, rule=rule(2))
    first = sign(run, both, keys)
    assert (first.enough, first.missing) == (False, ("cto",))
    assert sign(run, both, keys, who="bob", role="cto").enough


def test_one_person_in_two_roles_is_one_person(run, here, keys):
    """Bob holds both; his second signature is refused."""
    both = replace(here, rule=rule(2))
    sign(run, both, keys, who="bob", role="cto")
    refused(run, both, keys, "has signed already, as cto", who="bob", role="tech_lead")


def test_one_key_under_two_names_is_one_person(run, here, keys, tmp_path):
    """The same key listed for two principals signs once."""
    lines = (listed(keys["ada"], "ada@x"), listed(keys["ada"], "bob@x"))
    twins = replace(
        here, rule=rule(2), signers=with_revoked(allow(tmp_path / "twins/allowed_signers", *lines))
    )
    sign(run, twins, keys, role="tech_lead")
    refused(run, twins, keys, "has signed already", role="cto")


def test_a_role_signs_once(run, here, keys):
    """The second of the same role is told who was first."""
    both = replace(here, rule=rule(2))
    sign(run, both, keys)
    refused(run, both, keys, "tech_lead has signed already: ada@x", who="bob", role="tech_lead")


def test_what_does_not_count_can_be_signed_anew(run, here, keys):
    """A broken statement does not stand in the way of a good one."""
    put(run, REQUEST, b"{}", b"")
    assert not approvals.collect(run, REQUEST, here).enough
    assert sign(run, here, keys).enough


def test_a_statement_can_be_checked_by_hand(run, here, keys, tmp_path):
    """Plain JSON that names the request by its SHA-256; the stock tools agree."""
    sign(run, here, keys, reason="looked at every line")
    name = REQUEST.statement_name("tech_lead", "approve")
    said = json.loads((run / "evidence" / name).read_text())
    request = (run / "evidence" / REQUEST.file_name).read_bytes()
    assert said["request_sha256"] == hashlib.sha256(request).hexdigest()
    assert (said["as"], said["principal"], said["reason"]) == ("tech_lead", "ada@x", "looked at every line")
    command = ["ssh-keygen", "-Y", "verify", "-f", here.signers.allowed, "-I", "ada@x", "-n", APPROVAL]
    done = subprocess.run(
        [*command, "-s", run / "evidence" / f"{name}.sig"],
        input=(run / "evidence" / name).read_bytes(),
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0


# Who may not


def test_a_foreign_key_is_refused_before_anything_is_signed(run, here, keys):
    """The key and the list it is missing from are named."""
    refused(run, here, keys, r"SHA256:.*production/allowed_signers does not list", who="eve")


def test_a_revoked_key_is_refused(run, here, keys):
    """Whatever it would sign."""
    here.signers.allowed.with_name("revoked_keys").write_text(f"{public(keys['ada'])}\n")
    refused(run, replace(here, signers=with_revoked(here.signers.allowed)), keys, "revoked")


def test_a_key_that_is_no_longer_valid_is_refused(run, here, keys, tmp_path):
    """By the list's dates, at the time of signing."""
    line = listed(keys["ada"], "ada@x", 'valid-before="20260201"')
    ended = replace(here, signers=with_revoked(allow(tmp_path / "e/allowed_signers", line)))
    refused(run, ended, keys, r"was not valid at 2026-03-01 13:00:00 UTC")


def test_a_key_for_seals_only_is_refused(run, here, keys, tmp_path):
    """The list's namespaces bind."""
    line = listed(keys["ada"], "ada@x", f'namespaces="{SEAL}"')
    sealers = replace(here, signers=with_revoked(allow(tmp_path / "e/allowed_signers", line)))
    refused(run, sealers, keys, "does not let ada@x")


def test_a_role_that_one_does_not_hold_is_refused(run, here, keys):
    """Ada is tech lead, not CTO; environment.yaml says so."""
    refused(
        run, here, keys, r"ada@x holds tech_lead in params/production/environment\.yaml, not cto", role="cto"
    )


def test_a_role_that_does_not_count_is_refused(run, here, keys):
    """Dora holds her role, but the plan does not ask for it."""
    refused(run, here, keys, "what counts is tech_lead or cto", who="dora", role="devops")


def test_a_listed_key_of_nobody_is_refused(run, here, keys):
    """A key alone makes no approver: environment.yaml has to know the person."""
    refused(run, here, keys, "frank@x is nobody in params/production/environment.yaml", who="frank")


def test_who_opened_the_run_does_not_approve_it(run, here, keys):
    """Carl opened it under his account; another person is needed."""
    refused(run, here, keys, r"carl@x opened this run \(as carl\)", who="carl")


def test_where_params_say_so_the_requester_may_approve(run, here, keys):
    """Staging: one person may do it all."""
    assert sign(run, replace(here, gates=Gates(requester_may_approve=True)), keys, who="carl").enough


def test_an_account_of_nobody_cannot_be_told_from_the_signer(run, here, keys):
    """Whose account opened the run is not known: refused, with what to add where."""
    unknown = replace(here, people=PEOPLE[:2])
    refused(run, unknown, keys, r"by the account carl, .* add it in params/production/environment\.yaml")


def test_a_request_that_is_not_the_journals_is_not_signed(run, here, keys):
    """What a signer is shown and what is signed are the same bytes."""
    (run / "evidence" / REQUEST.file_name).write_bytes(REQUEST.content().replace(b"300 s", b"301 s"))
    refused(run, here, keys, "nothing was signed")


# What does not count, however it came there


def test_a_statement_for_another_run_is_refused(run, here, keys):
    """Copied from a run of the same plan."""
    left(run, here, keys, "it is for another run, r2", run_id="r2")


def test_a_statement_for_another_plan_is_refused(run, here, keys):
    """Same run, another plan."""
    left(run, here, keys, "it is for another plan, eeeeeeeeeeee", plan_digest="e" * 64)


def test_a_statement_for_another_request_is_refused(run, here, keys):
    """Same plan, asked for again since: other targets, other times."""
    left(run, here, keys, "it is for another request, ffffffffffff", request_sha256="f" * 64)


def test_a_statement_under_another_roles_name_is_refused(run, here, keys):
    """Renamed to stand for the role that is missing."""
    left(run, here, keys, "its file is named for another role", role="cto", who="bob")


@pytest.mark.parametrize(
    ("signed_at", "says"),
    [
        (NOW - timedelta(minutes=3), "before it was asked for"),
        (NOW + timedelta(hours=25), "after it expired"),
        (LATER + timedelta(minutes=3), "which is yet to come"),
    ],
)
def test_a_statement_out_of_its_time_is_refused(run, here, keys, signed_at, says):
    """Before the question, after the expiry, in the future: each in its words."""
    left(run, here, keys, says, signed_at=signed_at)


def test_clocks_may_differ_a_little(run, here, keys):
    """A signer whose clock is a minute behind that of the run is no fraud."""
    early = replace(here, now=NOW - timedelta(minutes=1))
    assert sign(run, early, keys).enough


def test_an_expired_approval_is_refused(run, here, keys):
    """Signed in time, used too late."""
    sign(run, here, keys)
    standing = approvals.collect(run, REQUEST, replace(here, now=NOW + timedelta(hours=24, seconds=1)))
    assert not standing.enough
    assert "the approval expired at 2026-03-02 12:00:00" in standing.refusals[0]
    refused(run, replace(here, now=NOW + timedelta(hours=25)), keys, "expired", who="bob", role="cto")


def test_a_key_whose_time_ended_since_no_longer_approves(run, here, keys, tmp_path):
    """Signed while the key was valid, used after its owner left: a date that a signer wrote is not enough."""
    sign(run, here, keys)
    line = listed(keys["ada"], "ada@x", 'valid-before="20260301140000"')
    leaver = replace(here, signers=with_revoked(allow(tmp_path / "e/allowed_signers", line)))
    assert approvals.collect(run, REQUEST, leaver).enough
    standing = approvals.collect(run, REQUEST, replace(leaver, now=NOW + timedelta(hours=3)))
    assert "was not valid at 2026-03-01 15:00:00" in standing.refusals[0]


def test_a_signature_for_a_seal_is_no_approval(run, here, keys):
    """The purpose is part of what is signed."""
    left(run, here, keys, "made for 'runbook-seal'", namespace=SEAL)


def test_a_signature_by_another_listed_person_is_not_hers(run, here, keys):
    """Eve writes Ada's name and signs with Frank's key."""
    left(run, here, keys, "does not list for ada@x", who="frank", principal="ada@x")


@pytest.mark.parametrize("what", ["role", "reason", "principal"])
def test_an_edited_statement_is_refused(run, here, keys, what):
    """One word changed after signing."""
    sign(run, here, keys, reason="fine")
    path = run / "evidence" / REQUEST.statement_name("tech_lead", "approve")
    said = json.loads(path.read_text())
    key = "as" if what == "role" else what
    said[key] = {"role": "cto", "reason": "not fine", "principal": "bob@x"}[what]
    path.write_bytes(Statement.model_validate(said).content())
    standing = approvals.collect(run, REQUEST, here)
    assert not standing.enough
    assert len(standing.refusals) == 1


def test_a_statement_in_another_form_is_refused(run, here, keys):
    """The same JSON, written otherwise."""
    sign(run, here, keys)
    path = run / "evidence" / REQUEST.statement_name("tech_lead", "approve")
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert "not in the form" in approvals.collect(run, REQUEST, here).refusals[0]


def test_a_statement_without_a_signature_or_as_a_link_counts_for_nothing(run, here, keys, tmp_path):
    """Words alone are no approval, nor is something that lies elsewhere."""
    sign(run, here, keys)
    path = run / "evidence" / REQUEST.statement_name("tech_lead", "approve")
    signature = path.with_name(f"{path.name}.sig")
    kept = signature.read_bytes()
    signature.unlink()
    assert "there is no signature" in approvals.collect(run, REQUEST, here).refusals[0]
    (tmp_path / "elsewhere").write_bytes(kept)
    signature.symlink_to(tmp_path / "elsewhere")
    assert "there is no signature" in approvals.collect(run, REQUEST, here).refusals[0]


def test_a_signature_that_cannot_be_written_leaves_nothing(run, here, keys, monkeypatch):
    """A full disk in the middle: neither half is there."""
    real = approvals.write_atomically

    def full(path, content):
        if path.suffix == ".json":
            raise OSError(28, "no space left")
        real(path, content)

    monkeypatch.setattr(approvals, "write_atomically", full)
    with pytest.raises(OSError, match="no space"):
        sign(run, here, keys)
    assert evidence(run) == [REQUEST.file_name]


# Breaking the glass


def test_one_role_alone_breaks_the_glass_with_a_reason(run, here, keys):
    """Where two must sign, one is enough in an emergency; the reason is on record."""
    glass = replace(here, gates=Gates(break_glass=GLASS), rule=rule(2))
    standing = sign(run, glass, keys, says="break glass", reason="checkout is down")
    assert (standing.enough, standing.missing) == (True, ())
    approval = Approval(request=REQUEST, signatures=standing.valid)
    assert approval.break_glass == "checkout is down"
    assert "BREAK GLASS: checkout is down" in approval.in_a_line()
    assert approvals.review_due_at(approval, glass.gates) == LATER + timedelta(hours=24)


def test_who_opened_the_run_may_break_the_glass(run, here, keys):
    """At two in the night there may be nobody else; that is what the review is for."""
    glass = replace(here, gates=Gates(break_glass=GLASS))
    assert sign(run, glass, keys, who="carl", says="break glass", reason="I am alone").enough


@pytest.mark.parametrize(
    ("gates", "options", "match"),
    [
        (Gates(), {"reason": "r"}, "no one may break the glass here"),
        (Gates(break_glass=GLASS), {"reason": " "}, "needs a reason"),
        (Gates(break_glass=GLASS), {"reason": "r", "who": "bob", "role": "cto"}, "what counts is tech_lead"),
        (Gates(break_glass=GLASS), {"reason": "r", "who": "dora"}, "holds devops"),
    ],
)
def test_breaking_the_glass_has_its_rules(run, here, keys, gates, options, match):
    """Only where params allow it, by the roles they name, with a reason."""
    refused(run, replace(here, gates=gates), keys, match, says="break glass", **options)


def broken(run, here, keys):
    glass = replace(here, gates=Gates(break_glass=GLASS))
    return glass, sign(run, glass, keys, says="break glass", reason="down").valid[0]


def review(run, here, keys, by, who, role="tech_lead", reason="it was right"):
    return approvals.sign_review(
        run, REQUEST, here, broken=by, role=role, key=KeyFile(keys[who]), reason=reason
    )


def test_another_person_reviews_it_afterwards(run, here, keys):
    """Days later, past the expiry; signed like everything else, and found again."""
    glass, by = broken(run, here, keys)
    later = replace(glass, now=NOW + timedelta(days=3))
    assert approvals.review_of(run, REQUEST, later, broken=by) is None
    signed = review(run, later, keys, by, "bob")
    assert (signed.principal, signed.says, signed.reason) == ("bob@x", "review", "it was right")
    assert approvals.review_of(run, REQUEST, later, broken=by) == signed
    assert approvals.collect(run, REQUEST, glass).valid == (by,)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"who": "ada"}, "broke the glass; it takes another person"),
        ({"who": "dora", "role": "devops"}, "what counts is"),
        ({"who": "carl"}, "opened this run"),
        ({"who": "bob", "reason": ""}, "needs a reason"),
    ],
)
def test_a_review_has_its_rules(run, here, keys, options, match):
    """Not by who broke it, not by who opened the run, not by anybody, not without a word."""
    glass, by = broken(run, here, keys)
    before = evidence(run)
    with pytest.raises(ApprovalRefused, match=match):
        review(run, glass, keys, by, **options)
    assert evidence(run) == before


# Rehearsals


def test_the_sandbox_signs_for_as_many_roles_as_it_takes(run, here, tmp_path):
    """Throw-away keys, by the very same path; twice does no harm."""
    listing = Signers(tmp_path / "outputs/.signers/sandbox", rehearsed=True)
    for at_least in (1, 2):
        toy = replace(
            here, people=(), gates=Gates(approvals="rehearsed"), rule=rule(at_least), signers=listing
        )
        standing = approvals.rehearse(run, REQUEST, toy)
        assert (standing.enough, len(standing.valid), standing.refusals) == (True, at_least, ())
    assert {sign.principal for sign in standing.valid} == {"rehearsed-tech_lead", "rehearsed-cto"}
    assert approvals.rehearse(run, REQUEST, toy) == standing
    assert len(listing.allowed.read_text().splitlines()) == 2


def test_nobody_signs_for_people(run, here):
    """Outside the sandbox a rehearsal is refused."""
    with pytest.raises(ApprovalRefused, match="only the sandbox"):
        approvals.rehearse(run, REQUEST, here)


def test_a_rehearsals_signature_is_none_of_a_persons(run, here, keys):
    """The sandbox's names are nobody outside it."""
    assert here.person("rehearsed-tech_lead") is None


# At apply


def other(**changes):
    moment = {"journal_head": "b" * 64, "requested_at": LATER, "expires_at": LATER + timedelta(hours=24)}
    return Request(**{**dict(REQUEST), **moment, **changes})


def test_what_was_signed_still_holds_when_nothing_but_the_moment_differs():
    """Asked anew an hour later: journal, time and expiry have moved on, the rest has not."""
    assert REQUEST.says_the_same(other())
    approvals.still_holds(REQUEST, other(), now=LATER)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"changes": (LINE.model_copy(update={"observed": "ttl 60 s"}),)},
            "observed of “set the TTL to 300 s”",
        ),
        ({"changes": (LINE.model_copy(update={"before": "ttl 60 s"}),)}, "before of"),
        ({"changes": (LINE.model_copy(update={"after": "ttl 60 s"}),)}, "after of"),
        ({"changes": (LINE.model_copy(update={"resource": "zone y.dev"}),)}, "resource of"),
        ({"changes": (LINE.model_copy(update={"touches": "all"}),)}, "touches of"),
        ({"changes": (LINE.model_copy(update={"way_back": "none"}),)}, "way back of"),
        ({"changes": (LINE, LINE.model_copy(update={"sentence": "drop it"}))}, "1 changes were signed"),
        ({"changes": ()}, "now it would be others: none"),
        ({"plan_digest": "e" * 64}, "plan digest"),
        ({"params": {"zone": "y.dev"}}, "params"),
        ({"run_id": "r2"}, "run id"),
        ({"environment": "staging"}, "environment"),
        ({"runbook": "waf"}, "runbook"),
        ({"requester": "ada"}, "requester"),
        ({"mode": "plan"}, "mode"),
        ({"title": "another"}, "title"),
        ({"any_of": ("cto",)}, "any of"),
        ({"signatures_at_least": 2}, "signatures at least"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_first_thing_that_differs_is_named(changes, says):
    """Drift of any kind between signing and applying: what was signed, what it is now."""
    assert not REQUEST.says_the_same(other(**changes))
    with pytest.raises(ApprovalRefused) as caught:
        approvals.still_holds(REQUEST, other(**changes), now=LATER)
    assert says in str(caught.value)


def test_nothing_is_done_on_an_expired_approval():
    """The second after."""
    approvals.still_holds(REQUEST, other(), now=REQUEST.expires_at)
    with pytest.raises(ApprovalRefused, match="expired at 2026-03-02 12:00:00"):
        approvals.still_holds(REQUEST, other(), now=REQUEST.expires_at + timedelta(seconds=1))


def test_every_field_of_a_request_is_compared_or_of_the_moment():
    """A field that is added later is compared without anybody thinking of it."""
    for name in set(Request.model_fields) - OF_THE_MOMENT - {"format", "kind", "changes"}:
        value = getattr(REQUEST, name)
        changed = REQUEST.model_copy(update={name: f"{value}x"})
        with pytest.raises(ApprovalRefused):
            approvals.still_holds(REQUEST, changed, now=LATER)
