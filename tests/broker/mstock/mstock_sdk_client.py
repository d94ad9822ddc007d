"""m.Stock's official Type B SDK as a process of its own: subscribes, then prints every tick that it parsed.

Arguments: the SDK's folder, the feed's URL, API key, token. Standard input: one JSON line of [exchange type's name,
tokens, mode]. It ends with the packet whose token is 0.
"""

import json
import sys
from typing import Any


def main(folder: str, root: str, api_key: str, token: str) -> None:
    sys.path.append(folder)
    from tradingapi_b.mticker import MTicker  # type: ignore[import-not-found]

    wanted = json.loads(sys.stdin.readline())
    out = sys.stdout
    sys.stdout = sys.stderr  # it prints words of its own

    def say(kind: str, content: Any) -> None:
        out.write(json.dumps([kind, content]) + "\n")
        out.flush()

    def on_connect(ticker: Any, response: object) -> None:
        say("connected", None)

    def on_open(ticker: Any) -> None:
        ticker.send_login_after_connect()
        for exchange, tokens, mode in wanted:
            ticker.subscribe(exchange, tokens, mode)

    def on_ticks(ticker: Any, ticks: list[dict[str, Any]]) -> None:
        for tick in ticks:
            if tick["instrument_token"] == "0":
                ticker.close()
                ticker.stop()
            else:
                say("tick", tick)

    ticker = MTicker(api_key, token, root, reconnect=False)
    ticker.on_connect, ticker.on_open, ticker.on_ticks = on_connect, on_open, on_ticks
    ticker.connect()


if __name__ == "__main__":
    main(*sys.argv[1:])
