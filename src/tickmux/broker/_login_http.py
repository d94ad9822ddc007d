"""A login's HTTP: asking the broker, and what to tell the user where it has no good answer.

A broker's own words stay out of every message: they may repeat what was sent.
"""

from typing import Any

import httpx

from tickmux.login import LoginUnavailable


async def ask(http: httpx.AsyncClient, broker: str, method: str, url: str, **request: Any) -> httpx.Response:
    """The broker's answer, whatever its status; raises LoginUnavailable where none comes."""
    try:
        return await http.request(method, url, **request)
    except httpx.HTTPError as error:
        raise LoginUnavailable(
            f"{broker} cannot be reached ({type(error).__name__}): check the network, then log in again"
        ) from None


def trouble(broker: str, status: int) -> str:
    """What the user should do about a status that says nothing of the keys; empty for any other."""
    if status == 429:
        return f"{broker} is refusing logins for now (too many requests): wait a minute, then log in again"
    if status >= 500:
        return f"{broker} has a problem of its own (HTTP {status}): try again in a few minutes"
    return ""
