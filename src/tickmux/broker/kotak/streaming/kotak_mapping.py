"""Kotak's SFeed on the wire: JSON requests out, batches of little-endian packets in (specification sections 4 to 6).

Every packet is complete, so that no market state is kept. What is kept is the log-in answer's price divisors:
packets that come before it have no known scale and are skipped.
"""

import struct
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import msgspec

from tickmux.broker._login_record import LoginRecord
from tickmux.broker._wire_values import PLAIN, count, epoch_ms, price
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_LTP, MODE_QUOTE, Depth, DepthLevel, Tick, without_value

SEGMENTS: Mapping[str, tuple[int, str]] = {
    "NSE": (1, "nse_cm"),
    "NSE_INDEX": (1, "nse_cm"),
    "NFO": (2, "nse_fo"),
    "CDS": (3, "cde_fo"),
    "BSE": (5, "bse_cm"),
    "BSE_INDEX": (5, "bse_cm"),
    "BFO": (6, "bse_fo"),
    "BCD": (7, "bse_cd"),
    "MCX": (9, "mcx_fo"),
}
"""Our exchange -> (exchange id in packets, segment in requests), section 8."""

EVENTS = {
    "lite": "ScripsLite",
    "scrips": "Scrips",
    "depth": "Depth",
    "full_depth": "FullDepth",
    "index": "Indices",
}
"""Kind -> what `subscribe` and `unsubscribe` are followed by in a request's event (section 4.2)."""

TOKEN_LIMIT = 3000
"""Tokens that one connection may hold, over all kinds (section 3.2)."""

_SEGMENT_IDS = {segment: number for number, segment in SEGMENTS.values()}
_DEFAULT_DIVISOR = 100
_LARGEST_DIVISOR = 10**9
_LOGIN_CODES = frozenset({1117, 1119})
_SUBSCRIBED = 1109

_HEADER_SIZE, _INDEX_SIZE, _MINI_SIZE, _PICTURE_SIZE, _STATUS_SIZE, _ROW_SIZE = 9, 87, 54, 144, 16, 16
_HEADER = struct.Struct("<HHbB").unpack_from  # length, message code, exchange id, level
# What stands at offset 9 of a packet (section 5.2); pads are fields that nobody asks for.
_INDEX = struct.Struct("<I5iQ25x21s").unpack_from  # token, open, close, high, low, value, time, name
_MINI = struct.Struct("<IqIqI").unpack_from  # token, trade time, last price, quantity, close
# token, total buy, total sell, volume, trade time, update time, open, close, high, low, last price, its quantity,
# average, buy rows, sell rows, open interest, upper and lower circuit
_PICTURE = struct.Struct("<I5q5IqI4x2I6xI12x2I").unpack_from
_ROW = struct.Struct("<qii")  # quantity, price, orders

_INDEX_CODE, _STATUS_CODE, _AUCTION_CODE = 7207, 105, 104
_SESSION_CODES = frozenset({6511, 6521})
_ROUTED_BY_CODE = _SESSION_CODES | {_INDEX_CODE, _STATUS_CODE, _AUCTION_CODE}
_MINI_LEVEL, _TOUCH_LEVELS, _DEPTH_LEVELS = 1, (2, 4), (8, 16)

_NAME_SIZE = 21
_PRICES = ("ltp", "open", "high", "low", "close", "avg_trade_price", "upper_circuit", "lower_circuit")

_encode = msgspec.json.encode


class _Control(msgspec.Struct):
    """A text frame; the types of its fields are not checked yet."""

    message_code: Any = None
    format: Any = None
    exchanges: Any = None


class _Exchange(msgspec.Struct):
    """What the log-in answer says of an exchange."""

    value: int | None = None
    divider: float | int | None = None


_decode_control = msgspec.json.Decoder(_Control).decode


