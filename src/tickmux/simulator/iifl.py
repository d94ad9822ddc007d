"""The XTS family's servers as iifl runs them: JSON events."""

from tickmux.simulator._xts.server import XtsSimulator, xts_endpoints


class IiflSimulator(XtsSimulator):
    name = "iifl"
    endpoints = xts_endpoints("/apimarketdata")


SIMULATOR = IiflSimulator
