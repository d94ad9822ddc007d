"""Pocketful's codec, adapter, instrument list and simulator."""

import io
import struct
import zipfile
from contextlib import suppress

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from broker import vector_cases
from tickmux.broker.pocketful import BROKER
from tickmux.broker.pocketful.instruments import PocketfulInstruments
from tickmux.broker.pocketful.streaming.early_closes import EarlyCloses
from tickmux.broker.pocketful.streaming.pocketful_adapter import PocketfulAdapter
from tickmux.broker.pocketful.streaming.pocketful_mapping import EXCHANGE_CODES, PocketfulCodec
from tickmux.codec import Credentials, Event
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.pocketful import PocketfulSimulator, encode_frame
from tickmux.tick import tick_fields
from tickmux.websocket_proxy.base_adapter import AuthRejected

SBIN = Instrument("SBIN", "NSE", "3045")
TWIN = Instrument("TWIN", "BSE", "3045")
LISTED = ("NSE", "BSE", "NFO", "BFO", "MCX", "NSE_INDEX", "BSE_INDEX")


def codec(*instruments, kind="depth"):
    made = PocketfulCodec(EarlyCloses(lambda: 0.0))
    made.subscribe(instruments, kind)
    return made


def compact(code, token, price):
    return struct.pack(">bbIIiIIIIIII", 2, code, token, price, 0, 0, 0, 0, 0, 0, 0, 0)


# -- codec -------------------------------------------------------------------------------------------------


def test_instruments_that_share_a_token_on_two_exchanges_never_mix():
    made = codec(SBIN, TWIN)
    ticks = [*made.decode(compact(1, 3045, 100)).ticks, *made.decode(compact(6, 3045, 900)).ticks]
    assert [(tick.instrument, tick.ltp) for tick in ticks] == [(SBIN, 1.0), (TWIN, 9.0)]
    made.unsubscribe([TWIN], "depth")
    assert made.decode(compact(6, 3045, 900)).unrouted == 1


def test_a_compact_frame_without_a_price_is_no_tick():
    assert codec(SBIN).decode(compact(1, 3045, 0)).ticks == []


def test_frames_of_other_kinds_are_ignored_or_counted():
    made = codec(SBIN)
    assert made.decode(b"\x32" + bytes(10)).event is Event.ORDER
    assert made.decode(b"\x09" + bytes(10)).unknown == 0
    assert made.decode(b"\x63" + bytes(10)).unknown == 1
    assert made.decode('{"anything":1}').ticks == []
    assert made.decode(b"").event is Event.MALFORMED


def test_trailing_bytes_are_ignored_and_missing_ones_malformed():
    frame = compact(1, 3045, 100)
    assert codec(SBIN).decode(frame + b"more").ticks[0].ltp == 1.0
    assert codec(SBIN).decode(frame[:-1]).event is Event.MALFORMED


def test_an_index_has_no_book_to_subscribe():
    frames = codec().subscribe([Instrument("NIFTY", "NSE_INDEX", "26000"), SBIN], "depth")
    assert frames == [
        '{"a":"subscribe","v":[[1,26000],[1,3045]],"m":"marketdata"}',
        '{"a":"subscribe","v":[[1,3045]],"m":"full_snapquote"}',
    ]


def test_giving_up_depth_ends_the_book_only():
    made = codec(SBIN)
    assert made.change([SBIN], "depth", "quote") == ['{"a":"unsubscribe","v":[[1,3045]],"m":"full_snapquote"}']


@pytest.mark.parametrize(
    "instrument", [Instrument("X", "NCDEX", "1"), Instrument("X", "NSE", "x"), Instrument("X", "NSE", "")]
)
def test_what_the_wire_cannot_name_is_refused(instrument):
    with pytest.raises(ValueError, match="X"):
        codec().wire_key(instrument)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(
            lambda mode, rest: bytes([mode]) + rest, st.sampled_from([1, 2, 4]), st.binary(min_size=160, max_size=180)
        ),
    )
)
def test_no_bytes_raise_or_name_what_is_not_subscribed(frame):
    decoded = codec(SBIN, TWIN).decode(frame)
    assert all(tick.instrument in (SBIN, TWIN) for tick in decoded.ticks)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 1_999_999_999), st.sampled_from([(1, "NSE", 100), (3, "CDS", 10_000_000), (4, "MCX", 100)]))
