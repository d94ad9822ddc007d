"""Tradejini's instrument list: the specification's rows, its group table, bad rows, files that are none."""

import json

import pytest

from tickmux.broker.tradejini.instruments import TradejiniInstruments
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

SECURITIES = "id,dispName,excToken,lot,tick,asset,freezeQty,isin,desc"
INDEX = "id,dispName,excToken,symbol"
CONTRACTS = "id,dispName,excToken,lot,tick,asset,freezeQty"
SAMPLES = {
    "Securities.csv": f"""{SECURITIES}
EQT_TCS_EQ_NSE,TCS,11536,1,0.1,equity,41000,INE467B01029,TATA CONSULTANCY SERV LT
EQT_RELIANCE_A_BSE,RELIANCE,500325,1,0.1,equity,67662,INE002A01018,"RELIANCE INDUSTRIES, LTD"
""",
    "Index.csv": f"""{INDEX}
IDX_NIFTY_NSE,Nifty 50,-1,NIFTY
IDX_SENSEX_BSE,Sensex,-100,SENSEX
""",
    "FutureContracts.csv": f"""{CONTRACTS}
FUTIDX_NIFTY_NFO_2026-12-29,NIFTY DEC FUT,44498,75,0.05,index,1800
""",
    "NSEOptions.csv": f"""{CONTRACTS}
OPTIDX_NIFTY_NFO_2026-12-29_26000_CE,NIFTY 29DEC 26000 CE,44501,75,0.05,index,1800
OPTSTK_SBIN_NFO_2026-12-29_817.5_PE,SBIN DEC 817.5 PE,71844,750,0.05,equity,37500
""",
    "BSEOptions.csv": f"""{CONTRACTS}
OPTIDX_SENSEX_BFO_2026-11-26_85000_CE,SENSEX 26NOV 85000 CE,861203,20,0.05,index,1000
""",
    "CurrencyFuture.csv": f"""{CONTRACTS}
FUTCUR_USDINR_CDS_2026-12-29,USDINR DEC FUT,1482,1,0.0025,currency,10000
""",
    "CommodityFuture.csv": f"""{CONTRACTS}
FUTCOM_CRUDEOIL_MCX_2026-12-18,CRUDEOIL DEC FUT,499095,100,1,commodity,10000
""",
}
EXPECTED = """\
TCS | NSE | 11536 | NSE | EQT_TCS_EQ_NSE | | 0 | 1 | EQ | 0.1
RELIANCE | BSE | 500325 | BSE | EQT_RELIANCE_A_BSE | | 0 | 1 | EQ | 0.1
NIFTY | NSE_INDEX | -1 | NSE | IDX_NIFTY_NSE | | 0 | 1 | INDEX | 0.05
SENSEX | BSE_INDEX | -100 | BSE | IDX_SENSEX_BSE | | 0 | 1 | INDEX | 0.05
NIFTY29DEC26FUT | NFO | 44498 | NFO | FUTIDX_NIFTY_NFO_2026-12-29 | 29-DEC-26 | 0 | 75 | FUT | 0.05
NIFTY29DEC2626000CE | NFO | 44501 | NFO | OPTIDX_NIFTY_NFO_2026-12-29_26000_CE | 29-DEC-26 | 26000 | 75 | CE | 0.05
SBIN29DEC26817.5PE | NFO | 71844 | NFO | OPTSTK_SBIN_NFO_2026-12-29_817.5_PE | 29-DEC-26 | 817.5 | 750 | PE | 0.05
SENSEX26NOV2685000CE | BFO | 861203 | BFO | OPTIDX_SENSEX_BFO_2026-11-26_85000_CE | 26-NOV-26 | 85000 | 20 | CE | 0.05
USDINR29DEC26FUT | CDS | 1482 | CDS | FUTCUR_USDINR_CDS_2026-12-29 | 29-DEC-26 | 0 | 1 | FUT | 0.0025
CRUDEOIL18DEC26FUT | MCX | 499095 | MCX | FUTCOM_CRUDEOIL_MCX_2026-12-18 | 18-DEC-26 | 0 | 100 | FUT | 1"""


