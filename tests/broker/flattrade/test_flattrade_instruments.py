"""Flattrade's instrument lists: every row of the specification, and what is its own."""

import pytest

from broker._noren.list_cases import check
from tickmux.broker.flattrade import BROKER

HEAD_0 = "Exchange,Token,Lotsize,Symbol,Tradingsymbol,Instrument,Expiry,Strike,Optiontype"

FILES = {
    "NSE": (HEAD_0, {
        "NSE,1594,1,INFY,INFY-EQ,EQ,,,": "INFY, NSE, 1594, NSE, INFY-EQ, –, –, 1, EQ, 0.05",
        "NSE,26000,1,NIFTY,Nifty 50,INDEX,,0,": "NIFTY, NSE_INDEX, 26000, NSE, Nifty 50, –, –, 1, INDEX, 0.05",
    }),
    "BSE": (HEAD_0, {
        "BSE,500209,1,INFY,INFY,A,,,": "INFY, BSE, 500209, BSE, INFY, –, –, 1, EQ, 0.05",
        "BSE,1,1,SENSEX,BSE SENSEX,UNDIND,,0,": "SENSEX, BSE_INDEX, 1, BSE, BSE SENSEX, –, –, 1, INDEX, 0.05",
    }),
    "NFO": (HEAD_0, {
        "NFO,52210,400,INFY,INFY30SEP25F,FUTSTK,30-SEP-2025,,XX": "INFY30SEP25FUT, NFO, 52210, NFO, INFY30SEP25F, 30-SEP-25, –, 400, FUT, 0.05",
        "NFO,40011,75,NIFTY,NIFTY28AUG25P24800,OPTIDX,28-AUG-2025,24800.00,PE": "NIFTY28AUG2524800PE, NFO, 40011, NFO, NIFTY28AUG25P24800, 28-AUG-25, 24800, 75, PE, 0.05",
    }),
    "CDS": (HEAD_0, {
        "CDS,1594,1,USDINR,USDINR26SEP25F,FUTCUR,26-SEP-2025,0,XX": "USDINR26SEP25FUT, CDS, 1594, CDS, USDINR26SEP25F, 26-SEP-25, –, 1, FUT, 0.0025",
        "CDS,8817,1,USDINR,USDINR26SEP25C88.25,OPTCUR,26-SEP-2025,88.25,CE": "USDINR26SEP2588.25CE, CDS, 8817, CDS, USDINR26SEP25C88.25, 26-SEP-25, 88.25, 1, CE, 0.0025",
    }),
    "MCX": (HEAD_0, {
        "MCX,440939,1,GOLD,GOLD03OCT25,FUTCOM,03-OCT-2025,0,XX": "GOLD03OCT25FUT, MCX, 440939, MCX, GOLD03OCT25, 03-OCT-25, –, 1, FUT, 0.05",
    }),
    "BFO": (HEAD_0, {
        "BFO,859358,20,SENSEX,SENSEX2590281000CE,OPTIDX,02-SEP-2025,81000,CE": "SENSEX02SEP2581000CE, BFO, 859358, BFO, SENSEX2590281000CE, 02-SEP-25, 81000, 20, CE, 0.05",
    }),
}  # fmt: skip
# ruff: noqa: E501


@pytest.mark.parametrize("exchange", FILES)
def test_every_row_of_the_specification_becomes_what_it_says(exchange: str) -> None:
    check(BROKER.instruments, *FILES[exchange])


def test_both_files_of_a_derivatives_exchange_are_fetched() -> None:
    names = [download.filename for download in BROKER.instruments().downloads(None)]
    assert {"Nfo_Equity_Derivatives.csv", "Nfo_Index_Derivatives.csv"} < set(names)
    assert len(names) == 8
