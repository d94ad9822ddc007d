"""A program that uses FYERS' official SDK as its users do, and prints what its callbacks are told.

Started as a process of its own: the SDK's clients are singletons with threads that do not end. The argument is a
JSON object: `sdk` (where the package is), `urls`, `token` (`<app id>:<token>`), and tickers: `quotes`, `books`
and `deep`.
Two packages that the SDK wants for a log and for a file name only are stood in for, since its pins clash with ours.
"""

import json
import logging
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

_SAY = threading.Lock()


class _Logger:
    def __init__(self, *args: Any, logger_handler: logging.Handler | None = None, **options: Any) -> None:
        if logger_handler is not None:
            logger_handler.close()

    def _ignore(self, *args: Any, **options: Any) -> None:
        pass

    debug = info = warning = error = exception = _ignore


def stand_in(sdk: str) -> None:
    powertools: Any = ModuleType("aws_lambda_powertools")
    powertools.Logger = _Logger
    resources: Any = ModuleType("pkg_resources")
    resources.resource_filename = lambda package, name: str(Path(sdk, *package.split("."), name))
    sys.modules |= {"aws_lambda_powertools": powertools, "pkg_resources": resources}
    sys.path.insert(0, sdk)


def say(kind: str, content: Any) -> None:
    with _SAY:
        sys.stdout.write(json.dumps([kind, content]) + "\n")
        sys.stdout.flush()


def on_book(ticker: str, book: Any) -> None:
    say("tbt", {"ticker": ticker, **vars(book)})


def main() -> None:
    options = json.loads(sys.argv[1])
    urls = options["urls"]
    stand_in(options["sdk"])
    from fyers_apiv3.FyersWebsocket import data_ws, defines, tbt_ws  # type: ignore[import-not-found]

    original = data_ws.SymbolConversion

    class Conversion(original):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.symbols_token_api = f"{urls['api']}/data/symbol-token"

    data_ws.SymbolConversion = Conversion
    defines.INDEX_HSM_MAPPING_API = f"{urls['lists']}/index_hsm_mapping.json"
    socket = data_ws.FyersDataSocket(
        access_token=options["token"],
        log_path=".",
        reconnect=False,
        on_message=lambda message: say("hsm", message),
        on_error=lambda message: say("error", str(message)),
        on_close=lambda message: say("closed", message),
    )
    socket._FyersDataSocket__url = urls["hsm"]
    socket.connect()
    socket.subscribe(options["quotes"], "SymbolUpdate")
    socket.subscribe(options["books"], "DepthUpdate")

    tbt_ws.getUrl = lambda token: urls["tbt"]
    deep = tbt_ws.FyersTbtSocket(
        access_token=options["token"],
        log_path=".",
        reconnect=False,
        on_depth_update=on_book,
        on_error_message=lambda message: say("error", message),
        on_error=lambda message: say("error", str(message)),
    )
    deep.connect()
    deep.subscribe(set(options["deep"]), "1", tbt_ws.SubscriptionModes.DEPTH)
    deep.switchChannel({"1"}, set())
    say("subscribed", None)


if __name__ == "__main__":
    main()
