"""The XTS family's servers as fivepaisaxts runs them: JSON events."""

from tickmux.simulator._xts.server import XtsSimulator, xts_endpoints


class FivepaisaXtsSimulator(XtsSimulator):
    name = "fivepaisaxts"
    endpoints = xts_endpoints("/apimarketdata")


SIMULATOR = FivepaisaXtsSimulator
