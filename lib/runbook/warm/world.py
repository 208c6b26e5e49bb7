"""What a fork becomes that is to be a rehearsal world."""

from __future__ import annotations

from runbook.sandbox.world.__main__ import main
from runbook.sandbox.world.world import found_parts


def load() -> None:
    """Import what every world needs."""
    list(found_parts())


def become(argv: list[str]) -> int:
    """Serve a world until it is to end."""
    return main(argv)
