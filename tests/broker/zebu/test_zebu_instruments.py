"""Zebu's instrument lists: every row of the specification, and what is its own."""

import pytest

from broker._noren.list_cases import check
from tickmux.broker.zebu import BROKER

HEAD_0 = "Exchange,Token,LotSize,Symbol,TradingSymbol,Instrument,TickSize,"

HEAD_1 = "Exchange,Token,LotSize,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,"

HEAD_2 = "Exchange,Token,LotSize,Precision,Multiplier,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,"

HEAD_3 = "Exchange,Token,LotSize,GNGD,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,"

FILES = {
    "NSE": (HEAD_0, {
        "NSE,1333,1,HDFCBANK,HDFCBANK-EQ,EQ,0.05,": "HDFCBANK, NSE, 1333, NSE, HDFCBANK-EQ, –, –, 1, EQ, 0.05",
        "NSE,16669,1,BAJAJ-AUTO,BAJAJ-AUTO-EQ,EQ,0.5,": "BAJAJ-AUTO, NSE, 16669, NSE, BAJAJ-AUTO-EQ, –, –, 1, EQ, 0.5",
        "NSE,26000,1,Nifty 50,NIFTY INDEX,INDEX,0,": "NIFTY, NSE_INDEX, 26000, NSE, NIFTY INDEX, –, –, 1, INDEX, 0.05",
    }),
    "BSE": (HEAD_0, {
        "BSE,500180,1,HDFCBANK,HDFCBANK,A,0.05,": "HDFCBANK, BSE, 500180, BSE, HDFCBANK, –, –, 1, EQ, 0.05",
        "": "SENSEX, BSE_INDEX, 1, BSE, SENSEX, –, –, 1, INDEX, 0.05",
        " ": "BANKEX, BSE_INDEX, 12, BSE, BANKEX, –, –, 1, INDEX, 0.05",
    }),
    "NFO": (HEAD_1, {
        "NFO,73471,35,BANKNIFTY,BANKNIFTY28AUG25F,28-AUG-2025,FUTIDX,XX,0,0.2,": "BANKNIFTY28AUG25FUT, NFO, 73471, NFO, BANKNIFTY28AUG25F, 28-AUG-25, –, 35, FUT, 0.2",
        "NFO,49911,75,NIFTY,NIFTY28AUG25P24800,28-AUG-2025,OPTIDX,PE,24800,0.05,": "NIFTY28AUG2524800PE, NFO, 49911, NFO, NIFTY28AUG25P24800, 28-AUG-25, 24800, 75, PE, 0.05",
    }),
    "CDS": (HEAD_2, {
        "CDS,3045,1,4,1000,USDINR,USDINR26SEP25F,26-SEP-2025,FUTCUR,XX,0,0.0025,": "USDINR26SEP25FUT, CDS, 3045, CDS, USDINR26SEP25F, 26-SEP-25, –, 1, FUT, 0.0025",
    }),
    "MCX": (HEAD_3, {
        "MCX,452759,1250,1,NATURALGAS,NATURALGAS26SEP25,26-SEP-2025,FUTCOM,XX,0,0.1,": "NATURALGAS26SEP25FUT, MCX, 452759, MCX, NATURALGAS26SEP25, 26-SEP-25, –, 1250, FUT, 0.1",
    }),
    "BFO": (HEAD_1, {
        "BFO,859358,20,BSXOPT,SENSEX2590281000CE,02-SEP-2025,OPTIDX,CE,81000,0.05,": "SENSEX02SEP2581000CE, BFO, 859358, BFO, SENSEX2590281000CE, 02-SEP-25, 81000, 20, CE, 0.05",
    }),
}  # fmt: skip
# ruff: noqa: E501


@pytest.mark.parametrize("exchange", FILES)
def test_every_row_of_the_specification_becomes_what_it_says(exchange: str) -> None:
    check(BROKER.instruments, *FILES[exchange])
