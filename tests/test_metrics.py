import asyncio

import uvloop

from support.servers import connected
from tickmux.config import Settings
from tickmux.database.engine import Database
from tickmux.feeds.feed_directory import Upstream
from tickmux.metrics import exposition, feed_summary
from tickmux.runtime import Runtime


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
                text = exposition(runtime).decode()
                (summary,) = [feed_summary(feed) for feed in runtime.running_feeds()]
            await runtime.stop()
        assert 'tickmux_feed_ticks_total{account="simulator",broker="zerodha"}' in text
        assert 'tickmux_feed_state{account="simulator",broker="zerodha",state="live"} 1.0' in text
        assert "tickmux_proxy_clients 1.0" in text
        assert "tickmux_proxy_subscriptions 1.0" in text
        assert key not in text
        assert summary["state"] == "live"
        assert summary["connections"][0]["subscribed"] == 1
        assert summary["capacity"]["main"] == {"symbols": 3000, "connections": 1}

    uvloop.run(main())
