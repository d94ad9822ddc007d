"""The proxy moves the subscribers of a feed's topics when the feed asks it to."""

import uvloop

from support.servers import connected, running_proxy
from tickmux.tick import Mode
from tickmux.websocket_proxy.bus import BusPublisher
from tickmux.websocket_proxy.feed import Grant, Move, topic_name
from tickmux.websocket_proxy.feed_state import FeedInfo, FeedState, FeedStatus
from tickmux.websocket_proxy.subscription_index import TopicKey


class Source:
    """Grants everything, under the name that it bears at the time."""

    has_orders = False
    account = "bob"
    status = FeedStatus(FeedState.LIVE, 0, "", 0)

    def __init__(self, broker):
        self.become(broker)
        self.given_back = []

    def become(self, broker):
        self.broker, self.id = broker, f"{broker}:bob"

    def grant(self, symbol, depth=0):
        mode = Mode.DEPTH if depth else Mode.LTP
        key = TopicKey(self.id, "NSE", symbol, mode, depth)
        return Grant(key, topic_name(key))

    async def subscribe(self, wants):
        return [self.grant(one.symbol, one.depth if one.mode is Mode.DEPTH else 0) for one in wants]

    async def unsubscribe(self, keys):
        self.given_back += keys

    def listen(self, listener):
        return lambda: None

    def instrument_status(self, symbol, exchange):
        return None

    def listen_to_instruments(self, listener):
        return lambda: None

    def info(self):
        return FeedInfo({}, (), 0, None)

    async def stop(self):
        pass


def run(main):
    return uvloop.run(main())


async def publisher(proxy, source):
    made = BusPublisher(proxy.bus.endpoint, source.id, high_water_mark=100)
    assert await made.wait_ready(5)
    return made


def test_whoever_holds_a_topic_gets_the_new_ones_data_from_then_on_under_its_own_name_for_it():
    async def main():
        source = Source("zerodha")
        async with running_proxy(source) as proxy, connected(proxy) as one, connected(proxy) as other:
            await one.ask(action="subscribe", symbols=["NSE:SBIN:20"], mode="DEPTH")
            await other.ask(action="subscribe", symbols=["NSE:TCS"], mode="LTP")
            old = source.grant("SBIN", 20).key
            source.become("upstox")
            new = source.grant("SBIN", 5)
            proxy.move(source, [Move(old, new)])
            bus = await publisher(proxy, source)
            bus.send([topic_name(old), b'{"symbol":"SBIN","ltp":1}', new.topic, b'{"symbol":"SBIN","ltp":2}'])
            message = await one.data()
            assert (message["symbol"], message["broker"], message["data"]["ltp"]) == ("SBIN:20", "upstox", 2)
            assert await other.nothing_before_pong() == []
            (listed,) = (await one.ask(action="list_subscriptions"))["subscriptions"]
            assert (listed["symbol"], listed["depth"], listed["broker"]) == ("SBIN:20", 5, "upstox")
            await one.ask(action="unsubscribe_all")
            assert source.given_back == [new.key]
            bus.close()

    run(main)


def test_a_client_that_does_not_read_is_moved_too_and_gets_the_newest_value_when_it_reads():
    async def main():
        source = Source("zerodha")
        async with running_proxy(source) as proxy, connected(proxy) as client:
            await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
            (session,) = proxy.clients
            session.pause_writing()
            old = source.grant("SBIN").key
            source.become("upstox")
            new = source.grant("SBIN")
            proxy.move(source, [Move(old, new)])
            ((held, lane),) = proxy.index.held(session).values()
            assert held.key == new.key
            assert session not in lane.appends
            bus = await publisher(proxy, source)
            bus.send([new.topic, b'{"symbol":"SBIN","ltp":2}'])
            session.resume_writing()
            message = await client.data()
            assert (message["broker"], message["data"]["ltp"]) == ("upstox", 2)
            bus.close()

    run(main)
