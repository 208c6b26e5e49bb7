"""Kernels that start warm: one process has loaded what notebooks import, and forks a fresh kernel for each.

    forking.py      that process, `python -m runbook.warm.forking`
    provisioner.py  asks it for kernels, on behalf of Jupyter's kernel manager

A fork is a process of its own: nothing of one run is left for the next. Where it cannot be had, a kernel
starts cold, as everywhere else.
"""

from runbook.warm.provisioner import WarmProvisioner, warm_up

__all__ = ["WarmProvisioner", "warm_up"]
