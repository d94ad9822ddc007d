"""Subscribing over REST: answers, repetitions, limits, open interest."""

import json
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker import vector_cases
from broker._xts.xts_wire import CRUDE, FUTURE, RELIANCE, SBIN, answer, codec, field, named, quote
from tickmux.broker._xts.codec import XtsCodec
from tickmux.capture import chosen, instruments_of
from tickmux.codec import Credentials, Decoded, Event, Frame, HttpRequest
from tickmux.codec_session import CodecSession
from tickmux.decode import adapter_for, frame_line, tick_line
from tickmux.instrument import Instrument
from tickmux.tick import Mode

MEMBERS = ("_xts", "compositedge", "fivepaisaxts", "ibulls", "iifl", "jainamxts", "rmoney", "wisdom")
ALREADY = answer("e-session-0002", "Instrument Already Subscribed !", {"Remaining_Subscription_Count": 40})
LIMIT = answer("e-session-0004", "Subscription limit exceeded")
PAGE = b"<html>502 Bad Gateway</html>"


def accepted(*quotes: object, remaining: int | None = None) -> bytes:
    result: dict[str, Any] = {"mdp": 1501, "listQuotes": list(quotes)}
    if remaining is not None:
        result["Remaining_Subscription_Count"] = remaining
    return answer("s-session-0001", "Instrument subscribed successfully!", result)


def one(frames: Sequence[Frame]) -> HttpRequest:
    (found,) = frames
    assert isinstance(found, HttpRequest)
    return found


# -- shared vectors ----------------------------------------------------------------------------------------

REST = [
    pytest.param(broker, item, id=f"{broker}: {item['name']}")
    for broker in MEMBERS
    for item in vector_cases.load(broker)["rest"]
    if item["request"]["op"] == "subscribe"
]


@pytest.mark.parametrize(("broker", "item"), REST)
def test_answers_mean_what_the_vectors_say(broker: str, item: dict[str, Any]) -> None:
    document = vector_cases.load(broker)
    adapter = adapter_for(broker)
    session = CodecSession(adapter, "main")
    session.codec.open_frames(Credentials({"token": "TOKEN1", "user_id": "USER1"}))
    by_name = {(row.symbol, row.exchange): row for row in instruments_of(document["instruments"])}
    call, response = item["request"], item["response"]
    request = one(session.subscribe(chosen(call["instruments"], by_name), Mode[call["mode"]], None))
    decoded = session.codec.decode_http(request, response["status"], json.dumps(response["json"]).encode())
    for tick, wanted in zip(decoded.ticks, item["expect"], strict=True):
        vector_cases.assert_same_tick(tick_line(tick), wanted, {}, item["name"])
    wanted_event = {"ack": Event.ACK, "auth_error": Event.AUTH_ERROR, "already_subscribed": None}[item["event"]]
    assert decoded.event is wanted_event
    if item["event"] == "already_subscribed":
        drop = one(decoded.replies)
        repeat = one(session.codec.decode_http(drop, 200, answer("s-session-0001")).replies)
        base = document["base_url"] + document["prefix"]
        lines = [frame_line(drop, base), frame_line(repeat, base)]
        expected = item.get("follow_up", [frame_line(HttpRequest("PUT", *_rest(request)), base), lines[1]])
        for found, wanted in zip(lines, expected, strict=True):
            assert vector_cases.same_frame(found, wanted)
        assert repeat == request


def _rest(request: HttpRequest) -> tuple[Any, ...]:
    return request.url, request.headers, request.body


# -- one answer after the other ----------------------------------------------------------------------------


def test_a_batch_that_stays_refused_is_subscribed_one_by_one() -> None:
    made = codec()
    request = one(made.subscribe([SBIN, RELIANCE], "quote"))
    drop = one(made.decode_http(request, 400, ALREADY).replies)
    assert named(drop) == ("PUT", 1501, [3045, 2885])
    again = one(made.decode_http(drop, 200, answer("s-session-0001")).replies)
    assert again == request
    first = one(made.decode_http(again, 400, ALREADY).replies)
    assert named(first) == ("POST", 1501, [3045])
    second = one(made.decode_http(first, 400, ALREADY).replies)
    assert named(second) == ("POST", 1501, [2885])
    last = made.decode_http(second, 200, accepted())
    assert (last.replies, last.refused, last.event) == ([], [], Event.ACK)
    assert set(made.kinds) == {SBIN, RELIANCE}


