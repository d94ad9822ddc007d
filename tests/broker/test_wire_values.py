"""One policy for raw values: what is none, what is negative, at every broker whose wire carries prices."""

import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.groww import groww_wire
from broker.kotak import kotak_wire
from broker.motilal import motilal_wire
from broker.nubra import nubra_wire
from broker.tradejini import tradejini_wire
from broker.upstox import upstox_wire
from support import wire_policy
from tickmux.broker import _wire_values as values
from tickmux.decode import decode_document

CASES = Path(__file__).parent / "cases"

# -- the policy --------------------------------------------------------------------------------------------

SENTINELS = [0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 2294967295, -1, -(2**31), 2**63 - 1, -(2**63), 2**64 - 1]


@pytest.mark.parametrize("raw", [0, *SENTINELS])
@pytest.mark.parametrize("divisor", [100, 10_000, 10_000_000])
def test_zero_and_sentinels_are_no_price_on_any_scale(raw: int, divisor: int) -> None:
    assert values.price(raw, divisor) is None
    assert values.wide_price(raw, divisor) is None


@pytest.mark.parametrize("raw", SENTINELS)
def test_sentinels_are_no_count_and_no_time(raw: int) -> None:
    assert values.count(raw) is None
    assert values.epoch_ms(raw) is None
    assert values.moment_ms(raw) is None
    assert values.float_count(float(raw)) is None


def test_a_wrapped_number_of_paise_is_negative_and_finer_scales_are_unsigned() -> None:
    assert values.price(0xFFFFFEA2, 100) == -3.5
    assert values.price(2**32 - 288_400, 100) == -2884.0
    assert values.price(-350, 100) == -3.5
    assert values.price(2_500_000_000, 10_000) == 250_000.0  # silver on NCO
    assert values.wide_price(0xFFFFFEA2, 100) is None, "64 bits wrap nothing of 32"
    assert values.wide_price(-350, 100) == -3.5


def test_an_index_is_never_negative() -> None:
    assert values.price(0xFFFFFEA2, 100, True) is None
    assert values.wide_price(-350, 100, True) is None
    assert values.rupees(-3.5, True) is None
    assert values.rupees(25_000.5, True) == 25_000.5


@pytest.mark.parametrize(
    "value",
    [0.0, math.nan, math.inf, -math.inf, 42949672.95, 21474836.48, 22949672.95, -0.01, 429.4967295, 3.4e38],
)  # fmt: skip
def test_rupees_that_are_none_are_so_as_32_bit_floats_too(value: float) -> None:
    assert values.rupees(value) is None
    if math.isfinite(value):
        assert values.rupees(struct.unpack("<f", struct.pack("<f", value))[0]) is None


@given(st.integers(-(2**31), 2**32 - 1), st.sampled_from([100, 10_000, 10_000_000]), st.booleans())
def test_the_policy_is_what_its_second_wording_says(raw: int, divisor: int, index: bool) -> None:
    assert values.price(raw, divisor, index) == wire_policy.price(raw, divisor, index=index)
    assert values.count(raw) == wire_policy.count(raw)
    if 0 < raw < values.PLAIN:
        assert values.price(raw, divisor) == raw / divisor, "plain numbers need no judgement"


# -- every broker ------------------------------------------------------------------------------------------

CRUDE = ("CRUDEOIL19DEC26FUT", "MCX")
SPREAD = ("SPREAD29DEC26FUT", "NFO")
Frame = bytes | str


def _json(**fields: Any) -> str:
    return json.dumps(fields)


def _pocketful(paise: int) -> bytes:
    return bytes((2, 4)) + struct.pack(">IIiI4I8x", 1000, paise % 2**32, 0, 5, 0, 0, 0, 0)


def _smartapi(kind: int, paise: int) -> bytes:
    return bytes((1, kind)) + b"1000".ljust(25, b"\0") + struct.pack("<qqq", 1, 1_500_000_000, paise)


def _dhan(rupees: float) -> bytes:
    return struct.pack("<BHBIfI", 2, 16, 5, 1000, rupees, 1_795_400_000)


