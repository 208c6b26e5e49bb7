"""A provisioner of Jupyter's that asks for a fork, and starts a kernel cold where there can be none."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from runbook.warm.asking import Forked, kernels_forking

_SAME: Final = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")  # a fork has looked at them already


class WarmProvisioner(LocalProvisioner):
    """Forks a kernel; a kernel that needs what the fork has not loaded so is started cold."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Launch a kernel with the command that would start it cold."""
        process = _forked(cmd, **kwargs)
        if process is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.process = process  # type: ignore[assignment]  # as much of a Popen as is asked of it
        self.pid = self.pgid = process.pid
        self.cwd = kwargs.get("cwd", Path.cwd())
        return self.connection_info


def _forked(cmd: list[str], **kwargs: Any) -> Forked | None:
    env, cwd = kwargs["env"], kwargs.get("cwd") or Path.cwd()
    stdout: Any = kwargs.get("stdout")
    stderr: Any = kwargs.get("stderr")
    usual = cmd[:3] == [sys.executable, "-m", "ipykernel_launcher"]
    forking = kernels_forking() if usual and stdout is not None and stderr is not None else None
    if forking is None or any(env.get(name) != forking.environment.get(name) for name in _SAME):
        return None
    out, err = (stream if isinstance(stream, int) else stream.fileno() for stream in (stdout, stderr))
    with Path(os.devnull).open("rb") as nothing:
        try:
            return forking.fork(cmd[3:], cwd=str(cwd), env=env, streams=(nothing.fileno(), out, err))
        except OSError:
            return None
