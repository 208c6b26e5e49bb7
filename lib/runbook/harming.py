"""Does to a sealed run what a rehearsal is to find: its record changed, its signature or all of it gone."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Literal

from runbook.seals import SIGNATURE

Harm = Literal["nothing", "summary changed", "signature removed", "run removed"]
SUMMARY = "summary.json"
_NUMBER = re.compile(r'"value":\s*[0-9.]+')


def harm(folder: Path, how: Harm) -> None:
    """Harm the sealed run in `folder` of a rehearsal; nothing of it is to be relied on afterwards."""
    match how:
        case "nothing":
            return
        case "summary changed":
            file = folder / SUMMARY
            better = _NUMBER.sub('"value": 0.5', file.read_text(encoding="utf-8"), count=1)
            file.write_text(f"{better} ", encoding="utf-8")
        case "signature removed":
            (folder / SIGNATURE).unlink()
        case "run removed":
            shutil.rmtree(folder)
