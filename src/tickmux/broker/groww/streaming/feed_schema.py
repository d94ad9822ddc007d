"""The protobuf schema of the feed (specification section 5) and its parser.

All fields are declared, those too that nobody reads, so that a payload which is broken anywhere does not parse.
"""

from tickmux.broker._protobuf_schema import ParseError, parsers

__all__ = ["ParseError", "parse_payload"]

_SCHEMA = {
    "StocksSocketResponse": (
        "1 symbol string, 2 segment int32, 3 exchange int32, 4 price LivePrice?, 5 depth MarketDepth?, "
        "6 index LiveIndices?"
    ),
    "LivePrice": (
        "1 tsInMillis double, 2 open double, 3 high double, 4 low double, 5 close double, 6 volume double, "
        "7 value double, 8 bidQty double, 9 offerQty double, 10 avgPrice double, 11 highPriceRange double, "
        "12 lowPriceRange double, 13 ltp double, 14 openInterest double, 15 lowTradeRange double, "
        "16 highTradeRange double"
    ),
    # The books are maps of level number -> level.
    "MarketDepth": "1 tsInMillis double, 2 buyBook BookEntry[], 3 sellBook BookEntry[]",
    "BookEntry": "1 key int32, 2 value Book",
    "Book": "1 price double, 2 qty double",
    "LiveIndices": "1 tsInMillis double, 2 value double",
}

parse_payload = parsers("tickmux.groww", _SCHEMA)("StocksSocketResponse")
"""A market subject's payload out of its bytes; raises ParseError for anything else."""
