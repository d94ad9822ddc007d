"""Drives every broker's simulator through the faults of a real feed and measures what a client sees (`make faults`).

    python tests/faults/measure.py [--write docs/reliability.md] [BROKER …]

All brokers run at once in one loop, with the delays of their own specification, and meet one fault after the other. A
fault's time is from its beginning (from its end, where it lasts) until every subscribed instrument has ticked again.
A value is wrong when the exchange never had that price. Bounded: a fault that is not over after `LONGEST` seconds
counts as not over.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import uvloop
from rich.progress import Progress

from support.feeds import Rig
from tickmux.feeds.session_keeper import RETRY_WAITS
from tickmux.simulator import simulator_names
from tickmux.simulator.market.security import PRICE_UNIT
from tickmux.tick import Mode
from tickmux.websocket_proxy.connection_manager import PoolLimits

INSTRUMENTS = 10
RATE = 100.0
"""Changes a second of each exchange: every instrument ticks about twice a second."""
LEARN = 15.0
LASTS = 6.0
"""Seconds for which a refusal lasts."""
LONGEST = 100.0
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


class Fault(NamedTuple):
    name: str
    sees: str
    """What a client sees meanwhile."""
    play: Callable[[Rig], Awaitable[None]]


async def _lasting(rig: Rig, status: int) -> None:
    rig.simulator.refuse_connections(status)
    rig.simulator.disconnect_all()
    await asyncio.sleep(LASTS)
    rig.simulator.accept_connections()


def _at_once(act: Callable[[Rig], None]) -> Callable[[Rig], Awaitable[None]]:
    async def play(rig: Rig) -> None:
        act(rig)

    return play


async def _half_open(rig: Rig) -> None:
    stalls = rig.feed.counters.stalls
    rig.simulator.go_silent()
    ends = time.monotonic() + LONGEST
    while rig.feed.counters.stalls == stalls and time.monotonic() < ends:
        await asyncio.sleep(0.1)
    rig.simulator.resume()


async def _in_a_row(rig: Rig) -> None:
    for _ in range(3):
        rig.simulator.disconnect_all()
        await _ticking(rig, time.monotonic())
        await asyncio.sleep(1.0)
    rig.simulator.disconnect_all()


FAULTS = (
    Fault("connection reset", "`reconnecting`", _at_once(lambda rig: rig.simulator.disconnect_all())),
    Fault("close code 1011", "`reconnecting`", _at_once(lambda rig: rig.simulator.disconnect_all(1011, "down"))),
    Fault("cut in the middle of a frame", "`reconnecting`", _at_once(lambda rig: rig.simulator.cut_mid_frame())),
    Fault("bytes that are no frame", "`reconnecting`", _at_once(lambda rig: rig.simulator.break_protocol())),
    Fault("the fourth drop in a row", "`reconnecting`", _in_a_row),
    Fault(
        "subscriptions forgotten, heartbeats go on",
        "the instruments are `silent`",
        _at_once(lambda rig: rig.simulator.forget_subscriptions()),
    ),
    Fault(
        "mute socket, heartbeats go on",
        "the instruments are `silent`, then `reconnecting`",
        _at_once(lambda rig: rig.simulator.go_mute()),
    ),
    Fault("503 for 6 s", "`reconnecting`", lambda rig: _lasting(rig, 503)),
    Fault("401 for 6 s", "`reconnecting`", lambda rig: _lasting(rig, 401)),
    Fault("403 for 6 s", "`reconnecting`", lambda rig: _lasting(rig, 403)),
    Fault("429 for 6 s", "`reconnecting`", lambda rig: _lasting(rig, 429)),
    Fault("half-open: nothing comes, not even pongs", "`silent`, `stalled`, `reconnecting`", _half_open),
)


class Measured(NamedTuple):
    broker: str
    fault: str
    seconds: float | None
    wrong: int


async def _ticking(rig: Rig, began: float) -> float | None:
    """Seconds from `began` until everything ticks; None if it does not."""
    rig.bus.clear()
    while not rig.topics <= rig.bus.payloads.keys():
        if time.monotonic() - began > LONGEST:
            return None
        await asyncio.sleep(0.05)
    return time.monotonic() - began


def _watch_prices(rig: Rig) -> dict[tuple[str, str], set[float]]:
    """Every price that the exchange has had."""
    seen: dict[tuple[str, str], set[float]] = {}

    def note(changed) -> None:
        for security in changed:
            seen.setdefault((security.symbol, security.exchange), set()).add(round(security.ltp / PRICE_UNIT, 4))

    note(rig.exchange.securities)
    rig.exchange.listen(note)
    return seen


async def _broker(name: str, done: Callable[[], None]) -> list[Measured]:
    rig = Rig(name, RATE, {"retry_waits": RETRY_WAITS}, patient=True)
    prices = _watch_prices(rig)
    await rig.start(PoolLimits())
    found: list[Measured] = []
    wrong = 0
    send = rig.bus.send

    def checked(parts) -> None:
        nonlocal wrong
        send(parts)
        for topic in parts[::2]:
            for payload in rig.bus.payloads.get(topic, [])[-1:]:
                wrong += round(payload["ltp"], 4) not in prices[payload["symbol"], payload["exchange"]]

    rig.bus.send = checked  # type: ignore[method-assign]
    try:
        grants = await rig.subscribe(rig.listed(INSTRUMENTS), Mode.QUOTE)
        rig.topics = {grant.topic for grant in grants}  # type: ignore[attr-defined]
        await _ticking(rig, time.monotonic())
        for fault in FAULTS:
            await asyncio.sleep(LEARN)
            began = time.monotonic()
            await fault.play(rig)
            lasted = time.monotonic()
            if fault.name.endswith(f"for {LASTS:g} s") or "in a row" in fault.name:
                began = lasted
            await asyncio.sleep(0.05)  # what was under way has come
            found.append(Measured(name, fault.name, await _ticking(rig, began), wrong))
            wrong = 0
            done()
    finally:
        await rig.stop()
    return found


def table(measured: list[Measured]) -> str:
    lines = ["| fault | a client sees | median | worst | wrong values |", "| --- | --- | --- | --- | --- |"]
    for fault in FAULTS:
        rows = [one for one in measured if one.fault == fault.name]
        times = [LONGEST if one.seconds is None else one.seconds for one in rows]
        if not times:
            continue
        worst = max(rows, key=lambda one: LONGEST if one.seconds is None else one.seconds)
        longest = f"not within {LONGEST:g} s" if worst.seconds is None else f"{worst.seconds:.1f} s"
        lines.append(
            f"| {fault.name} | {fault.sees} | {statistics.median(times):.1f} s | {longest} ({worst.broker}) "
            f"| {sum(one.wrong for one in rows)} |"
        )
    return "\n".join(lines)


async def measure(brokers: list[str]) -> list[Measured]:
    with Progress() as progress:
        task = progress.add_task(f"{len(brokers)} brokers", total=len(brokers) * len(FAULTS))
        parts = await asyncio.gather(*(_broker(name, lambda: progress.advance(task)) for name in brokers))
    return [one for part in parts for one in part]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("brokers", nargs="*", help="brokers (all)")
    parser.add_argument("--write", type=Path, help="the page whose table is replaced")
    options = parser.parse_args()
    measured = uvloop.run(measure(options.brokers or simulator_names()))
    found = table(measured)
    print(found)
    if options.write:
        page = options.write.read_text()
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        options.write.write_text(f"{before}{BEGIN}\n{found}\n{END}{after}")


if __name__ == "__main__":
    main()
