"""Whose a share's bare name is, in every broker's list: one case, written in each format."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tickmux.instrument import Instrument
from tickmux.websocket_proxy.broker_factory import broker_names, load_broker


class Row(NamedTuple):
    """One row of a cash segment; `series` is NSE's, or the group on BSE."""

    exchange: str
    name: str
    series: str
    token: int


ROWS = [
    Row("NSE", "ALPHACO", "W1", 9018),
    Row("NSE", "ALPHACO", "EQ", 9001),
    Row("NSE", "BETACO", "N1", 9102),
    Row("NSE", "BETACO", "BZ", 9101),
    Row("NSE", "GAMMACO", "W1", 9202),
    Row("NSE", "GAMMACO", "SM", 9201),
    Row("NSE", "DELTACO", "N2", 9301),
    Row("NSE", "EPSCO", "BE", 9402),
    Row("NSE", "EPSCO", "EQ", 9401),
    Row("NSE", "ZETACO", "D1", 9502),
    Row("NSE", "ZETACO", "BE", 9501),
    Row("NSE", "ETACO", "ST", 9601),
    Row("NSE", "M&M", "EQ", 2031),
    Row("NSE", "BAJAJ-AUTO", "EQ", 16669),
    Row("BSE", "BAJAJ-AUTO", "A", 532977),
    Row("BSE", "BETACO", "Z", 509101),
    Row("BSE", "GAMMACO", "XT", 509201),
]
BARE = {
    ("NSE", "ALPHACO"): 9001, ("NSE", "BETACO"): 9101, ("NSE", "GAMMACO"): 9201, ("NSE", "EPSCO"): 9401,
    ("NSE", "ZETACO"): 9501, ("NSE", "ETACO"): 9601, ("NSE", "M&M"): 2031, ("NSE", "BAJAJ-AUTO"): 16669,
    ("BSE", "BAJAJ-AUTO"): 532977, ("BSE", "BETACO"): 509101, ("BSE", "GAMMACO"): 509201,
}  # fmt: skip
WITH_SERIES = {
    ("NSE", f"{row.name}-{row.series}"): row.token
    for row in ROWS
    if row.exchange == "NSE" and BARE.get((row.exchange, row.name)) != row.token
}


def suffixed(row: Row) -> str:
    """A trading symbol as NSE's members write it; BSE's have no suffix."""
    return f"{row.name}-{row.series}" if row.exchange == "NSE" else row.name


def table(header: str, line: Callable[[Row], str]) -> Callable[[str], dict[str, bytes]]:
    """A file of all rows, with a header line where the list has one."""
    return lambda name: {name: "\n".join([*([header] if header else []), *map(line, ROWS)]).encode()}


def by_exchange(header: str, line: Callable[[Row], str]) -> Callable[[str], dict[str, bytes]]:
    """A file for each exchange."""
    return lambda name: {
        f"{exchange}{name}": "\n".join(
            [*([header] if header else []), *(line(row) for row in ROWS if row.exchange == exchange)]
        ).encode()
        for exchange in ("NSE", "BSE")
    }


def objects(shape: Callable[[Row], dict[str, object]], key: str = "") -> Callable[[str], dict[str, bytes]]:
    rows = [shape(row) for row in ROWS]
    return lambda name: {name: json.dumps({key: rows} if key else rows).encode()}


def isin(row: Row) -> str:
    return f"INE{row.token:09d}"


def _xts(name: str) -> dict[str, bytes]:
    files = {}
    for exchange, segment in (("NSE", "NSECM"), ("BSE", "BSECM")):
        lines = [
            f"{segment}|{row.token}|8|{row.name}|{row.name}-{row.series}|{row.series}|{row.name}-{row.series}|1|2|1|100"
            f"|0.05|1|1|{row.name}|{isin(row)}|1|1|{row.name}-{row.series}|0|-1|-1"
            for row in ROWS
            if row.exchange == exchange
        ]
        files[f"{segment}.json"] = json.dumps({"type": "success", "result": "\n".join(lines)}).encode()
    return files


def _pocketful(name: str) -> dict[str, bytes]:
    header = (
        "exchange,exchange_token,trading_symbol,company_name,instrument_name,segment,expiry,strike,option_type,"
        "lot_size,tick_size"
    )
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for exchange in ("NSE", "BSE"):
            lines = [
                f"{row.exchange},{row.token},{row.name}-{row.series},{row.name} LTD,{row.series},Capital,,,,1,0.05"
                for row in ROWS
                if row.exchange == exchange
            ]
            archive.writestr(f"{exchange}CompactScrip.csv", "\n".join([header, *lines]))
    return {name: written.getvalue()}


