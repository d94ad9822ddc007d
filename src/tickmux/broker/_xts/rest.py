"""REST calls of a market-data session, and what answers to them mean (specification sections 2, 4, 10)."""

import re
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

import msgspec

from tickmux.broker._xts.messages import Key, digits
from tickmux.codec import HttpRequest

JSON_PREFIX, BINARY_PREFIX = "/apimarketdata", "/apibinarymarketdata"
LOGIN, LOGOUT = "/auth/login", "/auth/logout"
SUBSCRIPTION, QUOTES = "/instruments/subscription", "/instruments/quotes"
MASTER, INDEX_LIST = "/instruments/master", "/instruments/indexlist"
MOST_IN_ONE_CALL = 50

_PREFIX = re.compile(r"/api(?:binary)?marketdata(?=/|$)")
_INVALID_TOKEN, _ALREADY, _LIMIT = "e-session-0007", "e-session-0002", "e-session-0004"
_LONGEST_WORDS = 200


class Verdict(Enum):
    """What an answer means."""

    ACCEPTED = auto()
    ALREADY_SUBSCRIBED = auto()
    LIMIT = auto()
    AUTH_ERROR = auto()
    THROTTLED = auto()
    TRANSIENT = auto()  # a proxy's page, a server that is down: nothing about the call itself
    REFUSED = auto()


class Answer(NamedTuple):
    """An answer: `words` are the broker's own, uncut (see `shown`), `result` is empty where there is none."""

    verdict: Verdict
    words: str
    result: Mapping[str, Any]

    @property
    def remaining(self) -> int | None:
        """How many more subscriptions the session may have, where the broker says so."""
        return digits(self.result.get("Remaining_Subscription_Count"))


class _Body(msgspec.Struct):
    type: Any = None
    code: Any = None
    description: Any = None
    result: Any = None


_decode_body = msgspec.json.Decoder(_Body).decode


def read_answer(status: int, body: bytes) -> Answer:
    """Judges by `type` and `code`, since errors come with HTTP 200 and 400 alike. Never raises."""
    try:
        found = _decode_body(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        found = None
    if found is None or not (isinstance(found.type, str) or isinstance(found.code, str)):
        return Answer(_by_status(status), f"HTTP {status}", {})
    code, description = found.code or "", found.description or ""
    words = f"{description} ({code})" if description and code else f"{description or code or status}"
    result = found.result if isinstance(found.result, dict) else {}
    if found.type == "success":
        return Answer(Verdict.ACCEPTED, words, result)
    if code == _INVALID_TOKEN or "invalid token" in words.lower() or status in (401, 403):
        verdict = Verdict.AUTH_ERROR
    elif code == _ALREADY:
        verdict = Verdict.ALREADY_SUBSCRIBED
    elif code == _LIMIT:
        verdict = Verdict.LIMIT
    elif status == 429:  # before the words, which may speak of a limit too: of calls, not of subscriptions
        verdict = Verdict.THROTTLED
    elif "limit exceeded" in words.lower():
        verdict = Verdict.LIMIT
    else:
        verdict = Verdict.TRANSIENT if status >= 500 else Verdict.REFUSED
    return Answer(verdict, words, result)


def _by_status(status: int) -> Verdict:
    if status in (401, 403):
        return Verdict.AUTH_ERROR
    return Verdict.THROTTLED if status == 429 else Verdict.TRANSIENT


def says_token_is_dead(payload: object) -> bool:
    """Whether an error of any form is about the session's token."""
    text = payload if isinstance(payload, str) else str(payload)[:4096]
    return _INVALID_TOKEN in text or "invalid token" in text.lower()


def error_words(payload: object) -> str:
    """The broker's words in an error event, uncut (see `shown`)."""
    if isinstance(payload, dict):
        payload = payload.get("description") or payload.get("code")
    return payload if isinstance(payload, str) else "an error without words"


def shown(words: str, *secrets: str) -> str:
    """The broker's words as a message may show them: one short line without the secrets that were sent to it."""
    for secret in filter(None, secrets):  # before the cut, which would leave a part of one
        words = words.replace(secret, "…")
    return " ".join("".join(char if char.isprintable() else " " for char in words[:_LONGEST_WORDS]).split())


def with_prefix(url: str, prefix: str) -> str:
    """The same address under another of the two prefixes; unchanged where `prefix` is none of them."""
    return _PREFIX.sub(prefix, url, count=1) if prefix in (JSON_PREFIX, BINARY_PREFIX) else url


def prefix_of(url: str) -> str:
    found = _PREFIX.search(url)
    return found[0] if found else ""


def other_prefix(prefix: str) -> str:
    return BINARY_PREFIX if prefix == JSON_PREFIX else JSON_PREFIX


def login_body(app_key: str, secret_key: str, source: str) -> dict[str, str]:
    """`source` is left out where a broker's clients send none."""
    body = {"appKey": app_key, "secretKey": secret_key}
    return {**body, "source": source} if source else body


def subscription(method: str, keys: Sequence[Key], code: int, token: str) -> HttpRequest:
    """POST subscribes, PUT unsubscribes; integers are integers in JSON."""
    instruments = [{"exchangeSegment": segment, "exchangeInstrumentID": number} for segment, number in keys]
    body = {"instruments": instruments, "xtsMessageCode": code}
    return HttpRequest(method, SUBSCRIPTION, {"Authorization": token}, body)


def keys_of(request: HttpRequest) -> tuple[Key, ...]:
    """The instruments of a `subscription` request."""
    return tuple((each["exchangeSegment"], each["exchangeInstrumentID"]) for each in request.body["instruments"])