def test_the_end_of_an_old_mode_does_not_overtake_a_repetition() -> None:
    made = codec(SBIN)
    post, put = made.change([SBIN], "quote", "depth")
    assert isinstance(post, HttpRequest)
    assert isinstance(put, HttpRequest)
    drop = one(made.decode_http(post, 400, ALREADY).replies)
    assert named(drop) == ("PUT", 1502, [3045])
    assert made.decode_http(put, 200, answer("s-session-0001")).replies == []
    assert named(one(made.decode_http(drop, 200, answer("s-session-0001")).replies)) == ("POST", 1502, [3045])


def test_an_error_spares_those_that_are_right() -> None:
    made = codec()
    bad = answer("e-instrument-1", "Bad Request TOKEN1")
    request = one(made.subscribe([SBIN, RELIANCE], "quote"))
    first = one(made.decode_http(request, 400, bad).replies)
    refusal = made.decode_http(first, 400, bad)
    assert (refusal.refused, refusal.event) == ([SBIN], Event.ERROR)
    assert refusal.message == "Bad Request … (e-instrument-1)"
    made.decode_http(one(refusal.replies), 200, accepted())
    assert list(made.kinds) == [RELIANCE]
    assert (1, 3045) not in made.routes


def test_at_the_limit_what_fits_is_kept_and_the_rest_reported() -> None:
    made = codec()
    request = one(made.subscribe([SBIN, RELIANCE, CRUDE], "quote"))
    full = answer("", "Subscription limit exceeded", {"Remaining_Subscription_Count": 2})
    again = one(made.decode_http(request, 400, full).replies)
    assert again == request
    refusal = made.decode_http(again, 400, full)
    assert refusal.refused == [CRUDE]
    assert "limit exceeded" in refusal.message
    assert named(one(refusal.replies)) == ("POST", 1501, [3045, 2885])


def test_without_any_room_nothing_is_tried_for_ever() -> None:
    made = codec()
    request = one(made.subscribe([SBIN], "quote"))
    again = one(made.decode_http(request, 400, LIMIT).replies)
    refusal = made.decode_http(again, 400, LIMIT)
    assert (refusal.refused, refusal.replies) == ([SBIN], [])
    assert named(one(made.subscribe([SBIN], "quote")))  # a new wish is a new try


@pytest.mark.parametrize(
    ("status", "body"), [(502, PAGE), (200, PAGE), (404, PAGE), (200, b""), (500, answer("e-x"))]
)
def test_an_answer_that_says_nothing_of_the_call_starts_the_session_anew(status: int, body: bytes) -> None:
    made = codec()
    decoded = made.decode_http(one(made.subscribe([SBIN], "quote")), status, body)
    assert (decoded.restart, decoded.event, decoded.refused) == (True, Event.ERROR, [])


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, PAGE),
        (403, b""),
        (400, answer("e-session-0007", "Invalid Token")),
        (200, answer("", "Invalid Token")),
        (403, answer("e-x", "no")),
        (400, b'{"code":"e-session-0007","description":"Invalid Token"}'),
    ],
)
def test_a_dead_token_stops_everything(status: int, body: bytes) -> None:
    made = codec()
    assert made.decode_http(one(made.subscribe([SBIN], "quote")), status, body).event is Event.AUTH_ERROR


@pytest.mark.parametrize("body", [b"", PAGE, answer("e-rate", "slow down"), answer("e-rate", "Rate limit exceeded")])
def test_a_throttled_call_is_made_again(body: bytes) -> None:
    made = codec()
    request = one(made.subscribe([SBIN], "quote"))
    assert one(made.decode_http(request, 429, body).replies) == request


def test_a_throttled_step_is_repeated_before_the_next() -> None:
    made = codec()
    request = one(made.subscribe([SBIN], "quote"))
    drop = one(made.decode_http(request, 400, ALREADY).replies)
    assert one(made.decode_http(drop, 429, b"").replies) == drop
    assert one(made.decode_http(drop, 200, answer("s-session-0001")).replies) == request
    assert made.decode_http(request, 200, accepted()).replies == []


def test_an_unsubscription_that_fails_disturbs_nothing() -> None:
    made = codec(SBIN)
    request = one(made.unsubscribe([SBIN], "quote"))
    decoded = made.decode_http(request, 502, PAGE)
    assert (decoded.event, decoded.restart, decoded.replies) == (Event.ERROR, False, [])


# -- snapshots ---------------------------------------------------------------------------------------------


