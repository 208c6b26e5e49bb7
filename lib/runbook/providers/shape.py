"""Replies parsed strictly: what is not as documented raises, naming vendor, call and field."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from runbook.errors import SurprisingReply

T = TypeVar("T")
_NAMED_AT_MOST = 3


class Shape(BaseModel):
    """Base of a reply's model: every field named must be there with its type; fields not named are let be.

    A vendor may add fields any day; it may not take one away that we rely on.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


_adapter: Any = cache(TypeAdapter)


def parsed(content: bytes, into: type[T], *, vendor: str, call: str, request_id: str = "") -> T:
    """Return a JSON body as `into`; SurprisingReply names the fields that do not fit, never their values."""
    try:
        value: T = _adapter(into).validate_json(content, strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        fields = [f"{'.'.join(map(str, item['loc'])) or 'the body'}: {item['msg']}" for item in found]
        more = f" (and {len(fields) - _NAMED_AT_MOST} more)" if len(fields) > _NAMED_AT_MOST else ""
        raise SurprisingReply(
            f"{vendor} answered {call} with a reply of another shape than documented: "
            f"{'; '.join(fields[:_NAMED_AT_MOST])}{more}. Look at it in the run's evidence/",
            vendor=vendor,
            call=call,
            request_id=request_id,
        ) from None  # pydantic's own text would show the values
    return value
