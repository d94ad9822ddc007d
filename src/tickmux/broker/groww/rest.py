"""What Groww's REST calls have in common: headers, envelope and error codes (specification section 2)."""

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

NOT_AUTHORISED = "GA005"


def request_headers(bearer: str) -> dict[str, str]:
    """The headers of one call; `bearer` is the API key at login, the access token afterwards."""
    return {
        "Authorization": f"Bearer {bearer}",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "x-request-id": str(uuid.uuid4()),
        "x-client-id": "growwapi",
        "x-client-platform": "growwapi-python-client",
        "x-client-platform-version": "1.5.0",
        "x-api-version": "1.0",
    }


def parse_answer(body: bytes) -> Mapping[str, Any]:
    """The JSON object of an answer, out of its `payload` if it has that envelope; empty for anything else."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    if not isinstance(answer, dict):
        return {}
    payload = answer.get("payload")
    return payload if isinstance(payload, dict) else answer


def error_code(answer: Mapping[str, Any]) -> str:
    """`GA005` and the like; empty where the answer names none."""
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) and code.isalnum() and len(code) < 10 else ""
