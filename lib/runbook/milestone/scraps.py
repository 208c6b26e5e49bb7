"""Holds the numbers that a run left for other notebooks against its record, by scrapbook.

A run's scraps lie in its notebook, its numbers in its journal. Both are sealed; that they are the same lets
anybody work with `scrapbook.read_notebooks` on a run's folder and mean what this report means.
"""

from __future__ import annotations

import math

from runbook.step import Earlier


def differing(earlier: Earlier) -> list[str]:
    """Return where the scraps of a run that is through are not its record's numbers, in a sentence each."""
    if earlier.folder is None:
        return []
    import scrapbook  # noqa: PLC0415  # a second of import, which only this report needs

    try:
        book = scrapbook.read_notebooks(str(earlier.folder))
        scraps = {name: scrap.data for notebook in book.notebooks for name, scrap in notebook.scraps.items()}
    except Exception as error:  # noqa: BLE001  # whatever a notebook is that scrapbook cannot read
        return [f"its notebook's scraps cannot be read ({type(error).__name__})"]
    numbers = {name: number.value for name, number in earlier.summary.numbers.items()}
    wrong = [name for name, value in numbers.items() if not _same(scraps.get(name), value)]
    return [f"its notebook's scraps are not its record's numbers: {', '.join(wrong)}"] if wrong else []


def _same(scrap: object, value: float | None) -> bool:
    if value is None or scrap is None:
        return scrap is value
    return isinstance(scrap, int | float) and math.isclose(scrap, value)
