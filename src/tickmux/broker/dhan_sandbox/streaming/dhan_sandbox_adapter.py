"""The sandbox's endpoints: Dhan's for the live profile, a clock on loopback for the simulator (sections 1 and 3)."""

import logging
from collections.abc import Mapping

import httpx

from tickmux.broker.dhan.streaming.dhan_adapter import DhanAdapter
from tickmux.broker.dhan_sandbox.streaming.dhan_sandbox_mapping import SIMULATOR, SandboxDepthCodec, SandboxMainCodec
from tickmux.broker.dhan_sandbox.streaming.pulse import open_pulse
from tickmux.broker.dhan_sandbox.streaming.synthetic_market import SyntheticMarket
from tickmux.codec import Credentials, FeedCodec
from tickmux.websocket_proxy.base_adapter import Endpoint

log = logging.getLogger(__name__)


class DhanSandboxAdapter(DhanAdapter):
    """Dhan's limits and streams; the session's `profile` says where prices come from."""

    name = "dhan_sandbox"
    display_name = "Dhan (Sandbox)"
    transport = "made-up prices; live profile: as Dhan"
    token_life = "unlimited; live profile: 24 hours"  # noqa: S105

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        super().__init__(urls)
        self._market = SyntheticMarket()

    def codec(self, channel: str) -> FeedCodec:
        if channel == "main":
            return SandboxMainCodec(self.standing, self._market)
        return SandboxDepthCodec(200 if channel == "depth200" else 20, self.standing, self._market)

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        if credentials.get("profile") != SIMULATOR:
            return await super().endpoint(channel, credentials, http)
        log.warning("%s/%s: prices are made up, this is no market data", self.name, channel)
        return Endpoint(await open_pulse())
