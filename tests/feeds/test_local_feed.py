"""One broker session's feed, over a real socket to the simulated Zerodha."""

import time
from datetime import UTC, datetime

import msgspec
import pytest
import uvloop

from support.feeds import rig
from support.servers import connected, eventually, running_proxy
from tickmux.errors import RequestError
from tickmux.feeds.external_feed import ExternalFeed
from tickmux.feeds.market_hours import MarketHours
from tickmux.login import LoginFailed
from tickmux.tick import Mode
from tickmux.websocket_proxy.bus import BusPublisher
from tickmux.websocket_proxy.connection_manager import PoolLimits
from tickmux.websocket_proxy.feed import Want, topic_name
from tickmux.websocket_proxy.subscription_index import TopicKey


def run(main):
    return uvloop.run(main())


def test_a_new_instrument_list_moves_subscriptions_to_the_new_tokens():
    async def main():
        async with rig("zerodha") as feed:
            (row,) = feed.listed(1, "NSE")
            other = feed.listed(2, "NSE")[1]
            grants = await feed.subscribe([row], Mode.LTP)
            await feed.ticking(grants)
            # Tomorrow's list gives the symbol another token: here, another instrument's.
            feed.instruments.rows[row.symbol, row.exchange] = msgspec.structs.replace(row, token=other.token)
            feed.instruments.version += 1
            (connection,) = feed.feed.pool.connections()
            await eventually(lambda: [one.token for one in connection.wanted] == [other.token], "the new token")
            feed.bus.clear()
            await feed.ticking(grants)
            payload = feed.bus.payloads[grants[0].topic][-1]
            assert payload["symbol"] == row.symbol
            await eventually(
                lambda: (
                    feed.bus.payloads[grants[0].topic][-1]["ltp"]
                    == feed.exchange.find(other.symbol, "NSE").ltp / 10_000
                )
            )

    run(main)


def test_without_a_session_the_feed_says_how_to_log_in_and_starts_when_one_is_stored():
    async def main():
        async with rig("zerodha") as feed:
            stored, feed.simulator.credentials = feed.simulator.credentials, None
            grants = await feed.subscribe(feed.listed(2), Mode.LTP)
            await feed.state("auth_expired")
            assert "tickmux broker login zerodha" in feed.feed.status.message
            feed.simulator.credentials = stored
            await feed.ticking(grants)
            await feed.state("live")

    run(main)


def test_a_token_stored_by_another_process_is_noticed_without_being_told():
    async def main():
        async with rig("zerodha") as feed:
            grants = await feed.subscribe(feed.listed(2), Mode.LTP)
            await feed.ticking(grants)
            feed.simulator.expire_token()
            await feed.state("auth_expired")
            feed.simulator.new_token()
            feed.bus.clear()
            await feed.ticking(grants)

    run(main)


def test_a_full_pool_refuses_with_the_numbers():
    async def main():
        async with rig("zerodha", limits=PoolLimits(symbols=2, connections=2)) as feed:
            rows = feed.listed(6)
            verdicts = await feed.feed.subscribe([Want(row.symbol, row.exchange, Mode.LTP, 5) for row in rows])
            refused = [verdict for verdict in verdicts if isinstance(verdict, RequestError)]
            assert [verdict.code for verdict in refused] == ["CAPACITY_EXCEEDED"] * 2
            assert "2 × 2" in refused[0].message
            await eventually(lambda: len(feed.simulator.clients) == 2)

    run(main)


def test_references_are_counted_so_that_one_clients_leaving_does_not_end_anothers_feed():
    async def main():
        async with rig("zerodha") as feed:
            rows = feed.listed(1)
            (first,) = await feed.subscribe(rows, Mode.LTP)
            await feed.subscribe(rows, Mode.LTP)
            await feed.feed.unsubscribe([first.key])
            feed.bus.clear()
            await feed.ticking([first])
            await feed.feed.unsubscribe([first.key, first.key])
            assert feed.feed.info().symbols == 0

    run(main)


