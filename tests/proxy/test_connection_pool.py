import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds.test_feed_connection import Adapter
from support.virtual_time import run_virtually
from tickmux.errors import CapacityExceeded, ErrorCode, RequestError
from tickmux.instrument import Instrument
from tickmux.websocket_proxy.base_adapter import Channel, Stream
from tickmux.websocket_proxy.connection_manager import ConnectionPool, PoolLimits


class TwoChannels(Adapter):
    channels = {
        "main": Channel(symbols=4, connections=2, max_connections=3),
        "deep": Channel(symbols=1, connections=2),
    }


class Connection:
    def __init__(self, channel, number):
        self.channel_name = channel
        self.number = number
        self.wanted = {}
        self.stopped = False

    @property
    def load(self):
        counts = {}
        for kind in self.wanted.values():
            counts[kind] = counts.get(kind, 0) + 1
        return counts

    def want(self, instrument, kind):
        self.wanted[instrument] = kind

    def drop(self, instrument):
        self.wanted.pop(instrument, None)

    def start(self, after):
        self.after = after

    async def stop(self):
        await asyncio.sleep(1)
        self.stopped = True


def pool(adapter=None, **limits):
    opened = []

    def open_connection(channel, number):
        opened.append(Connection(channel, number))
        return opened[-1]

    made = ConnectionPool(adapter or TwoChannels(), PoolLimits(**limits), open_connection)
    return made, opened


def instrument(number):
    return Instrument(f"S{number}", "NSE", str(number))


MAIN = (Stream("main", "ltp"),)


def virtually(test):
    def runner():
        run_virtually(test())

    runner.__name__ = test.__name__
    return runner


@virtually
async def test_connections_open_one_after_the_other_as_they_fill():
    made, opened = pool()
    for number in range(5):
        made.apply(instrument(number), MAIN)
    assert [len(one.wanted) for one in opened] == [4, 1]


@virtually
async def test_a_full_pool_refuses_with_the_numbers_and_changes_nothing():
    made, opened = pool()
    for number in range(8):
        made.apply(instrument(number), MAIN)
    with pytest.raises(CapacityExceeded) as full:
        made.apply(instrument(8), MAIN)
    assert full.value.code == ErrorCode.CAPACITY_EXCEEDED
    assert (full.value.connections, full.value.symbols) == (2, 4)
    assert "2 × 4" in full.value.message
    assert sum(len(one.wanted) for one in opened) == 8


@virtually
async def test_a_full_side_channel_refuses_without_taking_a_place_on_the_main_one():
    made, opened = pool()
    both = (Stream("main", "quote"), Stream("deep", "deep20"))
    made.apply(instrument(0), both)
    made.apply(instrument(1), both)
    with pytest.raises(CapacityExceeded):
        made.apply(instrument(2), both)
    assert {one.channel_name: len(one.wanted) for one in opened} == {"main": 2, "deep": 1}


@virtually
async def test_an_empty_connection_is_closed_and_its_number_used_again():
    made, opened = pool()
    made.apply(instrument(0), MAIN)
    made.apply(instrument(0), ())
    assert not made.connections()
    made.apply(instrument(1), MAIN)
    (fresh,) = made.connections()
    assert fresh.number == 0
    assert len(fresh.after) == 1, "it waits until the old one has gone"
    await asyncio.wait(fresh.after)
    assert opened[0].stopped


@virtually
async def test_giving_up_a_side_channel_keeps_the_main_one():
    made, _ = pool()
    made.apply(instrument(0), (Stream("main", "quote"), Stream("deep", "deep20")))
    made.apply(instrument(0), MAIN)
    assert [(one.channel_name, one.wanted) for one in made.connections()] == [("main", {instrument(0): "ltp"})]


@virtually
async def test_a_limit_over_all_channels_counts_connections_that_are_about_to_open():
    class Shared(TwoChannels):
        total_connections = 2

    made, _ = pool(Shared())
    for number in range(5):
        made.apply(instrument(number), MAIN)
    with pytest.raises(CapacityExceeded):
        made.apply(instrument(0), (Stream("main", "ltp"), Stream("deep", "deep20")))
    other, opened = pool(Shared())
    other.apply(instrument(0), (Stream("main", "ltp"), Stream("deep", "deep20")))
    assert len(opened) == 2
    with pytest.raises(CapacityExceeded):
        other.apply(instrument(1), (Stream("main", "ltp"), Stream("deep", "deep20")))


@virtually
async def test_a_change_of_kind_stays_on_its_connection():
    made, opened = pool()
    for number in range(5):
        made.apply(instrument(number), MAIN)
    made.apply(instrument(4), (Stream("main", "full"),))
    assert opened[1].wanted == {instrument(4): "full"}
    assert len(opened) == 2


