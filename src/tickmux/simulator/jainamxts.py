"""The XTS family's servers as jainamxts runs them: binary packets of layout B."""

from tickmux.simulator._xts.server import XtsSimulator, xts_endpoints


class JainamXtsSimulator(XtsSimulator):
    name = "jainamxts"
    endpoints = xts_endpoints("/apibinarymarketdata")
    prefixes = ("/apibinarymarketdata",)
    layout = "B"


SIMULATOR = JainamXtsSimulator
