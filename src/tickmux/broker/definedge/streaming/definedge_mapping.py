"""Definedge's codec: the family's with a session token and another source (specification section 3)."""

from tickmux.broker._noren.noren_codec import NorenCodec

SCRIP_LIMIT = 500


class DefinedgeCodec(NorenCodec):
    variant = "susertoken"
    source = "TRTP"
    scrip_limit = SCRIP_LIMIT
