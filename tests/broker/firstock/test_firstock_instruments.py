"""Firstock's instrument lists: every row of the specification, and what is its own."""

import pytest

from broker._noren.list_cases import check
from tickmux.broker.firstock import BROKER

HEAD_0 = "Exchange,Token,LotSize,TradingSymbol,CompanyName,ISIN,TickSize,FreezeQty"

HEAD_1 = "Exchange,Token,LotSize,Symbol,TradingSymbol,CompanyName,Expiry,Instrument,OptionType,StrikePrice,TickSize,FreezeQty"

FILES = {
    "NSE": (HEAD_0, {
        "NSE,2885,1,RELIANCE-EQ,RELIANCE INDUSTRIES LTD,INE002A01018,0.1,3689541": "RELIANCE, NSE, 2885, NSE, RELIANCE-EQ, –, –, 1, EQ, 0.1",
        "NSE,11915,1,YESBANK-BE,YES BANK,INE528G01035,0.01,1000": "YESBANK, NSE, 11915, NSE, YESBANK-BE, –, –, 1, EQ, 0.01",
        "NSE,26000,0,NIFTY,Nifty 50,,0,0": "NIFTY, NSE_INDEX, 26000, NSE, NIFTY, –, –, 1, INDEX, 0.05",
        "NSE,26009,0,BANKNIFTY,Nifty Bank,,0,0": "BANKNIFTY, NSE_INDEX, 26009, NSE, BANKNIFTY, –, –, 1, INDEX, 0.05",
    }),
    "BSE": (HEAD_0, {
        "BSE,500325,1,RELIANCE,RELIANCE INDUSTRIES LTD,INE002A01018,0.05,100000": "RELIANCE, BSE, 500325, BSE, RELIANCE, –, –, 1, EQ, 0.05",
        "BSE,1,0,SENSEX,SENSEX,,0,0": "SENSEX, BSE_INDEX, 1, BSE, SENSEX, –, –, 1, INDEX, 0.05",
    }),
    "NFO": (HEAD_1, {
        "NFO,59175,30,BANKNIFTY,BANKNIFTY24FEB26F,BANKNIFTY,24-FEB-2026,FUTIDX,XX,0,0.2,600": "BANKNIFTY24FEB26FUT, NFO, 59175, NFO, BANKNIFTY24FEB26F, 24-FEB-26, –, 30, FUT, 0.2",
        "NFO,54957,65,NIFTY,NIFTY03FEB26C25300,NIFTY,03-FEB-2026,OPTIDX,CE,25300,0.05,1800": "NIFTY03FEB2625300CE, NFO, 54957, NFO, NIFTY03FEB26C25300, 03-FEB-26, 25300, 65, CE, 0.05",
        "NFO,131333,200,M&M,M&M24FEB26P3450,MAHINDRA,24-FEB-2026,OPTSTK,PE,3450,0.05,20000": "M&M24FEB263450PE, NFO, 131333, NFO, M&M24FEB26P3450, 24-FEB-26, 3450, 200, PE, 0.05",
    }),
    "BFO": (HEAD_1, {
        "BFO,861333,30,BANKEX,BANKEX26FEBFUT,BANKEX,26-FEB-2026,FUTIDX,XX,0,0.05,600": "BANKEX26FEB26FUT, BFO, 861333, BFO, BANKEX26FEBFUT, 26-FEB-26, –, 30, FUT, 0.05",
        "BFO,2885,20,SENSEX,SENSEX2620582500PE,SENSEX,05-FEB-2026,OPTIDX,PE,82500,0.05,1000": "SENSEX05FEB2682500PE, BFO, 2885, BFO, SENSEX2620582500PE, 05-FEB-26, 82500, 20, PE, 0.05",
    }),
}  # fmt: skip
# ruff: noqa: E501


@pytest.mark.parametrize("exchange", FILES)
def test_every_row_of_the_specification_becomes_what_it_says(exchange: str) -> None:
    check(BROKER.instruments, *FILES[exchange])


def test_an_index_row_has_neither_isin_nor_tick_nor_freeze_quantity() -> None:
    rows = ("NSE,1,1,A-EQ,A,,0,0", "NSE,2,1,B-EQ,B,INE1,0,0", "NSE,3,1,C-EQ,C,,0.05,0", "NSE,4,1,D-SM,D,,0,9")
    found = BROKER.instruments().parse("\n".join((FILES["NSE"][0], *rows)).encode(), "NSE.csv")
    assert [(one.symbol, one.exchange) for one in found] == [
        ("AEQ", "NSE_INDEX"), ("B", "NSE"), ("C", "NSE"), ("D", "NSE"),
    ]  # fmt: skip


def test_the_lists_are_fetched_by_exchange() -> None:
    urls = [download.url for download in BROKER.instruments().downloads(None)]
    assert urls == [
        f"https://api.firstock.in/V1/symbols/{exchange}?ref=firstock.in" for exchange in ("NSE", "BSE", "NFO", "BFO")
    ]
