"""Angel One's official Python SDK connects to our simulator and reads the same as our codec."""

import asyncio
import importlib.util
import json
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import logzero
import pytest

from broker.angel.angel_wire import Caller, instruments, request, run
from support.simulators import MORNING
from tickmux.broker.angel.streaming.angel_mapping import AngelCodec
from tickmux.instrument import Instrument
from tickmux.simulator.angel import AngelSimulator
from tickmux.simulator.market.exchange import Exchange
from tickmux.tick import Tick


@pytest.fixture
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The feed module of smartapi-python. Its package is passed by: importing that asks a web site for an address."""
    package = importlib.util.find_spec("SmartApi")
    assert package is not None, "smartapi-python is a development dependency"
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0]) / "smartWebSocketV2.py"
    spec = importlib.util.spec_from_file_location("smart_web_socket_v2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.chdir(tmp_path)  # it writes its logs where it is started
    spec.loader.exec_module(module)
    yield module
    logzero.logfile(None)


END = struct.pack("<BB25sqqq", 1, 1, b"END", 0, 0, 1)
CHOSEN = (
    ("SBIN", "NSE"), ("RELIANCE", "BSE"), ("NIFTY", "NSE_INDEX"), ("SENSEX", "BSE_INDEX"), ("USDINR", "CDS"),
    ("CRUDEOIL", "MCX"), ("NIFTY", "NFO"), ("SENSEX", "BFO"),
)  # fmt: skip


def chosen_instruments(simulator: AngelSimulator) -> list[Instrument]:
    """Those of CHOSEN; of a derivative's root the first that is listed."""
    listed = list(instruments(simulator).values())
    return [next(one for one in listed if one.exchange == exchange and one.name == name) for name, exchange in CHOSEN]


def requests_for(chosen: list[Instrument]) -> list[tuple[int, dict[int, list[str]]]]:
    """All chosen instruments in modes 1 to 3, NSE shares in mode 4 too."""
    codec = AngelCodec()
    frames = [
        *(codec.subscribe_frames(chosen, kind)[0] for kind in ("ltp", "quote", "snap_quote")),
        codec.subscribe_frames([one for one in chosen if one.exchange == "NSE"], "depth20")[0],
    ]
    params = [json.loads(str(frame))["params"] for frame in frames]
    return [(each["mode"], {g["exchangeType"]: g["tokens"] for g in each["tokenList"]}) for each in params]


async def told_to_the_sdk(sdk: ModuleType, simulator: AngelSimulator, chosen: list[Instrument]) -> asyncio.Task[Any]:
    """Starts the SDK in a thread; the task ends with all packets it parsed before END, once it has subscribed."""
    loop = asyncio.get_running_loop()
    subscribed = asyncio.Event()
    parsed: list[dict[str, Any]] = []
    keys = simulator.credentials
    client = sdk.SmartWebSocketV2(
        f"Bearer {keys['jwt']}", keys["api_key"], keys["client_code"], keys["feed_token"], max_retry_attempt=0
    )
    client.ROOT_URI = simulator.urls["feed"]
    client.input_request_dict = {}

    def on_open(app: object) -> None:
        for mode, groups in requests_for(chosen):
            tokens = [{"exchangeType": number, "tokens": list(members)} for number, members in groups.items()]
            client.subscribe("abcde12345", mode, tokens)
        loop.call_soon_threadsafe(subscribed.set)

    def on_data(app: object, packet: dict[str, Any]) -> None:
        if packet["token"] == "END":
            client.close_connection()
        else:
            parsed.append(packet)

    client.on_open, client.on_data = on_open, on_data
    client.on_error = lambda *words: None

    async def listen() -> list[dict[str, Any]]:
        await asyncio.to_thread(client.connect)
        return parsed

    task = asyncio.create_task(listen())
    await asyncio.wait_for(subscribed.wait(), 10)
    return task


