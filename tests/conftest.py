"""All that crosses the wire of a world in any test is recorded and held against the vendors' descriptions."""

import os
from functools import cache

import pytest

from runbook.warm import cool_down
from tests.contract.table import TABLES
from tests.contract.wire import ABSENT, SPECS, Checker, Exchange

WIRE = "RUNBOOK_WIRE"
OUR_OWN = ("/dns/", "/site/")  # the sandbox's, of no vendor


def pytest_report_header():
    return f"wire: held against {SPECS}" if SPECS.is_dir() else f"wire: {ABSENT}"


@pytest.fixture(scope="session", autouse=True)
def no_forking_process_left():
    """What kernels were forked from ends with the tests; it takes seconds to load, so files share it."""
    yield
    cool_down()


@cache
def the_checker():
    """Return what knows the descriptions; reading them takes a while, so it is made when it is needed."""
    return Checker(TABLES)


@pytest.fixture(scope="session")
def checker():
    return the_checker() if SPECS.is_dir() else None


class Recording:
    """The files in which the worlds of this process's tests write, each read on from where it was read to."""

    def __init__(self, folder):
        self.folder, self._read_to = folder, {}

    def new(self):
        """Return what was recorded since it was last asked; a killed world's half line is none."""
        found = []
        for path in sorted(self.folder.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read_to.get(path, 0))
                whole, newline, _ = file.read().rpartition(b"\n")
            self._read_to[path] = self._read_to.get(path, 0) + len(whole + newline)
            found += [Exchange.of(line) for line in whole.splitlines()]
        return found


@pytest.fixture(scope="session")
def recording(tmp_path_factory):
    return Recording(tmp_path_factory.mktemp("wire"))


@pytest.fixture(scope="module", autouse=True)
def wire_as_described(recording):
    """After each file of tests: every request and every reply in it was as its vendor describes it."""
    before = os.environ.get(WIRE)
    os.environ[WIRE] = str(recording.folder)
    yield
    if before is None:
        del os.environ[WIRE]
    else:
        os.environ[WIRE] = before
    crossed = [one for one in recording.new() if not one.path.startswith(OUR_OWN)]
    if crossed and SPECS.is_dir():
        assert [wrong for exchange in crossed for wrong in the_checker().wrongs(exchange)] == []