def test_a_price_is_the_raw_number_by_the_exchanges_divisor(raw, place):
    code, exchange, divisor = place
    made = codec(Instrument("X", exchange, "77"), kind="compact")
    assert made.decode(compact(code, 77, raw)).ticks[0].ltp == pytest.approx(raw / divisor, rel=1e-12)


# -- adapter -----------------------------------------------------------------------------------------------


def endpoint(adapter):
    credentials = Credentials({"client_id": "A&B", "access_token": "t+1"})
    return uvloop.run(adapter.endpoint("main", credentials, None))


def test_the_url_carries_both_credentials_percent_encoded_and_does_not_print_them():
    found = endpoint(PocketfulAdapter())
    assert found.url == "wss://trade.pocketful.in/ws/v1/feeds?login_id=A%26B&access_token=t%2B1"
    assert "t%2B1" not in repr(found)


class Feed:
    """Sessions of one adapter on a clock of its own."""

    def __init__(self):
        self.now = 100.0
        self.adapter = PocketfulAdapter(clock=lambda: self.now)

    def ends(self, *frames, token="t1", handshake=0.0, after=1.0):
        made = self.adapter.codec("main")
        self.now += handshake
        made.open_frames(Credentials({"client_id": "A", "access_token": token}))
        for frame in frames:
            made.decode(frame)
        self.now += after
        return self.adapter.close_failure(1006, "")


def test_two_early_closes_without_a_frame_are_a_refused_token():
    feed = Feed()
    assert [feed.ends(handshake=4.0, after=4.0), type(feed.ends(after=5.0))] == [None, AuthRejected]
    assert [feed.ends(), type(feed.ends())] == [None, AuthRejected]


@pytest.mark.parametrize("between", [{"frames": (b"\x09",)}, {"frames": ('{"a":"h"}',)}, {"after": 5.1}])
def test_a_session_with_a_frame_or_of_some_length_says_nothing_of_the_token(between):
    feed = Feed()
    for _ in range(3):
        assert feed.ends() is None
        assert feed.ends(*between.get("frames", ()), after=between.get("after", 1.0)) is None


def test_a_new_token_starts_afresh():
    feed = Feed()
    assert [feed.ends(token=token) for token in ("t1", "t2", "t3")] == [None] * 3


@pytest.mark.parametrize(("status", "refused"), [(400, True), (401, True), (403, True), (429, False), (502, False)])
def test_a_handshake_answered_with_4xx_is_a_refused_token(status, refused):
    failure = PocketfulAdapter().handshake_failure(status, "", {}, b"")
    assert isinstance(failure, AuthRejected) is refused


# -- instruments -------------------------------------------------------------------------------------------

