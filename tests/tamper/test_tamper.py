"""Tampering with sealed, signed runs: whatever is changed, verify finds it and names where."""

import hashlib
import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from runbook import approving
from runbook.files import write_atomically
from runbook.gates.requests import Request, Statement
from runbook.sealing import seal
from runbook.seals import SIGNATURE, SUMS, read_sums, sha256_of, write_sums
from runbook.signatures import APPROVAL, SEAL, signers_of
from runbook.verifying.files import wrong_files, wrong_sums
from runbook.verifying.seal import find_seal
from runbook.verifying.sealed import read_sealed
from tests.project import ROOT
from tests.signed_runs import Office

SMALL = 4096
SAMPLES = 400
FLIPS = (1, 32, 128)


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """A project with two runs that were parked, sealed, approved, taken up, finished and sealed again."""
    with pytest.MonkeyPatch.context() as patch:
        made = Office(tmp_path_factory.mktemp("tamper"))
        patch.setenv("RUNBOOK_ROOT", str(made.root))
        made.whole("r1")
        (made.root / "world.txt").unlink()
        made.whole("r2")
        yield made


@pytest.fixture
def run(office, tmp_path):
    """A copy of the first run, to be tampered with."""
    return shutil.copytree(office.folder("r1"), tmp_path / "r1", symlinks=True)


def verified(office, run):
    return approving.verify(str(run), start=office.root)


def found(office, run, where, says=""):
    """Verify finds something wrong, and a line of it names the place."""
    wrong = verified(office, run).wrong
    assert any(line.startswith(where) and says in line for line in wrong), (where, says, wrong)
    return wrong


def names(run):
    return sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())


def sign_sums(office, run, who):
    """Write the sums anew over what is there, and sign them."""
    write_sums(run)
    with office.key(who).opened() as pen:
        write_atomically(run / SIGNATURE, pen.sign((run / SUMS).read_bytes(), namespace=SEAL))


def flipped(content, place, change):
    return content[:place] + bytes([content[place] ^ change]) + content[place + 1 :]


