"""Shoonya's instrument lists: every row of the specification, and what is its own."""

import pytest

from broker._noren.list_cases import check
from tickmux.broker.shoonya import BROKER

HEAD_0 = "Exchange,Token,LotSize,Symbol,TradingSymbol,Instrument,TickSize,"

HEAD_1 = "Exchange,Token,LotSize,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,"

HEAD_2 = "Exchange,Token,LotSize,Precision,Multiplier,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,"

HEAD_3 = "Exchange,Token,LotSize,GNGD,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,"

FILES = {
    "NSE": (HEAD_0, {
        "NSE,2885,1,RELIANCE,RELIANCE-EQ,EQ,10,": "RELIANCE, NSE, 2885, NSE, RELIANCE-EQ, –, –, 1, EQ, 0.1",
        "NSE,26009,1,Nifty Bank,BANKNIFTY,INDEX,0,": "BANKNIFTY, NSE_INDEX, 26009, NSE, BANKNIFTY, –, –, 1, INDEX, 0.05",
    }),
    "BSE": (HEAD_0, {
        "BSE,532540,1,TCS,TCS,A,5,": "TCS, BSE, 532540, BSE, TCS, –, –, 1, EQ, 0.05",
        "": "SENSEX, BSE_INDEX, 1, BSE, SENSEX, –, –, 1, INDEX, 0.05",
        " ": "BANKEX, BSE_INDEX, 12, BSE, BANKEX, –, –, 1, INDEX, 0.05",
    }),
    "NFO": (HEAD_1, {
        "NFO,47824,35,BANKNIFTY,BANKNIFTY28AUG25F,28-AUG-2025,FUTIDX,XX,0,0.2,": "BANKNIFTY28AUG25FUT, NFO, 47824, NFO, BANKNIFTY28AUG25F, 28-AUG-25, –, 35, FUT, 0.2",
        "NFO,49103,75,NIFTY,NIFTY28AUG25P24800,28-AUG-2025,OPTIDX,PE,24800,0.05,": "NIFTY28AUG2524800PE, NFO, 49103, NFO, NIFTY28AUG25P24800, 28-AUG-25, 24800, 75, PE, 0.05",
    }),
    "CDS": (HEAD_2, {
        "CDS,8817,1,4,1000,USDINR,USDINR26SEP25C88.25,26-SEP-2025,OPTCUR,CE,88.25,0.0025,": "USDINR26SEP2588.25CE, CDS, 8817, CDS, USDINR26SEP25C88.25, 26-SEP-25, 88.25, 1, CE, 0.0025",
    }),
    "MCX": (HEAD_3, {
        "MCX,458939,1250,1,NATURALGAS,NATURALGAS26SEP25,26-SEP-2025,FUTCOM,XX,0,0.1,": "NATURALGAS26SEP25FUT, MCX, 458939, MCX, NATURALGAS26SEP25, 26-SEP-25, –, 1250, FUT, 0.1",
    }),
    "BFO": (HEAD_1, {
        "BFO,861777,75,SX50OPT,SENSEX5025SEP27000PE,25-SEP-2025,OPTIDX,PE,27000,0.05,": "SENSEX5025SEP2527000PE, BFO, 861777, BFO, SENSEX5025SEP27000PE, 25-SEP-25, 27000, 75, PE, 0.05",
    }),
}  # fmt: skip
# ruff: noqa: E501


@pytest.mark.parametrize("exchange", FILES)
def test_every_row_of_the_specification_becomes_what_it_says(exchange: str) -> None:
    check(BROKER.instruments, *FILES[exchange])