HEADER = (
    "exchange,exchange_token,trading_symbol,company_name,instrument_name,segment,"
    "expiry,strike,option_type,lot_size,tick_size"
)
ROWS = """NSE,3045,SBIN-EQ,STATE BANK OF INDIA,EQ,Capital,,,,1,0.05
NSE,26009,Nifty Bank,Nifty Bank,,INDICES,,,,1,0.05
BSE,500325,RELIANCE-A,RELIANCE INDUSTRIES LTD,A,Capital,,,,1,0.05
BSE,19000,SENSEX,SENSEX,,IDX,,,,1,0.01
NFO,53216,NIFTY25AUGFUT,NIFTY,FUTIDX,FutOpt,2025-08-28,0,XX,75,0.1
NFO,47123,NIFTY25AUG25000CE,NIFTY,OPTIDX,FutOpt,2025-08-28,25000.0,CE,75,0.05
BFO,1104523,SENSEX25AUG81000PE,SENSEX,IO,FutOpt,2025-08-28,81000.0,PE,20,0.05
BFO,1137311,SENSEX25SEPFUT,SENSEX,IF,FutOpt,2025-09-30,0,,20,0.05
MCX,440939,CRUDEOIL25AUGFUT,CRUDE OIL,FUTCOM,FutOpt,2025-08-19,0,,100,1"""
EXPECTED = [
    ("SBIN", "NSE", "3045", "", 0, 1, "EQ", 0.05),
    ("BANKNIFTY", "NSE_INDEX", "26009", "", 0, 1, "INDEX", 0.05),
    ("RELIANCE", "BSE", "500325", "", 0, 1, "EQ", 0.05),
    ("SENSEX", "BSE_INDEX", "19000", "", 0, 1, "INDEX", 0.01),
    ("NIFTY28AUG25FUT", "NFO", "53216", "28-AUG-25", 0, 75, "FUT", 0.1),
    ("NIFTY28AUG2525000CE", "NFO", "47123", "28-AUG-25", 25000, 75, "CE", 0.05),
    ("SENSEX28AUG2581000PE", "BFO", "1104523", "28-AUG-25", 81000, 20, "PE", 0.05),
    ("SENSEX30SEP25FUT", "BFO", "1137311", "30-SEP-25", 0, 20, "FUT", 0.05),
    ("CRUDEOIL19AUG25FUT", "MCX", "440939", "19-AUG-25", 0, 100, "FUT", 1),
]


def csv_file(rows=ROWS, header=HEADER):
    return f"{header}\n{rows}\n".encode()


def zipped(**files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"{name}.csv", data)
    return packed.getvalue()


def summary(rows):
    return [
        (r.symbol, r.exchange, r.token, r.expiry, r.strike, r.lotsize, r.instrumenttype, r.tick_size) for r in rows
    ]