@virtually
async def test_a_richer_kind_that_no_longer_fits_moves_to_a_connection_with_room():
    class Weighted(TwoChannels):
        def fits(self, channel, load, limit):
            return sum(count * (3 if kind == "full" else 1) for kind, count in load.items()) <= limit

    made, opened = pool(Weighted())
    for number in range(4):
        made.apply(instrument(number), MAIN)
    made.apply(instrument(0), (Stream("main", "full"),))
    assert [sorted(one.wanted.values()) for one in opened] == [["ltp", "ltp", "ltp"], ["full"]]


class BareNames(TwoChannels):
    """Packets name an instrument by its token alone."""

    exchanges = ("NSE", "NFO", "BSE")

    def bare_name(self, instrument):
        return instrument.token


def on(exchange, number=1):
    return Instrument(f"{exchange}{number}", exchange, str(number))


@virtually
async def test_namesakes_of_different_exchanges_get_a_connection_each():
    made, opened = pool(BareNames())
    for one in (on("NSE"), on("NSE", 2), on("NFO"), on("NFO", 2), on("BSE", 3)):
        made.apply(one, MAIN)
    assert [set(link.wanted) for link in opened] == [
        {on("NSE"), on("NSE", 2), on("BSE", 3)},
        {on("NFO"), on("NFO", 2)},
    ]
    made.apply(on("NFO"), (Stream("main", "full"),))
    assert opened[1].wanted[on("NFO")] == "full"


@virtually
async def test_a_namesake_without_a_connection_of_its_own_is_refused_until_one_is_given_up():
    made, opened = pool(BareNames())
    made.apply(on("NSE"), MAIN)
    made.apply(on("NFO"), MAIN)
    with pytest.raises(RequestError, match="does not tell BSE1 on BSE from NFO1 on NFO, NSE1 on NSE") as refused:
        made.apply(on("BSE"), MAIN)
    assert refused.value.code == ErrorCode.CAPACITY_EXCEEDED
    assert [set(link.wanted) for link in opened] == [{on("NSE")}, {on("NFO")}]
    made.apply(on("NSE", 2), MAIN)
    made.apply(on("NSE"), ())
    made.apply(on("BSE"), MAIN)
    assert [set(link.wanted) for link in opened] == [{on("NSE", 2), on("BSE")}, {on("NFO")}]


@virtually
async def test_the_names_of_what_has_gone_are_forgotten():
    made, _ = pool(BareNames())
    for one in (on("NSE"), on("NFO")):
        made.apply(one, (Stream("main", "quote"), Stream("deep", "deep20")))
    for one in (on("NSE"), on("NFO")):
        made.apply(one, ())
    assert not made._bare_names


@pytest.mark.parametrize(
    ("limits", "size"),
    [
        ({}, (4, 2)),
        ({"symbols": 2}, (2, 2)),
        ({"symbols": 100}, (4, 2)),
        ({"connections": 3}, (4, 3)),
        ({"connections": 9}, (4, 3)),
        ({"connections": 1}, (4, 1)),
        ({"pooling": False}, (4, 1)),
    ],
)
def test_settings_replace_the_defaults_but_never_exceed_what_the_broker_allows(limits, size):
    made, _ = pool(**limits)
    assert made.sizes["main"] == size


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["ltp", "full", None])), max_size=60))
def test_any_history_keeps_the_limits_and_one_place_for_each_instrument(history):
    async def main():
        made, _ = pool()
        model = {}
        for number, kind in history:
            try:
                made.apply(instrument(number), (Stream("main", kind),) if kind else ())
                model[number] = kind
            except CapacityExceeded:
                assert len([kind for kind in model.values() if kind]) == 8
        carried = [(one, kind) for link in made.connections() for one, kind in link.wanted.items()]
        assert {(one.symbol, kind) for one, kind in carried} == {
            (f"S{number}", kind) for number, kind in model.items() if kind
        }
        assert len(carried) == len({one for one, _ in carried})
        assert all(0 < len(link.wanted) <= 4 for link in made.connections())
        assert len(made.connections()) <= 2

    run_virtually(main())


@virtually
async def test_of_several_namesakes_on_one_connection_those_that_stay_still_count():
    made, opened = pool(BareNames(), connections=1)
    here = [on("NSE", 1), on("BSE", 1)]
    made.apply(here[0], MAIN)
    twin = Instrument("OTHER", "NSE", here[0].token, brsymbol="other")
    made.apply(twin, MAIN)
    made.apply(twin, ())
    with pytest.raises(RequestError) as refused:
        made.apply(here[1], MAIN)
    assert "does not tell" in str(refused.value), "the one that stays would be taken for it"
    made.apply(here[0], ())
    made.apply(here[1], MAIN)
    assert opened[-1].wanted.keys() == {here[1]}
    await made.stop()


@virtually
async def test_a_stopped_pool_opens_nothing_and_knows_no_carrier():
    made, opened = pool()
    made.apply(instrument(1), MAIN)
    await made.stop()
    made.apply(instrument(1), MAIN)
    made.apply(instrument(2), MAIN)
    made.apply(instrument(1), ())
    assert len(opened) == 1
    assert not made._carriers
    assert not made.connections()
