"""The protobuf schema of the depth feed (specification section 5.3) and its parser.

All fields are declared, those too that nobody reads, so that a message that is cut anywhere does not parse.
"""

from collections.abc import Callable
from typing import Any

from tickmux.broker._protobuf_schema import ParseError, parsers

__all__ = ["PING", "ParseError", "parse_socket_message"]

_PACKAGE = "tickmux.fyers"

_SCHEMA = {
    # The documented map `feeds`, declared as the repeated entries that a map is on the wire: that keeps their order.
    "SocketMessage": "1 type int32, 2 feeds FeedEntry[], 3 snapshot bool, 4 msg string, 5 error bool",
    "FeedEntry": "1 key string, 2 value MarketFeed",
    "MarketFeed": (
        "1 quote Quote, 2 eq ExtendedQuote, 3 dq DailyQuote, 4 ohlcv OHLCV, 5 depth Depth, 6 feed_time UInt64Value, "
        "7 send_time UInt64Value, 8 token string, 9 sequence_no uint64, 10 snapshot bool, 11 ticker string, "
        "12 symdetail SymDetail"
    ),
    "Depth": "1 tbq UInt64Value, 2 tsq UInt64Value, 3 asks MarketLevel[], 4 bids MarketLevel[]",
    "MarketLevel": "1 price Int64Value, 2 qty UInt32Value, 3 nord UInt32Value, 4 num UInt32Value",
    "Quote": (
        "1 ltp Int64Value, 2 ltt UInt32Value, 3 ltq UInt32Value, 4 vtt UInt64Value, 5 vtt_diff UInt64Value, "
        "6 oi UInt64Value, 7 ltpc Int64Value"
    ),
    "ExtendedQuote": (
        "1 atp Int64Value, 2 cp Int64Value, 3 lc UInt32Value, 4 uc UInt32Value, 5 yh Int64Value, 6 yl Int64Value, "
        "7 poi UInt64Value, 8 oich Int64Value, 9 pc UInt32Value"
    ),
    "DailyQuote": (
        "1 do Int64Value, 2 dh Int64Value, 3 dl Int64Value, 4 dc Int64Value, 5 dhoi UInt64Value, 6 dloi UInt64Value"
    ),
    "OHLCV": (
        "1 open Int64Value, 2 high Int64Value, 3 low Int64Value, 4 close Int64Value, 5 volume UInt32Value, "
        "6 epoch UInt32Value"
    ),
    "SymDetail": "1 ticksize string",
    "Int64Value": "1 value int64",
    "UInt32Value": "1 value uint32",
    "UInt64Value": "1 value uint64",
}
"""Message -> `number name type`; `[]` marks what repeats."""

parse_socket_message: Callable[[bytes], Any] = parsers(_PACKAGE, _SCHEMA)("SocketMessage")
"""A `SocketMessage` out of its bytes; raises ParseError for anything else."""
PING = 0
"""`SocketMessage.type` of a heartbeat."""
