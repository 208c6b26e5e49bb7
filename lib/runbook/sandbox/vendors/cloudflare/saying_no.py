"""How Cloudflare answers: the envelope around every result, and the refusals with their codes.

The codes come from what the API was seen to say in public (none is in its description): 81044–81058 records,
1061 zone exists, 7003 no such object, 9005 … 9041 content, 10000 authentication, 10003 no entrypoint ruleset,
971 throttled. 1004, 1224 and 20000 stand where no source names the code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from runbook.sandbox.world.part import Answer
from runbook.sandbox.world.state import Doc

NOT_FOUND, FORBIDDEN, BAD, THROTTLED = 404, 403, 400, 429
_WORDS: Final = {
    NOT_FOUND: (7003, "Could not route to that object, perhaps your object identifier is invalid?"),
    FORBIDDEN: (10000, "Authentication error"),
    THROTTLED: (971, "Please wait and consider throttling your request speed"),
}


class Refusal(Exception):  # it is Cloudflare that refuses, nothing of ours went wrong
    """A call is refused: HTTP's status, Cloudflare's code and words."""

    def __init__(self, code: int, words: str, *, status: int = BAD) -> None:
        super().__init__(words)
        self.code, self.words, self.status = code, words, status

    def answer(self) -> Answer:
        return failure(self.status, self.code, self.words)


def no_such_object() -> Refusal:
    """Return the refusal of an id that stands for nothing here."""
    code, words = _WORDS[NOT_FOUND]
    return Refusal(code, words, status=NOT_FOUND)


def failure(status: int, code: int = 0, words: str = "") -> Answer:
    """Return the envelope of a refusal; without a code, the one that goes with the status."""
    usual = _WORDS.get(status, (10001, "Internal server error"))
    error = {"code": code or usual[0], "message": words or usual[1]}
    if status == THROTTLED:
        return Answer(status, {"success": False, "errors": [error]})
    return Answer(status, {"success": False, "errors": [error], "messages": [], "result": None})


def success(result: Any, **more: Any) -> Answer:
    return Answer(200, {"success": True, "errors": [], "messages": [], "result": result, **more})


def page(found: list[Doc], number: int, size: int, *, show: Callable[[Doc], Doc] = lambda one: one) -> Answer:
    """Return one page of a list, each item as `show` has it; a page beyond the last is empty."""
    shown = [show(one) for one in found[(number - 1) * size : number * size]]
    info = {"page": number, "per_page": size, "count": len(shown), "total_count": len(found)}
    return success(shown, result_info=info)
