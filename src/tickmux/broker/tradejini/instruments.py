"""Tradejini's instrument list: a table of groups, and one file for each (specification section 9)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tickmux.broker._index_names import bse_index_symbol
from tickmux.broker._list_rows import BadRow, is_digits, iso_day, number, split_line
from tickmux.broker._share_names import first_name, named
from tickmux.broker.tradejini.streaming.tradejini_adapter import TradejiniAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry, nse_index_symbol
from tickmux.instrument_list import Download, InstrumentList, ListFormatError

_STORE = "/api/mkt-data/scrips/symbol-store"
_TABLE_OF_GROUPS = "symbol-store.json"

_SECURITY = ("instrument", "symbol", "series", "exchange")
_INDEX = ("instrument", "symbol", "exchange")
_FUTURE = ("instrument", "symbol", "exchange", "expiry")
_OPTION = ("instrument", "symbol", "exchange", "expiry", "strike", "optType")
_GROUPS = {
    "Securities": _SECURITY,
    "Index": _INDEX,
    "FutureContracts": _FUTURE,
    "NSEOptions": _OPTION,
    "BSEOptions": _OPTION,
    "CurrencyFuture": _FUTURE,
    "CurrencyOptions": _OPTION,
    "CommodityFuture": _FUTURE,
    "CommodityOptions": _OPTION,
}
"""Group -> the parts of its ids, unless the table of groups says otherwise; `Spot` is left out."""

_HELD = {
    "Securities": ("NSE", "BSE"), "Index": ("NSE_INDEX", "BSE_INDEX"), "FutureContracts": ("NFO", "BFO"),
    "NSEOptions": ("NFO",), "BSEOptions": ("BFO",), "CurrencyFuture": ("CDS", "BCD"),
    "CurrencyOptions": ("CDS", "BCD"), "CommodityFuture": ("MCX",), "CommodityOptions": ("MCX",),
}  # fmt: skip
"""Group -> the exchanges whose instruments it holds."""

_BY_CODE = {"EQT": "Securities", "IDX": "Index", "FUT": "FutureContracts", "OPT": "NSEOptions"}
"""How an instrument code begins -> the group of a file whose name says nothing."""

_DERIVATIVE_EXCHANGES = frozenset({"NFO", "BFO", "CDS", "BCD", "MCX"})
_MOST_DIGITS = 10
_INDEX_TICK = 0.05

Row = Mapping[str, Any]


class TradejiniInstruments(InstrumentList):
    """The groups' files; the table of groups comes first, since it says how their ids are read. No login needed."""

    needs_login = False
    default_urls = TradejiniAdapter.default_urls

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        super().__init__(urls)
        self._formats: dict[str, Sequence[str]] = dict(_GROUPS)

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        store = f"{self.urls['api']}{_STORE}"
        table = Download(url=f"{store}?version=0", filename=_TABLE_OF_GROUPS, headers={"Accept": "application/json"})
        groups = [
            Download(
                url=f"{store}/{name}?version=0",
                filename=f"{name}.csv",
                headers={"Accept": "text/plain"},
                exchanges=_HELD[name],
            )
            for name in _GROUPS
        ]
        return [table, *groups]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        text = data.decode("utf-8-sig", errors="replace")
        rows = self._json_rows(text, filename) if text.lstrip()[:1] == "{" else self._csv_rows(text, filename)
        group = filename.rpartition("/")[2].partition(".")[0]
        return named(self._instruments(rows, group), self.skipped)

    def _json_rows(self, text: str, filename: str) -> Iterator[Row]:
        try:
            answer = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            raise ListFormatError(f"{filename} is no complete JSON text") from None
        data = answer.get("d")
        if answer.get("s") == "ok" and isinstance(data, dict) and isinstance(data.get("symbolStore"), list):
            self._learn_formats(data["symbolStore"])
            return iter(())
        if answer.get("s") != "ok" or not isinstance(data, list):
            raise ListFormatError(f"{filename} is no instrument list of Tradejini but an error answer")
        return self._objects(data)

    def _learn_formats(self, groups: list[Any]) -> None:
        for group in groups:
            name, parts = (group.get("name"), group.get("idFormat")) if isinstance(group, dict) else (None, None)
            if isinstance(name, str) and isinstance(parts, str) and name in _GROUPS:
                self._formats[name] = tuple(parts.split("_"))

    def _objects(self, data: list[Any]) -> Iterator[Row]:
        for row in data:
            if isinstance(row, dict):
                yield row
            else:
                self.skipped["not in the list's format"] += 1

    def _csv_rows(self, text: str, filename: str) -> Iterator[Row]:
        lines = text.split("\n")
        header = [column.strip() for column in lines[0].split(",")]
        if missing := [column for column in ("id", "excToken") if column not in header]:
            kind = "a page of the broker" if text.lstrip()[:1] == "<" else "another file"
            raise ListFormatError(
                f"{filename} is not Tradejini's instrument list but {kind}: no column {missing[0]!r}"
            )
        return self._lines(lines, header)

    def _lines(self, lines: list[str], header: list[str]) -> Iterator[Row]:
        width = len(header)
        for each in lines[1:]:
            line = each.rstrip("\r")
            if not line:
                continue
            try:
                cells = split_line(line)
            except BadRow as reason:
                self.skipped[str(reason)] += 1
                continue
            if len(cells) == width:
                yield dict(zip(header, cells, strict=True))
            else:
                self.skipped["wrong number of columns"] += 1

    def _instruments(self, rows: Iterator[Row], group: str) -> Iterator[Instrument]:
        for row in rows:
            try:
                kind = group if group in _GROUPS else _group_of(row)
                parts = _parts(row, self._formats[kind])
                instrument = _instrument(row, parts, _GROUPS[kind])
            except BadRow as reason:
                self.skipped[str(reason)] += 1
                continue
            yield instrument


