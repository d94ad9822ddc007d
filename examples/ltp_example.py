"""Live prices with the `openalgo` package from PyPI, unchanged: tickmux speaks its protocol.

    pip install openalgo
    TICKMUX_API_KEY=… python examples/ltp_example.py [SYMBOL@EXCHANGE …]

Start a server first: `make run`, or `tickmux serve --simulate zerodha`.
"""

import os
import sys
import threading

from openalgo import api


def instrument(text: str) -> dict[str, str]:
    symbol, _, exchange = text.partition("@")
    return {"symbol": symbol, "exchange": exchange or "NSE"}


def main() -> int:
    wanted = [instrument(text) for text in sys.argv[1:] or ["SBIN", "RELIANCE", "NIFTY@NSE_INDEX"]]
    count = int(os.environ.get("TICKS", "20"))
    client = api(
        api_key=os.environ["TICKMUX_API_KEY"],
        ws_url=os.environ.get("WEBSOCKET_URL", "ws://127.0.0.1:8765"),
    )
    seen, enough = [0], threading.Event()

    def on_tick(message: dict) -> None:
        data = message["data"]
        print(f"{message['exchange']:>10}:{message['symbol']:<12} {data['ltp']:>12,.2f}", flush=True)
        seen[0] += 1
        if seen[0] >= count:
            enough.set()

    if not client.connect():
        print("cannot connect or authenticate: is the server running, and the key right?", file=sys.stderr)
        return 1
    client.subscribe_ltp(wanted, on_data_received=on_tick)
    try:
        enough.wait(timeout=60)
    finally:
        client.unsubscribe_ltp(wanted)
        client.disconnect()
    return 0 if enough.is_set() else 1


if __name__ == "__main__":
    sys.exit(main())
