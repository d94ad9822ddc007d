"""The protobuf schema of the feed (specification section 5.2) and its parser.

All fields are declared, those too that nobody reads, so that a frame which is broken anywhere does not parse.
"""

from collections.abc import Callable
from typing import Any

from tickmux.broker._protobuf_schema import ParseError, parsers

__all__ = ["ParseError", "parse_feed_response"]

_PACKAGE = "tickmux.upstox"

_SCHEMA = {
    # The documented map `feeds`, declared as the repeated entries that a map is on the wire: that keeps their order.
    "FeedResponse": "1 type int32, 2 feeds FeedEntry[], 3 currentTs int64, 4 marketInfo MarketInfo",
    "FeedEntry": "1 key string, 2 value Feed",
    "Feed": "1 ltpc LTPC?, 2 fullFeed FullFeed?, 3 firstLevelWithGreeks FirstLevelWithGreeks?, 4 requestMode int32",
    "FullFeed": "1 marketFF MarketFullFeed?, 2 indexFF IndexFullFeed?",
    "LTPC": "1 ltp double, 2 ltt int64, 3 ltq int64, 4 cp double, 5 iep DoubleValue",
    "MarketFullFeed": (
        "1 ltpc LTPC, 2 marketLevel MarketLevel, 3 optionGreeks OptionGreeks, 4 marketOHLC MarketOHLC, 5 atp double, "
        "6 vtt int64, 7 oi double, 8 iv double, 9 tbq double, 10 tsq double, 11 iep double, 12 rp double, "
        "13 ieq int64, 14 iiqTotal int64, 15 iiqM int64, 16 casEligible bool"
    ),
    "IndexFullFeed": "1 ltpc LTPC, 2 marketOHLC MarketOHLC",
    "FirstLevelWithGreeks": (
        "1 ltpc LTPC, 2 firstDepth Quote, 3 optionGreeks OptionGreeks, 4 vtt int64, 5 oi double, 6 iv double"
    ),
    "MarketLevel": "1 bidAskQuote Quote[]",
    "Quote": "1 bidQ int64, 2 bidP double, 3 askQ int64, 4 askP double",
    "MarketOHLC": "1 ohlc OHLC[]",
    "OHLC": "1 interval string, 2 open double, 3 high double, 4 low double, 5 close double, 6 vol int64, 7 ts int64",
    "OptionGreeks": "1 delta double, 2 theta double, 3 gamma double, 4 vega double, 5 rho double",
    "DoubleValue": "1 value double",
    "MarketInfo": "1 segmentStatus Status[], 2 casMarketStatus NewStatus[], 3 preOpenSessionStatus NewStatus[]",
    "Status": "1 key string, 2 value int32",
    "NewStatus": "1 key string, 2 value StatusInfo",
    "StatusInfo": "1 status string, 2 updatedTime int64",
}
"""Message -> `number name type`; `[]` marks what repeats, `?` a member of the message's only oneof, `union`."""

parse_feed_response: Callable[[bytes], Any] = parsers(_PACKAGE, _SCHEMA)("FeedResponse")
"""A `FeedResponse` out of its bytes, unknown fields skipped; raises ParseError for anything else."""
