"""Reading what a broker's REST servers answer, which may be an error page as well as JSON. Nothing here raises."""

from typing import Any, TypeVar

import httpx
import msgspec

T = TypeVar("T", bound=msgspec.Struct)


def read_answer(response: httpx.Response, shape: type[T]) -> T:
    """The JSON of an answer; `shape()` where it is of another form."""
    try:
        return msgspec.json.decode(response.content, type=shape)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return shape()


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that an answer is; empty where it is something else."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
