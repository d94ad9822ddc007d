"""Firstock's codec beyond the shared vectors: merging, routing, answers, hostile frames."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickmux.broker.firstock import BROKER
from tickmux.broker.firstock.streaming.firstock_mapping import KIND, FirstockCodec
from tickmux.broker.firstock.streaming.market_state import MarketState
from tickmux.codec import Credentials, Decoded, Event
from tickmux.instrument import Instrument
from tickmux.tick import Mode, Tick, tick_fields
from tickmux.websocket_proxy.base_adapter import Unavailable

SBIN = Instrument(symbol="SBIN", exchange="NSE", token="2885", brexchange="NSE")
TWIN = Instrument(symbol="SENSEX05FEB2682500PE", exchange="BFO", token="2885", brexchange="BFO")
OPTION = Instrument(symbol="NIFTY03FEB2625300CE", exchange="NFO", token="54957", brexchange="NFO")
NIFTY = Instrument(symbol="NIFTY", exchange="NSE_INDEX", token="26000", brexchange="NSE")
NO_NUMBER = 9223372036854775808


def codec(*instruments: Instrument) -> FirstockCodec:
    made = FirstockCodec()
    made.subscribe(instruments, KIND)
    return made


def market(instrument: Instrument = OPTION, **fields: Any) -> str:
    return json.dumps({f"{instrument.brexchange}:{instrument.token}": fields})


def only(decoded: Decoded) -> Tick:
    (tick,) = decoded.ticks
    return tick


def shown(decoded: Decoded) -> dict[str, object]:
    return tick_fields(only(decoded))


# -- merging: a plain model ------------------------------------------------------------------------------

PRICES = {
    "i_last_traded_price": "ltp",
    "i_open_price": "open",
    "i_high_price": "high",
    "i_low_price": "low",
    "i_average_trade_price": "avg_trade_price",
    "i_upper_circuit_limit": "upper_circuit",
    "i_lower_circuit_limit": "lower_circuit",
}
COUNTS = {
    "i_volume_traded_today": "volume",
    "i_last_trade_quantity": "last_trade_quantity",
    "i_total_buy_quantity": "total_buy_quantity",
    "i_total_sell_quantity": "total_sell_quantity",
}
NOTHING = st.sampled_from([None, "", "-", "abc", NO_NUMBER, 9223372036854776000, float(NO_NUMBER), True, [], {}])
NUMBERS = st.sampled_from([0, 5, "0", "139540", 139540, 125190.00000000001, 75.0])
LEVEL = st.fixed_dictionaries(
    {},
    optional={
        "price": NUMBERS | NOTHING,
        "quantity": st.sampled_from([0, 5, "7", 138]) | NOTHING,
        "orders": st.sampled_from([0, 3, "4"]) | NOTHING,
    },
)
SIDE = st.none() | st.lists(LEVEL | st.just({}) | st.none(), max_size=6)
FRAMES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys((*PRICES, *COUNTS, "i_closing_price", "close_price"), NUMBERS | NOTHING),
            **dict.fromkeys(("i_open_interest", "i_total_open_interest"), NUMBERS | NOTHING),
            **dict.fromkeys(
                ("i_feed_time", "i_last_trade_time"), st.sampled_from([0, 1769753577, "1769753578"]) | NOTHING
            ),
            "best_buy": SIDE,
            "best_sell": SIDE,
            "i_total_tradevalue": NUMBERS,
            "c_symbol": st.just("54957"),
        },
    ),
    min_size=1,
    max_size=10,
)


def value(raw: Any) -> float | None:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    try:
        found = float(raw)
    except ValueError:
        return None
    return None if abs(found) >= 9.2e18 else found


def plain(frames: list[dict[str, Any]], *, contracts: bool) -> dict[str, Any] | None:
    """The state after all frames, by the rules of section 5.2 applied one after the other."""
    known: dict[str, float] = {}
    books: dict[str, list[dict[str, float]]] = {
        "best_buy": [{} for _ in range(5)],
        "best_sell": [{} for _ in range(5)],
    }
    for frame in frames:
        for name, raw in frame.items():
            if name in books:
                for place, change in enumerate(raw or []):
                    if place < 5 and change:
                        books[name][place] |= {
                            key: value(new) for key, new in change.items() if value(new) is not None
                        }
                continue
            found = value(raw)
            if found is not None and (found or name in COUNTS or name.endswith("interest")):
                known[name] = found
    fields: dict[str, Any] = {ours: round(known[name] / 100, 6) for name, ours in PRICES.items() if name in known}
    fields |= {ours: int(known[name]) for name, ours in COUNTS.items() if name in known}
    for name in ("close_price", "i_closing_price"):
        if name in known:
            fields["close"] = round(known[name] / 100, 6)
    for name in ("i_total_open_interest", "i_open_interest"):
        if name in known and (contracts or name == "i_open_interest"):
            fields["oi"] = int(known[name])
    for name, ours in (("i_feed_time", "timestamp"), ("i_last_trade_time", "ltt")):
        if name in known:
            fields[ours] = int(known[name]) * 1000
    sides = {}
    for name, ours in (("best_buy", "buy"), ("best_sell", "sell")):
        sides[ours] = [
            {"price": round(level["price"] / 100, 6), "quantity": int(level["quantity"])}
            | ({"orders": int(level["orders"])} if "orders" in level else {})
            for level in books[name]
            if level.get("price", 0) > 0 and level.get("quantity", 0) > 0
        ]
    if sides["buy"] or sides["sell"]:
        fields["depth"] = sides
    return fields if "ltp" in fields or "depth" in fields else None


@settings(max_examples=120, deadline=None)
@given(FRAMES, st.sampled_from([SBIN, OPTION]))
def test_any_sequence_of_frames_shows_what_the_plain_rules_say(
    frames: list[dict[str, Any]], instrument: Instrument
) -> None:
    subject = codec(SBIN, OPTION, TWIN)
    for count, frame in enumerate(frames, 1):
        decoded = subject.decode(market(instrument, **frame))
        wanted = plain(frames[:count], contracts=instrument is OPTION)
        assert [tick_fields(tick) for tick in decoded.ticks] == ([] if wanted is None else [wanted])
        assert [tick.mode for tick in decoded.ticks] == (
            [] if wanted is None else [Mode.DEPTH if "depth" in wanted else Mode.QUOTE]
        )


# -- merging: cases --------------------------------------------------------------------------------------


def test_a_fresh_connection_knows_nothing_of_the_old_one() -> None:
    old, new = codec(OPTION), codec(OPTION)
    old.decode(market(i_last_traded_price=100, i_open_price=100))
    assert new.decode(market(i_open_price=100)) == Decoded()
    assert shown(new.decode(market(i_last_traded_price=200))) == {"ltp": 2.0, "open": 1.0}


def test_nothing_of_an_old_subscription_is_left_in_a_new_one() -> None:
    subject = codec(OPTION)
    subject.decode(market(i_last_traded_price=100, i_open_price=100))
    assert subject.unsubscribe([OPTION], KIND) == ['{"action":"unsubscribe","tokens":"NFO:54957"}']
    assert subject.decode(market(i_open_price=100)).unrouted == 1
    subject.subscribe([OPTION], KIND)
    assert subject.decode(market(i_open_price=100)) == Decoded()


def test_shares_and_indices_have_no_total_open_interest() -> None:
    subject = codec(SBIN, NIFTY, TWIN)
    for instrument, oi in ((SBIN, None), (NIFTY, None), (TWIN, 77)):
        assert only(subject.decode(market(instrument, i_last_traded_price=1, i_total_open_interest=77))).oi == oi


@pytest.mark.parametrize("stamp", [-5, 10**12, 1e300, "3e11", NO_NUMBER, 0.5])
def test_a_time_outside_the_calendar_is_none(stamp: Any) -> None:
    tick = only(codec(OPTION).decode(market(i_last_traded_price=1, i_feed_time=stamp, i_last_trade_time=stamp)))
    assert (tick.timestamp, tick.ltt) == (None, None)


# -- routing ---------------------------------------------------------------------------------------------


def test_two_instruments_that_share_a_token_on_two_exchanges_never_mix() -> None:
    subject = codec(SBIN, TWIN)
    both = {"BFO:2885": {"i_last_traded_price": 41220}, "NSE:2885": {"i_last_traded_price": 139540}}
    ticks = subject.decode(json.dumps(both)).ticks
    assert [(tick.instrument, tick.ltp) for tick in ticks] == [(TWIN, 412.2), (SBIN, 1395.4)]
    assert codec(SBIN).decode(market(TWIN, i_last_traded_price=1)) == Decoded(unrouted=1)


def test_what_is_not_subscribed_is_skipped_and_the_rest_of_the_bundle_counts() -> None:
    bundle = {
        "NSE:1": {"i_last_traded_price": 1},
        "NFO:54957": {"gamma": 12, "i_last_traded_price": 5},
        "NSE:2885": {"i_last_traded_price": 100},
        "NSE:26000": "no object",
        "remark": {},
    }
    decoded = codec(SBIN, OPTION, NIFTY).decode(json.dumps(bundle))
    assert ([tick.instrument for tick in decoded.ticks], decoded.unrouted) == ([SBIN], 1)


def test_the_outer_key_names_the_instrument_whatever_is_inside() -> None:
    frame = market(SBIN, c_exch_seg="BFO", c_symbol="1", i_last_traded_price=100)
    assert only(codec(SBIN, TWIN).decode(frame)).instrument == SBIN


@pytest.mark.parametrize("symbol", ["2885", 2885])
def test_version_one_frames_name_it_inside(symbol: Any) -> None:
    flat = json.dumps({"c_exch_seg": "NSE", "c_symbol": symbol, "i_last_traded_price": "139540"})
    assert (only(codec(SBIN).decode(flat)).ltp, codec(TWIN).decode(flat).unrouted) == (1395.4, 1)


@pytest.mark.parametrize(
    ("exchange", "token"), [("MCX", "1"), ("CDS", "1"), ("NSE", ""), ("NSE", "A|B"), ("NSE", "१")]
)
def test_what_the_wire_cannot_name_is_refused(exchange: str, token: str) -> None:
    with pytest.raises(ValueError, match="X: "):
        FirstockCodec().wire_key(Instrument(symbol="X", exchange=exchange, token=token))


def test_an_index_and_a_share_of_one_key_share_the_subscription() -> None:
    share = Instrument(symbol="X", exchange="NSE", token="26000", brexchange="NSE")
    subject = codec(NIFTY, share)
    assert subject.decode(market(NIFTY, i_last_traded_price=1)) == Decoded(unrouted=1)
    assert subject.unsubscribe([share], KIND) == []
    assert only(subject.decode(market(NIFTY, i_last_traded_price=100))).instrument == NIFTY


# -- answers and requests --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "event", "restart", "unknown"),
    [
        ('{"status":"success","message":"Authentication successful"}', Event.ACK, False, 0),
        ('{"status":"failed","message":"unauthenticated"}', Event.AUTH_ERROR, False, 0),
        ('{"status":"failed","message":"Invalid jKey"}', Event.AUTH_ERROR, False, 0),
        ('{"status":"failed","message":"Maximum sessions limit (3) reached"}', Event.ERROR, True, 0),
        ('{"status":"failed"}', Event.ERROR, True, 0),
        ('{"status":"failed","message":5}', Event.ERROR, True, 0),
        ('{"norenordno":"1","status":"failed","message":"unauthenticated"}', None, False, 0),
        ('{"brkname":"X","status":"success"}', None, False, 0),
        ('{"status":"OPEN"}', None, False, 1),
        ('{"NSE:2885":5}', None, False, 1),
        ('{"x":{}}', None, False, 1),
        ("{}", Event.MALFORMED, False, 0),
        ("[]", Event.MALFORMED, False, 0),
        ("", Event.MALFORMED, False, 0),
    ],
)
def test_frames_that_are_no_market_data(text: str, event: Event | None, restart: bool, unknown: int) -> None:
    decoded = codec(SBIN).decode(text)
    assert (decoded.event, decoded.restart, decoded.unknown, decoded.ticks) == (event, restart, unknown, [])
    assert decoded.ready == (event is Event.ACK)


def test_the_session_is_in_the_url_percent_encoded() -> None:
    async def ask() -> Any:
        async with httpx.AsyncClient() as http:
            return await BROKER.adapter().endpoint("main", Credentials({"user_id": "AB1", "token": "a/b+c="}), http)

    endpoint = asyncio.run(ask())
    assert endpoint.url == ("wss://socket.firstock.in/V2/ws?userId=AB1&jKey=a%2Fb%2Bc%3D&source=developer-api")
    assert "jKey" not in repr(endpoint)


@pytest.mark.parametrize(("status", "wait"), [(401, 0.0), (403, 0.0), (404, 0.0), (429, 60.0), (503, 0.0)])
def test_a_refused_handshake_is_a_bad_day_since_a_dead_session_is_told_otherwise(status: int, wait: float) -> None:
    failure = BROKER.adapter().handshake_failure(status, "No", {}, b"")
    assert isinstance(failure, Unavailable)
    assert (f"HTTP {status}" in str(failure), failure.retry_after) == (True, wait)


def test_what_does_not_answer_is_asked_for_once_more_and_then_reported() -> None:
    subject = codec(SBIN, OPTION)
    subject.decode(market(SBIN, i_last_traded_price=1))
    asked = [subject.heartbeat_frames() for _ in range(5)]
    assert asked == [[], ['{"action":"subscribe","tokens":"NFO:54957"}'], [], [], []]
    decoded = subject.decode(market(SBIN, i_last_traded_price=2))
    assert (decoded.event, decoded.refused, only(decoded).ltp) == (Event.ERROR, [OPTION], 0.02)
    assert subject.decode(market(SBIN, i_last_traded_price=2)).event is None


# -- hostile frames --------------------------------------------------------------------------------------

ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from([*PRICES, *COUNTS, "best_buy", "best_sell", "i_feed_time", "gamma", "i_open_interest"])


@settings(max_examples=120, deadline=None)
@given(st.dictionaries(NAMES, ODD, max_size=8), st.dictionaries(st.text(max_size=6), ODD, max_size=4))
def test_no_json_object_makes_decoding_raise(fields: dict[str, Any], around: dict[str, Any]) -> None:
    subject = codec(OPTION)
    for message in ({"NFO:54957": fields, **around}, {"c_exch_seg": "NFO", "c_symbol": "54957", **fields}, around):
        for tick in subject.decode(json.dumps(message)).ticks:
            assert None not in tick_fields(tick).values()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_bytes_make_decoding_raise(data: bytes | str) -> None:
    assert codec(OPTION).decode(data).ticks == []


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"NFO:54957":{"i_last_traded_price":' + "9" * 5000 + "}}",
        '{"NFO:54957":{"i_last_traded_price":"' + "9" * 5000 + '"}}',
        '{"NFO:54957":{"i_last_traded_price":1e400}}',
        '{"NFO:54957":{"i_last_traded_price":"inf"}}',
        '{"NFO:54957":{"best_buy":' + "[" * 1000 + "]" * 1000 + "}}",
        '{"c_exch_seg":"NFO","c_symbol":' + "9" * 5000 + ',"i_last_traded_price":5}',
    ],
)
def test_monstrous_frames_give_no_tick(text: str) -> None:
    assert codec(OPTION).decode(text).ticks == []


def test_a_book_that_loses_its_last_level_says_so_without_a_depth():
    state = MarketState(Instrument("INFY", "NSE", "1594"))
    level = {"price": 151230, "quantity": 10, "orders": 2}
    state.merge({"i_last_traded_price": 151235, "best_buy": [level], "best_sell": []})
    assert state.tick().depth is not None
    state.merge({"best_buy": [{"price": 0, "quantity": 0, "orders": 0}]})
    emptied = state.tick()
    assert (emptied.depth, emptied.taken_back) == (None, ("depth",))
