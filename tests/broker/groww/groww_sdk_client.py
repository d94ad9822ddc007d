"""A program that uses Groww's official SDK as its users do, and prints what it is told, parsed by the SDK itself.

Started as a process of its own: the SDK runs a NATS client in a thread that does not end. The argument is a JSON
object: `sdk` (where the package is), `urls`, `api_key`, `totp`, and instruments: `prices`, `books`, `indices`.
pandas, which the SDK wants for its instrument list only, is stood in for.
"""

import json
import sys
import threading
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

_SAY = threading.Lock()


def stand_in(sdk: str) -> None:
    pandas: Any = ModuleType("pandas")
    pandas.DataFrame = object
    sys.modules["pandas"] = pandas
    sys.path.insert(0, sdk)


def say(subject: str, content: Any) -> None:
    with _SAY:
        sys.__stdout__.write(json.dumps([subject, content]) + "\n")  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]


def main() -> None:
    options = json.loads(sys.argv[1])
    urls = options["urls"]
    stand_in(options["sdk"])
    import requests  # type: ignore[import-untyped]
    from growwapi import GrowwAPI, GrowwFeed  # type: ignore[import-not-found]
    from growwapi.common import files  # type: ignore[import-not-found]
    from growwapi.groww.constants import FeedConstants  # type: ignore[import-not-found]
    from growwapi.groww.proto.proto_parser import get_data_dict  # type: ignore[import-not-found]

    files.get_cwd = lambda *_: str(Path.cwd())  # where it writes its keys
    GrowwAPI._get_changelog = lambda self: {}
    GrowwAPI._GROWW_GENERATE_SOCKET_TOKEN_URL = urls["socket_token"]
    GrowwFeed._GROWW_SOCKET_URL = urls["feed"]
    post = requests.post
    requests.post = lambda url, **more: post(
        urls["token"] if url == "https://api.groww.in/v1/token/api/access" else url, **more
    )

    def heard(self: Any, topic: str, data: bytes) -> None:
        kind = self._feed_station.get_feed(topic).get_meta()[FeedConstants.FEED_TYPE]
        say(topic, get_data_dict(data, kind))

    GrowwFeed._update_feed_data = heard
    feed = GrowwFeed(GrowwAPI(GrowwAPI.get_access_token(options["api_key"], totp=options["totp"])))
    feed.subscribe_ltp(options["prices"])
    feed.subscribe_market_depth(options["books"])
    feed.subscribe_index_value(options["indices"])
    threading.Event().wait()


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):
        main()
