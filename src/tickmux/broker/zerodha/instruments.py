"""Zerodha's instrument list: one CSV file of all exchanges (specification section 9)."""

from collections.abc import Iterator

from tickmux.broker._index_names import bse_index_symbol
from tickmux.broker._list_rows import BadRow, CsvTable, instruments, is_digits, iso_day, number
from tickmux.broker._share_names import first_name, named, split_nse_symbol
from tickmux.broker.zerodha.streaming.zerodha_adapter import ZerodhaAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry, nse_index_symbol
from tickmux.instrument_list import Download, InstrumentList

_COLUMNS = (
    "instrument_token", "tradingsymbol", "name", "expiry", "strike",
    "tick_size", "lot_size", "instrument_type", "segment", "exchange",
)  # fmt: skip

_EXCHANGES = frozenset({"NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO"})
_INDEX_EXCHANGES = {
    "NSE": "NSE_INDEX",
    "BSE": "BSE_INDEX",
    "MCX": "MCX_INDEX",
    "GLOBAL": "GLOBAL_INDEX",
    "NSEIX": "GLOBAL_INDEX",
}


class ZerodhaInstruments(InstrumentList):
    """The dump of all exchanges, about 100,000 rows, made once a day at about 08:00 IST."""

    needs_login = True
    default_urls = ZerodhaAdapter.default_urls

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        if credentials is None:
            raise ValueError("Zerodha's instrument list needs a login")
        headers = {
            "X-Kite-Version": "3",
            "Authorization": f"token {credentials['api_key']}:{credentials['access_token']}",
        }
        return [Download(url=f"{self.urls['api']}/instruments", filename="instruments.csv", headers=headers)]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        table = CsvTable(data, _COLUMNS, filename, "Zerodha's instrument list")
        rows = instruments(table.lines(), lambda line: _instrument(*table.cells(line)), self.skipped)
        return named(rows, self.skipped)


def _instrument(
    token: str,
    brsymbol: str,
    name: str,
    expiry_text: str,
    strike_text: str,
    tick_text: str,
    lot_text: str,
    kind: str,
    segment: str,
    brexchange: str,
) -> Instrument:
    """One row in our terms; raises BadRow."""
    if not is_digits(token):
        raise BadRow("no instrument token")
    if not brsymbol:
        raise BadRow("no trading symbol")
    name = name.strip()
    expiry, strike, series = "", 0.0, ""
    if segment == "INDICES":
        exchange = _INDEX_EXCHANGES.get(brexchange, "")
        symbol = bse_index_symbol(brsymbol) if exchange == "BSE_INDEX" else nse_index_symbol(brsymbol)
        kind = "INDEX"
    else:
        exchange = brexchange if brexchange in _EXCHANGES else ""
        if kind == "EQ":
            symbol, series = split_nse_symbol(brsymbol, "EQ") if exchange == "NSE" else (brsymbol, "")
            symbol = first_name(symbol, name) if exchange in ("NSE", "BSE") else symbol
        elif kind in ("FUT", "CE", "PE"):
            # The trading symbol of a derivative is never parsed: weekly options compress the date.
            if not name:
                raise BadRow("derivative without an underlying")
            day = iso_day(expiry_text)
            expiry = format_expiry(day)
            if kind != "FUT":
                strike = number(strike_text, "strike")
                if not strike:
                    raise BadRow("bad strike")
            symbol = derivative_symbol(name, day, kind, strike)
        else:
            raise BadRow("unknown instrument type")
    if not exchange:
        raise BadRow("unknown exchange")
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        token=token,
        brexchange=brexchange,
        brsymbol=brsymbol,
        name=name,
        expiry=expiry,
        strike=strike,
        lotsize=int(number(lot_text, "lot size")),
        instrumenttype=kind,
        tick_size=number(tick_text, "tick size"),
        series=series,
    )
