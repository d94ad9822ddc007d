"""A deep book whose socket stays silent: five levels take its place, and leave again when it comes (section 7)."""

import json
import struct
from typing import Any

import pytest
import uvloop

from support.feeds import rig
from support.servers import eventually
from tickmux.broker.dhan.streaming.depth_mapping import DepthCodec
from tickmux.broker.dhan.streaming.dhan_mapping import BESIDE_BOOK, MainFeedCodec
from tickmux.broker.dhan.streaming.standing import Standing
from tickmux.codec import Frame
from tickmux.instrument import Instrument
from tickmux.tick import Mode

SBIN = Instrument(symbol="SBIN", exchange="NSE", token="3045")
FUTURE = Instrument(symbol="NIFTY28AUG25FUT", exchange="NFO", token="53001")
BEATS = 7


class Sockets:
    """The main feed and the 20-level socket of one user."""

    def __init__(self, *instruments: Instrument) -> None:
        standing = Standing(lambda: 0.0)
        self.main, self.deep = MainFeedCodec(standing), DepthCodec(20, standing)
        self.main.subscribe(instruments, BESIDE_BOOK)
        self.deep.subscribe(instruments, "depth20")

    def beats(self, count: int) -> list[tuple[int, list[str]]]:
        return [each for _ in range(count) for each in asked(self.main.heartbeat_frames())]

    def book(self) -> int:
        sides = (struct.pack("<HBBII", 28, code, 1, 3045, 0) + struct.pack("<dII", 100.0, 5, 1) for code in (41, 51))
        return len(self.deep.decode(b"".join(sides)).ticks)


def asked(frames: list[Frame]) -> list[tuple[int, list[str]]]:
    requests = [json.loads(str(frame)) for frame in frames]
    return [(each["RequestCode"], [entry["SecurityId"] for entry in each["InstrumentList"]]) for each in requests]


def full(price: float = 100.0) -> bytes:
    day = struct.pack("<fHIfIIIIIIffff", price, 1, 1_755_527_411, 99.5, 9, 1, 2, 0, 0, 0, 98.0, 0.0, 102.0, 97.0)
    return struct.pack("<BHBI", 8, 162, 1, 3045) + day + struct.pack("<IIHHff", 7, 8, 1, 2, 99.95, 100.05) * 5


def close() -> bytes:
    return struct.pack("<BHBIfI", 6, 16, 1, 3045, 97.5, 0)


def test_after_thirty_seconds_without_a_book_full_packets_are_asked_for_once() -> None:
    sockets = Sockets(SBIN, FUTURE)
    assert sockets.beats(BEATS - 1) == []
    assert sockets.beats(1) == [(21, ["3045", "53001"]), (18, ["3045", "53001"])]
    assert sockets.beats(20) == []
    (tick,) = sockets.main.decode(full()).ticks
    assert tick.mode is Mode.DEPTH
    assert tick.depth is not None
    assert len(tick.depth.buy) == 5


def test_only_what_has_no_book_is_helped() -> None:
    sockets = Sockets(SBIN, FUTURE)
    assert sockets.book() == 1
    assert sockets.beats(BEATS) == [(21, ["53001"]), (18, ["53001"])]


def test_a_book_that_comes_ends_the_help_and_no_level_of_five_is_shown_any_more() -> None:
    sockets = Sockets(SBIN)
    sockets.beats(BEATS)
    sockets.main.decode(full())
    sockets.book()
    for packet in (full(101.0), close()):
        (tick,) = sockets.main.decode(packet).ticks
        assert (tick.mode, tick.ltp, tick.depth) == (Mode.QUOTE, 101.0, None)
    assert sockets.beats(1) == [(17, ["3045"]), (22, ["3045"])]
    assert sockets.beats(20) == []


@pytest.mark.parametrize("loss", ["session", "subscription"])
def test_a_book_that_ends_is_missed_after_another_thirty_seconds(loss: str) -> None:
    sockets = Sockets(SBIN)
    sockets.book()
    assert sockets.beats(20) == []
    if loss == "session":
        sockets.deep.close_frames()
    else:
        sockets.deep.unsubscribe([SBIN], "depth20")
    assert sockets.beats(BEATS - 1) == []
    assert sockets.beats(1) == [(21, ["3045"]), (18, ["3045"])]


@pytest.mark.parametrize(("helped", "code"), [(False, 18), (True, 22)])
def test_what_is_really_subscribed_is_unsubscribed(helped: bool, code: int) -> None:
    sockets = Sockets(SBIN)
    sockets.beats(BEATS if helped else 0)
    assert asked(sockets.main.unsubscribe([SBIN], BESIDE_BOOK)) == [(code, ["3045"])]
    assert sockets.beats(BEATS) == []
    assert asked(sockets.main.subscribe([SBIN], BESIDE_BOOK)) == [(17, ["3045"])]
    assert len(sockets.beats(BEATS)) == 2


@pytest.mark.parametrize(
    ("helped", "kind", "codes"),
    [
        (False, "quote", []),
        (False, "ltp", [15, 18]),
        (False, "full", [21, 18]),
        (True, "quote", [17, 22]),
        (True, "full", []),
    ],
)
def test_a_change_asks_for_what_is_not_subscribed_already(helped: bool, kind: str, codes: list[int]) -> None:
    sockets = Sockets(SBIN)
    sockets.beats(BEATS if helped else 0)
    assert [code for code, _ in asked(sockets.main.change([SBIN], BESIDE_BOOK, kind))] == codes
    assert sockets.beats(BEATS) == []


def test_a_quote_that_gets_a_deep_book_is_subscribed_already() -> None:
    main = MainFeedCodec(Standing(lambda: 0.0))
    main.subscribe([SBIN], "quote")
    assert main.change([SBIN], "quote", BESIDE_BOOK) == []
    main.change([SBIN], BESIDE_BOOK, "full")
    assert asked(main.change([SBIN], "full", BESIDE_BOOK)) == [(17, ["3045"]), (22, ["3045"])]


def test_a_client_of_a_silent_depth_socket_sees_five_levels_until_twenty_come() -> None:
    async def main() -> None:
        async with rig("dhan", rate=20_000, heartbeat_interval=0.02) as feed:
            feed.simulator.deep_books = False  # type: ignore[attr-defined]
            grants = await feed.subscribe(feed.listed(3, "NSE"), Mode.DEPTH, 20)

            def shows(least: int, most: int) -> bool:
                def fits(payload: dict[str, Any]) -> bool:
                    return "ltp" in payload and least <= len(payload.get("depth", {}).get("buy", ())) <= most

                return all(any(map(fits, feed.bus.payloads.get(grant.topic, ())[-20:])) for grant in grants)

            await eventually(lambda: shows(3, 5), "five levels in place of twenty")
            feed.simulator.deep_books = True  # type: ignore[attr-defined]
            await eventually(lambda: shows(6, 20), "twenty levels")

            def kinds() -> set[str]:
                clients = feed.simulator.clients
                return {kind for client in clients for held in client.subscriptions.values() for kind in held}

            await eventually(lambda: kinds() == {"quote", "depth20"}, "quotes beside the book again")
            feed.bus.clear()
            await feed.ticking(grants)
            assert not shows(0, 5)
            assert feed.feed.counters.malformed == feed.feed.counters.unknown == 0

    uvloop.run(main())
