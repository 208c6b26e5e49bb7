"""What a verb shows while it works and when it is done: a line and a progress bar in a notebook.

Outside IPython nothing is shown. The progress bar travels as an output of its own media type, so that
whoever drives the kernel can show it in a terminal and keep it out of the finished notebook.
"""

from __future__ import annotations

import html
import sys
from dataclasses import replace
from typing import Any

from runbook.step import ProgressState

PROGRESS_TYPE = "application/vnd.runbook.progress+json"
STEP_TYPE = "application/vnd.runbook.step+json"
SCRAP_TYPE = "application/scrapbook.scrap.json+json"
SHOW_AFTER_S = 0.3


def shell() -> Any | None:
    """Return the IPython shell we run in, or None."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def show_line(mark: str, verb: str, title: str, remark: str) -> None:
    """Show one line for a step: its mark, verb, title and a remark (how long, how old)."""
    if shell() is None:
        return
    text = f"{mark} {verb} · {title} · {remark}"
    markup = (
        f'<div class="runbook-step">{html.escape(mark)} <b>{html.escape(verb)}</b> · {html.escape(title)}'
        f" · <small>{html.escape(remark)}</small></div>"
    )
    _display({"text/plain": text, "text/html": markup, STEP_TYPE: {"mark": mark, "line": text}})


def show_value(value: object) -> None:
    """Show a value as a cell's last expression would."""
    if shell() is not None:
        from IPython.display import display  # noqa: PLC0415  # only a notebook has it

        display(value)


def show_scrap(name: str, data: object) -> None:
    """Leave a scrap as `scrapbook.glue` does, without its second of imports; scrapbook reads it back."""
    if shell() is None:
        return
    scrap = {"name": name, "data": data, "encoder": "json", "version": 1}
    _display({SCRAP_TYPE: scrap}, metadata={"scrapbook": {"name": name, "data": True, "display": False}})


class ProgressBar:
    """A progress sink that shows what, how far and how long yet; short work shows nothing."""

    def __init__(self) -> None:
        self._handle: Any | None = None

    def __call__(self, state: ProgressState) -> None:
        if shell() is None or (self._handle is None and (state.finished or state.elapsed_s < SHOW_AFTER_S)):
            return
        bundle = progress_bundle(state)
        if self._handle is None:
            self._handle = _display(bundle, handle=True)
        else:
            self._handle.update(bundle, raw=True)
        if state.finished:
            self._handle = None


def progress_bundle(state: ProgressState) -> dict[str, Any]:
    """Return one progress state in every form a viewer may know."""
    line = progress_line(state)
    share = f' value="{state.done}" max="{state.total}"' if state.total else ""
    bar = f"<small>{html.escape(line)}</small>" if state.finished else f"<progress{share}></progress> "
    markup = bar if state.finished else f"{bar}<small>{html.escape(line)}</small>"
    return {"text/plain": line, "text/html": markup, PROGRESS_TYPE: {**vars(state), "left_s": state.left_s}}


def progress_line(state: ProgressState) -> str:
    """Return a progress state as one line of text."""
    if state.unit == "bytes":
        total = state.total / 1e6 if state.total else None
        state = replace(state, done=state.done / 1e6, total=total, unit="MB")
    if state.finished:
        return f"{state.what}: {_amount(state.done)} {state.unit} in {state.elapsed_s:.1f} s".replace(
            "  ", " "
        )
    far = f"{_amount(state.done)} of {_amount(state.total)}" if state.total else _amount(state.done)
    left = f", {state.left_s:.0f} s to go" if state.left_s is not None else ""
    return f"{state.what}: {far} {state.unit}{left}".replace(" ,", ",")


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"  # noqa: PLR2004


def _display(bundle: dict[str, Any], *, metadata: dict[str, Any] | None = None, handle: bool = False) -> Any:
    from IPython.display import display  # noqa: PLC0415  # only a notebook has it, and it is dear

    return display(bundle, raw=True, metadata=metadata or {}, display_id=True if handle else None)
