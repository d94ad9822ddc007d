"""Guarantee 11 for every broker and channel: a server forgets, or a socket is mute, while heartbeats go on.

How soon is tested on a pretended clock (`test_mute_watch`); here, that every broker takes the remedies. One loop
runs all brokers, so that their waits are one wait.
"""

import asyncio

import uvloop

from support.feeds import rig
from support.servers import eventually
from tickmux.simulator import simulator_names
from tickmux.tick import Mode

DEEP = {"dhan": 20, "fyers": 50, "angel": 20}
"""Brokers whose deep books have a channel of their own: its name's depth."""


def test_forgotten_subscriptions_and_mute_sockets_come_back_at_every_broker_on_every_channel():
    wanted = [(name, Mode.QUOTE, 5) for name in simulator_names()]
    wanted += [(name, Mode.DEPTH, depth) for name, depth in DEEP.items()]
    # Together, so that starting one does not look like a pause of another's market.
    started = asyncio.Barrier(len(wanted))

    async def watch(name, mode, depth):
        async with rig(name, rate=60.0) as feed:
            grants = await feed.subscribe(feed.listed(4, "NSE"), mode, depth)
            await feed.ticking(grants)
            await started.wait()
            states = feed.feed.instrument_states
            channels = {channel for one in states for channel in states._rhythms[one]}
            assert mode is Mode.QUOTE or len(channels) >= 1
            await eventually(
                lambda: all(any(one.known for one in states._rhythms[each].values()) for each in states),
                f"{name}: rhythms",
            )
            for fault in (feed.simulator.forget_subscriptions, feed.simulator.go_mute):
                asked, connects = feed.feed.counters.resubscribed, feed.feed.counters.connects
                fault()
                await asyncio.sleep(0.5)  # what was under way has come
                feed.bus.clear()
                await feed.ticking(grants)
                assert feed.feed.counters.resubscribed > asked, f"{name}: asked again on the same socket"
                if fault == feed.simulator.go_mute:
                    assert feed.feed.counters.connects > connects, f"{name}: a new socket"
                await eventually(lambda: not states.silent(), f"{name}: nothing is silent any more")

    async def main():
        async with asyncio.TaskGroup() as group:
            for each in wanted:
                group.create_task(watch(*each))

    uvloop.run(main())
