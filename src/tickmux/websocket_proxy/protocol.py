"""Requests and answers of the client protocol as typed structs; pure.

`parse_request` turns one text frame into a request, or raises BadRequest. Items of a subscription that make no sense
do not spoil the others: they carry their own error. They are made of what the client sent a slice at a time
(`Addressed.take`), so that a request of thousands holds nobody up; `large_message.py` does the same for the JSON
itself.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from tickmux.errors import ErrorCode, RequestError
from tickmux.instrument import EXCHANGES, MAX_SYMBOL_LENGTH
from tickmux.tick import Mode
from tickmux.websocket_proxy.mapping import (
    DEFAULT_DEPTH,
    parse_depth,
    parse_exchange,
    parse_mode,
    shown,
)

MAX_THROTTLE_MS = 60_000
_KNOWN_EXCHANGES = frozenset(EXCHANGES)
OPTIONS_HELP = (
    'format ("envelope" or "flat"), encoding ("json" or "msgpack"), feed_status, instrument_status and sequence '
    f"(true or false), throttle_ms (0 to {MAX_THROTTLE_MS})"
)


class Options(msgspec.Struct, frozen=True):
    """`options` of `authenticate`; everything off by default, so that old clients see only what they know."""

    format: Literal["envelope", "flat"] = "envelope"
    encoding: Literal["json", "msgpack"] = "json"
    feed_status: bool = False
    instrument_status: bool = False
    sequence: bool = False
    throttle_ms: int | None = None


class Authenticate(msgspec.Struct, frozen=True):
    request_id: Any
    api_key: str
    options: Options

    def __repr__(self) -> str:
        return "Authenticate(…)"


class Item(msgspec.Struct, frozen=True):
    """One instrument of a request. `mode` None: not named. `error` set: the item makes no sense.

    `symbol` is the name that the client uses and hears. `SBIN:50` is a name of its own beside `SBIN`, in every mode;
    its instrument is SBIN, and its 50 levels count in DEPTH mode.
    """

    symbol: str
    exchange: str
    mode: Mode | None = None
    depth: int = DEFAULT_DEPTH
    throttle_ms: int | None = None
    error: RequestError | None = None

    @property
    def instrument(self) -> str:
        """The symbol without a number of levels behind it."""
        return self.symbol.partition(":")[0]


class Shared(msgspec.Struct, frozen=True):
    """What a message says for all its items."""

    exchange: Any = None
    mode: Mode | None = None
    depth: int = DEFAULT_DEPTH
    throttle_ms: int | None = None


class Addressed(msgspec.Struct, frozen=True):
    """A request about instruments; `entries` as the client sent them."""

    request_id: Any
    entries: list[Any]
    shared: Shared = Shared()

    def take(self, start: int, stop: int) -> list[Item]:
        """The items from `start` to before `stop`."""
        return [_item(entry, self.shared) for entry in self.entries[start:stop]]

    @property
    def items(self) -> list[Item]:
        return self.take(0, len(self.entries))


class Subscribe(Addressed, frozen=True):
    """Wants the named instruments."""


class Unsubscribe(Addressed, frozen=True):
    """Gives the named instruments back."""


class Ping(msgspec.Struct, frozen=True):
    request_id: Any
    timestamp: Any
    ping_id: Any


class Command(msgspec.Struct, frozen=True):
    """A request without parameters; `action` is one of `_COMMANDS`."""

    request_id: Any
    action: str


Request: TypeAlias = Authenticate | Subscribe | Unsubscribe | Ping | Command

_COMMANDS = frozenset(
    {
        "unsubscribe_all",
        "list_subscriptions",
        "get_broker_info",
        "get_supported_brokers",
        "pong",
        "subscribe_orders",
        "unsubscribe_orders",
    }
)
_ACTIONS = ("authenticate", "subscribe", "unsubscribe", "ping", *sorted(_COMMANDS))
_decode = msgspec.json.Decoder().decode


class BadRequest(RequestError):
    """A request that cannot be carried out as a whole; remembers what has to be echoed."""

    def __init__(self, code: ErrorCode, message: str, request_id: Any = None, *, of_auth: bool = False) -> None:
        super().__init__(code, message)
        self.request_id = request_id
        self.of_auth = of_auth


def parse_request(frame: bytes | str, max_items: int, *, authenticated: bool = True) -> Request:
    """The request in one text frame. Raises BadRequest with the protocol's code.

    Before authentication only what is allowed then is looked at any closer.
    """
    try:
        message = _decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise not_json(error) from None
    return as_request(message, max_items, authenticated=authenticated)


def not_json(error: Exception | str) -> "BadRequest":
    return BadRequest(
        ErrorCode.INVALID_JSON,
        f"the frame is not valid JSON ({str(error)[:80]}): send one JSON object per text frame",
    )


def not_authenticated() -> RequestError:
    return RequestError(ErrorCode.NOT_AUTHENTICATED, 'authenticate first: {"action":"authenticate","api_key":"…"}')


def as_request(message: Any, max_items: int, *, authenticated: bool = True) -> Request:
    """The request that a decoded message makes. Raises BadRequest."""
    if not isinstance(message, dict):
        raise BadRequest(ErrorCode.INVALID_JSON, 'the frame is JSON but no object: send {"action":…}')
    request_id = _scalar(message.get("request_id"))
    action = message.get("action", message.get("type"))
    name = action.strip().lower() if isinstance(action, str) else None
    try:
        if name in ("authenticate", "auth"):
            return _authenticate(message, request_id)
        if name in ("subscribe", "unsubscribe"):
            if not authenticated:
                raise not_authenticated()
            kind = Subscribe if name == "subscribe" else Unsubscribe
            return kind(request_id, _entries(message, max_items), _shared(message))
    except BadRequest:
        raise
    except RequestError as error:
        raise BadRequest(error.code, error.message, request_id) from None
    if name == "ping":
        return Ping(request_id, _scalar(message.get("timestamp")), _scalar(message.get("_pingId")))
    if name in _COMMANDS:
        return Command(request_id, name)
    raise BadRequest(
        ErrorCode.INVALID_ACTION,
        f"action {shown(action)} is unknown: use one of {', '.join(_ACTIONS)}",
        request_id,
    )


def _authenticate(message: dict[str, Any], request_id: Any) -> Authenticate:
    key = message.get("api_key", message.get("apikey"))
    if not isinstance(key, str) or not key.strip() or len(key) > 512:
        raise BadRequest(
            ErrorCode.AUTHENTICATION_ERROR,
            "authenticate needs api_key, a text of your API key",
            request_id,
            of_auth=True,
        )
    given = message.get("options")
    try:
        options = Options() if given is None else msgspec.convert(given, Options)
        if options.throttle_ms is not None:
            _check_throttle(options.throttle_ms)
    except (msgspec.ValidationError, RequestError) as error:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETERS,
            f"options of authenticate: {str(error)[:120]}; possible are {OPTIONS_HELP}",
            request_id,
            of_auth=True,
        ) from None
    return Authenticate(request_id, key.strip(), options)


def _entries(message: dict[str, Any], max_items: int) -> list[Any]:
    given = message.get("symbols", message.get("instruments"))
    if given is None:
        if "symbol" not in message:
            raise RequestError(
                ErrorCode.INVALID_PARAMETERS, "name instruments: symbol and exchange, or a list of them under symbols"
            )
        given = [message]
    elif isinstance(given, (dict, str)):
        given = [given]
    if not isinstance(given, list) or not given:
        raise RequestError(
            ErrorCode.INVALID_PARAMETERS,
            "symbols must be a list, not empty, of objects or of strings such as NSE:SBIN",
        )
    if len(given) > max_items:
        raise too_many_items(len(given), max_items)
    return given


def too_many_items(count: int, max_items: int) -> RequestError:
    return RequestError(
        ErrorCode.SUBSCRIPTION_LIMIT, f"{count} instruments in one request: at most {max_items} are taken"
    )


def _shared(message: dict[str, Any]) -> Shared:
    """What the message says for all its items is checked once: a wrong mode there spoils the whole request."""
    mode = parse_mode(message["mode"]) if message.get("mode") is not None else None
    depth_given = message.get("depth", message.get("depth_level"))
    depth = parse_depth(depth_given) if depth_given is not None else DEFAULT_DEPTH
    return Shared(message.get("exchange"), mode, depth, _throttle(message))


def _item(entry: Any, shared: Shared) -> Item:
    symbol: Any = entry
    exchange, mode, depth, throttle = shared.exchange, shared.mode, shared.depth, shared.throttle_ms
    try:
        if isinstance(entry, dict):
            symbol = entry.get("symbol")
            exchange = entry.get("exchange", exchange)
            if entry.get("mode") is not None:
                mode = parse_mode(entry["mode"])
            given = entry.get("depth", entry.get("depth_level"))
            if given is not None:
                depth = parse_depth(given)
            own = _throttle(entry)
            throttle = throttle if own is None else own
        elif not isinstance(entry, str):
            symbol = ""
            raise RequestError(
                ErrorCode.INVALID_PARAMETERS, f"{shown(entry)} names no instrument: send an object or NSE:SBIN"
            )
        symbol, spelled = split_exchange(symbol)
        if spelled:
            # In an object that names its exchange as well, the two have to agree.
            if isinstance(entry, dict) and entry.get("exchange") is not None and parse_exchange(exchange) != spelled:
                raise RequestError(
                    ErrorCode.INVALID_PARAMETERS,
                    f"{shown(entry['symbol'])} and exchange {shown(exchange)} contradict each other: "
                    f'send {{"symbol":"{symbol[:MAX_SYMBOL_LENGTH]}","exchange":"{spelled}"}}',
                )
            exchange = spelled
        elif exchange is None and (misspelt := _misspelt_exchange(symbol)):
            parse_exchange(misspelt)  # says which there are
        symbol, suffix = _split_depth(symbol)
        return Item(symbol, parse_exchange(exchange), mode, suffix or depth, throttle)
    except RequestError as error:
        return Item(_text(symbol), _text(exchange), mode, depth, throttle, error)


def split_exchange(symbol: Any) -> tuple[Any, str]:
    """`NSE:SBIN` and `SBIN@NSE` are SBIN on NSE; without an exchange that we know it is all symbol."""
    if isinstance(symbol, str):
        head, colon, tail = symbol.strip().partition(":")
        if colon and tail and head.strip().upper() in _KNOWN_EXCHANGES:
            return tail, head.strip().upper()
        head, at, tail = symbol.strip().rpartition("@")
        if at and head and tail.strip().upper() in _KNOWN_EXCHANGES:
            return head, tail.strip().upper()
    return symbol, ""


def _misspelt_exchange(symbol: Any) -> str:
    """What stands in the place of the exchange in `NSEINDEX:NIFTY` and `NIFTY@NSEINDEX`; empty where nothing does."""
    if not isinstance(symbol, str):
        return ""
    head, _, tail = symbol.partition(":")
    if tail.strip() and not tail.strip().isdigit():
        return head.strip()
    return symbol.rpartition("@")[2].strip() if "@" in symbol else ""


def _split_depth(symbol: Any) -> tuple[str, int]:
    """The name in capitals, and the number of levels behind a colon in it (0 without one)."""
    if not isinstance(symbol, str) or not (name := symbol.strip().upper()):
        raise RequestError(ErrorCode.INVALID_PARAMETERS, "symbol is missing: send its name as text, such as SBIN")
    base, colon, level = name.partition(":")
    base = base.strip()
    if not base or len(name) > MAX_SYMBOL_LENGTH or not name.isprintable():
        raise RequestError(
            ErrorCode.INVALID_PARAMETERS,
            f"symbol {shown(symbol)} is none: at most {MAX_SYMBOL_LENGTH} printable characters",
        )
    if not colon:
        return base, 0
    depth = parse_depth(level)
    return f"{base}:{depth}", depth


def _throttle(holder: dict[str, Any]) -> int | None:
    given = holder.get("throttle_ms")
    return None if given is None else _check_throttle(given)


def _check_throttle(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_THROTTLE_MS:
        raise RequestError(
            ErrorCode.INVALID_PARAMETERS, f"throttle_ms {shown(value)} is none: use 0 to {MAX_THROTTLE_MS}"
        )
    return value


def _text(value: Any) -> str:
    return value[:MAX_SYMBOL_LENGTH] if isinstance(value, str) else ""


_WIDEST = range(-(1 << 63), 1 << 64)
"""Whole numbers that msgpack can say."""


def _scalar(value: Any) -> Any:
    """What is echoed to the client: a scalar of bounded size, anything else is not echoed.

    A whole number of more than 64 bits is echoed as text, since not every encoding can say it.
    """
    if isinstance(value, str):
        return value[:256]
    if isinstance(value, int) and value not in _WIDEST:
        return str(value)[:256]
    return value if isinstance(value, (int, float)) else None


# -- answers ---------------------------------------------------------------------------------------------


def answer(request_id: Any, **fields: Any) -> dict[str, Any]:
    """An answer with `request_id` echoed when there was one."""
    if request_id is not None:
        fields["request_id"] = request_id
    return fields


def error_answer(error: RequestError, request_id: Any = None) -> dict[str, Any]:
    """An error answer: without `type` (the Excel add-in knows errors by that)."""
    return answer(request_id, status="error", code=error.code.value, message=error.message)


def auth_error(error: RequestError, request_id: Any = None) -> dict[str, Any]:
    """A failed authentication: the one error that has a `type`."""
    return answer(request_id, type="auth", status="error", code=error.code.value, message=error.message)


def overall(verdicts: Sequence[bool]) -> str:
    """`success`, `partial` or `error`, from the verdicts of all items."""
    if all(verdicts):
        return "success"
    return "partial" if any(verdicts) else "error"
