"""The XTS family's servers as wisdom runs them: JSON events."""

from tickmux.simulator._xts.server import XtsSimulator, xts_endpoints


class WisdomSimulator(XtsSimulator):
    name = "wisdom"
    endpoints = xts_endpoints("/apimarketdata")


SIMULATOR = WisdomSimulator
