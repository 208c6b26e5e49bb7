"""Keeps queries out of the HTTP library's own log lines: some vendors want their key in the query."""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import Any, Final

# Those of urllib3's loggers that name addresses; a filter holds for the logger it was given to only.
_LOGGERS: Final = ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry", "urllib3.response")
_QUERY: Final = re.compile(r"\?[^\s\"']+")


class _NoQueries(logging.Filter):
    """Cuts what stands after a question mark, whoever made the library log at which level."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _cut(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(_cut(arg) for arg in record.args)
        return True


def _cut(value: Any) -> Any:
    if isinstance(value, int | float) or value is None:
        return value
    text = str(value)
    return _QUERY.sub("?…", text) if "?" in text else value


@cache
def keep_queries_out() -> None:
    """Filter the library's loggers, once."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_NoQueries())
