"""Upstox's endpoints, limits and handshake (specification sections 1 to 4, 7 and 10)."""

import time
from collections.abc import Mapping

import httpx

from tickmux.broker._rest_answers import read_object
from tickmux.broker.upstox.errors import RATE_LIMITED, WRONG_TOKEN_KIND, error_codes, is_auth_failure
from tickmux.broker.upstox.streaming.upstox_mapping import DEPTH_30, Account, UpstoxCodec
from tickmux.codec import Credentials, FeedCodec
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import (
    AuthRejected,
    BaseBrokerWebSocketAdapter,
    Channel,
    Endpoint,
    Stream,
    Unavailable,
)

ONLY_MODE = {"ltpc": 5000, "option_greeks": 3000, "full": 2000, DEPTH_30: 50}
"""Instruments of a mode on a connection that has no other mode (section 3)."""
MIXED_MODES = {"ltpc": 2000, "option_greeks": 2000, "full": 1500, DEPTH_30: 50}
"""Instruments of each mode on a connection that has several. Upstox's table says 1500 for `full_d30` as well, but
that a second mode should make room for thirty times as many is not to be believed: 50 stay the limit."""

PLUS, YES = "plus", "yes"
"""What a session is stored with where its owner says that the account is a Plus one."""

_RATE_LIMIT_PAUSE = 60.0
_SECOND_REFUSAL_WITHIN = 300.0
_NO_SUCH_ENDPOINT = frozenset({404, 405, 410})


class UpstoxAdapter(BaseBrokerWebSocketAdapter):
    """Market Data Feed V3: limits by mode, 2 connections a user (5 on Plus), 5 levels of depth (30 on Plus)."""

    name = "upstox"
    display_name = "Upstox"
    transport = "WebSocket, protobuf"
    exchanges = ("NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO", "NSE_INDEX", "BSE_INDEX", "GLOBAL_INDEX")
    token_life = "until 03:30 IST, a year for an Analytics token"  # noqa: S105
    default_urls = {
        "authorize": "https://api.upstox.com/v3/feed/market-data-feed/authorize",
        "feed": "wss://api.upstox.com/v3/feed/market-data-feed",
    }
    channels = {
        "main": Channel(
            symbols=ONLY_MODE["ltpc"],  # `fits` knows the lower limits of the other modes
            connections=2,
            max_connections=5,
            batch=500,
            ping_interval=20.0,
            stall_after=60.0,
            quiet_after=90.0,
            backoff=(2.0, 30.0),
        )
    }

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        super().__init__(urls)
        self._refused_at = float("-inf")
        self._account = Account()
        self._session = 0

    def meets(self, credentials: Credentials) -> None:
        """Takes in whose session this is: 30 levels are offered to an account that is said to be a Plus one.

        No answer of Upstox tells the kind of an account. With a new token, what the feed has shown is asked anew.
        """
        session = hash(credentials.get("access_token"))
        if session != self._session:
            self._session = session
            self._account.shown = None
        self._account.stated = credentials.get(PLUS) == YES

    def depth_levels(self, exchange: str) -> tuple[int, ...]:
        """30 are a Plus account's; before any session is known, all that Upstox has to offer."""
        if exchange.endswith("_INDEX"):
            return ()
        return (5, 30) if self._account.has_30 else (5,)

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        if mode == Mode.LTP:
            return (Stream("main", "ltpc"),)
        deep = mode == Mode.DEPTH and depth >= 30 and not instrument.is_index
        return (Stream("main", DEPTH_30 if deep else "full"),)

    def fits(self, channel: str, load: Mapping[str, int], limit: int) -> bool:
        modes = [mode for mode, count in load.items() if count > 0]
        limits = ONLY_MODE if len(modes) < 2 else MIXED_MODES
        return sum(load.values()) <= limit and all(load[mode] <= limits[mode] for mode in modes)

    def codec(self, channel: str) -> FeedCodec:
        return UpstoxCodec(self._account)

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        """The authorized URL, good for one connect; where Upstox gives none, its direct address, which redirects."""
        bearer = f"Bearer {credentials['access_token']}"
        url = self.urls["authorize"]
        try:
            response = await http.get(url, headers={"Authorization": bearer, "Accept": "application/json"})
        except httpx.HTTPError as error:
            raise Unavailable(f"Upstox's authorize service cannot be reached ({type(error).__name__})") from None
        answer = read_object(response.content)
        if not response.is_success and response.status_code not in _NO_SUCH_ENDPOINT:
            raise _authorize_failure(response.status_code, error_codes(answer))
        data = answer.get("data")
        if isinstance(data, dict):
            authorized = data.get("authorized_redirect_uri") or data.get("authorizedRedirectUri")
            # Plain ws:// is good enough only where the authorize service itself is plain: a simulator.
            allowed = ("wss://",) if url.startswith("https:") else ("wss://", "ws://")
            if isinstance(authorized, str) and authorized.startswith(allowed):
                return Endpoint(authorized)
        return Endpoint(self.urls["feed"], {"Authorization": bearer, "Accept": "*/*"})

    def handshake_failure(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Exception:
        # A used URL is refused like a dead token. A new URL tells them apart: authorize refuses a dead token by
        # itself, and a second refusal of a fresh URL means that the account may not have the feed (section 3).
        codes = error_codes(read_object(body))
        if status in (401, 403) or is_auth_failure(codes):
            now = time.monotonic()
            again = now - self._refused_at < _SECOND_REFUSAL_WITHIN
            self._refused_at = float("-inf") if again else now
            if again:
                return AuthRejected(
                    f"Upstox refused the feed twice (HTTP {status}): log in again, or check that the app and the "
                    "account have the market data feed"
                )
            return Unavailable(f"Upstox refused the feed's address (HTTP {status}): asking for a new one")
        if status == 429 or RATE_LIMITED in codes:
            return Unavailable(f"too many connections at Upstox (HTTP {status})", _RATE_LIMIT_PAUSE)
        return Unavailable(f"HTTP {status} {reason}".rstrip())


def _authorize_failure(status: int, codes: set[str]) -> Exception:
    """What a refusal of the authorize service means (section 10)."""
    if WRONG_TOKEN_KIND in codes:
        return AuthRejected(
            "this kind of token cannot open the market data feed: log in, or store an Analytics token "
            "(extended and sandbox tokens have no feed)",
            certain=True,
        )
    if status == 429 or RATE_LIMITED in codes:
        return Unavailable("too many requests to Upstox's authorize service", _RATE_LIMIT_PAUSE)
    if status == 401 or is_auth_failure(codes):
        return AuthRejected(
            "the access token is not valid any more (it ends at 03:30 IST)", certain=is_auth_failure(codes)
        )
    if status == 403:
        return AuthRejected("the app or the account has no permission for the market data feed")
    return Unavailable(f"Upstox's authorize service answers HTTP {status}")
