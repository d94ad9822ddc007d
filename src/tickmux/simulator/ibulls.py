"""The XTS family's servers as ibulls runs them: binary packets of layout A."""

from tickmux.simulator._xts.server import XtsSimulator, xts_endpoints


class IbullsSimulator(XtsSimulator):
    name = "ibulls"
    endpoints = xts_endpoints("/apibinarymarketdata")
    prefixes = ("/apibinarymarketdata",)
    layout = "A"


SIMULATOR = IbullsSimulator
