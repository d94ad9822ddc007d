"""Alice Blue's official SDK drives the simulator: lists, WebSocket session, feed.

The SDK makes its WebSocket session by the REST paths of older keys, which are added to the simulator here.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from broker._noren.sdk_frames import check
from broker._noren.test_noren_simulator import MORNING, instruments, run
from support.sdk import official_sdk
from support.stranger import converse, stranger
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.server.http_server import Request, Response

SDK = ("ant-pya3==2.0.9", "rel==0.4.9.27")
SCRIPT = Path(__file__).with_name("aliceblue_sdk_client.py")


@pytest.fixture
def market() -> Exchange:
    return Exchange(seed=5, clock=lambda: MORNING)


def add_older_session_paths(simulator: Any) -> list[str]:
    """Returns where the requests are noted. Whether the session is right, only the feed checks."""
    calls: list[str] = []

    def answer(name: str, holds: bool) -> None:
        def handle(request: Request) -> Response:
            scheme, user, _ = request.headers["authorization"].split(" ")
            good = (scheme, user) == ("Bearer", simulator.credentials["user_id"])
            if not good or request.json() != {"loginType": "API"}:
                return Response(401)
            calls.append(name)
            simulator.socket_session = holds
            return Response.json({"stat": "Ok"})

        simulator.route("POST", "api", handle, f"/ws/{name}")

    answer("invalidateSocketSess", holds=False)
    answer("createSocketSess", holds=True)
    return calls


async def session(simulator: Any, folder: Path, token: str, channel: str, wanted: dict[str, list[int]]) -> Any:
    """What the SDK says of its session: `refused`, or the fields it was told."""
    urls = (simulator.urls[name] for name in ("feed", "api", "instruments"))
    arguments = (str(official_sdk(*SDK)), *urls, simulator.credentials["user_id"], token, channel)
    async with stranger(SCRIPT, *arguments, cwd=folder) as process:
        return await converse(process, wanted, simulator, '{"t":"om","norenordno":"1"}')


@pytest.mark.parametrize("channel", ["t", "d"])
def test_what_the_sdk_is_told_is_what_the_exchange_made(market: Exchange, tmp_path: Path, channel: str) -> None:
    async def scenario(simulator: Any) -> None:
        calls = add_older_session_paths(simulator)
        rows = [row for place, row in enumerate(instruments("aliceblue", simulator).values()) if place % 5 == 0]
        scrips = {f"{row.brexchange}|{row.token}": row for row in rows}
        wanted = defaultdict(list)
        for row in rows:
            wanted["INDICES" if row.is_index else row.brexchange].append(int(row.token))
        assert {"INDICES", "NSE", "NFO"} <= wanted.keys()
        known = await session(simulator, tmp_path, simulator.credentials["token"], channel, wanted)
        assert calls == ["invalidateSocketSess", "createSocketSess"]
        assert known.keys() == scrips.keys()
        for scrip, row in scrips.items():
            check(known[scrip], market.find(row.symbol, row.exchange), channel)

    run("aliceblue", market, scenario)


def test_the_sdk_is_refused_with_a_wrong_session(market: Exchange, tmp_path: Path) -> None:
    async def scenario(simulator: Any) -> None:
        add_older_session_paths(simulator)
        assert await session(simulator, tmp_path, "wrong", "t", {}) == "refused"

    run("aliceblue", market, scenario)
