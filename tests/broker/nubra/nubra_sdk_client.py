"""A program that uses Nubra's official SDK for its market data, and prints what its callbacks are told.

Started as a process of its own: the SDK's socket runs in a thread that does not end. The argument is a JSON object:
`sdk` (where the package is), `feed` (a URL), `token`, and what to subscribe: `orderbook` and `greeks` (ref_ids),
`index` and `ohlcv` (exchange -> names). Two packages that it wants for its instrument list only are stood in for.
"""

import json
import sys
import threading
from contextlib import redirect_stdout
from types import ModuleType, SimpleNamespace
from typing import Any

_SAY = threading.Lock()


def stand_in(sdk: str) -> None:
    pandas: Any = ModuleType("pandas")
    pandas.DataFrame = dict
    sys.modules |= {"pandas": pandas, "numpy": ModuleType("numpy")}
    sys.path.insert(0, sdk)


def say(kind: str, content: Any) -> None:
    with _SAY:
        sys.__stdout__.write(json.dumps([kind, content]) + "\n")  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]


def main() -> None:
    options = json.loads(sys.argv[1])
    stand_in(options["sdk"])
    from msgspec import to_builtins
    from nubra_python_sdk.ticker.websocketdata import NubraDataSocket  # type: ignore[import-not-found]

    def told(kind: str) -> Any:
        return lambda data: say(kind, to_builtins(data.model_dump() if hasattr(data, "model_dump") else data))

    client = SimpleNamespace(
        BEARER_TOKEN=options["token"],
        WEBSOCKET_URL="",
        WEBSOCKET_URL_BATCH=options["feed"],
        API_BASE_URL="",
        db_path="",
        totp_login=True,
        token_data={},
        env_path_login=False,
    )
    connected = threading.Event()
    socket = NubraDataSocket(
        client,
        on_index_data=told("index"),
        on_orderbook_data=told("orderbook"),
        on_ohlcv_data=told("ohlcv"),
        on_greeks_data=told("greeks"),
        on_error=told("error"),
        on_connect=lambda words: connected.set(),
    )
    socket.connect()
    connected.wait()
    socket.subscribe(options["orderbook"], "orderbook")
    socket.subscribe(options["greeks"], "greeks")
    for exchange, names in options["index"].items():
        socket.subscribe(names, "index", exchange=exchange)
        socket.subscribe(names, "ohlcv", exchange=exchange, interval="1d")
    threading.Event().wait()


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):
        main()