class KotakCodec(FeedCodec):
    """Kinds are those of `EVENTS`. `opened_at` is epoch milliseconds, told to the broker in the log-in."""

    waits_for_ready = True

    def __init__(self, opened_at: int, logins: LoginRecord) -> None:
        super().__init__()
        self._opened_at = opened_at
        self._logins = logins
        self._divisors: dict[int, float | None] | None = None
        """Exchange id -> divisor, None where it could not be read; None as a whole before the log-in answer."""
        self._proven = False
        self._index_numbers: dict[tuple[int, int], list[Instrument]] = {}

    # -- out (section 4.2) -------------------------------------------------------------------------------

    def wire_key(self, instrument: Instrument) -> Hashable:
        """Exchange id and token in one number; of an index exchange id and name, since requests name it so."""
        exchange_id, _ = _segment(instrument)
        if instrument.is_index:
            return exchange_id, _name_key(_feed_name(instrument).encode())
        number = _token_number(instrument)
        if number is None:
            raise ValueError(f"{instrument.symbol}: {instrument.token!r} is no token of Kotak's")
        return exchange_id << 32 | number

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        login = {
            "user": credentials["ucc"],
            "auth": credentials["sid"],
            "format": "native_batch",
            "source": "NEOTRADEAPI",
            "platform": "Web",
            "version": "1.2.3",
            "sdk_version": 2,
            "sdk_date": "2026-08-07T09:41:17.667Z",
            "conn_req_time": self._opened_at,
            "sessionValidation": False,
        }
        self._logins.sent()
        return [_encode(login).decode()]

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        if not instruments:
            return []
        event = f"subscribe{EVENTS[kind]}"
        return [_request({"event": event, "inputtoken": _input_tokens(instruments), "ack_symbol": True})]

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        if not instruments:
            return []
        return [_request({"event": f"unsubscribe{EVENTS[kind]}", "inputtoken": _input_tokens(instruments)})]

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        # In between, the tokens count twice. Without room for that the old kind has to be given up first.
        if len(self.kinds) + len(instruments) > TOKEN_LIMIT:
            return [*self.unsubscribe_frames(instruments, old), *self.subscribe_frames(instruments, new)]
        return super().change_frames(instruments, old, new)

    # -- in (section 5.2) --------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Decoded:
        if isinstance(frame, str):
            return self._decode_text(frame)
        divisors = self._divisors
        if divisors is None:
            return Decoded(unknown=1)
        decoded = Decoded()
        ticks = decoded.ticks
        size = len(frame)
        offset = 0
        while offset < size:
            if size - offset < _HEADER_SIZE:
                return _malformed(decoded, size, offset)
            length, code, exchange_id, level = _HEADER(frame, offset)
            if length < _HEADER_SIZE or offset + length > size:
                return _malformed(decoded, size, offset)
            divisor = divisors.get(exchange_id, _DEFAULT_DIVISOR)
            if code in _ROUTED_BY_CODE and code != _INDEX_CODE:
                if code in _SESSION_CODES or (code == _STATUS_CODE and length >= _STATUS_SIZE):
                    decoded.event = Event.MARKET_STATUS
            elif divisor is None:
                decoded.unrouted += 1
            elif code == _INDEX_CODE:
                if length < _INDEX_SIZE:
                    decoded.unknown += 1
                elif (tick := self._index_tick(frame, offset, exchange_id, divisor)) is not None:
                    ticks.append(tick)
                else:
                    decoded.unrouted += 1
            elif level == _MINI_LEVEL and length >= _MINI_SIZE:
                token, traded, last, quantity, close = _MINI(frame, offset + _HEADER_SIZE)
                instrument = self.routes.get(exchange_id << 32 | token)
                if instrument is None:
                    decoded.unrouted += 1
                else:
                    prices = (price(last, divisor), price(close, divisor))
                    ticks.append(
                        Tick(
                            instrument=instrument,
                            mode=MODE_LTP,
                            ltp=prices[0],
                            ltt=epoch_ms(traded),
                            last_trade_quantity=count(quantity),
                            close=prices[1],
                            taken_back=without_value(("ltp", "close"), prices) if None in prices else (),
                        )
                    )
            elif (level in _TOUCH_LEVELS or level in _DEPTH_LEVELS) and length >= _PICTURE_SIZE:
                tick = self._picture_tick(frame, offset, length, exchange_id, level, divisor)
                if tick is None:
                    decoded.unrouted += 1
                else:
                    ticks.append(tick)
            else:
                decoded.unknown += 1
            offset += length
        if ticks and not self._proven:
            self._proven = True
            self._logins.proven()
        return decoded

    def _picture_tick(
        self, frame: bytes, offset: int, length: int, exchange_id: int, level: int, divisor: float
    ) -> Tick | None:
        (
            token, total_buy, total_sell, volume, traded, updated, open_, close, high, low, last, quantity, average,
            buy_rows, sell_rows, oi, upper, lower,
        ) = _PICTURE(frame, offset + _HEADER_SIZE)  # fmt: skip
        instrument = self.routes.get(exchange_id << 32 | token)
        if instrument is None:
            return None
        plain = PLAIN
        prices = (
            last / divisor if 0 < last < plain else price(last, divisor),
            open_ / divisor if 0 < open_ < plain else price(open_, divisor),
            high / divisor if 0 < high < plain else price(high, divisor),
            low / divisor if 0 < low < plain else price(low, divisor),
            close / divisor if 0 < close < plain else price(close, divisor),
            average / divisor if 0 < average < plain else price(average, divisor),
            upper / divisor if 0 < upper < plain else price(upper, divisor),
            lower / divisor if 0 < lower < plain else price(lower, divisor),
        )
        tick = Tick(
            instrument=instrument,
            mode=MODE_QUOTE,
            ltp=prices[0],
            ltt=traded * 1000 if 0 < traded < plain else epoch_ms(traded),
            timestamp=updated * 1000 if 0 < updated < plain else epoch_ms(updated),
            open=prices[1],
            high=prices[2],
            low=prices[3],
            close=prices[4],
            volume=volume if 0 <= volume < plain else count(volume),
            last_trade_quantity=quantity if 0 <= quantity < plain else count(quantity),
            avg_trade_price=prices[5],
            total_buy_quantity=total_buy if 0 <= total_buy < plain else count(total_buy),
            total_sell_quantity=total_sell if 0 <= total_sell < plain else count(total_sell),
            oi=oi if 0 <= oi < plain else count(oi),
            upper_circuit=prices[6],
            lower_circuit=prices[7],
            taken_back=without_value(_PRICES, prices) if None in prices else (),
        )
        if level in _DEPTH_LEVELS:
            # The counts may announce more rows than the packet's length holds; buy rows come first.
            present = (length - _PICTURE_SIZE) // _ROW_SIZE
            start = offset + _PICTURE_SIZE
            middle = start + min(buy_rows, present) * _ROW_SIZE
            end = start + min(buy_rows + sell_rows, present) * _ROW_SIZE
            tick.mode = MODE_DEPTH
            tick.depth = Depth(_side(frame[start:middle], divisor), _side(frame[middle:end], divisor))
        return tick

    def _index_tick(self, frame: bytes, offset: int, exchange_id: int, divisor: float) -> Tick | None:
        token, open_, close, high, low, value, updated, name = _INDEX(frame, offset + _HEADER_SIZE)
        instrument = self._index_of(exchange_id, token, name)
        if instrument is None:
            return None
        raw_prices = (value, open_, high, low, close)
        prices = tuple([raw / divisor if 0 < raw < PLAIN else price(raw, divisor, True) for raw in raw_prices])
        return Tick(
            instrument=instrument,
            mode=MODE_QUOTE,
            ltp=prices[0],
            timestamp=epoch_ms(updated),
            open=prices[1],
            high=prices[2],
            low=prices[3],
            close=prices[4],
            taken_back=without_value(_PRICES[:5], prices) if None in prices else (),
        )

    def _index_of(self, exchange_id: int, token: int, name: bytes) -> Instrument | None:
        """By number, else by name. A number and a name that mean two different indices mean none."""
        numbered = self._index_numbers.get((exchange_id, token), ())
        named = self.routes.get((exchange_id, _name_key(name)))
        if named is None:
            return numbered[0] if len(numbered) == 1 else None
        return named if not numbered or named in numbered else None

    def _claim(self, instrument: Instrument) -> None:
        super()._claim(instrument)
        if (key := _index_number(instrument)) is not None:
            claims = self._index_numbers.setdefault(key, [])
            if instrument not in claims:
                claims.append(instrument)

    def _release(self, instrument: Instrument) -> None:
        super()._release(instrument)
        if (key := _index_number(instrument)) is not None and (claims := self._index_numbers.get(key)):
            if instrument in claims:
                claims.remove(instrument)
            if not claims:
                del self._index_numbers[key]

    def _decode_text(self, text: str) -> Decoded:
        try:
            control = _decode_control(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            if self._divisors is not None:
                return Decoded(unknown=1)
            return Decoded(event=Event.MALFORMED, message="text frame that is no JSON object")
        code = control.message_code if type(control.message_code) is int else None
        if code == _SUBSCRIBED:
            return Decoded(event=Event.ACK)
        if code in _LOGIN_CODES and control.format == "native_batch":
            self._logins.answered()
            if self._divisors is None:  # one log-in has one answer: a later one must not change the scale
                self._divisors = _divisors(control.exchanges)
            return Decoded(event=Event.ACK, ready=True)
        if code not in _LOGIN_CODES and self._divisors is not None:
            return Decoded(unknown=1)
        self._logins.answered()
        if code in _LOGIN_CODES:
            return Decoded(
                event=Event.AUTH_ERROR,
                message="Kotak offers this session only a feed format that is not supported: log in again",
            )
        shown = f"answer {code}" if code is not None else "unexpected answer"
        return Decoded(event=Event.AUTH_ERROR, message=f"Kotak did not accept the session ({shown}): log in again")


# -- names and numbers -----------------------------------------------------------------------------------


def _segment(instrument: Instrument) -> tuple[int, str]:
    found = SEGMENTS.get(instrument.exchange)
    if found is None:
        raise ValueError(f"{instrument.symbol}: Kotak's feed has no exchange {instrument.exchange}")
    return found


def _token_number(instrument: Instrument) -> int | None:
    token = instrument.token
    number = int(token) if token.isascii() and token.isdigit() and len(token) <= 10 else -1
    return number if 0 <= number <= 0xFFFFFFFF else None


def _index_number(instrument: Instrument) -> tuple[int, int] | None:
    """The key under which packets number an index; None for what is none, or has no number."""
    number = _token_number(instrument) if instrument.is_index else None
    return None if number is None else (SEGMENTS[instrument.exchange][0], number)


def _feed_name(instrument: Instrument) -> str:
    name = instrument.brsymbol.strip()
    if not name or not name.isprintable() or "," in name or "|" in name:
        raise ValueError(f"{instrument.symbol}: {name!r} is no index name of Kotak's")
    return name


def _name_key(raw: bytes) -> str:
    """An index's name as packets have it, in one case: at most 21 bytes, padded with NUL."""
    return raw[:_NAME_SIZE].partition(b"\0")[0].decode("utf-8", "replace").strip().casefold()


def _input_tokens(instruments: Sequence[Instrument]) -> str:
    return ",".join(
        f"{_segment(each)[1]}|{_feed_name(each) if each.is_index else each.token}" for each in instruments
    )


def _request(request: Mapping[str, object]) -> str:
    return _encode(request).decode()


# -- values ----------------------------------------------------------------------------------------------


def _divisors(exchanges: object) -> dict[int, float | None]:
    """The price divisors of a log-in answer by exchange id. One that is there but is none blocks its exchange."""
    found: dict[int, float | None] = {}
    for name, content in exchanges.items() if isinstance(exchanges, dict) else ():
        try:
            exchange = msgspec.convert(content, _Exchange, strict=False)  # a number may be told as text
        except msgspec.ValidationError:
            exchange = _Exchange(divider=-1)
        number = _SEGMENT_IDS.get(name) if exchange.value is None else exchange.value
        if number is not None:
            divisor = exchange.divider or _DEFAULT_DIVISOR
            found[number] = divisor if 1 <= divisor <= _LARGEST_DIVISOR else None
    return found


def _side(rows: bytes, divisor: float) -> list[DepthLevel]:
    plain = PLAIN
    return [
        DepthLevel(
            value,
            quantity if 0 <= quantity < plain else count(quantity),
            orders if 0 <= orders < plain else count(orders),
        )
        for quantity, raw, orders in _ROW.iter_unpack(rows)
        if (value := raw / divisor if 0 < raw < plain else price(raw, divisor))
    ]


def _malformed(decoded: Decoded, size: int, offset: int) -> Decoded:
    decoded.event = Event.MALFORMED
    decoded.message = f"message of {size} bytes ends within the packet at {offset}"
    return decoded
