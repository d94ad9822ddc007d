"""Definedge's codec: the family's with a session token and another source (specification section 3)."""

from tickmux.broker._noren.noren_codec import NorenCodec


class DefinedgeCodec(NorenCodec):
    variant = "susertoken"
    source = "TRTP"