NOREN = by_exchange(
    "Exchange,Token,LotSize,Symbol,TradingSymbol,Instrument,TickSize,",
    lambda row: f"{row.exchange},{row.token},1,{row.name},{suffixed(row)},{row.series},0.05,",
)

FORMATS: dict[str, Callable[[str], dict[str, bytes]]] = {
    "zerodha": table(
        "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
        "instrument_type,segment,exchange",
        lambda row: (
            f"{row.token},1,{row.name if row.series == 'EQ' else suffixed(row)},"
            f"{row.name} LTD,0,,0,0.05,1,EQ,{row.exchange},{row.exchange}"
        ),
    ),
    "angel": objects(
        lambda row: {
            "token": str(row.token), "symbol": suffixed(row), "name": row.name, "expiry": "", "strike": "-1.000000",
            "lotsize": "1", "instrumenttype": "", "exch_seg": row.exchange, "tick_size": "5.000000",
        }
    ),
    "mstock": objects(
        lambda row: {
            "token": str(row.token), "symbol": row.name, "name": suffixed(row), "expiry": "", "strike": "",
            "lotsize": "1", "instrumenttype": "EQ", "exch_seg": row.exchange, "tick_size": "0.05",
        }
    ),
    "dhan": table(
        "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,SEM_TRADING_SYMBOL,"
        "SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,SEM_OPTION_TYPE,SEM_TICK_SIZE,"
        "SEM_EXPIRY_FLAG,SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,SM_SYMBOL_NAME",
        lambda row: (
            f"{row.exchange},E,{row.token},EQUITY,0,{row.name},1.0,{row.name},0001-01-01,,XX,1.0000,,ES,"
            f"{row.series},{row.name} LTD"
        ),
    ),
    "indmoney": table(
        "EXCH,SEGMENT,SECURITY_ID,INSTRUMENT_NAME,EXPIRY_CODE,TRADING_SYMBOL,LOT_UNITS,CUSTOM_SYMBOL,EXPIRY_DATE,"
        "STRIKE_PRICE,OPTION_TYPE,TICK_SIZE,EXPIRY_FLAG,SEM_EXCH_INSTRUMENT_TYPE,SERIES,SYMBOL_NAME",
        lambda row: (
            f"{row.exchange},E,{row.token},EQUITY,0,{row.name},1,{row.name},,,,0.1,,ES,{row.series},{row.name} LTD"
        ),
    ),
    "upstox": objects(
        lambda row: {
            "segment": f"{row.exchange}_EQ", "name": f"{row.name} LTD", "exchange": row.exchange,
            "instrument_type": row.series, "instrument_key": f"{row.exchange}_EQ|{row.token}", "lot_size": 1,
            "tick_size": 5.0, "trading_symbol": row.name,
        }
    ),
    "groww": table(
        "exchange,exchange_token,trading_symbol,groww_symbol,name,instrument_type,segment,series,isin,"
        "underlying_symbol,underlying_exchange_token,expiry_date,strike_price,lot_size,tick_size",
        lambda row: f"{row.exchange},{row.token},{row.name},X,{row.name} LTD,EQ,CASH,{row.series},X,,,,,1,0.05",
    ),
    "nubra": objects(
        lambda row: {
            "ref_id": row.token, "strike_price": 0, "option_type": "N/A", "token": 1, "stock_name": row.name,
            "series": row.series, "lot_size": 1, "asset": row.name, "expiry": 0, "exchange": row.exchange,
            "derivative_type": "STOCK", "asset_type": "STOCKS", "tick_size": 5,
        },
        "refdata",
    ),
    "kotak": by_exchange(
        "pSymbol,pGroup,pExchSeg,pInstType,pSymbolName,pTrdSymbol,pOptionType,pISIN,dTickSize ,lLotSize,"
        "lExpiryDate ,dStrikePrice;",
        lambda row: (
            f"{row.token},{row.series},{row.exchange.lower()}_cm,,{row.name},{suffixed(row)},,{isin(row)},5,1,-1,-1"
        ),
    ),
    "motilal": by_exchange(
        "exchange,exchangename,scripcode,scripname,marketlot,scripshortname,issuspended,instrumentname,expirydate,"
        "strikeprice,optiontype,ticksize",
        lambda row: (
            f"1,{row.exchange},{row.token},"
            f"{f'{row.name} {row.series}' if row.exchange == 'NSE' else row.name},1,{row.name},N,EQUITY,0,0,"
            f"{row.series},0.05"
        ),
    ),
    "fyers": by_exchange(
        "",
        lambda row: (
            f"{'10' if row.exchange == 'NSE' else '12'}100000{row.token:08d},{row.name} LTD,0,1,0.05,{isin(row)},"
            f"0915-1530,2025-08-05,,{row.exchange}:{row.name}-{row.series},{'10' if row.exchange == 'NSE' else '12'},"
            f"10,{row.token},{row.name},{row.token},-1.0,XX,X,None,0,0.0"
        ),
    ),
    "paytm": table(
        "security_id,symbol,name,series,tick_size,lot_size,instrument_type,segment,exchange,upper_limit,lower_limit,"
        "expiry_date,strike_price,freeze_quantity",
        lambda row: f"{row.token},{row.name},{row.name} LTD,{row.series},0.05,1,ES,E,{row.exchange},1,1,,0,1",
    ),
    "pocketful": _pocketful,
    "samco": table(
        "exchange,exchangeSegment,symbolCode,tradingSymbol,name,lastPrice,instrument,lotSize,strikePrice,expiryDate,"
        "tickSize",
        lambda row: f"{row.exchange},X,{row.token}_{row.exchange},{suffixed(row)},{row.name},0,EQ,1,,,0.05",
    ),
    "tradejini": table(
        "id,dispName,excToken,lot,tick,asset,freezeQty,isin,desc",
        lambda row: (
            f"EQT_{row.name}_{row.series}_{row.exchange},{row.name},{row.token},1,0.1,equity,1,{isin(row)},X"
        ),
    ),
    "fivepaisa": table(
        "Exch,ExchType,ScripCode,Name,Expiry,ScripType,StrikeRate,FullName,TickSize,LotSize,QtyLimit,Multiplier,"
        "SymbolRoot,BOCOAllowed,ISIN,ScripData,Series",
        lambda row: (
            f"{row.exchange[0]},C,{row.token},{row.name},1980-01-01 00:00:00,EQ,0,X,0.05,1,0,1,{row.name},Y,X,X,"
            f"{row.series}"
        ),
    ),
    "shoonya": NOREN, "zebu": NOREN, "tradesmart": NOREN,
    "flattrade": by_exchange(
        "Exchange,Token,Lotsize,Symbol,Tradingsymbol,Instrument,Expiry,Strike,Optiontype",
        lambda row: f"{row.exchange},{row.token},1,{row.name},{suffixed(row)},{row.series},,,",
    ),
    "firstock": by_exchange(
        "Exchange,Token,LotSize,TradingSymbol,CompanyName,ISIN,TickSize,FreezeQty",
        lambda row: f"{row.exchange},{row.token},1,{suffixed(row)},{row.name} LTD,{isin(row)},0.05,100",
    ),
    "aliceblue": by_exchange(
        "Exch,Exchange Segment,Group Name,Symbol,Token,Instrument Type,Instrument Name,Formatted Ins Name,"
        "Trading Symbol,Lot Size,Tick Size",
        lambda row: (
            f"{row.exchange},x,{row.series},{row.name},{row.token},EQ,{row.name} LTD,X,{suffixed(row)},1,0.05"
        ),
    ),
    "definedge": table(
        "",
        lambda row: (
            f"{row.exchange},{row.token},{row.name},{suffixed(row)},"
            f"{row.series if row.exchange == 'NSE' else 'EQ'},,5,1,,0,2,1,{isin(row)},1.000000,{row.name} LTD"
        ),
    ),
}  # fmt: skip
FORMATS["dhan_sandbox"] = FORMATS["dhan"]
NAMES = {"mstock": "OpenAPIScripMaster.json", "tradejini": "Securities.csv"}


