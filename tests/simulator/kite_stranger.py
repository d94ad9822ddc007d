"""The official `kiteconnect` KiteTicker as a process of its own: subscribes, then tells what it understood.

Arguments: the ticker's URL, API key, access token. Standard input: one JSON line, mode -> instrument tokens.
Standard output: `snapshots` once every instrument was seen in its mode; after an order update, which the test
sends as the end mark, one JSON line with the last tick of each instrument.
"""

import json
import sys
from datetime import datetime
from typing import Any

from kiteconnect import KiteTicker


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)  # the SDK's times are naive and local
    raise TypeError(type(value))


def main(root: str, api_key: str, access_token: str) -> None:
    wanted: dict[str, list[int]] = json.loads(sys.stdin.readline())
    mode_of = {token: mode for mode, tokens in wanted.items() for token in tokens}
    missing = set(mode_of)
    last: dict[int, dict[str, Any]] = {}

    def on_connect(ticker: KiteTicker, response: object) -> None:
        ticker.subscribe(list(mode_of))
        for mode, tokens in wanted.items():
            ticker.set_mode(mode, tokens)

    def on_ticks(ticker: KiteTicker, ticks: list[dict[str, Any]]) -> None:
        for tick in ticks:
            token = tick["instrument_token"]
            last[token] = tick
            if missing and tick["mode"] == mode_of[token]:
                missing.discard(token)
                if not missing:
                    print("snapshots", flush=True)

    def on_order_update(ticker: KiteTicker, data: object) -> None:
        print(json.dumps(last, default=plain), flush=True)
        ticker.close()
        ticker.stop()

    def on_error(ticker: KiteTicker, code: object, reason: object) -> None:
        print(f"error {code} {reason}", flush=True)
        ticker.stop()

    ticker = KiteTicker(api_key, access_token, root=root, reconnect=False)
    ticker.on_connect = on_connect
    ticker.on_ticks = on_ticks
    ticker.on_order_update = on_order_update
    ticker.on_error = on_error
    ticker.connect()


if __name__ == "__main__":
    main(*sys.argv[1:])
