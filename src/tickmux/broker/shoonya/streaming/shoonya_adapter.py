"""Shoonya's endpoints (specification sections 1 to 3)."""

from tickmux.broker._noren.noren_adapter import NorenAdapter


class ShoonyaAdapter(NorenAdapter):
    """One connection a user id. No limit of scrips is published, yet a user saw long lists served in part only."""

    name = "shoonya"
    display_name = "Shoonya (Finvasia)"
    token_life = "until about 03:00 IST"  # noqa: S105
    default_urls = {
        "feed": "wss://api.shoonya.com/NorenWSAPI/",
        "login": "https://api.shoonya.com/OAuthlogin/authorize/oauth",
        "token": "https://api.shoonya.com/NorenWClientAPI/GenAcsTok",
        "instruments": "https://api.shoonya.com",
    }
