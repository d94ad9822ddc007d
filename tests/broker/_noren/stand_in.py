"""A broker's REST server for tests of logins: answers as told, and remembers what it was asked."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from tickmux.codec import Credentials
from tickmux.login import LoginFlow

NOW = datetime(2025, 8, 28, 4, 30, tzinfo=UTC)
"""10:00 in India."""
NEXT_DAY = datetime(2025, 8, 28, 18, 30, tzinfo=UTC).timestamp()
"""Midnight in India."""
SECRET = "s3cr3t-of-the-user"


class StandIn:
    """`answers` are given one after the other: JSON values, or (status, body)."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, tuple):
            return httpx.Response(answer[0], content=answer[1])
        return httpx.Response(200, json=answer)

    def body(self, place: int = -1) -> Any:
        """The JSON of a request."""
        return json.loads(self.asked[place].content)

    def exchange(
        self, login: LoginFlow, values: Mapping[str, str], callback: Mapping[str, str] | None = None
    ) -> Credentials:
        async def run() -> Credentials:
            async with httpx.AsyncClient(transport=httpx.MockTransport(self)) as http:
                return await login.exchange(values, callback or {}, "http://127.0.0.1:5001/x/callback", http, NOW)

        return asyncio.run(run())

    def page(self, login: LoginFlow, values: Mapping[str, str]) -> str | None:
        async def run() -> str | None:
            async with httpx.AsyncClient(transport=httpx.MockTransport(self)) as http:
                return await login.begin(values, "http://127.0.0.1:5001/x/callback", http)

        return asyncio.run(run())


TROUBLE: tuple[Any, ...] = (
    (500, b"<html>"),
    (502, b""),
    (429, b""),
    (404, b"<html>not found</html>"),
    (200, b""),
    (200, b"[" * 50_000),
    (200, b"[1]"),
    (200, b"null"),
    (200, b"\xff\xfe"),
    httpx.ConnectError("no route"),
    httpx.ReadTimeout("slow"),
)
"""What no login may take for a session, whichever broker sends it."""
