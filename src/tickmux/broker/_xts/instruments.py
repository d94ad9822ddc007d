"""The instrument master of the XTS family and its lists of indices (specification section 9).

A master is JSON around rows of columns between bars, without a header, one segment a call. Rows say themselves what
they are; columns are counted from the left, since newer masters append some.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from tickmux.broker._index_names import bse_index_symbol
from tickmux.broker._list_rows import BadRow, instruments, is_digits, iso_day, number
from tickmux.broker._share_names import first_name, named
from tickmux.broker._xts.adapter import XtsAdapter
from tickmux.broker._xts.messages import SEGMENT_OF, SEGMENTS, digits
from tickmux.broker._xts.rest import INDEX_LIST, MASTER, Verdict, read_answer, with_prefix
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry, nse_index_symbol
from tickmux.instrument_list import Download, InstrumentList, ListFormatError

_EXCHANGES = {name: exchange for exchange, name in SEGMENT_OF.items() if not exchange.endswith("_INDEX")}
_INDEX_EXCHANGES = {"NSECM": "NSE_INDEX", "BSECM": "BSE_INDEX"}
_INDEX_LISTS = {SEGMENTS[name]: name for name in _INDEX_EXCHANGES}
_MORE_BSE_NAMES = {"FIN": "BSEFINANCIALSERVICES", "BSEPBI": "BSEPSU"}

_FUTURE, _OPTION, _SPREAD = "1", "2", "4"
_FUTURE_SERIES = ("FUT", "IF", "SF")
_OPTION_SERIES = ("OPT", "IO", "SO")
_OPTION_TYPES = {"3": "CE", "4": "PE"}
_NUMBER_OF_A_FILE = re.compile(r"[-:=](1|11)(?!\w)")
_SERIES = re.compile(r"[A-Z][A-Z0-9]", re.ASCII)
"""NSE's series, those of shares and bonds."""
_LEAST_COLUMNS, _LEAST_OF_A_FUTURE, _LEAST_OF_AN_OPTION = 16, 17, 19


class _Answer(msgspec.Struct):
    result: Any = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


class XtsInstruments(InstrumentList):
    """A member names its adapter; what is fetched follows from the exchanges that it serves.

    Masters are said to be open to everybody, but a session is what makes sure of them.
    """

    adapter: ClassVar[type[XtsAdapter]]
    spares_the_rest: ClassVar[bool] = False
    """Whether a list is good without what could not be fetched of it; NSE's master is always needed."""
    needs_login = True

    def __init_subclass__(cls) -> None:
        cls.default_urls = cls.adapter.default_urls

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        super().__init__(urls)
        self._indices: set[tuple[str, str]] = set()
        """Those already given: BSE's are in the master and in the list of indices."""

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        headers: dict[str, str] = {}
        api = self.urls["api"].rstrip("/")
        if credentials is not None:
            headers = {"Authorization": credentials["token"]}
            api = with_prefix(api, credentials.get("prefix"))
        masters = with_prefix(api, self.adapter.master_prefix)
        segments = dict.fromkeys(SEGMENT_OF[exchange] for exchange in self.adapter.exchanges)
        found = [
            Download(
                url=f"{masters}{MASTER}",
                filename=f"{name}.json",
                method="POST",
                headers=headers,
                json={"exchangeSegmentList": [name]},
                exchanges=(_EXCHANGES[name], *([_INDEX_EXCHANGES[name]] if name == "BSECM" else [])),
                optional=self.spares_the_rest and name != "NSECM",
            )
            for name in segments
        ]
        lists = [number for number, name in _INDEX_LISTS.items() if name in segments]
        return found + [
            Download(
                url=f"{masters}{INDEX_LIST}?exchangeSegment={number}",
                filename=f"indexlist-{number}.json",
                headers=headers,
                exchanges=(_INDEX_EXCHANGES[_INDEX_LISTS[number]],),
                optional=self.spares_the_rest,
            )
            for number in lists
        ]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        try:
            result = _decode_answer(data).result
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            result = None
        if isinstance(result, dict) and isinstance(result.get("indexList"), list):
            return self._index_list(result["indexList"], _index_segment(result, filename))
        if isinstance(result, str) and any(_is_row(line) for line in result[:65_536].split("\n")):
            return self._master(result)
        if read_answer(200, data).verdict is Verdict.AUTH_ERROR:
            raise ListFormatError(
                f"{self.adapter.display_name} no longer accepts the session: "
                f"log in again with `tickmux broker login {self.adapter.name}`"
            )
        kind = "an error answer" if data.lstrip()[:1] in (b"{", b"<") else "another file, or a part of it"
        raise ListFormatError(f"{filename} is not {self.adapter.display_name}'s instrument list but {kind}")

    def _master(self, text: str) -> Iterator[Instrument]:
        def read(line: str) -> Instrument:
            instrument = _instrument(line.rstrip("\r").split("|"))
            return self._claimed(instrument) if instrument.is_index else instrument

        return named(instruments(filter(str.strip, text.split("\n")), read, self.skipped), self.skipped)

    def _index_list(self, names: list[Any], brexchange: str) -> Iterator[Instrument]:
        return instruments(names, lambda entry: self._claimed(_listed_index(entry, brexchange)), self.skipped)

    def _claimed(self, index: Instrument) -> Instrument:
        if (index.brexchange, index.token) in self._indices:
            raise BadRow("index that the other list has too")
        self._indices.add((index.brexchange, index.token))
        return index


