"""Processes that start warm: one has loaded what they import, and forks a fresh one whenever it is asked.

    forking.py      that process, `python -m runbook.warm.forking`
    kernel.py       what a fork becomes: a kernel,
    notebook.py     one of many kernels, with all that notebooks import,
    world.py        or a rehearsal world
    asking.py       starts the forking processes and asks them for forks
    provisioner.py  does so on behalf of Jupyter's kernel manager,
    spawning.py     and of whoever starts worlds

A fork is a process of its own: nothing of one run is left for the next. Where it cannot be had, kernels and
worlds start cold, as everywhere else.
"""

from runbook.warm.asking import cool_down, warm_up
from runbook.warm.spawning import spawn_world

__all__ = ["cool_down", "spawn_world", "warm_up"]