def as_the_sdk_has_it(tick: Tick, mode: int) -> dict[str, Any]:
    """Our tick in the SDK's words and integers, None where we say nothing."""
    scale = 10_000_000 if tick.instrument.exchange == "CDS" else 100

    def price(value: float | None) -> int:
        return round((value or 0) * scale)

    def book(side: str, orders: str, flag: int | None) -> list[dict[str, int]]:
        return [
            ({} if flag is None else {"flag": flag})
            | {"quantity": level.quantity, "price": price(level.price), orders: level.orders or 0}
            for level in (getattr(tick.depth, side) if tick.depth else [])
        ]

    common = {"subscription_mode": mode, "token": tick.instrument.token}
    if mode == 4:
        return common | {
            "packet_received_time": tick.timestamp,  # the SDK's fields of the two times: see the caller
            "depth_20_buy_data": book("buy", "num_of_orders", None),
            "depth_20_sell_data": book("sell", "num_of_orders", None),
        }
    found: dict[str, Any] = common | {
        "exchange_timestamp": tick.timestamp,
        "last_traded_price": price(tick.ltp),
    }
    if mode > 1:
        found |= {
            "last_traded_quantity": tick.last_trade_quantity or 0,
            "average_traded_price": price(tick.avg_trade_price),
            "volume_trade_for_the_day": tick.volume or 0,
            "total_buy_quantity": float(tick.total_buy_quantity or 0),
            "total_sell_quantity": float(tick.total_sell_quantity or 0),
            "open_price_of_the_day": price(tick.open),
            "high_price_of_the_day": price(tick.high),
            "low_price_of_the_day": price(tick.low),
            "closed_price": price(tick.close),
        }
    if mode == 3:
        found |= {
            "last_traded_timestamp": (tick.ltt or 0) // 1000,
            "upper_circuit_limit": price(tick.upper_circuit),
            "lower_circuit_limit": price(tick.lower_circuit),
            "best_5_buy_data": book("buy", "no of orders", 1),
            "best_5_sell_data": book("sell", "no of orders", 0),
        }
        if tick.oi is not None:
            found["open_interest"] = tick.oi
    return found


def without_empty_levels(packet: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [level for level in value if level["quantity"]] if isinstance(value, list) else value
        for name, value in packet.items()
    }


def test_the_official_sdk_reads_the_same_as_we_do(sdk: ModuleType) -> None:
    moment = [MORNING]
    exchange = Exchange(seed=3, clock=lambda: moment[0])

    async def scenario(simulator: AngelSimulator) -> None:
        chosen = chosen_instruments(simulator)
        listening = await told_to_the_sdk(sdk, simulator, chosen)
        caller = await Caller().call(simulator)
        codec = AngelCodec()
        codec.subscribe(chosen, "snap_quote")
        for mode, groups in requests_for(chosen):
            caller.link.send(json.dumps(request(1, mode, groups)))
        assert await until_pong(caller) == 3 * len(chosen) + 1
        while sum(len(kinds) for client in simulator.clients for kinds in client.subscriptions.values()) < 50:
            await asyncio.sleep(0)  # until the SDK's requests have arrived as well
        for _ in range(20):
            moment[0] += 1
            exchange.step(100)
        simulator.send_garbage(END)
        parsed = await asyncio.wait_for(listening, 20)
        ours: list[tuple[Tick, int]] = []
        while (frame := await caller.hear()) != END:
            assert isinstance(frame, bytes)
            ours += [(tick, frame[0]) for tick in codec.decode(frame).ticks]
        theirs = [without_empty_levels(packet) for packet in parsed[3 * len(chosen) + 1 :]]
        assert len(theirs) == len(ours) > 100
        assert {mode for _, mode in ours} == {1, 2, 3, 4}
        for packet, (tick, mode) in zip(theirs, ours, strict=True):
            mine = as_the_sdk_has_it(tick, mode)
            if mode == 4:
                # The SDK takes both times of mode 4 from offset 35, where a dummy stands; ours is at 27.
                mine["packet_received_time"] += 5999
            assert {name: packet[name] for name in mine} == mine

    run(scenario, exchange)


async def until_pong(caller: Caller) -> int:
    """How many packets come before the answer to a heartbeat."""
    count = 0
    answer = await caller.ask("ping")
    while answer != "pong":
        count += 1
        answer = await caller.hear()
    return count