@pytest.mark.parametrize(
    "data", [csv_file(), zipped(NFOCompactScrip=csv_file()), csv_file(header=f" {HEADER.upper()}")]
)
def test_the_specifications_rows_become_its_table(data):
    assert summary(PocketfulInstruments().parse(data, "any name")) == EXPECTED


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("NSE,x,SBIN-EQ,S,EQ,Capital,,,,1,0.05", "no token"),
        ("NSE,1,,S,EQ,Capital,,,,1,0.05", "no trading symbol"),
        ("NSE,1,GOI,S,BOND,Capital,,,,1,0.05", "unknown instrument type"),
        ("NYSE,1,A,S,EQ,Capital,,,,1,0.05", "unknown exchange"),
        ("NFO,1,A,NIFTY,OPTIDX,FutOpt,soon,1,CE,1,0.05", "bad expiry"),
        ("NFO,1,A,NIFTY,OPTIDX,FutOpt,08/28/2025,1,CE,1,0.05", "bad expiry"),
        ("NFO,1,A,NIFTY,OPTIDX,FutOpt,2025-13-28,1,CE,1,0.05", "bad expiry"),
        ("NFO,1,A,NIFTY,OPTIDX,FutOpt,2025828,1,CE,1,0.05", "bad expiry"),
        ("NFO,1,A,NIFTY,OPTIDX,FutOpt,28-FOO-2025,1,CE,1,0.05", "bad expiry"),
        ("NFO,1,A,NIFTY,OPTIDX,FutOpt,1601510400,1,CE,1,0.05", "bad expiry"),
        ("NFO,1,A,NIFTY,OPTIDX,FutOpt,2025-08-28,1,XXX,1,0.05", "unknown instrument type"),
        ("MCX,1,5GOLD,GOLD,FUTCOM,FutOpt,2025-08-28,0,XX,1,1", "derivative without an underlying"),
        ("MCX,1,GOLD,GOLD,SPOT,FutOpt,2025-08-28,0,XX,1,1", "unknown instrument type"),
        ("NFO,1,A,NIFTY,OPTIDX,FutOpt,2025-08-28,0,CE,1,0.05", "bad strike"),
        ("NFO,1,A,,FUTIDX,FutOpt,2025-08-28,0,XX,1,0.05", "derivative without an underlying"),
        ("MCX,1,GOLD,GOLD,COM,FutOpt,,,,1,1", "no contract"),
        ("NSE,1,A-EQ,S,EQ,Capital,,,,many,0.05", "bad lot size"),
        ("NSE,1,A-EQ", "wrong number of columns"),
        ('NSE,1,"A-EQ,S,EQ,Capital,,,,1,0.05', "broken quotes"),
    ],
)
def test_a_bad_row_is_skipped_and_counted_by_reason(row, reason):
    reader = PocketfulInstruments()
    assert summary(reader.parse(csv_file(f"{row}\n{ROWS}"), "f")) == EXPECTED
    assert reader.skipped == {reason: 1}


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ("NSE,1,M&M-EQ,M,EQ,Capital,,,,1,0.05", ("M&M", "NSE", "EQ", 0, 0.05)),
        ("NSE,1,SME-SM-EQ,M,EQ,Capital,,,,1,5", ("SME-SM", "NSE", "EQ", 0, 0.05)),
        ("NSE,1,Nifty Fin Service,,,INDICES,,,,,", ("FINNIFTY", "NSE_INDEX", "INDEX", 0, 0)),
        ("NSE,1,NIFTY MID SELECT,,,indices,,,,1,", ("MIDCPNIFTY", "NSE_INDEX", "INDEX", 0, 0)),
        ("NSE,1,Nifty Next 50,,,INDICES,,,,1,", ("NIFTYNXT50", "NSE_INDEX", "INDEX", 0, 0)),
        ("NSE,1,India VIX,,,INDICES,,,,1,", ("INDIAVIX", "NSE_INDEX", "INDEX", 0, 0)),
        ("NSE,1,Nifty Midcap 100,,,INDICES,,,,1,", ("NIFTYMIDCAP100", "NSE_INDEX", "INDEX", 0, 0)),
        ("BSE,1,SNSX50,SNSX50,,IDX,,,,1,0.01", ("SENSEX50", "BSE_INDEX", "INDEX", 0, 0.01)),
        ("BSE,1,TATASTLBSL,T,B,Capital,,,,1,0.05", ("TATASTLBSL", "BSE", "EQ", 0, 0.05)),
        (
            "NFO,1,B,BANKBARODA,OPTSTK,FutOpt,2025-09-25,287.50,PE,2925,0.05",
            ("BANKBARODA25SEP25287.5PE", "NFO", "PE", 287.5, 0.05),
        ),
        ("NFO,1,B,M&M,FUTSTK,FutOpt,2025-09-25,0,XX,350,0.05", ("M&M25SEP25FUT", "NFO", "FUT", 0, 0.05)),
        ("BFO,1,R,RELIANCE,SF,FutOpt,2025-09-25,0,,500,0.05", ("RELIANCE25SEP25FUT", "BFO", "FUT", 0, 0.05)),
        (
            "BFO,1,R,RELIANCE,SO,FutOpt,2025-09-25,1400,CE,500,0.05",
            ("RELIANCE25SEP251400CE", "BFO", "CE", 1400, 0.05),
        ),
        (
            "MCX,1,CRUDEOIL25SEP5500CE,CRUDE OIL,OPTFUT,FutOpt,2025-09-16,5500.0,CE,100,0.1",
            ("CRUDEOIL16SEP255500CE", "MCX", "CE", 5500, 0.1),
        ),
        (
            "MCX,1,MCXBULLDEX25SEPFUT,MCXBULLDEX,FUTIDX,FutOpt,2025-09-16,0,XX,30,1",
            ("MCXBULLDEX16SEP25FUT", "MCX", "FUT", 0, 1),
        ),
    ],
)
def test_every_rule_of_the_list(row, wanted):
    reader = PocketfulInstruments()
    (found,) = reader.parse(csv_file(f"{row}\r"), "f")
    assert (found.symbol, found.exchange, found.instrumenttype, found.strike, found.tick_size) == wanted
    assert not reader.skipped


@pytest.mark.parametrize(
    "data", [b"", b"<html>login</html>", b'{"error":1}', b"PK\x03\x04broken", zipped(), b"a,b\n1,2"]
)
def test_what_is_no_list_is_refused(data):
    with pytest.raises(ListFormatError):
        list(PocketfulInstruments().parse(data, "f"))


