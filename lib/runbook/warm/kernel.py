"""What a fork becomes that is to be a notebook's kernel."""

from __future__ import annotations

import importlib
import os
import pkgutil
from typing import Any, Final

A_PARENT: Final = 1  # ipykernel: there is one, it need not be polled
LAST_WORDS_S: Final = 1.0
NOTEBOOKS_IMPORT: Final = ("runbook.changes", "runbook.charts", "runbook.milestone")


def load() -> None:
    """Import what every kernel needs, without making a thread, a context or a figure."""
    import ipykernel.ipkernel  # noqa: PLC0415
    import ipykernel.kernelapp  # noqa: F401, PLC0415
    import matplotlib.pyplot  # noqa: F401, PLC0415
    import pandas  # noqa: F401, PLC0415
    import psutil  # type: ignore[import-untyped]  # noqa: F401, PLC0415  # ipykernel looks for its children at the end

    import runbook.opening  # noqa: F401, PLC0415

    for package in NOTEBOOKS_IMPORT:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)


def become(argv: list[str]) -> int:
    """Run a kernel until it is asked to end."""
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415

    _settle_libraries()
    app: Any = IPKernelApp.instance(parent_handle=A_PARENT)
    app.initialize(argv)
    app.start()
    # What asked for the end still speaks, through a thread that the exit functions are about to stop.
    app.control_thread.join(LAST_WORDS_S)
    return 0


def _settle_libraries() -> None:
    import matplotlib as mpl  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    np.random.seed()  # the one that is shared by forks
    # As ipykernel sets it for a kernel that loads matplotlib itself.
    backend = os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    mpl.rcParams["backend"] = backend
