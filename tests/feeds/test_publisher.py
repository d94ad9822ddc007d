import json

import pytest

from tickmux.feeds.publisher import TickPublisher
from tickmux.instrument import Instrument
from tickmux.tick import Depth, DepthLevel, Mode, Tick

SBIN = Instrument("SBIN", "NSE", "3045")
INFY = Instrument("INFY", "NSE", "1594")
NOW = 1_755_507_611_123


class Bus:
    def __init__(self):
        self.sent = []

    def send(self, parts):
        self.sent.append(list(parts))

    def payloads(self):
        flat = [part for parts in self.sent for part in parts]
        return [(topic.decode(), payload) for topic, payload in zip(flat[::2], flat[1::2], strict=True)]

    def topics(self):
        return [topic for topic, _ in self.payloads()]


@pytest.fixture
def bus():
    return Bus()


class Clock:
    """Now, and what is to be done later."""

    def __init__(self):
        self.now = NOW
        self.due = []

    def later(self, seconds, call):
        assert seconds <= 1
        self.due.append(call)

    def pass_a_second(self):
        self.now += 1000
        due, self.due = self.due, []
        for call in due:
            call()


def make(bus, clock=None, **options):
    clock = clock or Clock()
    return TickPublisher(
        bus, lambda i, m, d: f"{i.symbol}/{m.name}/{d}".encode(), lambda: clock.now, later=clock.later, **options
    )


def data(payload):
    return json.loads(payload)


def test_an_ltp_payload_is_compact_ordered_and_has_whole_numbers_as_integers(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.LTP, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.LTP, ltp=806.0, ltt=1)])
    ((_, payload),) = bus.payloads()
    assert payload == b'{"symbol":"SBIN","exchange":"NSE","mode":"ltp","ltp":806,"ltt":1,"timestamp":1755507611123}'


def test_what_the_feed_does_not_carry_is_absent(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.QUOTE, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=10.5, volume=0)])
    ((_, payload),) = bus.payloads()
    assert set(data(payload)) == {"symbol", "exchange", "mode", "ltp", "timestamp", "volume"}
    assert data(payload)["volume"] == 0


def test_quote_carries_both_names_of_a_pair_and_the_change_against_the_previous_close(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.QUOTE, 0)
    tick = Tick(
        instrument=SBIN, mode=Mode.QUOTE, ltp=812.35, close=805.75, last_trade_quantity=12, avg_trade_price=810.92
    )
    publisher.publish("main", [tick])
    quote = data(bus.payloads()[0][1])
    assert quote["last_trade_quantity"] == quote["last_quantity"] == 12
    assert quote["avg_trade_price"] == quote["average_price"] == 810.92
    assert quote["change"] == 6.6
    assert quote["change_percent"] == 0.8191


def test_partial_ticks_are_merged(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.DEPTH, 5)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=10.0, oi=5)])
    book = Depth([DepthLevel(9.95, 100, 2)], [DepthLevel(10.0, 50)])
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.DEPTH, depth=book)])
    depth = data(bus.payloads()[-1][1])
    assert (depth["ltp"], depth["oi"]) == (10, 5)
    assert depth["depth"] == {
        "buy": [{"price": 9.95, "quantity": 100, "orders": 2}],
        "sell": [{"price": 10, "quantity": 50}],
    }


def test_each_mode_is_published_only_when_its_content_is_touched(bus):
    publisher = make(bus)
    for mode, depth in [(Mode.LTP, 0), (Mode.QUOTE, 0), (Mode.DEPTH, 5)]:
        publisher.want(SBIN, mode, depth)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.DEPTH, ltp=6.0, depth=Depth([], []))])
    bus.sent.clear()
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.DEPTH, depth=Depth([], []))])
    assert [topic for topic, _ in bus.payloads()] == ["SBIN/DEPTH/5"]
    bus.sent.clear()
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, oi=7)])
    assert [topic for topic, _ in bus.payloads()] == ["SBIN/QUOTE/0", "SBIN/DEPTH/5"]
    bus.sent.clear()
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.LTP, ltp=7.0)])
    assert [topic for topic, _ in bus.payloads()] == ["SBIN/LTP/0", "SBIN/QUOTE/0", "SBIN/DEPTH/5"]


def test_the_ticks_of_one_frame_travel_together(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.LTP, 0)
    publisher.want(INFY, Mode.LTP, 0)
    publisher.publish(
        "main", [Tick(instrument=SBIN, mode=Mode.LTP, ltp=1.0), Tick(instrument=INFY, mode=Mode.LTP, ltp=2.0)]
    )
    assert len(bus.sent) == 1
    assert [topic for topic, _ in bus.payloads()] == ["SBIN/LTP/0", "INFY/LTP/0"]