def payload(**fields: Any) -> str:
    return str(json.loads(quote(**fields)[2:])[1])


def test_the_answer_brings_a_snapshot() -> None:
    made = codec()
    request = one(made.subscribe([SBIN], "quote"))
    no_code = json.dumps({"ExchangeSegment": 1, "ExchangeInstrumentID": 3045, "LastTradedPrice": 812.0})
    decoded = made.decode_http(request, 200, accepted("not json", no_code, None))
    assert field(decoded) == {"mode": "QUOTE", "ltp": 812.0}


def test_a_snapshot_that_the_stream_has_overtaken_is_not_shown() -> None:
    made = codec()
    request = one(made.subscribe([SBIN], "quote"))
    made.decode(quote(LastTradedPrice=813.0))
    decoded = made.decode_http(request, 200, accepted(payload(LastTradedPrice=812.0)))
    assert (decoded.ticks, decoded.event) == ([], Event.ACK)


# -- open interest -----------------------------------------------------------------------------------------


def test_open_interest_is_added_to_derivatives_when_there_is_room() -> None:
    made = codec()
    request = one(made.subscribe([SBIN, FUTURE, CRUDE], "quote"))
    extra = one(made.decode_http(request, 200, accepted(remaining=2)).replies)
    assert named(extra) == ("POST", 1510, [35013, 458305])
    oi = payload(code=1510, segment=2, number=35013, OpenInterest=77)
    assert made.decode_http(extra, 200, accepted(oi, remaining=0)).ticks == []
    assert field(made.decode(quote(1501, 2, 35013, LastTradedPrice=5.0)))["oi"] == 77
    dropped = [named(each) for each in made.unsubscribe([FUTURE], "quote") if isinstance(each, HttpRequest)]
    assert dropped == [("PUT", 1501, [35013]), ("PUT", 1510, [35013])]


def test_open_interest_takes_no_more_than_there_is_room() -> None:
    made = codec()
    request = one(made.subscribe([FUTURE, CRUDE], "quote"))
    extra = one(made.decode_http(request, 200, accepted(remaining=1)).replies)
    assert named(extra) == ("POST", 1510, [35013])


def test_calls_that_are_not_answered_yet_count_for_the_room() -> None:
    made = codec(prefix="/apibinarymarketdata")
    made.decode_http(one(made.subscribe([FUTURE, CRUDE], "ltp")), 200, accepted(remaining=1))
    assert named(one(made.change([FUTURE], "ltp", "quote"))) == ("POST", 1510, [35013])
    assert made.change([CRUDE], "ltp", "quote") == []


def test_what_turns_out_to_be_subscribed_has_its_open_interest_too() -> None:
    made = codec()
    request = one(made.subscribe([FUTURE], "quote"))
    drop = one(made.decode_http(request, 400, ALREADY).replies)
    again = one(made.decode_http(drop, 200, answer("s-session-0001")).replies)
    extra = one(made.decode_http(again, 400, ALREADY).replies)
    assert named(extra) == ("POST", 1510, [35013])


@pytest.mark.parametrize(("kind", "remaining"), [("ltp", 40), ("quote", 0), ("quote", None)])
def test_open_interest_is_not_asked_for_without_need_or_room(kind: str, remaining: int | None) -> None:
    made = codec()
    request = one(made.subscribe([FUTURE], kind))
    assert made.decode_http(request, 200, accepted(remaining=remaining)).replies == []


def test_open_interest_gives_way_to_prices() -> None:
    made = codec()
    first = one(made.subscribe([FUTURE], "quote"))
    made.decode_http(one(made.decode_http(first, 200, accepted(remaining=1)).replies), 200, accepted(remaining=0))
    second = one(made.subscribe([SBIN], "quote"))
    drop = one(made.decode_http(second, 400, LIMIT).replies)
    assert named(drop) == ("PUT", 1510, [35013])
    again = one(made.decode_http(drop, 200, answer("s-session-0001")).replies)
    assert again == second
    assert made.decode_http(again, 200, accepted(remaining=0)).refused == []


@pytest.mark.parametrize("refusal", [LIMIT, PAGE, answer("e-x", "no such code")])
def test_a_refused_open_interest_costs_no_price(refusal: bytes) -> None:
    made = codec()
    first = one(made.subscribe([FUTURE], "quote"))
    extra = one(made.decode_http(first, 200, accepted(remaining=9)).replies)
    decoded = made.decode_http(extra, 400, refusal)
    assert (decoded.replies, decoded.refused, decoded.restart) == ([], [], False)
    assert field(made.decode(quote(1501, 2, 35013, LastTradedPrice=5.0)))["ltp"] == 5.0