def _paytm(rupees: float) -> bytes:
    return b"\x3d" + struct.pack("<fII", rupees, 1_480_000_000, 1000) + bytes(10)


def _xts(rupees: float) -> str:
    payload = _json(MessageCode=1501, ExchangeSegment=51, ExchangeInstrumentID=1000, LastTradedPrice=rupees)
    return "42" + json.dumps(["1501-json-full", payload])


def _noren(rupees: float) -> str:
    return _json(t="tk", e="MCX", tk="1000", lp=f"{rupees:.2f}", v="1")


def _samco(rupees: float) -> str:
    return _json(response={"streaming_type": "quote", "data": {"sym": "1000_MCX", "ltp": f"{rupees:.2f}"}}) + "\n"


def _upstox(rupees: float) -> bytes:
    return upstox_wire.live("MCX_FO|1000", upstox_wire.message(1, upstox_wire.ltpc(rupees, 5)))


def _fivepaisa(rupees: float) -> str:
    return _json(Exch="M", ExchType="D", Token=1000, LastRate=rupees)


def _indmoney(rupees: float) -> str:
    return _json(mode="ltp", instrument="NFO:1000", timestamp=5, data={"ltp": rupees})


def _firstock(rupees: float) -> str:
    return json.dumps({"NFO:1000": {"i_last_traded_price": round(100 * rupees)}})


def _zerodha(rupees: float) -> bytes:
    return struct.pack(">HHII", 1, 8, ZERODHA_TOKEN, round(100 * rupees) % 2**32)


ZERODHA_TOKEN = 1000 << 8 | 7
PAISE = 100
NOREN = ("_noren", "aliceblue", "definedge", "flattrade", "shoonya", "tradesmart", "zebu")
XTS = ("_xts", "compositedge", "fivepaisaxts", "ibulls", "iifl", "jainamxts", "rmoney", "wisdom")

PRICE_FRAMES: dict[str, tuple[tuple[str, str], str, Callable[[float], Frame]]] = {
    **dict.fromkeys(NOREN, (CRUDE, "1000", _noren)),
    "angel": (CRUDE, "1000", lambda rupees: _smartapi(5, round(PAISE * rupees))),
    "dhan": (CRUDE, "1000", _dhan),
    "dhan_sandbox": (CRUDE, "1000", _dhan),
    "firstock": (SPREAD, "1000", _firstock),
    "fivepaisa": (CRUDE, "1000", _fivepaisa),
    "groww": (SPREAD, "1000", lambda rupees: groww_wire.price_of(
        "1000", groww_wire.live_price(ltp=rupees), "/ld/fo/nse/"
    )),
    "indmoney": (SPREAD, "1000", _indmoney),
    "motilal": (CRUDE, "1000", lambda rupees: motilal_wire.trade("M", 1000, rupees)),
    "mstock": (SPREAD, "1000", lambda rupees: _smartapi(2, round(PAISE * rupees))),
    "nubra": (CRUDE, "1000", lambda rupees: nubra_wire.orderbook(1000, ltp=round(PAISE * rupees))),
    "paytm": (SPREAD, "1000", _paytm),
    "pocketful": (CRUDE, "1000", lambda rupees: _pocketful(round(PAISE * rupees))),
    "samco": (CRUDE, "1000_MCX", _samco),
    "tradejini": (CRUDE, "1000", lambda rupees: tradejini_wire.frame(
        tradejini_wire.quote({29: round(PAISE * rupees)}, 8, 1000)
    )),
    "upstox": (CRUDE, "MCX_FO|1000", _upstox),
    "zerodha": (CRUDE, str(ZERODHA_TOKEN), _zerodha),
}  # fmt: skip


def ticks(broker: str, instrument: tuple[str, str], token: str, *frames: Frame) -> list[dict[str, Any]]:
    symbol, exchange = instrument
    kind = "FUT" if exchange != "NSE_INDEX" else "INDEX"
    row = {"symbol": symbol, "exchange": exchange, "token": token, "brsymbol": symbol, "instrumenttype": kind}
    wire = [{"text": frame} if isinstance(frame, str) else {"hex": frame.hex()} for frame in frames]
    document = {"broker": broker, "instruments": [row], "incoming": [{"name": "", "frames": wire}]}
    (line,) = decode_document(document)
    assert "error" not in line, line
    return list(line["ticks"])


