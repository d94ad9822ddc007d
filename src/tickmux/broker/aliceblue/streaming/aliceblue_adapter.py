"""Alice Blue's endpoints, and the session that precedes every connection (specification sections 1 to 3)."""

import httpx
import msgspec

from tickmux.broker._noren.noren_adapter import NorenAdapter
from tickmux.broker._noren.noren_codec import REFUSAL
from tickmux.broker.aliceblue.streaming.aliceblue_mapping import AliceBlueCodec
from tickmux.codec import Credentials
from tickmux.websocket_proxy.base_adapter import AuthRejected, Endpoint, Unavailable, refused


class _Answer(msgspec.Struct):
    status: str = ""
    stat: str = ""


class AliceBlueAdapter(NorenAdapter):
    """One connection a client id: making a session ends the one before, also another program's."""

    name = "aliceblue"
    display_name = "Alice Blue"
    token_life = "as its token says, up to 60 days"  # noqa: S105
    exchanges = AliceBlueCodec.exchanges
    codec_class = AliceBlueCodec
    default_urls = {
        "feed": "wss://ws1.aliceblueonline.com/NorenWS/",
        "login": "https://ant.aliceblueonline.com/",
        "api": "https://a3.aliceblueonline.com/open-api/od/v1",
        "instruments": "https://v2api.aliceblueonline.com/restpy/static/contract_master/V2",
    }

    def spare_refusals(self, credentials: Credentials) -> int:
        """The WebSocket session may be gone while the user's is good: it is made anew once."""
        return 1

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        await self._call("invalidateWsSess", credentials, http)  # "not Ok": there was none
        if not await self._call("createWsSess", credentials, http):
            raise AuthRejected(REFUSAL, certain=True)
        return await super().endpoint(channel, credentials, http)

    async def _call(self, name: str, credentials: Credentials, http: httpx.AsyncClient) -> bool:
        """Whether the broker says Ok; raises AuthRejected for a dead session, Unavailable without an answer."""
        response = await http.post(
            f"{self.urls['api']}/profile/{name}",
            json={"source": "API", "userId": credentials["user_id"]},
            headers={"Authorization": f"Bearer {credentials['token']}"},
        )
        if response.status_code in (401, 403):
            raise refused("Alice Blue refused the session", response.status_code, response.content)
        if response.status_code == 429:
            raise Unavailable("too many requests (HTTP 429)", 60.0)
        try:
            answer = msgspec.json.decode(response.content, type=_Answer)
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise Unavailable(f"{name}: HTTP {response.status_code} without an answer") from None
        if response.status_code >= 500:
            raise Unavailable(f"{name}: HTTP {response.status_code}")
        return (answer.status or answer.stat).lower() == "ok"
