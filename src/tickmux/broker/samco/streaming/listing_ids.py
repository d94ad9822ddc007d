"""The feed symbols of Samco's indices: not in the instrument list, asked for one by one over REST (section 9).

Pure: this module writes the request and reads the answer.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tickmux.broker._rest_answers import read_object
from tickmux.codec import Credentials, HttpRequest

_PATH = "/quote/indexQuote"
_LISTING_ID = re.compile(r"-[1-9]\d{0,8}", re.ASCII)
SESSION_WORDS = re.compile(r"session|token", re.IGNORECASE)
"""What a refusal says when it is the session that is refused (section 10)."""


class SessionRefused(Exception):
    """The broker does not accept the session any more."""


class Unresolved(Exception):
    """The index has no listing id; the message says why."""


class ListingIds:
    """Index name -> listing id, for as long as one session lives: ids are good for a day, as a session is."""

    def __init__(self) -> None:
        self._session = 0
        self._ids: dict[str, str] = {}

    def of(self, session: str) -> dict[str, str]:
        """The ids that this session has learned; another session begins with none."""
        mark = hash(session)  # the token itself is kept nowhere
        if mark != self._session:
            self._session = mark
            self._ids = {}
        return self._ids


def session_headers(credentials: Credentials) -> dict[str, str]:
    """What every request carries. The token may be URL-encoded as delivered (section 2)."""
    return {"x-session-token": unquote(credentials["session_token"].strip())}


def index_request(name: str, headers: Mapping[str, str]) -> HttpRequest:
    return HttpRequest("GET", f"{_PATH}?indexName={quote(name, safe='')}", headers)


def requested_index(request: HttpRequest) -> str:
    """The name that `index_request` asked for."""
    return parse_qs(urlsplit(request.url).query).get("indexName", [""])[0]


def read_listing_id(status: int, body: bytes) -> str:
    """The id in the answer, `-23`; raises SessionRefused or Unresolved."""
    if status == 401:
        raise SessionRefused("the broker refused the session (HTTP 401)")
    answer = read_object(body)
    words = answer.get("statusMessage")
    if status == 200 and is_failure(answer) and isinstance(words, str) and SESSION_WORDS.search(words):
        raise SessionRefused("the broker refused the session")
    details = answer.get("indexDetails")
    if status == 200 and isinstance(details, list) and details and isinstance(details[0], dict):
        number = details[0].get("listingId")
        text = str(number) if type(number) is int else number
        if isinstance(text, str) and _LISTING_ID.fullmatch(text):
            return text
    raise Unresolved(f"the broker gives no listing id (HTTP {status})")


def is_failure(answer: Mapping[str, Any]) -> bool:
    status = answer.get("status")
    return isinstance(status, str) and status.lower() == "failure"
