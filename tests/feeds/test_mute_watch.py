"""Mute connections, against a pretended server and clock: hours pass in no time."""

import random

import pytest

from tickmux.feeds.instrument_states import InstrumentState, InstrumentStates
from tickmux.feeds.mute_watch import MuteWatch
from tickmux.instrument import Instrument


def instruments(count, exchange="NFO"):
    return [Instrument(f"{exchange}{number}", exchange, str(number)) for number in range(count)]


class Server:
    """Ticks each of `rows` every `gap(row)` seconds (a mean; None for never) while it is subscribed.

    snapshot:   a subscription is answered at once.
    deaf:       nothing helps on this socket.
    most:       how many subscriptions it takes.
    """

    def __init__(self, rows, gap, *, snapshot=True, regular=False, most=None):
        self.rows, self.gap, self.snapshot, self.regular, self.most = rows, gap, snapshot, regular, most
        self.random = random.Random(5)
        self.states = InstrumentStates()
        self.watch = MuteWatch(self.states, "main", 60.0)
        self.now = 1000.0
        self.open = True
        self.deaf = False
        self.again, self.reconnects = [], []
        self.connect()

    def connect(self):
        self.deaf, self.taken, self.next = False, set(), {}
        self.watch.begin(self.now)
        self.subscribe(self.rows)

    def subscribe(self, rows):
        self.watch.asked(rows, self.now)
        for row in rows:
            if self.deaf or (self.most is not None and len(self.taken) >= self.most and row not in self.taken):
                continue
            self.taken.add(row)
            if self.snapshot:
                self.tick(row)
            self.plan(row)

    def plan(self, row):
        if (gap := self.gap(row)) is not None:
            self.next[row] = self.now + (gap if self.regular else self.random.expovariate(1 / gap))

    def tick(self, row):
        self.watch.rhythms[id(row)].last_tick = self.now

    def forget(self):
        self.taken, self.next = set(), {}

    def go_mute(self):
        self.forget()
        self.deaf = True

    def run(self, seconds):
        ends = self.now + seconds
        while self.now < ends:
            self.now += 1.0
            for row, due in list(self.next.items()):
                if due <= self.now and self.open:
                    self.tick(row)
                    self.plan(row)
            again, why = self.watch.look(self.now, lambda row: self.open)
            if why:
                self.reconnects.append(self.now)
                self.now += 1.0
                self.connect()
            elif again:
                self.again.append((self.now, again))
                self.subscribe(again)

    def serves(self):
        return len(self.taken)

    def until_served(self, most=200):
        began = self.now
        while self.serves() < len(self.rows):
            self.run(1)
            assert self.now - began < most, "never"
        return self.now - began


@pytest.mark.parametrize("snapshot", [True, False])
@pytest.mark.parametrize("gap", [1.0, 3.0, 8.0, 10.0])
@pytest.mark.parametrize("count", [1, 20])
def test_instruments_that_tick_several_times_a_minute_are_subscribed_again_in_fifteen_seconds(gap, count, snapshot):
    server = Server(instruments(count), lambda row: gap, snapshot=snapshot, regular=True)
    server.run(120)
    assert (server.again, server.reconnects) == ([], [])
    server.forget()
    assert server.until_served() <= 15
    assert server.reconnects == [], "the same socket was enough"


@pytest.mark.parametrize("gap", [1.0, 3.0, 8.0])
def test_where_the_same_socket_does_not_help_a_new_one_follows_within_fifteen_seconds(gap):
    server = Server(instruments(20), lambda row: gap)
    server.run(300)
    before = len(server.reconnects)
    server.go_mute()
    assert server.until_served() <= 15
    assert len(server.reconnects) == before + 1


def test_what_has_hardly_ticked_yet_is_subscribed_again_with_the_others():
    rows = instruments(20)
    server = Server(rows, lambda row: 1.0 if row in rows[:5] else 600.0)
    server.run(60)
    server.forget()
    assert server.until_served() <= 15


def test_one_instrument_of_many_that_was_forgotten_is_subscribed_again_alone():
    rows = instruments(20)
    server = Server(rows, lambda row: 2.0)
    server.run(300)
    before, reconnects = len(server.again), len(server.reconnects)
    server.taken.discard(rows[3])
    del server.next[rows[3]]
    assert server.until_served() <= 15
    assert [again for _, again in server.again[before:]] == [[rows[3]]]
    assert len(server.reconnects) == reconnects


def test_a_rare_one_is_given_the_time_of_its_own_history():
    rows = instruments(1)
    server = Server(rows, lambda row: 60.0, regular=True)
    server.run(1200)
    assert server.again == []
    server.forget()
    assert 60 < server.until_served(400) <= 240


@pytest.mark.parametrize("snapshot", [True, False])
@pytest.mark.parametrize("gap", [5.0, 20.0, 60.0])
def test_five_hundred_options_of_which_three_trade_make_no_reconnect_storm(gap, snapshot):
    rows = instruments(500)
    server = Server(rows, lambda row: gap if row in rows[:3] else None, snapshot=snapshot)
    server.run(1200)
    assert len(server.reconnects) <= 1
    assert sum(len(again) for _, again in server.again) <= 10 * len(rows), "a few frames for each"


def test_a_market_that_stops_altogether_is_knocked_at_ever_more_rarely():
    server = Server(instruments(50), lambda row: 1.0, snapshot=False)
    server.run(120)
    server.gap = lambda row: None
    server.forget()
    server.run(3600)
    gaps = [later - earlier for earlier, later in zip(server.reconnects, server.reconnects[1:], strict=False)]
    assert 1 <= len(server.reconnects) <= 8
    assert gaps == sorted(gaps)


def test_a_server_that_takes_a_part_only_is_found_out_and_given_up_once():
    rows = instruments(164)
    server = Server(rows, lambda row: 2.0, most=100)
    server.run(600)
    states = [server.states.state(row, server.now, trading=True) for row in rows]
    assert states.count(InstrumentState.SILENT) == 64
    assert states.count(InstrumentState.LIVE) == 100
    assert len(server.reconnects) == 1
    asked = [again for _, again in server.again if set(again) & set(rows[100:])]
    assert 2 <= len(asked) <= 8


def test_nobody_is_missed_while_the_market_is_closed_nor_right_after_it_opens():
    server = Server(instruments(20), lambda row: 1.0)
    server.run(120)
    server.open = False
    server.run(1800)
    assert (server.again, server.reconnects) == ([], [])
    for row in server.rows:
        server.next[row] = server.now + 3
    server.open = True
    server.run(60)
    assert (server.again, server.reconnects) == ([], [])


def test_a_process_that_was_suspended_blames_nobody():
    server = Server(instruments(20), lambda row: 1.0)
    server.run(120)
    server.now += 600
    for row in server.rows:
        server.next[row] = server.now + 2
    server.run(30)
    assert (server.again, server.reconnects) == ([], [])


def test_another_kind_is_not_missed_by_the_old_one_s_rhythm():
    rows = instruments(5)
    server = Server(rows, lambda row: 1.0)
    server.run(120)
    server.watch.changed(rows, server.now)
    server.gap = lambda row: 30.0
    for row in rows:
        server.plan(row)
    again, reconnects = len(server.again), len(server.reconnects)
    server.run(20)
    assert len(server.reconnects) == reconnects
    assert len(server.again) - again <= 1


def test_an_instrument_that_ticks_again_is_no_longer_silent():
    rows = instruments(2)
    server = Server(rows, lambda row: 1.0)
    server.run(60)
    server.go_mute()
    while not server.states.silent():
        server.run(1)
    server.until_served()
    server.run(10)
    assert server.states.silent() == []
