"""Whose signature counts: each way in which one does not has its own words."""

import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from runbook.errors import SignatureRefused
from runbook.signatures import APPROVAL, SEAL, KeyFile, Signers, fingerprint, signers_of, with_revoked
from runbook.signatures.keys import OpenKey
from tests.keys import allow, listed, make_key, public

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTENT = b"what is signed\n"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("ada", "eve")}


def sign(path, content=CONTENT, namespace=SEAL):
    with KeyFile(path).opened() as pen:
        return pen.sign(content, namespace=namespace)


def refused(signers, armor, *, content=CONTENT, **options):
    given = {"namespace": SEAL, "at": NOW} | options
    with pytest.raises(SignatureRefused) as caught:
        signers.check(content, armor, **given)
    return caught.value.why, str(caught.value)


def test_a_listed_key_counts_and_is_named(keys, tmp_path):
    """Principal from the list, fingerprint as ssh-keygen -l shows it."""
    signers = Signers(allow(tmp_path / "allowed_signers", listed(keys["ada"], "ada@x")))
    by = signers.check(CONTENT, sign(keys["ada"]), namespace=SEAL, at=NOW)
    with KeyFile(keys["ada"]).opened() as pen:
        assert (by.principal, by.fingerprint) == ("ada@x", fingerprint(pen.public_key()))


def test_a_foreign_key_is_told_by_its_fingerprint(keys, tmp_path):
    """Signed by a key that is not on the list: the key and the list are named."""
    signers = Signers(allow(tmp_path / "staging/allowed_signers", listed(keys["ada"], "ada@x")))
    why, says = refused(signers, sign(keys["eve"]))
    assert why == "foreign"
    assert "SHA256:" in says
    assert "staging/allowed_signers does not list" in says


def test_without_a_list_every_key_is_foreign(keys, tmp_path):
    """A file that is not there lists nobody."""
    assert refused(Signers(tmp_path / "none"), sign(keys["ada"]))[0] == "foreign"


def test_only_the_principal_asked_for_counts(keys, tmp_path):
    """A good signature by another listed person is not this person's."""
    signers = Signers(
        allow(tmp_path / "allowed_signers", listed(keys["ada"], "ada@x"), listed(keys["eve"], "eve@x"))
    )
    why, says = refused(signers, sign(keys["eve"]), principal="ada@x")
    assert why == "foreign"
    assert "for ada@x" in says


def test_a_key_listed_for_other_purposes_does_not_count(keys, tmp_path):
    """The list's namespaces bind: a key for approvals seals nothing."""
    line = listed(keys["ada"], "ada@x", options='namespaces="runbook-approval"')
    why, says = refused(Signers(allow(tmp_path / "allowed_signers", line)), sign(keys["ada"]))
    assert (why, "does not let" in says) == ("namespace", True)


def test_a_signature_made_for_another_purpose_does_not_count(keys, tmp_path):
    """An approval's signature over the same bytes is no seal."""
    signers = Signers(allow(tmp_path / "allowed_signers", listed(keys["ada"], "ada@x")))
    why, says = refused(signers, sign(keys["ada"], namespace=APPROVAL))
    assert (why, "made for 'runbook-approval'" in says) == ("namespace", True)


def test_other_content_is_told_from_a_foreign_key(keys, tmp_path):
    """A good signature, of something else."""
    signers = Signers(allow(tmp_path / "allowed_signers", listed(keys["ada"], "ada@x")))
    assert refused(signers, sign(keys["ada"]), content=b"else")[0] == "content"


@pytest.mark.parametrize("one_line_a_key", [True, False])
def test_a_revoked_key_never_counts(keys, tmp_path, one_line_a_key):
    """revoked_keys beside the list, as public keys or as a KRL; whatever the time."""
    allowed = allow(tmp_path / "allowed_signers", listed(keys["ada"], "ada@x"))
    armor = sign(keys["ada"])
    assert with_revoked(allowed).check(CONTENT, armor, namespace=SEAL, at=NOW)
    if one_line_a_key:
        (tmp_path / "revoked_keys").write_text(f"# left\n{public(keys['eve'])}\n{public(keys['ada'])}\n")
    else:
        make_krl(tmp_path / "revoked_keys", keys["ada"])
    why, says = refused(with_revoked(allowed), armor)
    assert (why, "ada@x" in says) == ("revoked", True)


def make_krl(path, key):
    subprocess.run(["ssh-keygen", "-k", "-q", "-f", path, f"{key}.pub"], check=True, capture_output=True)


def test_unreadable_revocations_let_nobody_through(keys, tmp_path):
    """What cannot be read might revoke anyone."""
    allowed = allow(tmp_path / "allowed_signers", listed(keys["ada"], "ada@x"))
    (tmp_path / "revoked_keys").write_text("nonsense\n")
    why, says = refused(with_revoked(allowed), sign(keys["ada"]))
    assert (why, "cannot be read" in says) == ("revoked", True)


