"""Masks everything that a Jupyter kernel says, whoever listens: our driver, plain papermill, JupyterLab.

Every message of a kernel (streams, displays and their updates, results, errors, replies, widgets) is packed
by its session, so that is where it is masked. What is split over several messages of a stream is held back
by the stream's hook until it is whole (`streams.Held`), at the latest until the cell ends or shows something
else. What the process says past its streams (a child's output, a log, a crash) is masked on its way to the
terminal that the kernel was started from.

Not masked is what was shown before the first `open_run`, what a widget sends as raw bytes, and what a cell
takes apart by purpose. A kernel that is killed takes what was held back with it.
"""

from __future__ import annotations

import atexit
import codecs
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from runbook.masking.outputs import masked
from runbook.masking.streams import Held
from runbook.plan import Secrets

_READ_BYTES: Final = 1 << 16
_ENDS_IN_S: Final = 2.0
_DESCRIPTORS: Final = {"stdout": 1, "stderr": 2}


def guard_kernel(shell: Any | None, secrets: Secrets) -> None:
    """Mask what the kernel of an IPython `shell` says from now on; once for each kernel."""
    kernel = getattr(shell, "kernel", None)
    session = getattr(kernel, "session", None)
    if shell is None or session is None or isinstance(session.pack, _MaskingPack) or not secrets:
        return
    session.pack = _MaskingPack(session.pack, secrets)
    tails = [_Tails(stream, secrets) for stream in _streams()]

    def show_tails() -> None:
        for tail in tails:
            tail.show()

    def before_display(message: Any) -> Any:
        if message["msg_type"] != "update_display_data":  # an update comes where its display stands
            show_tails()
        return message

    shell.display_pub.register_hook(before_display)
    shell.displayhook.register_hook(before_display)
    shell._showtraceback = _after(show_tails, shell._showtraceback)  # noqa: SLF001  # IPython's own place for it
    shell.events.register("post_execute", show_tails)


def _streams() -> Iterator[Any]:
    """Return the kernel's output streams; one that a cell has captured is masked by its pack alone."""
    for stream in (sys.stdout, sys.stderr):
        if all(hasattr(stream, name) for name in ("register_hook", "pub_thread", "session")):
            yield stream


def _after(first: Callable[[], None], then: Callable[..., Any]) -> Callable[..., Any]:
    def both(*args: Any, **kwargs: Any) -> Any:
        first()
        return then(*args, **kwargs)

    return both


class _MaskingPack:
    """A session's packer that masks the parts of a message before it packs them, headers excepted."""

    def __init__(self, pack: Callable[[Any], bytes], secrets: Secrets) -> None:
        self._pack, self._secrets = pack, secrets

    def __call__(self, part: Any) -> bytes:
        if isinstance(part, Mapping) and "msg_id" not in part:
            part = {key: masked(self._secrets, item, kind=key) for key, item in part.items()}
        return self._pack(part)


class _Tails:
    """The held ends of one stream, one for each cell that writes to it."""

    def __init__(self, stream: Any, secrets: Secrets) -> None:
        self._stream, self._secrets = stream, secrets
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Mapping[str, Any], Held]] = {}
        stream.pub_thread.schedule(lambda: stream.register_hook(self._pass))
        try:
            number = stream.fileno()
        except (OSError, ValueError):  # a kernel that leaves the process's own descriptors alone
            number = _DESCRIPTORS[stream.name]
        _guard_descriptor(number, secrets)

    def _pass(self, message: dict[str, Any]) -> dict[str, Any]:
        parent = message["parent_header"]
        with self._lock:
            _, held = self._held.setdefault(parent.get("msg_id", ""), (parent, Held(self._secrets)))
            message["content"]["text"] = held.take(message["content"]["text"])
        return message

    def show(self) -> None:
        """Send what is held, after what was written before."""
        self._stream.flush()
        with self._lock:
            ended, self._held = list(self._held.values()), {}
        for parent, held in ended:
            if held.rest:
                self._stream.session.send(
                    self._stream.pub_thread,
                    "stream",
                    {"name": self._stream.name, "text": held.end()},
                    parent=dict(parent),
                    ident=self._stream.topic,
                )


def _guard_descriptor(number: int, secrets: Secrets) -> None:
    """Put a pipe that masks before the file that the descriptor leads to."""
    inherited = os.get_inheritable(number)
    target, (reads, writes) = os.dup(number), os.pipe()
    os.dup2(writes, number, inherited)
    os.close(writes)
    thread = threading.Thread(target=_copy_masked, args=(reads, target, secrets), daemon=True)
    thread.start()

    def end() -> None:
        os.dup2(target, number, inherited)  # no writer is left here: the reader comes to the end
        thread.join(_ENDS_IN_S)

    atexit.register(end)


def _copy_masked(reads: int, target: int, secrets: Secrets) -> None:
    held, decoder = Held(secrets), codecs.getincrementaldecoder("utf-8")("surrogateescape")
    with suppress(OSError):
        while piece := os.read(reads, _READ_BYTES):
            _write_all(target, held.take(decoder.decode(piece)))
        _write_all(target, held.take(decoder.decode(b"", final=True)) + held.end())


def _write_all(target: int, text: str) -> None:
    left = text.encode("utf-8", "surrogateescape")
    while left:
        left = left[os.write(target, left) :]
