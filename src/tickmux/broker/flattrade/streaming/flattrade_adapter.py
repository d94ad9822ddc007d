"""Flattrade's endpoints, and how often it tries again after a good session (specification sections 1 to 3)."""

from tickmux.broker._noren.noren_adapter import NorenAdapter, noren_channel
from tickmux.codec import Credentials

_COOL_DOWN = 60.0
_SPARE = 3


class FlattradeAdapter(NorenAdapter):
    """One connection a user id; no limit of scrips is published. After a drop at least 5 s have to pass."""

    name = "flattrade"
    display_name = "Flattrade"
    token_life = "until 05:00 IST"  # noqa: S105
    channels = {"main": noren_channel(pause=5.0)}
    default_urls = {
        "feed": "wss://piconnect.flattrade.in/PiConnectWSAPI/",
        "login": "https://auth.flattrade.in/",
        "token": "https://authapi.flattrade.in/trade/apitoken",
        "instruments": "https://flattrade.s3.ap-south-1.amazonaws.com/scripmaster",
    }

    def spare_refusals(self, credentials: Credentials) -> int:
        """Soon after a good session has ended, a good token may be refused."""
        return _SPARE if self.memory.good_within(_COOL_DOWN) else 0