def test_a_smaller_depth_gets_the_best_levels_only(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.DEPTH, 5)
    publisher.want(SBIN, Mode.DEPTH, 20)
    levels = [DepthLevel(100.0 - n, 1) for n in range(20)]
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.DEPTH, ltp=100.0, depth=Depth(levels, []))])
    sizes = {topic: len(data(payload)["depth"]["buy"]) for topic, payload in bus.payloads()}
    assert sizes == {"SBIN/DEPTH/5": 5, "SBIN/DEPTH/20": 20}


def test_a_new_session_forgets_what_the_old_one_said(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.QUOTE, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=1.0, oi=9)])
    publisher.end_session("main", [SBIN])
    assert publisher.snapshot(SBIN, Mode.QUOTE, 0) is None
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.LTP, ltp=2.0)])
    assert "oi" not in data(bus.payloads()[-1][1])


def test_a_new_session_of_one_channel_keeps_what_the_other_has_said(bus):
    publisher = make(bus, merges_channels=True)
    publisher.want(SBIN, Mode.DEPTH, 20)
    publisher.want(SBIN, Mode.QUOTE, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=1.0, oi=9)])
    publisher.publish("depth20", [Tick(instrument=SBIN, mode=Mode.DEPTH, depth=Depth([DepthLevel(1.0, 1)], []))])
    publisher.end_session("depth20", [SBIN])
    assert data(publisher.snapshot(SBIN, Mode.QUOTE, 0))["oi"] == 9
    assert publisher.snapshot(SBIN, Mode.DEPTH, 20) is None, "its book is not known any more"


def test_of_two_books_the_newer_counts_also_when_its_channel_is_lost(bus):
    publisher = make(bus, merges_channels=True)
    publisher.want(SBIN, Mode.DEPTH, 20)
    old, new = Depth([DepthLevel(1.0, 1)], []), Depth([DepthLevel(2.0, 1)], [])
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.DEPTH, ltp=1.0, depth=old)])
    publisher.publish("depth20", [Tick(instrument=SBIN, mode=Mode.DEPTH, depth=new)])
    publisher.end_session("depth20", [SBIN])
    assert publisher.snapshot(SBIN, Mode.DEPTH, 20) is None, "the older book is older than what was shown"
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.DEPTH, ltp=1.5, depth=old)])
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=1.75)])
    publisher.end_session("depth20", [SBIN])
    assert data(publisher.snapshot(SBIN, Mode.DEPTH, 20))["depth"]["buy"][0]["price"] == 1, "main's own book stays"


def test_the_time_is_that_of_this_update_or_of_its_arrival(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.LTP, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.LTP, ltp=1.0, timestamp=5)])
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.LTP, ltp=1.5)])
    assert [data(payload)["timestamp"] for _, payload in bus.payloads()] == [5, NOW]


@pytest.mark.parametrize("price", [float("inf"), float("-inf"), float("nan"), 1e300])
def test_a_number_that_is_no_price_never_reaches_the_bus(bus, price):
    publisher = make(bus)
    publisher.want(SBIN, Mode.QUOTE, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=price, high=price, volume=1)])
    assert bus.sent == []
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=5.0)])
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=price, high=price, volume=2)])
    assert data(bus.payloads()[-1][1]) == {
        "symbol": "SBIN", "exchange": "NSE", "mode": "quote", "ltp": 5, "timestamp": NOW, "volume": 2,
    }  # fmt: skip


def test_what_nobody_wants_is_not_published_and_has_no_state(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.LTP, 0)
    publisher.unwant(SBIN, Mode.LTP, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.LTP, ltp=1.0)])
    assert bus.sent == []
    publisher.want(SBIN, Mode.LTP, 0)
    assert publisher.snapshot(SBIN, Mode.LTP, 0) is None


def test_a_mode_that_joins_later_finds_a_snapshot_of_what_is_known(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.QUOTE, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=1.25, volume=3)])
    publisher.want(SBIN, Mode.LTP, 0)
    assert data(publisher.snapshot(SBIN, Mode.LTP, 0)) == {
        "symbol": "SBIN", "exchange": "NSE", "mode": "ltp", "ltp": 1.25, "timestamp": NOW,
    }  # fmt: skip


def test_a_book_that_has_emptied_is_shown_empty_and_not_as_it_was(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.DEPTH, 5)
    publisher.publish(
        "main", [Tick(instrument=SBIN, mode=Mode.DEPTH, ltp=1.0, depth=Depth([DepthLevel(1.0, 5)], []))]
    )
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=1.0, taken_back=("depth",))])
    assert data(bus.payloads()[-1][1])["depth"] == {"buy": [], "sell": []}


