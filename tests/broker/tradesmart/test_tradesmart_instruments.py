"""TradeSmart's instrument lists: every row of the specification, and what is its own."""

import pytest

from broker._noren.list_cases import check
from tickmux.broker.tradesmart import BROKER

HEAD_0 = "Exchange,Token,LotSize,Symbol,TradingSymbol,Instrument,TickSize,"

HEAD_1 = "Exchange,Token,LotSize,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,"

HEAD_2 = "Exchange,Token,LotSize,Precision,Multiplier,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,"

HEAD_3 = "Exchange,Token,LotSize,GNGD,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,"

HEAD_4 = "Exchange,Token,LotSize,Symbol,TradingSymbol,Expiry,Instrument,OptionType,Strike,TickSize,"

FILES = {
    "NSE": (HEAD_0, {
        "NSE,1660,1,ITC,ITC-EQ,EQ,5,": "ITC, NSE, 1660, NSE, ITC-EQ, –, –, 1, EQ, 0.05",
        "NSE,14366,1,IDEA,IDEA-BE,BE,1,": "IDEA, NSE, 14366, NSE, IDEA-BE, –, –, 1, EQ, 0.01",
        "NSE,26074,1,NIFTY MID SELECT,NIFTY MID SELECT,INDEX,0,": "MIDCPNIFTY, NSE_INDEX, 26074, NSE, NIFTY MID SELECT, –, –, 1, INDEX, 0.05",
        "": "INDIAVIX, NSE_INDEX, 26017, NSE, INDIAVIX, –, –, 1, INDEX, 0.05",
        " ": "NIFTYNXT50, NSE_INDEX, 26013, NSE, NIFTYNXT50, –, –, 1, INDEX, 0.05",
    }),
    "BSE": (HEAD_0, {
        "BSE,500875,1,ITC,ITC,A,5,": "ITC, BSE, 500875, BSE, ITC, –, –, 1, EQ, 0.05",
        "": "SENSEX, BSE_INDEX, 1, BSE, SENSEX, –, –, 1, INDEX, 0.05",
        " ": "BANKEX, BSE_INDEX, 12, BSE, BANKEX, –, –, 1, INDEX, 0.05",
    }),
    "NFO": (HEAD_1, {
        "NFO,61077,35,BANKNIFTY,BANKNIFTY28AUG25F,28-AUG-2025,FUTIDX,XX,0,0.2,": "BANKNIFTY28AUG25FUT, NFO, 61077, NFO, BANKNIFTY28AUG25F, 28-AUG-25, –, 35, FUT, 0.2",
        "NFO,144537,1150,VEDL,VEDL30SEP25P422.5,30-SEP-2025,OPTSTK,PE,422.5,0.05,": "VEDL30SEP25422.5PE, NFO, 144537, NFO, VEDL30SEP25P422.5, 30-SEP-25, 422.5, 1150, PE, 0.05",
    }),
    "CDS": (HEAD_2, {
        "CDS,8817,1,4,1000,USDINR,USDINR26SEP25C88.25,26-SEP-2025,OPTCUR,CE,88.25,0.0025,": "USDINR26SEP2588.25CE, CDS, 8817, CDS, USDINR26SEP25C88.25, 26-SEP-25, 88.25, 1, CE, 0.0025",
    }),
    "MCX": (HEAD_3, {
        "MCX,466123,100,1,CRUDEOIL,CRUDEOIL17SEP25C5600,17-SEP-2025,OPTFUT,CE,5600,0.1,": "CRUDEOIL17SEP255600CE, MCX, 466123, MCX, CRUDEOIL17SEP25C5600, 17-SEP-25, 5600, 100, CE, 0.1",
    }),
    "BFO": (HEAD_4, {
        "BFO,862001,20,BSXFUT,SENSEX25SEPFUT,25-SEP-2025,FUTIDX,XX,0,0.05,": "SENSEX25SEP25FUT, BFO, 862001, BFO, SENSEX25SEPFUT, 25-SEP-25, –, 20, FUT, 0.05",
    }),
}  # fmt: skip
# ruff: noqa: E501


@pytest.mark.parametrize("exchange", FILES)
def test_every_row_of_the_specification_becomes_what_it_says(exchange: str) -> None:
    check(BROKER.instruments, *FILES[exchange])
