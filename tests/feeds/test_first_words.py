"""The first words after a reconnect: never a quote without a price, and all that holds for the day. Every broker."""

import asyncio
import json

import pytest

from support.feeds import RecordingBus, rig
from support.servers import eventually
from tickmux.simulator import simulator_names
from tickmux.tick import Mode

BROKERS = [name for name in simulator_names() if name != "dhan_sandbox"]  # made up in this process: nothing to lose
OF_THE_DAY = ("open", "close", "volume", "upper_circuit", "lower_circuit")
"""What a session has said that holds for the next one of the same day; of the volume, that it is no less.

High, low and open interest may have moved meanwhile: they are absent until the new session says them."""


class SessionsOfTopics(RecordingBus):
    """What was published in each session: a topic's empty payload ends one."""

    def __init__(self):
        super().__init__()
        self.sessions = {}

    def send(self, parts):
        super().send(parts)
        for topic, payload in zip(parts[::2], parts[1::2], strict=True):
            said = self.sessions.setdefault(topic, [[]])
            if payload:
                said[-1].append(json.loads(payload))
            else:
                said.append([])


@pytest.mark.parametrize("mode", [Mode.QUOTE, Mode.DEPTH])
@pytest.mark.parametrize("broker", BROKERS)
def test_the_first_words_of_a_new_session_lack_nothing_that_was_known_and_holds(broker, mode):
    bus = SessionsOfTopics()

    async def main():
        async with rig(broker, bus=bus) as feed:
            rows = [*feed.listed(3, "NSE"), *feed.listed(3, "NFO"), *feed.listed(2, "NSE_INDEX")]
            topics = {grant.topic for grant in await feed.subscribe(rows, mode)}
            await eventually(lambda: all(is_full(bus, topic) for topic in topics), "quotes as full as they get")
            feed.simulator.disconnect_all()
            await eventually(lambda: all(len(bus.sessions[topic]) > 1 for topic in topics), "the end of the session")
            await eventually(lambda: all(bus.sessions[topic][-1] for topic in topics), "first words")
        for topic in topics:
            known, first = next(
                (old[-1], new[0])
                for old, new in zip(bus.sessions[topic], bus.sessions[topic][1:], strict=False)
                if new
            )
            missing = [name for name in ("ltp", *OF_THE_DAY) if name in known and name not in first]
            assert not missing, (topic, missing, first)
            assert first.get("volume", 0) >= known.get("volume", 0), topic

    asyncio.run(main())


def is_full(bus, topic):
    """Whether the topic's fields have stopped growing in number."""
    said = bus.payloads.get(topic, ())
    return len(said) >= 5 and said[-1].keys() == said[-3].keys()
