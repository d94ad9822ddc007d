"""Ticks of publishers that are not ours: OpenAlgo's topics and JSON payloads; pure.

A topic is exchange first, mode last: `NSE_SBIN_LTP`, `NSE_INDEX_NIFTY_QUOTE`, `CRYPTO_SOL_INR_LTP`. It is never taken
apart (symbols contain underscores): the name is made from a subscription and looked up as it comes.
"""

from typing import Any

import msgspec

from tickmux.websocket_proxy.mapping import DATA_MODES
from tickmux.websocket_proxy.subscription_index import TopicKey

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.encode
MAX_FOREIGN_PAYLOAD = 65_536


def openalgo_topic(key: TopicKey) -> bytes:
    """The topic under which OpenAlgo's publishers send what `key` names."""
    return f"{key.exchange}_{key.symbol}_{key.mode.name}".encode()


def normalized(payload: bytes, key: TopicKey) -> bytes | None:
    """A foreign payload as our compact `data`, naming the instrument and mode that were subscribed; None when it
    is no JSON object, or says that it is about another instrument."""
    if len(payload) > MAX_FOREIGN_PAYLOAD:
        return None
    try:
        data = _decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    if data.get("symbol", key.symbol) != key.symbol or data.get("exchange", key.exchange) != key.exchange:
        return None
    data.pop("mode", None)  # publishers spell it in several ways; ours follows the topic
    head = {"symbol": key.symbol, "exchange": key.exchange, "mode": DATA_MODES[key.mode]}
    return _encode(head | {name: _whole(value) for name, value in data.items() if name not in head})


def _whole(value: Any) -> Any:
    """Whole numbers as integers, which is what clients in typed languages want."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, list):
        return [_whole(entry) for entry in value]
    if isinstance(value, dict):
        return {name: _whole(entry) for name, entry in value.items()}
    return value
