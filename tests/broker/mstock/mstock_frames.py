"""Instruments and hand-made frames for the tests of m.Stock's codec."""

import struct

from tickmux.broker.mstock.streaming.mstock_adapter import MStockAdapter
from tickmux.broker.mstock.streaming.mstock_mapping import MStockCodec
from tickmux.broker.mstock.streaming.token_trust import TokenTrust
from tickmux.instrument import Instrument

SBIN = Instrument(symbol="SBIN", exchange="NSE", token="3045", brexchange="NSE")
RELIANCE = Instrument(symbol="RELIANCE", exchange="BSE", token="500325", brexchange="BSE")
NIFTY = Instrument(symbol="NIFTY", exchange="NSE_INDEX", token="26000", brexchange="NSE")
SENSEX = Instrument(symbol="SENSEX", exchange="BSE_INDEX", token="999901", brexchange="BSE")
FUTURE = Instrument(symbol="NIFTY28AUG25FUT", exchange="NFO", token="53216", brexchange="NFO")
OPTION = Instrument(symbol="SENSEX28AUG2581000PE", exchange="BFO", token="1104523", brexchange="BFO")
USDINR = Instrument(symbol="USDINR27AUG25FUT", exchange="CDS", token="1185", brexchange="NSE")
EVERYTHING = (SBIN, RELIANCE, NIFTY, SENSEX, FUTURE, OPTION, USDINR)
TYPES = {"NSE": 1, "NFO": 2, "BSE": 3, "BFO": 4, "CDS": 13, "NSE_INDEX": 1, "BSE_INDEX": 3}
MOMENT = 1_438_940_983
"""Seconds since 1980 of an Indian clock: 2025-08-06 09:49:43, which is EPOCH."""
EPOCH = 1_754_453_983_000


def codec(*instruments: Instrument, kind: str = "snap_quote") -> MStockCodec:
    made = MStockCodec(TokenTrust(lambda: 0.0), MStockAdapter().clock)
    made.subscribe(instruments, kind)
    return made


def ltp_frame(exchange_type: int, token: bytes, price: int = 81235, stamp: int = MOMENT) -> bytes:
    return struct.pack("<BB25sQQq", 1, exchange_type, token, 7, stamp, price)


def level(flag: int, quantity: int, price: int, orders: int = 1) -> bytes:
    return struct.pack("<HqqH", flag, quantity, price, orders)


BOOK = b"".join(
    [level(1, 10, 9900 - place) for place in range(5)] + [level(0, 20, 9910 + place) for place in range(5)]
)


def snap_frame(
    subject: Instrument,
    *,
    size: int = 379,
    prices: int = 10_000,
    quantity: int = 5,
    totals: tuple[float, float] = (7.0, 8.0),
    stamp: int = MOMENT,
    ltt: int = MOMENT + 1,
    oi: int = 9,
    book: bytes = BOOK,
    circuits: int = 11_000,
) -> bytes:
    head = struct.pack("<BB25sQQq", 3, TYPES[subject.exchange], subject.token.encode(), 1, stamp, prices)
    quote = struct.pack("<qqqddqqqq", quantity, prices, quantity, *totals, prices, prices, prices, prices)
    tail = struct.pack("<Qqd", ltt, oi, 2.2) + book + struct.pack("<qqqq", *[circuits] * 4)
    return (head + quote + tail)[:size]
