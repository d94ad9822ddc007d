"""Firstock's official SDK as a process of its own: subscribes, keeps the latest of every field, says what it has.

It reads its session from `config.json` in the working directory, as the SDK's login leaves it. Arguments: host and
port of the feed. Standard input: one JSON line, the tokens in the wire's names. Standard output: `refused: …`, or
`snapshots` once every token has come; after an order update, which the test sends as the end mark, one JSON line.
"""

import json
import sys
import threading
from typing import Any

from firstock.websockets.websockets import Firstock, FirstockWebSocket


def merge(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: merge(old.get(key), value) for key, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list):
        return [merge(*pair) for pair in zip(old, new, strict=True)]
    return new


def main(host: str) -> None:
    wanted = set(json.loads(sys.stdin.readline()))
    known: dict[str, Any] = {}
    done = threading.Event()
    told: list[str] = []

    def on_feed(message: dict[str, Any]) -> None:
        for name, fields in message.items():
            known[name] = merge(known.get(name, {}), fields)
        if not told and wanted <= known.keys():
            told.append("snapshots")
            print("snapshots", flush=True)

    def on_order(message: dict[str, Any]) -> None:
        print(json.dumps(known), flush=True)
        done.set()

    model = FirstockWebSocket(tokens=sorted(wanted), order_data=on_order, subscribe_feed_data=on_feed)
    _, error = Firstock.initialize_websockets("", model, {"scheme": "ws", "host": f"{host}/V2"})
    if error:
        print(f"refused: {error['error']['message']}", flush=True)
    else:
        done.wait(20)


if __name__ == "__main__":
    main(*sys.argv[1:])
