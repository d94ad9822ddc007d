import asyncio

import uvloop

from support.servers import connected
from tickmux.config import Settings
from tickmux.database.engine import Database
from tickmux.feeds.feed_directory import Upstream
from tickmux.metrics import exposition
from tickmux.runtime import Runtime
from tickmux.websocket_proxy.feed_state import ChannelSize


def test_every_counter_of_proxy_and_feeds_is_exposed_by_broker(tmp_path):
    async def main():
        settings = Settings.load(
            {"TICKMUX_HOME": tmp_path, "WEBSOCKET_PORT": 0, "ZMQ_PORT": 0}, environ={}, folder=tmp_path
        )
        with Database.open(settings) as database:
            runtime = Runtime(settings, database, Upstream(simulate="zerodha"))
            await runtime.start()
            key = await asyncio.to_thread(runtime.api_keys.create, "bob")
            async with connected(runtime.proxy, key) as client:
                await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
                await client.data()
                text = exposition(runtime, {}).decode()
                (feed,) = runtime.running_feeds()
                state, info = feed.status.state, feed.info()
            await runtime.stop()
        assert 'tickmux_feed_ticks_total{account="simulator",broker="zerodha"}' in text
        assert 'tickmux_feed_state{account="simulator",broker="zerodha",state="live"} 1.0' in text
        assert "tickmux_proxy_clients 1.0" in text
        assert "tickmux_proxy_subscriptions 1.0" in text
        assert key not in text
        assert state == "live"
        assert info.connections[0].subscribed == 1
        assert info.capacity["main"] == ChannelSize(symbols=3000, connections=1)

    uvloop.run(main())
