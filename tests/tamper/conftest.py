"""The tamper suite counts what it tried, over all workers, and says so at its end."""

import pytest

MUTATIONS = "mutations"


@pytest.fixture
def tried(record_property):
    """Count mutations: `tried(n)` adds n."""
    return lambda count: record_property(MUTATIONS, count)


def pytest_terminal_summary(terminalreporter):
    passed = terminalreporter.stats.get("passed", [])
    counts = [value for report in passed for name, value in report.user_properties if name == MUTATIONS]
    if counts:
        terminalreporter.write_line(f"tampering: {sum(counts):,} mutations of sealed runs tried, each found")
