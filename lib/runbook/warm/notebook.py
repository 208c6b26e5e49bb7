"""What a fork becomes that is to be one of many kernels: all that our notebooks import is there already."""

from __future__ import annotations

import importlib
import os
import pkgutil
from typing import Final

from runbook.warm import kernel

NOTEBOOKS_IMPORT: Final = ("runbook.changes", "runbook.charts", "runbook.milestone")


def load() -> None:
    """Import what notebooks need, without making a thread, a context or a figure."""
    import matplotlib.backends.backend_svg  # noqa: PLC0415
    import matplotlib.pyplot  # noqa: F401, PLC0415
    import pandas  # noqa: F401, PLC0415
    import scrapbook  # noqa: F401, PLC0415

    kernel.load()
    for package in NOTEBOOKS_IMPORT:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)


def become(argv: list[str]) -> int:
    """Run a kernel until it is asked to end."""
    import matplotlib as mpl  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    np.random.seed()  # the one that is shared by forks
    # As ipykernel sets it for a kernel that loads matplotlib itself.
    backend = os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    mpl.rcParams["backend"] = backend
    return kernel.become(argv)
