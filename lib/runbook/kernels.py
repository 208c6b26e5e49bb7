"""A notebook's kernel: spoken to in private, ready without waiting, forked warm, and ended in good order."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any, Final

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager

from runbook.warm.provisioner import WarmProvisioner

SOCKETS: Final = "rb-kernel-"
LONGEST_TEMP: Final = 60
_LOOK_EVERY_S: Final = 0.01
_RECONNECT_MS: Final = 5  # zmq's 100 is long for a kernel that has not opened its sockets yet


class KernelClient(AsyncKernelClient):
    """Ready when the kernel has answered on both channels.

    Jupyter goes on to wait for a silence of 0.2 s; nbclient need not, it goes by what a message answers.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.context.reconnect_ivl = _RECONNECT_MS

    async def _async_wait_for_ready(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # its name
        deadline = time.monotonic() + (timeout or float("inf"))
        while True:
            self.kernel_info()
            try:
                reply = await self.get_shell_msg(timeout=1)
                await self.get_iopub_msg(timeout=0.2)
            except Empty:
                reply = {"msg_type": "none"}
            if reply["msg_type"] == "kernel_info_reply":
                self._handle_kernel_info_reply(reply)
                return
            if not await self.is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if time.monotonic() > deadline:
                raise RuntimeError(f"Kernel didn't respond in {timeout:g} seconds")

    wait_for_ready = _async_wait_for_ready


class PrivateKernelManager(AsyncKernelManager):
    """A kernel spoken to through sockets in a folder that only we can enter; no port can clash."""

    def __init__(self, **kwargs: Any) -> None:
        _sweep_sockets()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{SOCKETS}{os.getpid()}-", dir=_short_temp()))
        super().__init__(transport="ipc", connection_file=str(self._folder / "k.json"), **kwargs)
        self.client_factory = KernelClient
        self.context.reconnect_ivl = _RECONNECT_MS
        self.at_rest = False

    async def _async_interrupt_kernel(self) -> None:
        """Leave out what Jupyter sends before each end: no cell is left to stop, and it may be logged."""
        if not (self.shutting_down and self.at_rest):
            await super()._async_interrupt_kernel()

    interrupt_kernel = _async_interrupt_kernel

    async def _async_finish_shutdown(
        self, waittime: float | None = None, pollinterval: float = _LOOK_EVERY_S, restart: bool = False
    ) -> None:
        """Not Jupyter's ten looks a second: a kernel ends within a few milliseconds."""
        await super()._async_finish_shutdown(waittime, pollinterval, restart)

    finish_shutdown = _async_finish_shutdown

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart=restart)
        if not restart:
            shutil.rmtree(self._folder, ignore_errors=True)

    cleanup_resources = _async_cleanup_resources


class WarmKernelManager(PrivateKernelManager):
    """The same, and the kernel is forked where it can be."""

    async def _async_pre_start_kernel(self, **kwargs: Any) -> Any:
        self.kernel_id = self.kernel_id or str(uuid.uuid4())
        self.provisioner = WarmProvisioner(
            kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
        )
        return await super()._async_pre_start_kernel(**kwargs)

    pre_start_kernel = _async_pre_start_kernel  # type: ignore[assignment]  # as jupyter_client has it


def _short_temp() -> str:
    """Return a temporary folder whose sockets' paths fit the kernel's limit of 107 bytes."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= LONGEST_TEMP else "/tmp"  # noqa: S108  # mkdtemp makes it private


def _sweep_sockets() -> None:
    """Remove the socket folders of drivers that were killed."""
    for folder in Path(_short_temp()).glob(f"{SOCKETS}*"):
        pid = folder.name.removeprefix(SOCKETS).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)