def _text(row: Row, name: str) -> str:
    """A cell; JSON may have numbers."""
    value = row.get(name)
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _group_of(row: Row) -> str:
    group = _BY_CODE.get(_text(row, "id")[:3])
    if group is None:
        raise BadRow("unknown instrument code")
    return group


def _parts(row: Row, names: Sequence[str]) -> dict[str, str]:
    """The id's parts by name, missing ones from the row's columns; what is too much belongs to the symbol."""
    words = _text(row, "id").split("_")
    extra = len(words) - len(names)
    if extra < 0:
        raise BadRow("id with too few parts")
    if extra:
        if "symbol" not in names:
            raise BadRow("id with too many parts")
        at = list(names).index("symbol")
        words[at : at + extra + 1] = ["_".join(words[at : at + extra + 1])]
    parts = dict(zip(names, words, strict=True))
    for name in _OPTION:
        if not parts.get(name):
            parts[name] = _text(row, name)
    return parts


def _instrument(row: Row, parts: Mapping[str, str], group: Sequence[str]) -> Instrument:
    """One row in our terms; raises BadRow."""
    brsymbol, token = _text(row, "id"), _text(row, "excToken")
    if "spot" in brsymbol.lower() or "spot" in _text(row, "asset").lower():
        raise BadRow("spot price")
    digits = token.removeprefix("-") if group is _INDEX else token
    if not is_digits(digits) or len(digits) > _MOST_DIGITS:
        raise BadRow("no token")
    brexchange = brsymbol.rpartition("_")[2] if group is _INDEX else parts["exchange"]
    expiry, strike, kind, series = "", 0.0, "EQ", ""
    lot, tick = int(number(_text(row, "lot"), "lot size")), number(_text(row, "tick"), "tick size")
    if group is _SECURITY:
        series, exchange = parts.get("series", ""), brexchange if brexchange in ("NSE", "BSE") else ""
        symbol = first_name(_text(row, "dispName").removesuffix(f" {series}"), parts["symbol"])
    elif group is _INDEX:
        name = _text(row, "symbol") or parts["symbol"]
        symbol = bse_index_symbol(name) if brexchange == "BSE" else nse_index_symbol(name)
        exchange = f"{brexchange}_INDEX" if brexchange in ("NSE", "BSE") else ""
        kind, lot, tick = "INDEX", 1, _INDEX_TICK
    else:
        exchange = brexchange if brexchange in _DERIVATIVE_EXCHANGES else ""
        kind = parts["optType"] if group is _OPTION else "FUT"
        if kind not in ("CE", "PE", "FUT"):
            raise BadRow("option that is neither call nor put")
        if not parts["symbol"]:
            raise BadRow("derivative without an underlying")
        day = iso_day(parts["expiry"])
        expiry = format_expiry(day)
        if kind != "FUT":
            strike = number(parts["strike"], "strike")
            if not strike:
                raise BadRow("bad strike")
        symbol = derivative_symbol(parts["symbol"], day, kind, strike)
    if not exchange:
        raise BadRow("exchange that is not served")
    if not symbol:
        raise BadRow("no symbol")
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        token=token,
        brexchange=brexchange,
        brsymbol=brsymbol,
        name=_text(row, "desc") or _text(row, "dispName"),
        expiry=expiry,
        strike=strike,
        lotsize=lot,
        instrumenttype=kind,
        tick_size=tick,
        series=series,
    )