@pytest.mark.parametrize("broker", ["zerodha", "angel", "mstock", "paytm"])
def test_quotes_of_derivatives_carry_the_open_interest_where_only_richer_packets_have_it(broker):
    async def main():
        async with rig(broker) as feed:
            (row,) = feed.listed(1, "NFO")
            (quote,) = await feed.subscribe([row], Mode.QUOTE)
            await eventually(lambda: "oi" in (feed.bus.payloads.get(quote.topic) or [{}])[-1], "open interest")
            assert "depth" not in feed.bus.payloads[quote.topic][-1]

    run(main)


def test_a_downgrade_forgets_what_only_the_richer_mode_carried():
    async def main():
        async with rig("zerodha") as feed:
            (row,) = feed.listed(1, "NSE")
            deep = await feed.subscribe([row], Mode.DEPTH)
            quote = await feed.subscribe([row], Mode.QUOTE)
            await eventually(
                lambda: "ltt" in (feed.bus.payloads.get(quote[0].topic) or [{}])[-1],
                "a trade time",
            )
            await feed.feed.unsubscribe([deep[0].key])
            await eventually(
                lambda: "ltt" not in feed.bus.payloads[quote[0].topic][-1], "quotes without a stale trade time"
            )

    run(main)


def test_closed_markets_and_missing_ticks_have_states_of_their_own(monkeypatch):
    async def main():
        async with rig("zerodha") as feed:
            grants = await feed.subscribe(feed.listed(2), Mode.LTP)
            await feed.ticking(grants)
            heard = []
            feed.feed.listen(heard.append)
            feed.running.cancel()  # heartbeats go on, ticks do not come any more
            monkeypatch.setattr("tickmux.feeds.local_feed.STALLED_AFTER", 0.2)
            await feed.state("stalled")
            monkeypatch.setattr(feed.feed, "_hours", MarketHours(), raising=True)
            monkeypatch.setattr(feed.feed, "_now", _a_sunday)
            await feed.state("market_closed")
            assert [status.state for status in heard] == ["stalled", "market_closed"]

    run(main)


def _a_sunday():
    return datetime(2026, 11, 22, 6, tzinfo=UTC)


def test_two_users_of_two_feeds_who_watch_one_symbol_see_their_own_ticks_only():
    async def main():
        async with running_proxy() as proxy:
            feeds = {
                user: ExternalFeed(
                    BusPublisher(proxy.bus.endpoint, broker, high_water_mark=10),
                    time.monotonic,
                    proxy.now_ms,
                    lambda exchange: True,
                    broker,
                )
                for user, broker in (("bob", "one"), ("eve", "two"))
            }

            async def feed_of(user):
                return feeds[user]

            proxy.feed_of = feed_of
            async with connected(proxy, "good") as bob, connected(proxy, "other") as eve:
                for client in (bob, eve):
                    await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
                sources = []
                for price, feed in enumerate(feeds.values()):
                    source = BusPublisher(proxy.bus.endpoint, feed.id, high_water_mark=100)
                    assert await source.wait_ready(5)
                    source.send([topic_name(TopicKey(feed.id, "NSE", "SBIN", Mode.LTP, 0)), b'{"ltp":%d}' % price])
                    sources.append(source)
                for price, client in enumerate((bob, eve)):
                    message = await client.data()
                    assert (message["broker"], message["data"]["ltp"]) == (("one", "two")[price], price)
                    assert await client.nothing_before_pong() == []
                for source in sources:
                    source.close()
                for feed in feeds.values():
                    await feed.stop()

    run(main)


def test_where_keys_alone_make_a_session_a_refused_one_is_renewed_once_without_a_person():
    async def main():
        async with rig("zerodha") as feed:
            renewals = []

            async def renew():
                renewals.append(1)
                if len(renewals) == 2:
                    raise LoginFailed("the keys are no longer valid")
                feed.simulator.new_token()

            feed.feed.keeper._renew = renew
            grants = await feed.subscribe(feed.listed(2), Mode.LTP)
            await feed.ticking(grants)
            feed.simulator.expire_token()
            await eventually(lambda: renewals, "the renewal")
            feed.bus.clear()
            await feed.ticking(grants)
            feed.simulator.expire_token()
            await feed.state("auth_expired")
            await eventually(lambda: "no longer valid" in feed.feed.status.message)
            looked = feed.sessions.looked
            await eventually(lambda: feed.sessions.looked > looked + 1)
            assert len(renewals) == 2, "not again for the same refused session"

    run(main)
