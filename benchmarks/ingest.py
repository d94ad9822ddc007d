"""What reading a broker's wire costs: `python -m benchmarks.ingest`, `make bench-ingest`.

Decodes, for each broker, one frame of the kind that is busiest on its wire, from bytes to ticks, and prints the
microseconds of CPU a tick: the least of many short rounds, since all else on a machine only adds. Where a broker's
own Python SDK is installed (the development dependencies), its parser gets the same frame in the same rounds; it
makes a dict, without routing it to an instrument or judging values. The frames are those of `tests/vectors`.
"""

import contextlib
import importlib.util
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from tickmux.capture import instruments_of, item_frames, items, mode_of
from tickmux.codec_session import CodecSession
from tickmux.decode import adapter_for
from tickmux.tick import Mode

VECTORS = Path(__file__).parents[1] / "tests" / "vectors"
BUSIEST = {
    "zerodha": "full packet, NFO future",
    "angel": "snap quote, NFO future",
    "dhan": "full (code 8), NFO option",
    "upstox": "full, NFO future",
    "fyers": "depth snapshot, then an update",
    "kotak": "depth (level 8)",
    "_xts": "1502-json-full",
    "_noren": "depth snapshot then deltas",
    "motilal": "trade packet",
    "fivepaisa": "MarketFeedV3, NSE equity",
    "mstock": "snap quote packet",
    "paytm": "full packet, future",
    "pocketful": "detailed frame (102 bytes), NFO",
    "groww": "live price with open interest",
    "indmoney": "full frame",
    "firstock": "V2 delta",
    "samco": "quote, NSE future",
    "tradejini": "full L1 packet, then an update",
    "nubra": "order book batch, one equity",
}
"""Broker or protocol family -> how the name of its vector begins; the last frame that gives ticks is timed."""
_ROUNDS, _FRAMES = 60, 40

Decode = Callable[[bytes], object]


def main() -> None:
    table = Table("broker", "frame", "bytes", "ticks", "µs a tick", "its SDK", title="From bytes to ticks")
    for broker, name in BUSIEST.items():
        decode, frame, ticks = busiest(broker, name)
        sdk = SDKS.get(broker, lambda: None)()
        ours, *others = least_us([decode] if sdk is None else [decode, sdk], frame)
        cells = [f"{us / ticks:.1f}" for us in (ours, *others)]
        table.add_row(broker, name, str(len(frame)), str(ticks), *cells)
    Console(width=100).print(table)


def busiest(broker: str, name: str) -> tuple[Callable[[Any], object], Any, int]:
    """A subscribed codec's `decode`, the frame to give it, and how many ticks that makes.

    Raises LookupError where no vector of this name gives a tick.
    """
    document = msgspec.json.decode((VECTORS / f"{broker}.json").read_bytes())
    adapter, instruments = adapter_for(broker), instruments_of(document["instruments"])
    for item, where in items(document, "incoming"):
        if not str(item.get("name")).startswith(name):
            continue
        channel = item.get("channel") or item.get("feed") or next(iter(adapter.channels))
        session = CodecSession(adapter, str(channel))
        session.subscribe_incoming(instruments, mode_of(item.get("mode")) or Mode.DEPTH, 5)
        decode = session.codec.decode
        read = [(frame, len(decode(frame).ticks)) for frame in item_frames(item, where)]
        for frame, ticks in reversed(read):
            if ticks and (again := len(decode(frame).ticks)):
                return decode, frame, again
    raise LookupError(f"no vector of {broker} begins with {name!r} and gives ticks each time")


def least_us(decoders: list[Any], frame: Any, rounds: int = _ROUNDS) -> list[float]:
    """The least CPU time, in microseconds, that each of the decoders takes for the frame; they take turns."""
    least = [float("inf")] * len(decoders)
    for _ in range(rounds):
        for place, decode in enumerate(decoders):
            began = time.thread_time_ns()
            for _ in range(_FRAMES):
                decode(frame)
            least[place] = min(least[place], (time.thread_time_ns() - began) / _FRAMES / 1000)
    return least


# -- the brokers' own parsers: None where the SDK is not installed -----------------------------------------------


def _kite() -> Decode | None:
    with contextlib.suppress(ImportError):
        from kiteconnect import KiteTicker

        parse: Decode = KiteTicker("key", "token")._parse_binary
        return parse
    return None


def _smartapi() -> Decode | None:
    # The package itself asks a web site for an address when it is imported, and its feed module writes a log file
    # where it is started: the module alone is loaded, in a directory that goes away.
    package = importlib.util.find_spec("SmartApi")
    if package is None or not package.submodule_search_locations:
        return None
    path = Path(package.submodule_search_locations[0]) / "smartWebSocketV2.py"
    spec = importlib.util.spec_from_file_location("smart_web_socket_v2", path)
    if spec is None or spec.loader is None:
        return None
    module, here = importlib.util.module_from_spec(spec), Path.cwd()
    with tempfile.TemporaryDirectory() as elsewhere, contextlib.suppress(ImportError):
        os.chdir(elsewhere)
        try:
            spec.loader.exec_module(module)
            parse: Decode = module.SmartWebSocketV2("token", "key", "code", "feed")._parse_binary_data
            return parse
        finally:
            os.chdir(here)
            logging.disable(logging.CRITICAL)
    return None


def _dhanhq() -> Decode | None:
    with contextlib.suppress(ImportError):
        from dhanhq import DhanContext, MarketFeed

        parse: Decode = MarketFeed(DhanContext("client", "token"), [], "v2").process_data
        return parse
    return None


SDKS: dict[str, Callable[[], Decode | None]] = {"zerodha": _kite, "angel": _smartapi, "dhan": _dhanhq}

if __name__ == "__main__":
    sys.exit(main())
