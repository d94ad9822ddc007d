"""Zebu's official SDK as a process of its own: subscribes, merges what it is told, and says what it has.

Arguments: folder of the SDK, the feed's URL, user id, token. Standard input: one JSON line, channel (`t`, `d`) ->
scrips in the wire's names. Standard output: `refused`, or `snapshots` once every scrip has come; after an order
update, which the test sends as the end mark, one JSON line, channel -> scrip -> fields.
"""

import json
import sys
import threading
from typing import Any

sys.path.append(sys.argv[1])

from myntapi import NorenApi_oauth
from myntapi.noren_oauth import FeedType


def main(url: str, user: str, token: str) -> None:
    wanted: dict[str, list[str]] = json.loads(sys.stdin.readline())
    known: dict[str, dict[str, Any]] = {"t": {}, "d": {}}
    done = threading.Event()
    told: list[str] = []

    def on_feed(message: dict[str, Any]) -> None:
        channel, scrip = message["t"][0], f"{message['e']}|{message['tk']}"
        if message["t"].endswith("k"):
            known[channel][scrip] = {}
        known[channel][scrip].update(message)
        if not told and all(set(scrips) <= known[channel].keys() for channel, scrips in wanted.items()):
            told.append("snapshots")
            print("snapshots", flush=True)

    def on_open() -> None:
        api.subscribe(wanted["t"], FeedType.TOUCHLINE)
        api.subscribe(wanted["d"], FeedType.SNAPQUOTE)

    def on_error(message: Any) -> None:
        if isinstance(message, dict):
            print("refused", flush=True)
            done.set()

    def on_order(message: dict[str, Any]) -> None:
        print(json.dumps(known), flush=True)
        done.set()

    api = NorenApi_oauth(host="http://127.0.0.1/", websocket=url)  # `app_oauth` is this with Zebu's addresses
    api.set_session(user, "", token)
    api.start_websocket(
        subscribe_callback=on_feed,
        order_update_callback=on_order,
        socket_open_callback=on_open,
        socket_error_callback=on_error,
    )
    done.wait(20)


if __name__ == "__main__":
    main(*sys.argv[2:])
