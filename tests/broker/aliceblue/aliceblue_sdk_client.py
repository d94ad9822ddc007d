"""Alice Blue's official SDK as a process of its own: looks instruments up, subscribes, says what it was told.

Arguments: folder of the SDK, the feed's URL, the REST API's, the instrument lists', user id, session, channel
(`t` or `d`). The working directory receives the lists. Standard input: one JSON line, list -> tokens. Standard
output: `refused`, or `snapshots` once every instrument has come; after an order update, which the test sends as the
end mark, one JSON line, scrip -> fields. The SDK hands frames on as they come: they are merged here.
"""

import json
import sys
import threading
from typing import Any

sys.path.append(sys.argv[1])

from wrapper import Aliceblue


def main(feed: str, api: str, lists: str, user: str, session: str, channel: str) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # the SDK prints
    known: dict[str, dict[str, Any]] = {}
    done = threading.Event()
    told: list[str] = []

    def say(text: str) -> None:
        print(text, file=answers, flush=True)

    def on_message(text: str) -> None:
        message = json.loads(text)
        kind = message["t"]
        if kind == "cf" and message["k"] != "OK":
            say("refused")
            done.set()
        elif kind == "cf":
            client.subscribe(wanted)
        elif kind == "om":
            say(json.dumps(known))
            done.set()
        else:
            scrip = f"{message['e']}|{message['tk']}"
            if kind == f"{channel}k":
                known[scrip] = {}
            known[scrip].update(message)
            if not told and len(known) == len(wanted):
                told.append("snapshots")
                say("snapshots")

    Aliceblue.base_url = f"{api}/"
    Aliceblue.base_url_c = f"{lists.rstrip('/')}/%s.csv"
    Aliceblue._sub_urls["base_url_socket"] = feed
    client = Aliceblue(user_id=user, api_key="", session_id=session)
    asked = json.loads(sys.stdin.readline())
    wanted = [client.get_instrument_by_token(name, token) for name, tokens in asked.items() for token in tokens]
    client.start_websocket(subscription_callback=on_message, run_in_background=True, market_depth=channel == "d")
    done.wait(20)


if __name__ == "__main__":
    main(*sys.argv[2:])
