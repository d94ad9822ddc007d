"""Shoonya's login: the family's OAuth code flow (specification section 2)."""

from tickmux.broker._noren.login import NorenOAuthLogin
from tickmux.broker.shoonya.streaming.shoonya_adapter import ShoonyaAdapter


class ShoonyaLogin(NorenOAuthLogin):
    broker = "Shoonya"
    clear_at = (3, 0)
    default_urls = ShoonyaAdapter.default_urls
