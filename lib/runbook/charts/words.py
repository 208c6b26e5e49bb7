"""Quantities as a person reads them: seconds, sizes and shares, with their units."""

from __future__ import annotations

# Between a number and its unit: a line must not break there.
GAP = "\N{NO-BREAK SPACE}"

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_THOUSAND, _TEN = 1000, 10
# Below this a share would print as nothing.
_LEAST_PERCENT = 0.01
# From here on a column of times is written by the clock, 13:30, not in seconds.
_CLOCK_S = 600


def seconds_text(seconds: float) -> str:
    """Return a length of time with about three digits: 0 s, 350 ms, 4.2 s, 2 min 3 s, 1 h 18 min, 2 d 4 h."""
    sign, length_s = ("−" if seconds < 0 else ""), abs(seconds)
    return sign + _length_text(length_s)


def _length_text(length_s: float) -> str:
    if round(length_s * _THOUSAND) == 0:
        return _unit("0", "s")
    if round(length_s, 3) < 1:
        return _unit(f"{length_s * _THOUSAND:.0f}", "ms")
    if round(length_s, 1) < _TEN:
        return _unit(_short(length_s), "s")
    if (whole_s := round(length_s)) < _MINUTE_S:
        return _unit(str(whole_s), "s")
    if whole_s < _HOUR_S:
        return _two_units(whole_s, (_MINUTE_S, "min"), (1, "s"))
    if whole_s < _DAY_S:
        return _two_units(whole_s, (_HOUR_S, "h"), (_MINUTE_S, "min"))
    return _two_units(whole_s, (_DAY_S, "d"), (_HOUR_S, "h"))


def _two_units(whole_s: int, large: tuple[int, str], small: tuple[int, str]) -> str:
    many, rest_s = divmod(whole_s, large[0])
    few = rest_s // small[0]
    text = _unit(str(many), large[1])
    return f"{text} {_unit(str(few), small[1])}" if few else text


def clock_text(seconds: float, *, of_s: float) -> str:
    """Return seconds for a column whose sum is `of_s`: 1.62 s, 48.3 s, 13:30, 1:17:22."""
    if of_s < _CLOCK_S:
        return _unit(f"{seconds:.{2 if of_s < _TEN else 1}f}", "s")
    minutes, rest_s = divmod(round(seconds), 60)
    if of_s < _HOUR_S:
        return f"{minutes}:{rest_s:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{rest_s:02}"


def clock_unit(of_s: float) -> str:
    """Return what `clock_text` counts in, for the head of its column."""
    if of_s < _CLOCK_S:
        return "Seconds"
    return "Minutes and seconds" if of_s < _HOUR_S else "Hours, minutes, seconds"


def size_text(size_bytes: float) -> str:
    """Return a size in decimal units with about three digits: 812 B, 55.3 MB, 1.6 GB."""
    size, place = float(size_bytes), 0
    while round(size, 1) >= _THOUSAND and place < len(_SIZES) - 1:
        size, place = size / _THOUSAND, place + 1
    return _unit(f"{size:.0f}" if place == 0 else _short(size), _SIZES[place])


def share_text(share: float) -> str:
    """Return a share as per cent that never rounds something to nothing: < 0.01 %, 0.12 %, 37 %, 130 %."""
    percent = share * 100
    if percent == 0:
        return _unit("0", "%")
    if percent < _LEAST_PERCENT:
        return _unit(f"<{GAP}0.01", "%")
    if percent < 1:
        return _unit(f"{percent:.2f}".rstrip("0").rstrip("."), "%")
    return _unit(_short(percent) if percent < _TEN else f"{percent:,.0f}", "%")


def count_text(count: int, noun: str) -> str:
    """Return a count with its noun: 1 commit, 12,340 commits, no commits."""
    plural = noun if count == 1 else f"{noun}s"
    return _unit(f"{count:,}" if count else "no", plural)


def quantity_text(value: float | None, unit: str) -> str:
    """Return a number with its unit in the form its unit asks for; None reads *not measured*."""
    if value is None:
        return "not measured"
    if unit in {"s", "seconds"}:
        return seconds_text(value)
    if unit in {"bytes", "B"}:
        return size_text(value)
    if unit in {"ratio", "share"}:
        return share_text(value)
    text = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3f}".rstrip("0").rstrip(".")
    return _unit(text, unit) if unit else text


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _unit(text: str, unit: str) -> str:
    return f"{text}{GAP}{unit}"