def places(content, at_most=SAMPLES):
    """Return every place of small content, and as many as that, evenly spread, of large."""
    step = 1 if len(content) <= SMALL else max(1, len(content) // at_most)
    return range(0, len(content), step)


# Untouched


def test_an_untouched_run_verifies(office, run):
    """By us: nothing is wrong, and it says who."""
    whole = verified(office, run)
    assert (whole.wrong, whole.signed_by) == ((), "ci@x")


def commands(run, listing):
    """Return what README tells a reader to type, for this run and this list."""
    section = (ROOT / "README.md").read_text().partition("### Checking a run without this software")[2]
    block = section.partition("```sh\n")[2].partition("```")[0]
    first, rest = block.split("\n", 1)
    assert first == "cd outputs/RUN; signers=../../params/production/allowed_signers"
    return f"set -e; cd {run}; signers={listing}\n{rest}"


def stock(run, listing):
    """Check a run with the stock tools alone: nothing of ours, no Python at all."""
    return subprocess.run(
        ["sh", "-c", commands(run, listing)],
        env={"PATH": os.defpath, "PYTHONPATH": "", "HOME": str(run.parent)},
        cwd=run.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_untouched_run_verifies_with_the_two_stock_tools(office, run):
    """On a machine without this package: sha256sum and ssh-keygen, and the list from git."""
    done = stock(run, office.root / "params/production/allowed_signers")
    assert done.returncode == 0, done.stderr
    assert 'Good "runbook-seal" signature for ci@x' in done.stdout


def test_it_still_does_when_the_signers_time_has_ended(office, run, tmp_path):
    """The sealing key was valid then and is not today: verify-time is what counts, for us and for them."""
    sealed_at = verified(office, run).sealed_at
    ended = f'valid-before="{sealed_at:%Y%m%d%H%M%S}",namespaces="runbook-seal"'
    listing = tmp_path / "allowed_signers"
    lines = [office.line("ci", options=ended), office.line("ada", options='namespaces="runbook-approval"')]
    listing.write_text("".join(lines))
    assert approving.verify(str(run), start=office.root, signers=listing).holds
    assert stock(run, listing).returncode == 0
    while datetime.now(UTC) < sealed_at + timedelta(seconds=2):  # the list counts whole seconds
        os.sched_yield()
    today = ["ssh-keygen", "-Y", "verify", "-f", listing, "-n", SEAL, "-I", "ci@x", "-s", run / SIGNATURE]
    done = subprocess.run(
        today,
        input=(run / SUMS).read_bytes(),
        env={"PATH": os.defpath, "TZ": "UTC"},
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert b"expired" in done.stderr


@pytest.mark.parametrize("change", ["content", "signature", "added", "link", "foreign"])
def test_the_stock_tools_find_the_same(office, run, change):
    """What a reader of README types finds a changed file or signature, an added file or link, a stranger."""
    if change == "content":
        (run / "summary.json").write_bytes(flipped((run / "summary.json").read_bytes(), 5, 1))
    elif change == "signature":
        (run / SIGNATURE).write_bytes(flipped((run / SIGNATURE).read_bytes(), 150, 1))
    elif change == "added":
        (run / "evidence/.hidden").write_text("x")
    elif change == "link":
        (run / "evidence/link").symlink_to(run / "summary.json")
    else:
        sign_sums(office, run, "eve")
    assert stock(run, office.root / "params/production/allowed_signers").returncode != 0


# Bytes


def test_one_byte_of_any_file_is_found_and_the_file_named(office, run, tried):
    """Every byte of every small file, a sample of each large one, against the sums that were signed."""
    count = 0
    for name in read_sums((run / SUMS).read_bytes()):
        path = run / name
        content = path.read_bytes()
        for place in places(content):
            path.write_bytes(flipped(content, place, FLIPS[place % 3]))
            sealed = read_sealed(run)
            wrong = [*wrong_files(sealed), *wrong_sums(sealed, late=frozenset())]
            assert wrong == [f"{name}: its content is not what was sealed"]
            count += 1
        path.write_bytes(content)
    assert count > 5000
    tried(count)


def test_one_byte_of_the_sums_or_their_signature_is_found(office, run, tried):
    """Every byte of both: no signature counts any more."""
    signers = signers_of(office.root, office.root / "outputs", "production")
    count = 0
    for name in (SUMS, SIGNATURE):
        content = (run / name).read_bytes()
        for place in range(len(content)):
            (run / name).write_bytes(flipped(content, place, FLIPS[place % 3]))
            seal_found = find_seal(read_sealed(run), signers)
            assert seal_found.state == "not checked"
            assert seal_found.wrong[0].startswith(f"{SIGNATURE}: ")
            count += 1
        (run / name).write_bytes(content)
    tried(count)


def test_one_byte_is_found_by_the_whole_of_verify(office, run, tried):
    """A sample of every file through all checks together: the file is named, nothing falls over."""
    count = 0
    for name in names(run):
        path = run / name
        content = path.read_bytes()
        for place in range(0, len(content), max(1, len(content) // 12)):
            path.write_bytes(flipped(content, place, FLIPS[place % 3]))
            wrong = found(office, run, SIGNATURE if name == SUMS else name)
            assert wrong
            count += 1
        path.write_bytes(content)
    assert verified(office, run).holds
    tried(count)


@pytest.mark.parametrize("cut", [0, 1, -1])
def test_a_file_cut_short_or_made_longer_is_found(office, run, tried, cut):
    """Emptied, one byte less, one byte more."""
    for name in names(run):
        path = run / name
        content = path.read_bytes()
        path.write_bytes({0: b"", 1: content + b"\n", -1: content[:-1]}[cut])
        wrong = verified(office, run).wrong
        assert any(line.startswith((name, SIGNATURE)) for line in wrong), (name, wrong)
        path.write_bytes(content)
    tried(len(names(run)))


# Lines of the journal


def lines_of(run):
    return (run / "journal.jsonl").read_bytes().splitlines(keepends=True)


def mutations(lines):
    """Drop each line, double each, swap each with the next: (what, the line it is seen at, lines)."""
    for at in range(len(lines)):
        yield "dropped", lines[:at] + lines[at + 1 :]
        yield "doubled", lines[: at + 1] + lines[at:]
        if at + 1 < len(lines):
            yield "swapped", [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]


def test_a_line_dropped_doubled_or_swapped_is_found(office, run, tried):
    """With the sums as they were, and with sums rewritten to match: the signature is of others."""
    count = 0
    signers = signers_of(office.root, office.root / "outputs", "production")
    kept_sums, kept_signature, lines = (
        (run / SUMS).read_bytes(),
        (run / SIGNATURE).read_bytes(),
        lines_of(run),
    )
    for what, changed in mutations(lines):
        (run / "journal.jsonl").write_bytes(b"".join(changed))
        sealed = read_sealed(run)
        assert "journal.jsonl: its content is not what was sealed" in list(
            wrong_sums(sealed, late=frozenset())
        )
        if changed != lines[:-1]:  # only the chain's end can go without the chain noticing
            assert any(line.startswith("journal.jsonl") for line in sealed.wrong), what
        write_sums(run)
        (run / SIGNATURE).write_bytes(kept_signature)
        assert find_seal(read_sealed(run), signers).state == "not checked"
        (run / SUMS).write_bytes(kept_sums)
        count += 2
    tried(count)


@pytest.mark.parametrize("who", ["eve", None])
def test_a_journal_cut_to_a_shorter_chain_and_resealed_is_found(office, run, tried, who):
    """Every length: a valid chain, all files written anew from it, sealed by a stranger or by nobody."""
    lines = lines_of(run)
    before = len(lines_of_seal(run, lines))
    for length in range(1, len(lines)):
        (run / "journal.jsonl").write_bytes(b"".join(lines[:length]))
        (run / SIGNATURE).unlink(missing_ok=True)
        seal(run, key=office.key(who) if who else None)
        whole = verified(office, run)
        if who:
            assert not whole.holds
            assert any(line.startswith(f"{SIGNATURE}: it was made with SHA256:") for line in whole.wrong)
        else:  # what is not signed cannot be told from what never was; it is never called signed
            assert whole.seal == "unsigned"
            assert length >= before or not whole.holds  # the seal before was of more
    tried(len(lines) - 1)


def lines_of_seal(run, lines):
    """Return the lines that the seal before sealed."""
    digest = read_sums((run / "evidence/seals/1" / SUMS).read_bytes())["journal.jsonl"]
    return next(
        lines[:n] for n in range(len(lines)) if hashlib.sha256(b"".join(lines[:n])).hexdigest() == digest
    )


# Files


@pytest.mark.parametrize(
    "name",
    [
        "added.txt",
        ".hidden",
        "evidence/added.json",
        "evidence/.hidden",
        "charts/01-a.svg",
        "evidence/seals/9/x",
    ],
)
def test_an_added_file_is_found(office, run, tried, name):
    """Wherever it lies, hidden or not."""
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    (run / name).write_text("x")
    found(office, run, name, "added after sealing")
    tried(1)


def test_an_empty_folder_is_found(office, run, tried):
    """It holds nothing, and was not there."""
    (run / "evidence/more").mkdir()
    found(office, run, "evidence/more", "an empty folder")
    tried(1)


def test_a_removed_file_is_found(office, run, tried):
    """Each of them, in its turn."""
    for name in names(run):
        path = run / name
        kept = path.read_bytes()
        path.unlink()
        found(office, run, name, "missing")
        path.write_bytes(kept)
    tried(len(names(run)))


def test_a_file_replaced_by_a_link_is_found(office, run, tried, tmp_path):
    """To its own content, elsewhere: it could be anything tomorrow."""
    for number, name in enumerate(names(run)):
        path, away = run / name, tmp_path / f"away{number}"
        path.rename(away)
        path.symlink_to(away)
        found(office, run, name, "a link")
        path.unlink()
        away.rename(path)
    tried(len(names(run)))


def test_a_folder_replaced_by_a_link_is_found(office, run, tried, tmp_path):
    """All of evidence/, byte for byte the same."""
    (run / "evidence").rename(tmp_path / "away")
    (run / "evidence").symlink_to(tmp_path / "away")
    found(office, run, "evidence", "a link")
    tried(1)


# Approvals


def statement_of(run):
    return next((run / "evidence").glob("approval-*.tech_lead.json"))


def resealed(office, run, where, says=""):
    """Found as it is, and still when somebody with a listed key seals all of it anew."""
    assert not verified(office, run).holds
    sign_sums(office, run, "ci")
    wrong = found(office, run, where, says)
    assert verified(office, run).seal == "signed"
    return wrong


def test_an_approval_copied_from_another_run_is_found(office, run, tried):
    """The same plan, the same person, another run: beside this run's own, and in its place."""
    other = office.folder("r2") / "evidence"
    mine = statement_of(run)
    for path in other.glob("approval-*"):
        shutil.copy(path, run / "evidence" / path.name)
    theirs = statement_of(office.folder("r2"))
    resealed(office, run, f"evidence/{theirs.name}", "nothing in this run asked for it")
    for path in other.glob("approval-*"):
        (run / "evidence" / path.name).unlink()
    for end in ("", ".sig"):
        shutil.copy(theirs.with_name(theirs.name + end), mine.with_name(mine.name + end))
    resealed(office, run, f"evidence/{mine.name}", "it is for another run, r2")
    request = next(path for path in (run / "evidence").glob("approval-*.json") if path.name.count(".") == 1)
    shutil.copy(next(path for path in other.glob("approval-*.json") if path.name.count(".") == 1), request)
    resealed(office, run, f"evidence/{request.name}", "says was asked for")
    tried(3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("as", "cto"),
        ("reason", "I looked"),
        ("principal", "bob@x"),
        ("says", "break glass"),
        ("plan_digest", "e" * 64),
    ],
)
def test_an_edited_statement_is_found(office, run, tried, key, value):
    """One field of what was signed, under a new seal by a listed key."""
    path = statement_of(run)
    path.write_bytes(Statement.model_validate(json.loads(path.read_bytes()) | {key: value}).content())
    resealed(office, run, f"evidence/{path.name}")
    tried(1)


@pytest.mark.parametrize("who", ["eve", "bob"])
def test_a_statement_signed_anew_by_another_key_is_found(office, run, tried, who):
    """By a stranger in Ada's name, or by Bob in Ada's name: neither is hers."""
    path = statement_of(run)
    with office.key(who).opened() as pen:
        armor = pen.sign(path.read_bytes(), namespace=APPROVAL)
    path.with_name(f"{path.name}.sig").write_bytes(armor)
    resealed(office, run, f"evidence/{path.name}.sig", "does not list for ada@x")
    tried(1)


def test_an_edited_request_is_found(office, run, tried):
    """What was asked for, written otherwise after it was signed."""
    path = next(path for path in (run / "evidence").glob("approval-*.json") if path.name.count(".") == 1)
    request = Request.model_validate_json(path.read_bytes())
    line = request.changes[0].model_copy(update={"sentence": "write 2 to world.txt"})
    path.write_bytes(request.model_copy(update={"changes": (line,)}).content())
    resealed(office, run, f"evidence/{path.name}", "not what journal.jsonl:")
    tried(1)


# Seals


@pytest.mark.parametrize("who", ["eve", "carl"])
def test_a_seal_signed_anew_by_an_unlisted_key_is_found(office, run, tried, who, tmp_path):
    """Changed, summed anew, signed by a stranger; or by somebody who is listed for approvals only."""
    (run / "evidence/number.txt").write_text("x is 2")
    sign_sums(office, run, who)
    listing = tmp_path / "allowed_signers"
    both = [
        office.line("ci"),
        office.line("ada"),
        office.line("carl", options='namespaces="runbook-approval"'),
    ]
    listing.write_text("".join(both))
    whole = approving.verify(str(run), start=office.root, signers=listing)
    says = "does not list" if who == "eve" else "does not let carl@x"
    assert any(line.startswith(f"{SIGNATURE}: ") and says in line for line in whole.wrong)
    tried(1)


def test_sums_rewritten_to_match_a_change_are_found(office, run, tried):
    """Every file in its turn: the sums agree with it, their signature does not agree with them."""
    signature = (run / SIGNATURE).read_bytes()
    sealed = [name for name in names(run) if name not in (SUMS, SIGNATURE)]
    for name in sealed:
        kept = (run / name).read_bytes()
        (run / name).write_bytes(kept + b" ")
        write_sums(run)
        assert read_sums((run / SUMS).read_bytes())[name] == sha256_of(run / name)
        (run / SIGNATURE).write_bytes(signature)
        found(office, run, SIGNATURE, "not of this content")
        (run / name).write_bytes(kept)
    tried(len(sealed))


def test_the_signature_of_another_run_is_found(office, run, tried):
    """A good one, by the right key, of other sums."""
    shutil.copy(office.folder("r2") / SIGNATURE, run / SIGNATURE)
    found(office, run, SIGNATURE, "not of this content")
    tried(1)


def test_a_signature_for_another_purpose_is_found(office, run, tried):
    """By the right key, as an approval."""
    with office.key("ci").opened() as pen:
        (run / SIGNATURE).write_bytes(pen.sign((run / SUMS).read_bytes(), namespace=APPROVAL))
    found(office, run, SIGNATURE, "made for 'runbook-approval'")
    tried(1)


def test_an_earlier_seal_put_back_is_found(office, run, tried):
    """The sums and signature from when the run was parked, over the finished run."""
    for name in (SUMS, SIGNATURE):
        shutil.copy(run / "evidence/seals/1" / name, run / name)
    found(office, run, "journal.jsonl", "not what was sealed")
    tried(1)
