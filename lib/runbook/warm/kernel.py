"""What a fork becomes that is to be a kernel; it imports by itself what its notebook needs."""

from __future__ import annotations

from typing import Any, Final

A_PARENT: Final = 1  # ipykernel: there is one, it need not be polled
LAST_WORDS_S: Final = 1.0


def load() -> None:
    """Import what every kernel needs, without making a thread or a context."""
    import ipykernel.debugger  # noqa: PLC0415  # every kernel looks whether there is one
    import ipykernel.ipkernel  # noqa: PLC0415
    import ipykernel.kernelapp  # noqa: F401, PLC0415
    import psutil  # type: ignore[import-untyped]  # noqa: F401, PLC0415  # ipykernel looks for its children at the end

    import runbook.opening  # noqa: F401, PLC0415


def become(argv: list[str]) -> int:
    """Run a kernel until it is asked to end."""
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415

    app: Any = IPKernelApp.instance(parent_handle=A_PARENT)
    app.initialize(argv)
    app.start()
    # What asked for the end still speaks, through a thread that the exit functions are about to stop.
    app.control_thread.join(LAST_WORDS_S)
    return 0