def test_a_zip_that_is_damaged_anywhere_is_a_list_or_refused():
    whole = zipped(NFOCompactScrip=csv_file())
    for place in range(0, len(whole), 3):
        damaged = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        for data in (damaged, whole[:place]):
            with suppress(ListFormatError):
                assert summary(PocketfulInstruments().parse(data, "f")) == EXPECTED


@pytest.mark.parametrize(
    "text",
    [
        "28-08-2025",
        "28-AUG-2025",
        "28-Aug-25",
        "28Aug2025",
        "28AUG25",
        "28 August 2025",
        "20250828",
        "2025/08/28",
        "2025-08-28 00:00:00",
        "2025-08-28T14:30:00+05:30",
        "28-08-2025 14:30",
    ],
)
def test_expiries_are_read_in_several_spellings(text):
    (row,) = PocketfulInstruments().parse(csv_file(f"NFO,1,A,NIFTY,FUTIDX,FutOpt,{text},0,XX,75,0.1"), "f")
    assert row.symbol == "NIFTY28AUG25FUT"


# -- simulator ---------------------------------------------------------------------------------------------


def test_the_simulated_list_holds_everything_but_currency():
    simulator = PocketfulSimulator(Exchange(seed=3))
    ((filename, data),) = simulator.instrument_dump()
    reader = BROKER.instruments()
    names = {(row.symbol, row.exchange) for row in reader.parse(data, filename)}
    assert names == {(s.symbol, s.exchange) for s in simulator.exchange.securities if s.exchange in LISTED}
    assert not reader.skipped


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 300))
def test_every_frame_of_the_simulator_says_what_the_exchange_made(seed, steps):
    exchange = Exchange(seed=seed)
    exchange.step(steps)
    for security in [one for one in exchange.securities if one.exchange in EXCHANGE_CODES][::17]:
        instrument = Instrument(security.symbol, security.exchange, str(security.token))
        made = codec(instrument)
        truth = security.fields()
        for channel in ("compact_marketdata", "marketdata", "full_snapquote"):
            for tick in made.decode(encode_frame(security, channel)).ticks:
                for name, value in tick_fields(tick).items():
                    if name in ("ltt", "timestamp"):
                        assert value == truth[name] // 1000 * 1000
                    else:
                        assert value == (truth[name] if name == "depth" else pytest.approx(truth[name]))


def as_security(tick):
    """A security whose market is that of a vector's tick, as far as the tick tells."""

    def units(name):
        return round(tick.get(name, 0) * PRICE_UNIT)

    def side(name):
        return [
            Level(round(one["price"] * PRICE_UNIT), one["quantity"], one["orders"]) for one in tick["depth"][name]
        ]

    return Security(
        symbol=tick["symbol"],
        exchange=tick["exchange"],
        name="",
        kind="INDEX" if tick["exchange"].endswith("_INDEX") else "EQ",
        token=0,
        tick=1,
        open=units("open"),
        high=units("high"),
        low=units("low"),
        close=units("close"),
        volume=tick.get("volume", 0),
        turnover=round(tick.get("avg_trade_price", 0) * PRICE_UNIT) * tick.get("volume", 0),
        total_buy=tick.get("total_buy_quantity", 0),
        total_sell=tick.get("total_sell_quantity", 0),
        bids=side("buy"),
        asks=side("sell"),
    )


def test_the_simulators_books_have_the_vectors_bytes():
    items = [
        item
        for item in vector_cases.load("pocketful")["incoming"]
        if len(item["expect"]) == 1 and len(item["frames"]) == 1 and "depth" in item["expect"][0]
    ]
    assert len(items) >= 2
    for item in items:
        theirs = bytes.fromhex(item["frames"][0]["hex"])
        ours = encode_frame(as_security(item["expect"][0]), "full_snapquote")
        assert ours[6:126] == theirs[6:126], item["name"]
        assert ours[130:] == theirs[130:], item["name"]