def parse(filename: str, text: str, reader: TradejiniInstruments | None = None) -> list[Instrument]:
    return list((reader or TradejiniInstruments()).parse(text.encode(), filename))


def table(rows: list[Instrument]) -> list[tuple[str, ...]]:
    return [
        (
            *(row.symbol, row.exchange, row.token, row.brexchange, row.brsymbol, row.expiry),
            *(f"{row.strike:g}", str(row.lotsize), row.instrumenttype, f"{row.tick_size:g}"),
        )
        for row in rows
    ]


WANTED = [tuple(cell.strip() for cell in line.split("|")) for line in EXPECTED.split("\n")]


def test_the_sample_rows_become_the_expected_table() -> None:
    reader = TradejiniInstruments()
    rows = [row for name, text in SAMPLES.items() for row in parse(name, text, reader)]
    assert table(rows) == WANTED
    assert rows[1].name == "RELIANCE INDUSTRIES, LTD"
    assert not reader.skipped


def test_a_users_own_file_name_is_no_hindrance() -> None:
    rows = [row for text in SAMPLES.values() for row in parse("mine.txt", text)]
    assert table(rows) == WANTED


def test_a_json_answer_is_read_as_well() -> None:
    rows = []
    for name, text in SAMPLES.items():
        header, *lines = [line.replace("INDUSTRIES, LTD", "INDUSTRIES LTD") for line in text.strip().split("\n")]
        objects = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
        numbers = [{**one, "excToken": int(one["excToken"])} for one in objects]
        rows += parse(name.replace(".csv", ".json"), json.dumps({"s": "ok", "d": [*numbers, "x"]}))
    assert table(rows) == WANTED


def store(*groups: object) -> str:
    return json.dumps({"s": "ok", "d": {"version": 1, "updated": True, "symbolStore": groups}})


def test_the_table_of_groups_says_how_ids_are_read() -> None:
    reader = TradejiniInstruments()
    told = [
        {"name": "NSEOptions", "idFormat": "exchange_instrument_optType_strike_expiry_symbol"},
        {"name": "Spot"},
        5,
    ]
    assert parse("symbol-store.json", store(*told), reader) == []
    (row,) = parse("NSEOptions.csv", f"{CONTRACTS}\nNFO_OPTSTK_PE_5.5_2026-12-29_M_M,M,1,75,0.05,x,1\n", reader)
    assert (row.symbol, row.exchange, row.instrumenttype) == ("M_M29DEC265.5PE", "NFO", "PE")


def test_a_part_that_the_id_lacks_comes_from_its_column() -> None:
    reader = TradejiniInstruments()
    parse("symbol-store.json", store({"name": "NSEOptions", "idFormat": "instrument_symbol"}), reader)
    header = "id,excToken,exchange,expiry,strike,optType,lot,tick"
    (row,) = parse("NSEOptions.csv", f"{header}\nOPTIDX_NIFTY,7,NFO,2026-12-29,26000.0,CE,75,0.05\n", reader)
    assert row.symbol == "NIFTY29DEC2626000CE"


def test_the_bare_name_belongs_to_the_normal_series() -> None:
    rows = parse(
        "Securities.csv",
        f"{SECURITIES}\nEQT_SBIN_BL_NSE,SBIN,1,1,0.05,equity,1,,\nEQT_SBIN_EQ_NSE,SBIN,3045,1,0.05,equity,1,,\n"
        "EQT_ABC_BE_NSE,ABC,3,1,0.05,equity,1,,\nEQT_SBIN_A_BSE,SBIN,500112,1,0.05,equity,1,,\n",
    )
    assert {(row.symbol, row.exchange): row.token for row in rows} == {
        ("SBIN", "NSE"): "3045",
        ("SBIN-BL", "NSE"): "1",
        ("ABC", "NSE"): "3",
        ("SBIN", "BSE"): "500112",
    }