@pytest.mark.parametrize(
    ("options", "at", "counts"),
    [
        ('valid-before="20260301"', datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC), True),
        ('valid-before="20260301"', datetime(2026, 3, 1, 0, 0, 1, tzinfo=UTC), False),
        ('valid-after="20260301"', datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC), False),
        ('valid-after="20260301"', datetime(2026, 3, 1, 0, 0, 1, tzinfo=UTC), True),
    ],
)
def test_validity_is_asked_for_the_time_of_signing_in_utc(keys, tmp_path, monkeypatch, options, at, counts):
    """Dates in the list are UTC wherever the check is made, and `at` decides, not today."""
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    signers = Signers(allow(tmp_path / "allowed_signers", listed(keys["ada"], "ada@x", options)))
    armor = sign(keys["ada"])
    if counts:
        assert signers.check(CONTENT, armor, namespace=SEAL, at=at).principal == "ada@x"
    else:
        why, says = refused(signers, armor, at=at)
        assert (why, f"{at:%Y-%m-%d %H:%M:%S}" in says) == ("expired", True)


def test_a_key_on_two_lines_counts_as_either(keys, tmp_path):
    """Each purpose may have its line; the one that fits is found."""
    first = listed(keys["ada"], "ci@x", options='namespaces="runbook-approval"')
    second = listed(keys["ada"], '"ada@x,a@x"', options='namespaces="runbook-seal"')
    signers = Signers(allow(tmp_path / "allowed_signers", first, second))
    assert signers.check(CONTENT, sign(keys["ada"]), namespace=SEAL, at=NOW).principal == "ada@x"
    assert signers.check(CONTENT, sign(keys["ada"]), namespace=SEAL, at=NOW, principal="a@x")


def test_a_line_that_openssh_does_not_take_lists_nobody(keys, tmp_path):
    """A mistake in the list refuses, with ssh-keygen's own words."""
    line = listed(keys["ada"], "ada@x", options="nonsense")
    why, says = refused(Signers(allow(tmp_path / "allowed_signers", line)), sign(keys["ada"]))
    assert why == "foreign"
    assert "allowed_signers:" in says


def test_one_changed_byte_anywhere_is_found(keys, tmp_path):
    """Every byte of a signature, each changed to several others: none is taken for the same."""
    signers = Signers(allow(tmp_path / "allowed_signers", listed(keys["ada"], "ada@x")))
    armor = sign(keys["ada"])
    for place in range(len(armor)):
        for change in (1, 4, 32):
            broken = armor[:place] + bytes([armor[place] ^ change]) + armor[place + 1 :]
            with pytest.raises(SignatureRefused):
                signers.check(CONTENT, broken, namespace=SEAL, at=NOW)


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda armor: armor + b"\n",
        lambda armor: armor.replace(b"\n", b"\r\n"),
        lambda armor: b"hello\n" + armor,
        lambda armor: armor.replace(b"SSH SIGNATURE", b"PGP SIGNATURE"),
        lambda armor: armor.replace(b"\n", b"\n ", 1),
        lambda armor: armor[:-1],
    ],
    ids=[
        "empty",
        "more at its end",
        "CRLF",
        "more before",
        "another kind",
        "a blank inside",
        "no last newline",
    ],
)
def test_what_ssh_keygen_would_forgive_is_refused(keys, tmp_path, change):
    """One form only, so that the file's bytes are as good as signed."""
    signers = Signers(allow(tmp_path / "allowed_signers", listed(keys["ada"], "ada@x")))
    assert refused(signers, change(sign(keys["ada"])))[0] == "malformed"


def test_the_sandbox_has_its_own_list_outside_every_run(tmp_path):
    """params/ speaks for real environments; throw-away keys stand in outputs/.signers."""
    real = signers_of(tmp_path, tmp_path / "outputs", "production")
    assert (real.allowed, real.rehearsed) == (tmp_path / "params/production/allowed_signers", False)
    toy = signers_of(tmp_path, tmp_path / "outputs", "sandbox")
    assert (toy.allowed, toy.rehearsed) == (tmp_path / "outputs/.signers/sandbox", True)


def test_a_moment_with_a_fraction_is_taken_to_its_second(keys, tmp_path):
    """ssh-keygen knows whole seconds; a signature made in the last of them still counts."""
    line = listed(keys["ada"], "ada@x", 'valid-before="20260301000000"')
    signers = Signers(allow(tmp_path / "allowed_signers", line))
    at = datetime(2026, 3, 1, tzinfo=UTC) - timedelta(milliseconds=1)
    assert signers.check(CONTENT, sign(keys["ada"]), namespace=SEAL, at=at)


def test_an_open_key_shows_no_secret(keys):
    """What a key is called in messages is its path."""
    assert repr(OpenKey(keys["ada"], "k", may_prompt=False)).count("PRIVATE") == 0