def _is_row(line: str) -> bool:
    name, bar, _ = line.partition("|")
    return bool(bar) and name in SEGMENTS


def _index_segment(result: Mapping[str, Any], filename: str) -> str:
    """Whose indices a list has: it says so itself, or the name of its file does."""
    number = digits(result.get("exchangeSegment"))
    if number is None and (named := _NUMBER_OF_A_FILE.search(filename)):
        number = int(named[1])
    found = _INDEX_LISTS.get(number or 0)
    if found is None:
        raise ListFormatError(f"{filename} is a list of indices, but of no exchange that is known")
    return found


def _index_symbol(brexchange: str, name: str) -> str:
    upper = " ".join(name.upper().split())
    symbol = nse_index_symbol(upper) if brexchange == "NSECM" else bse_index_symbol(upper, _MORE_BSE_NAMES)
    return symbol.replace("-", "")


def _listed_index(entry: object, brexchange: str) -> Instrument:
    name, mark, token = entry.rpartition("_") if isinstance(entry, str) else ("", "", "")
    name = name.strip()
    if not mark or not name or not is_digits(token):
        raise BadRow("index without a name or an id")
    return Instrument(
        symbol=_index_symbol(brexchange, name),
        exchange=_INDEX_EXCHANGES[brexchange],
        token=token,
        brexchange=brexchange,
        brsymbol=name,
        name=name,
        lotsize=1,
        instrumenttype="INDEX",
    )


def _instrument(row: list[str]) -> Instrument:
    """One row in our terms; raises BadRow."""
    if len(row) < _LEAST_COLUMNS:
        raise BadRow("too few columns")
    brexchange, token, kind, name, series = row[0], row[1], row[2], row[3].strip(), row[5].strip()
    exchange = _EXCHANGES.get(brexchange, "")
    if not exchange:
        raise BadRow("segment that is not served")
    if not is_digits(token):
        raise BadRow("no instrument id")
    if not name:
        raise BadRow("no name")
    if kind == _SPREAD:
        raise BadRow("spread")
    expiry, strike = "", 0.0
    if brexchange in _INDEX_EXCHANGES:
        brsymbol, kind = row[14].strip(), "EQ"
        if brexchange == "BSECM" and series == "SPOT":
            exchange, symbol, kind = _INDEX_EXCHANGES[brexchange], _index_symbol(brexchange, name), "INDEX"
        elif brexchange == "NSECM" and not _SERIES.fullmatch(series):
            raise BadRow("series that is not served")
        else:
            symbol = first_name(name, brsymbol)
    else:
        brsymbol = row[4].strip()
        is_option = kind == _OPTION or (kind != _FUTURE and series.startswith(_OPTION_SERIES))
        if not is_option and kind != _FUTURE and not series.startswith(_FUTURE_SERIES):
            raise BadRow("unknown kind of contract")
        if len(row) < (_LEAST_OF_AN_OPTION if is_option else _LEAST_OF_A_FUTURE):
            raise BadRow("too few columns")
        day = iso_day(row[16].strip()[:10])  # of `2025-08-28T14:30:00`, as the exchange's clock shows it
        expiry = format_expiry(day)
        kind = "FUT"
        if is_option:
            strike, kind = number(row[17].strip(), "strike"), _OPTION_TYPES.get(row[18].strip(), "")
            if not strike or not kind:
                raise BadRow("option without a strike or a type")
        symbol = derivative_symbol(name, day, kind, strike)
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        token=token,
        brexchange=brexchange,
        brsymbol=brsymbol,
        name=name,
        expiry=expiry,
        strike=strike,
        lotsize=int(number(row[12].strip(), "lot size")),
        instrumenttype=kind,
        tick_size=number(row[11].strip(), "tick size"),
        series=series if exchange in ("NSE", "BSE") else "",
    )
