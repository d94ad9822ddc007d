"""The XTS family's servers as compositedge runs them: JSON events."""

from tickmux.simulator._xts.server import XtsSimulator, xts_endpoints


class CompositedgeSimulator(XtsSimulator):
    name = "compositedge"
    endpoints = xts_endpoints("/apimarketdata")


SIMULATOR = CompositedgeSimulator