def listed(broker: str) -> list[Instrument]:
    files = FORMATS.get(broker, _xts)(NAMES.get(broker, "list"))
    reader = load_broker(broker).instruments()
    return [row for name, data in files.items() for row in reader.parse(data, name)]


def number(one: Instrument) -> int:
    """The case's own number of a token, of which brokers make different things."""
    return (
        int("".join(filter(str.isdigit, one.token))[-8:])
        if one.token.isdigit()
        else int(one.token.rpartition("|")[2].partition("_")[0])
    )


@pytest.mark.parametrize("broker", broker_names())
def test_a_bare_name_is_the_best_shares_and_every_other_row_is_name_series(broker: str) -> None:
    cash = [one for one in listed(broker) if one.exchange in ("NSE", "BSE")]
    assert {(one.exchange, one.symbol): number(one) for one in cash} == BARE | WITH_SERIES
    assert len(cash) == len(ROWS)


@pytest.mark.parametrize("broker", broker_names())
def test_name_series_of_every_row_of_nse_is_told_so_that_it_can_be_asked_for(broker: str) -> None:
    series = {(one.symbol, one.series) for one in listed(broker) if one.exchange == "NSE"}
    assert {("BETACO", "BZ"), ("BETACO-N1", "N1"), ("ALPHACO", "EQ"), ("GAMMACO", "SM")} <= series
