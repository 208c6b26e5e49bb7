"""Step inputs and results as JSON, and back: plain data, times, `Value` models, data frames.

What is not of those is refused when it is recorded, not when it is replayed. Nothing is ever unpickled:
a tagged value names a `Value` class of this package, and is validated by it.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import sys
from collections.abc import Callable
from datetime import date, datetime
from datetime import time as clock_time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook.clock import utc_text
from runbook.errors import JournalCorrupt
from runbook.values import Value

if TYPE_CHECKING:
    import pandas as pd

TAG = "$"


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical form of `value`, in hex."""
    text = json.dumps(encode(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def encode(value: Any) -> Any:
    """Return `value` as JSON data; TypeError names what cannot be recorded."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{value} cannot be recorded: JSON has no such number; use None for unknown")
        return value
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return _encode_dict(value)
    for known, tag, encoder in _TAGGED:
        if isinstance(value, known):
            return {TAG: tag, "of": encoder(value)}
    if type(value).__module__.partition(".")[0] == "pandas" and type(value).__name__ == "DataFrame":
        return {TAG: "frame", "of": _encode_frame(value)}
    raise TypeError(f"a {type(value).__name__} cannot be recorded; return a Value or plain data")


def decode(data: Any) -> Any:
    """Return what `encode` was given; JournalCorrupt when the data names something we do not have."""
    if isinstance(data, list):
        return [decode(item) if isinstance(item, dict | list) else item for item in data]
    if not isinstance(data, dict):
        return data
    if TAG not in data:
        return {key: decode(item) if isinstance(item, dict | list) else item for key, item in data.items()}
    decoder = _DECODERS.get(str(data[TAG]))
    if decoder is None:
        raise JournalCorrupt(f"the record holds a {data[TAG]!r}, which this version does not know")
    return decoder(data["of"])


def _encode_dict(value: dict[Any, Any]) -> dict[str, Any]:
    wrong = [key for key in value if not isinstance(key, str) or key == TAG]
    if wrong:
        raise TypeError(
            f"a mapping with the key {wrong[0]!r} cannot be recorded: keys are text, and not {TAG!r}"
        )
    return {key: encode(item) for key, item in value.items()}


def _encode_model(value: Value) -> dict[str, Any]:
    kind = type(value)
    if getattr(sys.modules[kind.__module__], kind.__qualname__, None) is not kind:
        raise TypeError(f"a {kind.__qualname__} cannot be recorded: its class must stand at its module's top")
    fields = {name: encode(getattr(value, name)) for name in kind.model_fields}
    return {"class": f"{kind.__module__}:{kind.__qualname__}", "fields": fields}


def _decode_model(data: dict[str, Any]) -> Value:
    module, _, name = str(data["class"]).partition(":")
    # A record makes us import rooms of this package only; other modules must be loaded already.
    if module.partition(".")[0] != "runbook" and module not in sys.modules:
        raise JournalCorrupt(f"the record names the class {data['class']}, which is not of this package")
    try:
        # Asking the import machinery for each of thousands of values takes longer than making them.
        kind = getattr(sys.modules.get(module) or importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise JournalCorrupt(f"the record names {data['class']}, which this version does not have") from error
    if not (isinstance(kind, type) and issubclass(kind, Value)):
        raise JournalCorrupt(f"the record names {data['class']}, which is no recorded value")
    return kind.model_validate({name: decode(item) for name, item in data["fields"].items()})


def _encode_frame(frame: pd.DataFrame) -> dict[str, Any]:
    if list(frame.index) != list(range(len(frame))):
        raise TypeError("a data frame with an index of its own cannot be recorded; use reset_index()")
    return {
        "columns": [str(name) for name in frame.columns],
        "types": [str(kind) for kind in frame.dtypes],
        "rows": json.loads(
            frame.to_json(orient="values", date_format="iso", date_unit="us", double_precision=15)
        ),
    }


def _decode_frame(data: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415  # dear to import, and most records hold no frame

    frame = pd.DataFrame(data["rows"], columns=data["columns"])
    return frame.astype(dict(zip(data["columns"], data["types"], strict=True)))


_TAGGED: list[tuple[type, str, Callable[[Any], Any]]] = [
    (tuple, "tuple", lambda value: [encode(item) for item in value]),
    (datetime, "instant", lambda value: utc_text(_aware(value))),
    (date, "date", date.isoformat),
    (clock_time, "clock", clock_time.isoformat),
    (Path, "path", str),
    (Value, "value", _encode_model),
]

_DECODERS: dict[str, Callable[[Any], Any]] = {
    "tuple": lambda data: tuple(decode(item) for item in data),
    "instant": datetime.fromisoformat,
    "date": date.fromisoformat,
    "clock": clock_time.fromisoformat,
    "path": Path,
    "value": _decode_model,
    "frame": _decode_frame,
}


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise TypeError(f"the time {value} has no time zone; times on record are UTC")
    return value
