"""Live prices with the `openalgo` package from PyPI, unchanged: tickmux speaks its protocol.

    pip install openalgo
    TICKMUX_API_KEY=… python examples/ltp_example.py [SYMBOL@EXCHANGE …]

Start a server first: `make run`, or `tickmux serve --simulate zerodha`.
"""

import os
import sys
import threading
import time

from openalgo import api

FIRST_PRICES = 1.5


def instrument(text: str) -> dict[str, str]:
    symbol, _, exchange = text.partition("@")
    return {"symbol": symbol, "exchange": exchange or "NSE"}


def main() -> int:
    key = os.environ.get("TICKMUX_API_KEY")
    if not key:
        print("TICKMUX_API_KEY is not set: `tickmux apikey create` makes a key", file=sys.stderr)
        return 1
    wanted = [instrument(text) for text in sys.argv[1:] or ["SBIN", "RELIANCE", "NIFTY@NSE_INDEX"]]
    count = int(os.environ.get("TICKS", "20"))
    client = api(api_key=key, ws_url=os.environ.get("WEBSOCKET_URL", "ws://127.0.0.1:8765"))
    seen, enough = [0], threading.Event()
    silent = {(one["exchange"], one["symbol"]) for one in wanted}
    all_seen = threading.Event()

    def on_tick(message: dict) -> None:
        data = message["data"]
        print(f"{message['exchange']:>10}:{message['symbol']:<12} {data['ltp']:>12,.2f}", flush=True)
        silent.discard((message["exchange"], message["symbol"]))
        if not silent:
            all_seen.set()
        seen[0] += 1
        if seen[0] >= count:
            enough.set()

    if not client.connect():
        print("cannot connect or authenticate: is the server running, and the key right?", file=sys.stderr)
        return 1
    began = time.monotonic()
    client.subscribe_ltp(wanted, on_data_received=on_tick)
    try:
        # The package does not hand on the server's answer: a name without a price is unknown, or is not traded now.
        if not all_seen.wait(began + FIRST_PRICES - time.monotonic()):
            for exchange, symbol in sorted(silent):
                print(
                    f"no price of {symbol}@{exchange}: unknown, or not traded now; "
                    f"`tickmux instruments search {symbol}` shows what there is",
                    file=sys.stderr,
                    flush=True,
                )
        enough.wait(timeout=60)
    finally:
        client.unsubscribe_ltp(wanted)
        client.disconnect()
    return 0 if enough.is_set() else 1


if __name__ == "__main__":
    sys.exit(main())