@pytest.mark.parametrize(
    ("name", "exchange", "symbol"),
    [
        ("BANKNIFTY", "NSE", "BANKNIFTY"),
        ("FINNIFTY", "NSE", "FINNIFTY"),
        ("MIDCPNIFTY", "NSE", "MIDCPNIFTY"),
        ("NIFTYNXT50", "NSE", "NIFTYNXT50"),
        ("India VIX", "NSE", "INDIAVIX"),
        ("Nifty Auto", "NSE", "NIFTYAUTO"),
        ("BANKEX", "BSE", "BANKEX"),
        ("SENSEX50", "BSE", "SENSEX50"),
        ("SNXT50", "BSE", "BSESENSEXNEXT50"),
        ("AUTO", "BSE", "BSEAUTO"),
        ("METAL", "BSE", "BSEMETAL"),
        ("BSE IT", "BSE", "BSEINFORMATIONTECHNOLOGY"),
        ("BSE HC", "BSE", "BSEHEALTHCARE"),
        ("BSEFMC", "BSE", "BSEFASTMOVINGCONSUMERGOODS"),
        ("POWER", "BSE", "BSEPOWER"),
        ("SMLCAP", "BSE", "BSESMALLCAP"),
        ("MIDCAP", "BSE", "BSEMIDCAP"),
        ("TELCOM", "BSE", "BSETELECOM"),
        ("BSE 500", "BSE", "BSE500"),
    ],
)
def test_index_names_become_our_symbols(name: str, exchange: str, symbol: str) -> None:
    (row,) = parse("Index.csv", f"{INDEX}\nIDX_{name}_{exchange},x,-7,{name}\n")
    assert (row.symbol, row.exchange) == (symbol, f"{exchange}_INDEX")
    (row,) = parse("Index.csv", f"{INDEX}\nIDX_{name}_{exchange},x,-7,\n")
    assert row.symbol == symbol


OPTION = "OPTIDX_NIFTY_NFO_2026-12-29_26000_CE"


@pytest.mark.parametrize(
    ("filename", "row", "reason"),
    [
        ("NSEOptions.csv", f"{OPTION},x,1,75", "wrong number of columns"),
        ("NSEOptions.csv", f'"{OPTION},x,1,75,0.05,index,1', "broken quotes"),
        ("NSEOptions.csv", "OPTIDX_NIFTY_NFO_2026-12-29,x,1,75,0.05,index,1", "id with too few parts"),
        ("NSEOptions.csv", f"{OPTION},x,,75,0.05,index,1", "no token"),
        ("NSEOptions.csv", f"{OPTION},x,-1,75,0.05,index,1", "no token"),
        ("NSEOptions.csv", f"{OPTION},x,1,75,0.05,SpotPrice,1", "spot price"),
        ("NSEOptions.csv", "SPOT_NIFTY_NFO_2026-12-29_26000_CE,x,1,75,0.05,index,1", "spot price"),
        ("NSEOptions.csv", f"{OPTION[:-2]}XX,x,1,75,0.05,index,1", "option that is neither call nor put"),
        ("NSEOptions.csv", "OPTIDX_NIFTY_NFO_2026-12-29_0_CE,x,1,75,0.05,index,1", "bad strike"),
        ("NSEOptions.csv", "OPTIDX_NIFTY_NFO_2026-12-29_nan_CE,x,1,75,0.05,index,1", "bad strike"),
        ("NSEOptions.csv", "OPTIDX_NIFTY_NFO_29-12-2026_1_CE,x,1,75,0.05,index,1", "bad expiry"),
        ("NSEOptions.csv", "OPTIDX_NIFTY_NFO_2026-W53-1_1_CE,x,1,75,0.05,index,1", "bad expiry"),
        ("NSEOptions.csv", "OPTIDX__NFO_2026-12-29_1_CE,x,1,75,0.05,index,1", "derivative without an underlying"),
        ("NSEOptions.csv", "OPTIDX_NIFTY_NCO_2026-12-29_1_CE,x,1,75,0.05,index,1", "exchange that is not served"),
        ("NSEOptions.csv", f"{OPTION},x,1,-75,0.05,index,1", "bad lot size"),
        ("NSEOptions.csv", f"{OPTION},x,1,75,cheap,index,1", "bad tick size"),
        ("Securities.csv", "EQT_X_EQ_NCDEX,X,1,1,0.05,equity,1,,", "exchange that is not served"),
        ("Securities.csv", "EQT_X_EQ_NSE,,1,1,0.05,equity,1,,", "no symbol"),
        ("Index.csv", "IDX_BULLDEX_MCX,x,-5,MCXBULLDEX", "exchange that is not served"),
        ("mine.csv", "XYZ_A_B_C,x,1,75,0.05,index,1", "unknown instrument code"),
    ],
)
def test_a_bad_row_is_skipped_and_counted(filename: str, row: str, reason: str) -> None:
    header = {"Securities.csv": SECURITIES, "Index.csv": INDEX}.get(filename, CONTRACTS)
    good = SAMPLES["NSEOptions.csv" if filename == "mine.csv" else filename].split("\n")[1]
    reader = TradejiniInstruments()
    assert len(parse(filename, f"{header}\n{row}\n{good}\n", reader)) == 1
    assert reader.skipped == {reason: 1}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>maintenance</html>",
        b'{"s":"error","msg":"x"}',
        b'{"s":"ok"',
        b'{"s":"ok","d":{}}',
        b"a,b\n1,2\n",
        bytes(range(256)),
        b"{" * 100_000,
    ],
)
def test_another_file_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(ListFormatError):
        TradejiniInstruments().parse(data, "Securities.csv")