@pytest.mark.parametrize("broker", sorted(PRICE_FRAMES))
@pytest.mark.parametrize("rupees", [-3.5, -37.65, -2884.0])
def test_negative_prices_are_passed(broker: str, rupees: float) -> None:
    instrument, token, frame = PRICE_FRAMES[broker]
    found = ticks(broker, instrument, token, frame(5.0), frame(rupees))
    assert [tick["ltp"] for tick in found] == pytest.approx([5.0, rupees])


@pytest.mark.parametrize("broker", sorted(PRICE_FRAMES))
@pytest.mark.parametrize("rupees", [42949672.95, 21474836.48, 21474836.47, 22949672.95])
def test_sentinels_never_become_a_price_and_the_old_one_is_not_told_again(broker: str, rupees: float) -> None:
    instrument, token, frame = PRICE_FRAMES[broker]
    if broker in ("tradejini",) and rupees > 21474836.47:
        rupees = -21474836.48  # its 32 bits have a sign
    found = ticks(broker, instrument, token, frame(5.0), frame(rupees))
    assert found[0]["ltp"] == 5.0
    assert [tick["ltp"] for tick in found[1:] if "ltp" in tick] == []


@pytest.mark.parametrize("sentinel", [214748.3647, 429496.7295, 229496.7295])
def test_upstox_has_no_price_for_what_the_scale_of_nco_makes_of_a_sentinel(sentinel: float) -> None:
    key = "NCO_FO|1000"
    prices = (90_000.0, sentinel)
    frames = [upstox_wire.live(key, upstox_wire.message(1, upstox_wire.ltpc(each, 5))) for each in prices]
    found = ticks("upstox", ("SILVER30DEC26FUT", "NCO"), key, *frames)
    assert [tick["ltp"] for tick in found if "ltp" in tick] == [90_000.0]


def test_kotak_reads_wrapped_negatives_and_sentinels_by_the_scale_of_its_login() -> None:
    made = kotak_wire.codec()
    found = made.decode(kotak_wire.mini(11536, 2**32 - 350) + kotak_wire.mini(11536, 2294967295)).ticks
    assert [tick.ltp for tick in found] == [-3.5, None]
    assert "ltp" in found[1].taken_back


# -- the cases of the issue --------------------------------------------------------------------------------


def case(name: str) -> list[list[dict[str, Any]]]:
    return [line["ticks"] for line in decode_document(json.loads((CASES / f"{name}.json").read_text()))]


def test_an_mcx_packet_before_the_open_has_no_day_and_a_market_order_no_level() -> None:
    (before_open,), (book,) = case("sentinels-zerodha")
    assert not {"open", "high", "low"} & before_open.keys()
    assert (before_open["ltp"], before_open["close"]) == (5538.0, 5538.0)
    assert [level["price"] for level in book["depth"]["buy"]] == [5537.0] * 4
    assert [level["price"] for level in book["depth"]["sell"]] == [5539.0] * 4


def test_a_noren_snapshot_before_the_open_has_no_day() -> None:
    ((tick,),) = case("sentinels-shoonya")
    assert {name: tick.get(name) for name in ("ltp", "open", "high", "low", "close", "volume")} == {
        "ltp": 5538.0, "open": None, "high": None, "low": None, "close": 5530.0, "volume": 0,
    }  # fmt: skip


def test_a_price_below_zero_follows_one_above() -> None:
    ((first, second),) = case("negative-upstox")
    assert (first["ltp"], second["ltp"]) == (5.0, -5.0)
    assert second["timestamp"] > first["timestamp"]


def test_a_frame_without_its_exchange_is_nobodys() -> None:
    assert case("frame-without-exchange-shoonya") == [[], [], []]


def test_kites_documented_negative() -> None:
    frame = bytes.fromhex("000100080003e807fffffea2")
    assert [tick["ltp"] for tick in ticks("zerodha", CRUDE, str(0x0003E807), frame)] == [-3.5]