def test_a_field_that_is_taken_back_goes_and_nothing_old_goes_out_under_a_new_time(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.QUOTE, 0)
    publisher.want(SBIN, Mode.LTP, 0)
    first = Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=5.0, close=4.0, open=4.5, avg_trade_price=4.7, timestamp=1000)
    publisher.publish("main", [first])
    bus.sent.clear()
    second = Tick(instrument=SBIN, mode=Mode.QUOTE, open=4.5, timestamp=2000, taken_back=("ltp", "avg_trade_price"))
    publisher.publish("main", [second])
    # Without a price nothing is sent but that the last one counts no more.
    assert bus.payloads() == [("SBIN/QUOTE/0", b""), ("SBIN/LTP/0", b"")]
    assert publisher.snapshot(SBIN, Mode.LTP, 0) is None
    bus.sent.clear()
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=5.5, timestamp=3000)])
    assert "avg_trade_price" not in data(bus.payloads()[0][1])


def test_a_channel_that_takes_a_field_back_does_not_bring_it_back_when_another_is_lost(bus):
    publisher = make(bus, merges_channels=True)
    publisher.want(SBIN, Mode.DEPTH, 20)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=5.0, open=4.5)])
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=5.0, taken_back=("open",))])
    publisher.want(SBIN, Mode.QUOTE, 0)
    publisher.publish("deep", [Tick(instrument=SBIN, mode=Mode.DEPTH, depth=Depth([], []))])
    publisher.end_session("deep", [SBIN])
    assert "open" not in data(publisher.snapshot(SBIN, Mode.QUOTE, 0))


def test_the_change_of_a_negative_close_has_the_sign_of_the_movement(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.QUOTE, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=-5.0, close=-10.0)])
    payload = data(bus.payloads()[0][1])
    assert (payload["change"], payload["change_percent"]) == (5, 50)


def test_the_time_of_an_instrument_never_runs_backwards(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.DEPTH, 5)
    book = Depth([DepthLevel(1.0, 5)], [])
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.DEPTH, ltp=1.0, depth=book)])  # undated: its arrival
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=1.0, timestamp=NOW - 123)])
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=2.0, timestamp=NOW + 877)])
    assert [data(payload)["timestamp"] for _, payload in bus.payloads()] == [NOW, NOW, NOW + 877]


def test_the_zero_that_a_wire_has_for_the_open_interest_of_a_share_is_none(bus):
    future = Instrument("SBIN28DEC26FUT", "NFO", "1")
    publisher = make(bus)
    for instrument in (SBIN, future):
        publisher.want(instrument, Mode.QUOTE, 0)
        publisher.publish("main", [Tick(instrument=instrument, mode=Mode.QUOTE, ltp=1.0, oi=0)])
    assert [data(payload).get("oi") for _, payload in bus.payloads()] == [None, 0]


def test_a_time_does_not_run_backwards_over_a_reconnect_either(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.LTP, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.LTP, ltp=1.0)])
    publisher.end_session("main", [SBIN])
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.LTP, ltp=2.0, timestamp=NOW - 5000)])
    assert data(bus.payloads()[-1][1])["timestamp"] == NOW


def test_a_quote_or_a_book_waits_for_the_price(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.QUOTE, 0)
    publisher.want(SBIN, Mode.DEPTH, 5)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.DEPTH, open=4.0, depth=Depth([], []))])
    assert bus.sent == []
    assert publisher.snapshot(SBIN, Mode.QUOTE, 0) is publisher.snapshot(SBIN, Mode.DEPTH, 5) is None
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.LTP, ltp=5.0)])
    assert [data(payload)["open"] for _, payload in bus.payloads()] == [4, 4]


def test_the_first_depth_waits_for_a_book(bus):
    clock = Clock()
    publisher = make(bus, clock)
    publisher.want(SBIN, Mode.DEPTH, 5)
    publisher.want(SBIN, Mode.QUOTE, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=5.0)])
    assert bus.topics() == ["SBIN/QUOTE/0"]
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.DEPTH, depth=Depth([DepthLevel(4.5, 1)], []))])
    assert data(bus.payloads()[-1][1])["depth"]["buy"][0]["price"] == 4.5
    bus.sent.clear()
    clock.pass_a_second()
    assert bus.sent == []


