"""What Nubra's REST calls have in common: headers and answers (specification section 2)."""

from collections.abc import Mapping
from typing import Any

import msgspec

SESSION_OVER = (401, 440)
"""HTTP statuses that say that the session has ended; 440 is Nubra's own."""


def request_headers(device_id: str, bearer: str = "") -> dict[str, str]:
    """The headers of a call; `bearer` is the session token, or the half-way token of a login."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "x-device-id": device_id,
        "x-app-version": "0.5.4",
        "x-device-os": "sdk",
        "Cookie": f"deviceId={device_id}",
    }
    return headers | {"Authorization": f"Bearer {bearer}"} if bearer else headers


def parse_answer(body: bytes) -> Mapping[str, Any]:
    """The JSON object of an answer; empty for anything else."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def is_header_text(value: object) -> bool:
    """Whether it can travel as a header, or as one word of a command: visible ASCII without blanks."""
    return isinstance(value, str) and bool(value) and value.isascii() and value.isprintable() and " " not in value
