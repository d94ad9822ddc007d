"""The XTS family's servers as rmoney runs them: JSON events; REST is served under both prefixes."""

from tickmux.simulator._xts.server import XtsSimulator, xts_endpoints


class RmoneySimulator(XtsSimulator):
    name = "rmoney"
    endpoints = xts_endpoints("/apimarketdata")
    prefixes = ("/apimarketdata", "/apibinarymarketdata")


SIMULATOR = RmoneySimulator