def test_a_book_that_does_not_come_within_a_second_is_an_empty_one(bus):
    clock = Clock()
    publisher = make(bus, clock)
    publisher.want(SBIN, Mode.DEPTH, 5)
    publisher.want(SBIN, Mode.DEPTH, 20)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=5.0)])
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=6.0)])
    assert bus.sent == []
    clock.pass_a_second()
    assert bus.topics() == ["SBIN/DEPTH/5", "SBIN/DEPTH/20"]
    assert data(bus.payloads()[0][1]) == {
        "symbol": "SBIN", "exchange": "NSE", "mode": "depth", "ltp": 6, "timestamp": NOW,
        "depth": {"buy": [], "sell": []},
    }  # fmt: skip
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=7.0)])
    assert data(bus.payloads()[-1][1])["depth"] == {"buy": [], "sell": []}


def test_an_instrument_without_a_book_shows_none(bus):
    clock = Clock()
    publisher = make(bus, clock)
    publisher.want(SBIN, Mode.DEPTH, 0)  # what is granted for an index
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=5.0)])
    assert "depth" not in data(bus.payloads()[0][1])


def test_a_stopped_publisher_gives_up_no_books(bus):
    clock = Clock()
    publisher = make(bus, clock)
    publisher.want(SBIN, Mode.DEPTH, 5)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=5.0)])
    publisher.close()
    clock.pass_a_second()
    assert bus.sent == []


def test_an_ended_session_takes_its_values_back_from_the_proxies(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.LTP, 0)
    publisher.want(SBIN, Mode.QUOTE, 0)
    publisher.want(INFY, Mode.LTP, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.LTP, ltp=5.0)])
    bus.sent.clear()
    publisher.end_session("main", [SBIN, INFY])
    publisher.end_session("main", [SBIN, INFY])
    assert bus.payloads() == [("SBIN/LTP/0", b""), ("SBIN/QUOTE/0", b"")], "once, and only where there was a value"


FULL = {"open": 4.0, "high": 9.0, "low": 3.0, "close": 4.5, "upper_circuit": 10.0, "lower_circuit": 1.0, "oi": 7}


def test_what_holds_for_the_day_completes_the_first_words_of_the_next_session(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.QUOTE, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=5.0, volume=100, **FULL)])
    publisher.end_session("main", [SBIN])
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.LTP, ltp=5.5)])
    assert data(bus.payloads()[-1][1]) == {
        "symbol": "SBIN", "exchange": "NSE", "mode": "quote", "ltp": 5.5, "timestamp": NOW, "open": 4, "close": 4.5,
        "volume": 100, "change": 1, "change_percent": 22.2222, "upper_circuit": 10, "lower_circuit": 1,
    }  # fmt: skip


def test_the_new_session_s_own_words_count(bus):
    publisher = make(bus)
    publisher.want(SBIN, Mode.QUOTE, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=5.0, volume=100, **FULL)])
    publisher.end_session("main", [SBIN])
    publisher.publish(
        "main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=5.5, close=5.0, volume=90, taken_back=("open",))]
    )
    quote = data(bus.payloads()[-1][1])
    assert (quote["close"], quote["volume"], "open" in quote) == (5, 100, False), "a volume does not shrink"
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, volume=101)])
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, volume=50)])
    assert data(bus.payloads()[-1][1])["volume"] == 50, "the floor holds until it is reached"


def test_what_another_day_or_another_token_said_completes_nothing(bus):
    clock = Clock()
    publisher = make(bus, clock)
    publisher.want(SBIN, Mode.QUOTE, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=5.0, volume=100, **FULL)])
    publisher.end_session("main", [SBIN])
    clock.now += 86_400_000
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=5.5)])
    assert set(data(bus.payloads()[-1][1])) == {"symbol", "exchange", "mode", "ltp", "timestamp"}
    other = Instrument("SBIN", "NSE", "9999")
    publisher.want(other, Mode.QUOTE, 0)
    publisher.publish("main", [Tick(instrument=other, mode=Mode.QUOTE, ltp=5.5)])
    assert "open" not in data(bus.payloads()[-1][1])


def test_ticks_of_the_richer_kind_that_are_under_way_count_for_their_price_alone(bus):
    clock = Clock()
    publisher = make(bus, clock)
    publisher.want(SBIN, Mode.QUOTE, 0)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.DEPTH, ltp=5.0, oi=7)])
    publisher.change_kind("main", SBIN)
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.DEPTH, ltp=5.5, oi=8)])
    quote = data(bus.payloads()[-1][1])
    assert quote["ltp"] == 5.5
    assert "oi" not in quote, "the poorer kind will never say another one"
    for _ in range(4):
        clock.pass_a_second()
    publisher.publish("main", [Tick(instrument=SBIN, mode=Mode.DEPTH, ltp=5.5, oi=8)])
    assert data(bus.payloads()[-1][1])["oi"] == 8, "a kind that goes on saying so means it"
