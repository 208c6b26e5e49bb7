"""Kernels that start warm: one process has loaded what notebooks import, and forks a fresh kernel for each.

    forking.py      that process, `python -m runbook.warm.forking`
    asking.py       starts it and asks it for forks
    provisioner.py  does so on behalf of Jupyter's kernel manager

A fork is a process of its own: nothing of one run is left for the next. Where it cannot be had, a kernel
starts cold, as everywhere else.
"""

from runbook.warm.asking import cool_down, warm_up

__all__ = ["cool_down", "warm_up"]