def test_a_change_to_ltp_ends_the_open_interest() -> None:
    made = codec()
    request = one(made.subscribe([FUTURE], "quote"))
    extra = one(made.decode_http(request, 200, accepted(remaining=9)).replies)
    made.decode_http(extra, 200, accepted(remaining=8))
    made.decode(quote(1510, 2, 35013, OpenInterest=5))
    calls = [named(each) for each in made.change([FUTURE], "quote", "ltp") if isinstance(each, HttpRequest)]
    assert calls == [("POST", 1512, [35013]), ("PUT", 1501, [35013]), ("PUT", 1510, [35013])]


# -- any history against a model of the session ------------------------------------------------------------


class Session:
    """The broker's side: what the token has subscribed, with a limit."""

    def __init__(self, limit: int, stale: Iterable[tuple[int, int]]) -> None:
        self.limit = limit
        self.held = set(stale)

    def answer(self, request: HttpRequest) -> tuple[int, bytes]:
        method, code, numbers = named(request)
        pairs = {(code, number) for number in numbers}
        if method == "PUT":
            self.held -= pairs
            return 200, answer("s-session-0001")
        if pairs & self.held:
            return 400, answer("e-session-0002", "Instrument Already Subscribed !")
        if len(self.held | pairs) > self.limit:
            return 400, answer("e-session-0004", "Subscription limit exceeded", self._remaining())
        self.held |= pairs
        return 200, answer("s-session-0001", "ok", self._remaining())

    def _remaining(self) -> dict[str, int]:
        return {"Remaining_Subscription_Count": self.limit - len(self.held)}


STOCK = [
    Instrument(f"S{number}", exchange, str(number))
    for number, exchange in enumerate(["NSE", "NFO", "MCX", "BSE", "BFO"], 1)
]
KINDS = st.sampled_from(["ltp", "quote", "depth"])
STEPS = st.lists(st.dictionaries(st.sampled_from(range(len(STOCK))), st.none() | KINDS, max_size=5), max_size=5)
STALE = st.sets(st.tuples(st.sampled_from([1501, 1502, 1510, 1512]), st.integers(1, 5)), max_size=6)


def converse(made: XtsCodec, server: Session, frames: Iterable[Frame]) -> list[Decoded]:
    """Sends the frames of one call, and what follows, in the order in which a connection would."""
    outbox: deque[list[Frame]] = deque([list(frames)])
    seen: list[Decoded] = []
    while outbox:
        for request in outbox.popleft():
            assert isinstance(request, HttpRequest)
            decoded = made.decode_http(request, *server.answer(request))
            for reply in decoded.replies:
                outbox.appendleft([reply])
            seen.append(decoded)
            assert len(seen) < 200, "the conversation does not end"
    return seen


@settings(max_examples=200, deadline=None)
@given(STEPS, STALE, st.integers(0, 14), st.sampled_from(["/apimarketdata", "/apibinarymarketdata"]))
def test_in_the_end_the_session_has_what_is_wanted(steps: Any, stale: Any, limit: int, prefix: str) -> None:
    made, server = codec(prefix=prefix), Session(limit + len(stale), stale)
    for step in steps:
        for number, kind in step.items():
            instrument = STOCK[number]
            old = made.kinds.get(instrument)
            if kind is None and old is not None:
                converse(made, server, made.unsubscribe([instrument], old))
            elif kind is not None and old is None:
                converse(made, server, made.subscribe([instrument], kind))
            elif kind is not None and old is not None and kind != old:
                converse(made, server, made.change([instrument], old, kind))
        fresh = [instrument for instrument in STOCK if instrument not in made.kinds][:3]
        refused = [each for one in converse(made, server, made.subscribe(fresh, "quote")) for each in one.refused]
        assert all(instrument not in made.kinds for instrument in refused)
    wanted = {(made.code_of(kind), int(instrument.token)) for instrument, kind in made.kinds.items()}
    assert wanted <= server.held
    assert {pair for pair in server.held - wanted if pair[0] != 1510} <= stale
    derivatives = {int(one.token) for one, kind in made.kinds.items() if one.exchange in ("NFO", "MCX", "BFO")}
    assert {number for code, number in server.held if code == 1510} <= derivatives | {
        n for c, n in stale if c == 1510
    }