def test_the_table_of_groups_is_fetched_first_and_spot_prices_never() -> None:
    downloads = TradejiniInstruments({"api": "http://x/v2"}).downloads(None)
    names = [download.filename for download in downloads]
    assert names[:2] == ["symbol-store.json", "Securities.csv"]
    assert len(names) == 10
    assert not any("Spot" in name for name in names)
    assert downloads[0].url == "http://x/v2/api/mkt-data/scrips/symbol-store?version=0"
    assert downloads[1].url == "http://x/v2/api/mkt-data/scrips/symbol-store/Securities?version=0"


@pytest.mark.parametrize(
    ("group", "row", "wanted"),
    [
        (
            "CurrencyOptions",
            "OPTCUR_USDINR_CDS_2026-12-29_88.25_PE,x,71,1,0.0025,currency,1",
            ("USDINR29DEC2688.25PE", "CDS", "29-DEC-26", 88.25, "PE", 0.0025),
        ),
        (
            "CurrencyFuture",
            "FUTCUR_EURINR_BCD_2026-11-25,x,72,1,0.0025,currency,1",
            ("EURINR25NOV26FUT", "BCD", "25-NOV-26", 0.0, "FUT", 0.0025),
        ),
        (
            "CommodityOptions",
            "OPTFUT_CRUDEOIL_MCX_2026-12-16_5300.0_CE,x,73,100,0.1,commodity,1",
            ("CRUDEOIL16DEC265300CE", "MCX", "16-DEC-26", 5300.0, "CE", 0.1),
        ),
        (
            "FutureContracts",
            "FUTIDX_BANKEX_BFO_2026-11-24,x,74,30,0.05,index,1",
            ("BANKEX24NOV26FUT", "BFO", "24-NOV-26", 0.0, "FUT", 0.05),
        ),
        (
            "NSEOptions",
            "OPTIDX_NIFTY_NFO_2026-12-01_25050_PE,x,75,75,0.05,index,1",
            ("NIFTY01DEC2625050PE", "NFO", "01-DEC-26", 25050.0, "PE", 0.05),
        ),
        (
            "NSEOptions",
            "OPTSTK_M&M_NFO_2026-12-29_3050_CE,x,76,200,0.05,equity,1",
            ("M&M29DEC263050CE", "NFO", "29-DEC-26", 3050.0, "CE", 0.05),
        ),
        (
            "FutureContracts",
            "FUTSTK_BAJAJ-AUTO_NFO_2026-12-29,x,77,75,0.05,equity,1",
            ("BAJAJ-AUTO29DEC26FUT", "NFO", "29-DEC-26", 0.0, "FUT", 0.05),
        ),
    ],
)
def test_contracts_of_every_segment(group: str, row: str, wanted: tuple[object, ...]) -> None:
    (found,) = parse(f"{group}.csv", f"{CONTRACTS}\n{row}\n")
    told = (found.symbol, found.exchange, found.expiry, found.strike, found.instrumenttype, found.tick_size)
    assert told == wanted
    assert found.brsymbol == row.partition(",")[0]
