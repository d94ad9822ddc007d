"""The protobuf schema of the feed (specification section 5) and its parsers.

All fields are declared, those too that nobody reads, so that a message which is broken anywhere does not parse.
"""

from tickmux.broker._protobuf_schema import ParseError, parsers

__all__ = ["ParseError", "parse_envelope", "parse_greeks", "parse_index", "parse_index_bucket", "parse_orderbook"]

_SCHEMA = {
    "GenericData": "1 key bytes, 2 data Any",  # the key is arbitrary, so it need not be text
    "Any": "1 type_url string, 2 value bytes",
    "BatchOrderbook": "1 timestamp int64, 2 instruments Orderbook[]",
    "Orderbook": (
        "1 inst_id uint32, 2 timestamp int64, 3 bids Level[], 4 asks Level[], 5 ltp int64, 6 ltq int64, "
        "7 volume int64, 8 ref_id int64"
    ),
    "Level": "1 price int64, 2 quantity int64, 3 orders int64",
    "BatchIndex": "1 timestamp int64, 2 indexes Index[], 3 instruments Index[]",
    "Index": (
        "1 indexname string, 2 timestamp int64, 3 index_value int64, 4 high_index_value int64, "
        "5 low_index_value int64, 6 volume int64, 7 changepercent float, 8 tick_volume int64, 9 prev_close int64, "
        "10 exchange string, 11 volume_oi int64, 12 indicative_close_price int64"
    ),
    "BatchIndexBucket": "1 timestamp int64, 2 indexes IndexBucket[], 3 instruments IndexBucket[]",
    "IndexBucket": (
        "1 indexname string, 2 exchange string, 3 interval int32, 4 timestamp int64, 5 open int64, 6 high int64, "
        "7 low int64, 8 close int64, 9 bucket_volume int64, 10 tick_volume int64, 11 cumulative_volume int64, "
        "12 bucket_timestamp int64"
    ),
    "BatchGreeks": "1 timestamp int64, 2 instruments Greeks[]",
    "Greeks": (
        "1 inst_id uint32, 2 ts int64, 3 sp int64, 4 ls int32, 5 ltp int64, 6 ltpchg float, 7 iv float, "
        "8 delta float, 9 gamma float, 10 theta float, 11 vega float, 12 oi int64, 13 volume int64, 14 ref_id int64, "
        "15 prev_oi int64, 16 price_pcp int64"
    ),
}

_parser = parsers("tickmux.nubra", _SCHEMA)

parse_envelope = _parser("GenericData")
parse_orderbook = _parser("BatchOrderbook")
parse_index = _parser("BatchIndex")
parse_index_bucket = _parser("BatchIndexBucket")
parse_greeks = _parser("BatchGreeks")
"""Each reads its message out of bytes and raises ParseError for anything else."""
