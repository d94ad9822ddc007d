"""The table "Index tokens" of m.Stock's documentation: which tokens are indices (specification section 9)."""

import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

from tickmux.instrument import Instrument

_COLUMNS = ("script", "token", "name", "exchange")
_MOST_CELLS = 20_000
"""A page has some hundred; what comes after so many is not read."""

_NSE_NAMES = {
    "NIFTY50": "NIFTY",
    "NIFTYBANK": "BANKNIFTY",
    "NIFTYFINSERVICE": "FINNIFTY",
    "NIFTYNEXT50": "NIFTYNXT50",
    "NIFTYMIDSELECT": "MIDCPNIFTY",
    "NIFTYMIDCAPSELECT": "MIDCPNIFTY",
}

_LOT, _TICK = 1, 0.05
_TAG = re.compile(r"<(/?)([a-zA-Z]++)[^<>]*+>")
"""A tag with nothing to try twice: no page makes the search slow."""


class IndexRow(NamedTuple):
    """One row of the table: the broker's word, the token, the official name, NSE or BSE."""

    script: str
    token: str
    name: str
    exchange: str


KNOWN_NSE = (
    IndexRow("NIFTY50", "26000", "Nifty 50", "NSE"),
    IndexRow("NIFTYBANK", "26009", "Nifty Bank", "NSE"),
    IndexRow("NIFTYNEXT50", "26013", "Nifty Next 50", "NSE"),
    IndexRow("INDIAVIX", "26017", "India VIX", "NSE"),
    IndexRow("NIFTYFINSERVICE", "26037", "Nifty Fin Service", "NSE"),
    IndexRow("NIFTYMIDSELECT", "26074", "NIFTY MID SELECT", "NSE"),
)
"""NSE's own numbers of its main indices, for when the page cannot be read."""


def read_index_table(page: str) -> list[IndexRow]:
    """The rows of every table of the page that has the four columns; empty where there is none. Never raises."""
    return [row for table in _tables(page) for row in _index_rows(table)]


def nse_index(row: IndexRow) -> Instrument:
    """An NSE index in our terms. The dump has no row for it."""
    bare = re.sub(r"[\s-]", "", row.script).upper()
    return Instrument(
        symbol=_NSE_NAMES.get(bare, bare),
        exchange="NSE_INDEX",
        token=row.token,
        brexchange="NSE",
        brsymbol=row.name,
        name=row.name,
        lotsize=_LOT,
        instrumenttype="INDEX",
        tick_size=_TICK,
    )


def _index_rows(table: list[list[str]]) -> Iterator[IndexRow]:
    places: list[int] | None = None
    for cells in table:
        words = [cell.lower() for cell in cells]
        if all(any(column in word for word in words) for column in _COLUMNS):
            places = [next(n for n, word in enumerate(words) if column in word) for column in _COLUMNS]
        elif places is not None and len(cells) > max(places):
            row = IndexRow(*[cells[place] for place in places])
            row = row._replace(exchange=row.exchange.upper())
            if row.script and row.name and row.token.isascii() and row.token.isdigit() and len(row.token) <= 25:
                yield row


def _tables(page: str) -> list[list[list[str]]]:
    """The page's tables: rows of cells, each a text with single spaces. A nested table is one of its own."""
    tables: list[list[list[str]]] = []
    room = _MOST_CELLS
    cell: list[str] | None = None  # the pieces of the cell that is open
    end = 0
    for tag in _TAG.finditer(page):
        text, end = page[end : tag.start()], tag.end()
        if cell is not None:
            cell.append(text)
        name = tag[2].lower()
        if name not in ("table", "tr", "td", "th"):
            continue
        if cell is not None:
            tables[-1][-1].append(" ".join(unescape("".join(cell)).split()))
            cell = None
        if tag[1]:
            continue
        if name == "table":
            tables.append([])
        elif name == "tr" and tables:
            tables[-1].append([])
        elif tables and tables[-1] and room:
            room -= 1
            cell = []
    return tables
