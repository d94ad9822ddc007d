"""Upstox's error answers: one shape for REST and the feed, one table of codes (specification sections 2 and 10).

`{"status": "error", "errors": [{"error_code": …, "message": …}]}`; `errorCode` is a deprecated twin, and a feed's
refusal may be `{"status": "failed", "error": "…"}`.
"""

import re
from collections.abc import Collection
from typing import Any

WRONG_TOKEN_KIND = "UDAPI100067"  # noqa: S105
RATE_LIMITED = "UDAPI10005"
_AUTH_CODES = frozenset({"UDAPI100050", "UDAPI100016", "UDAPI100073", WRONG_TOKEN_KIND})

_TOKEN_LIKE = re.compile(r"eyJ[\w.~+/=-]+")


def error_codes(answer: dict[str, Any]) -> set[str]:
    """The codes that an answer names."""
    found = (error.get("error_code") or error.get("errorCode") for error in (answer, *_errors(answer)))
    return {code for code in found if isinstance(code, str)}


def is_auth_failure(codes: Collection[str]) -> bool:
    return not _AUTH_CODES.isdisjoint(codes)


def quotable(answer: dict[str, Any]) -> str:
    """The broker's own words, short, on one line and without tokens."""
    said = [answer.get("error"), answer.get("message"), *(error.get("message") for error in _errors(answer))]
    words = "; ".join(text for text in said if isinstance(text, str) and text)
    codes = ", ".join(sorted(error_codes(answer)))
    words = f"{words} ({codes})" if words and codes else words or codes or "no reason given"
    return _TOKEN_LIKE.sub("…", " ".join(words.split()))[:200]


def _errors(answer: dict[str, Any]) -> list[dict[str, Any]]:
    errors = answer.get("errors")
    return [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
