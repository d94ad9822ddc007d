"""The official `dhanhq` feed classes as a process of their own: subscribe, then tell what they understood.

Arguments: socket (`main`, `20` or `200`), its URL, client id, access token. Standard input: one JSON line, a list of
[segment, security id, request code]. Standard output: `open` once subscribed, then one JSON line: on `main` all
parsed packets up to the market status that the test sends as the end mark; on a depth socket both sides of
every instrument.
"""

import asyncio
import contextlib
import json
import sys
from typing import Any

from dhanhq import DhanContext, FullDepth, MarketFeed


def main_feed(url: str, context: DhanContext, wanted: list[list[Any]]) -> list[Any]:
    MarketFeed.market_feed_wss = url
    feed = MarketFeed(context, [tuple(entry) for entry in wanted], "v2")
    feed.run_forever()
    tell("open")
    packets: list[Any] = []
    while (packet := feed.get_data()) != "Markets Open":
        packets.append(packet)
    return packets


def depth_feed(levels: int, url: str, context: DhanContext, wanted: list[list[Any]]) -> list[Any]:
    feed = FullDepth(context, [tuple(entry[:2]) for entry in wanted], levels)
    feed.ws_url = url
    found: list[Any] = []

    async def read() -> None:
        await feed.connect()
        while len(found) < 2 * len(wanted):
            async for side in feed.get_instrument_data():
                found.append(side)

    with contextlib.redirect_stdout(sys.stderr):  # it talks
        feed.loop.run_until_complete(read())
    tell("open")
    return found


def tell(line: str) -> None:
    print(line, flush=True)


def main(socket: str, url: str, client_id: str, token: str) -> None:
    wanted: list[list[Any]] = json.loads(sys.stdin.readline())
    context = DhanContext(client_id, token)
    try:
        found = main_feed(url, context, wanted) if socket == "main" else depth_feed(int(socket), url, context, wanted)
    except Exception as error:
        tell(f"error {error}")
        return
    tell(json.dumps(found))


if __name__ == "__main__":
    asyncio.set_event_loop(asyncio.new_event_loop())
    main(*sys.argv[1:])
