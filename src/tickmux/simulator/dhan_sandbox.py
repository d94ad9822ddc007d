"""Dhan's servers for the sandbox's live profile. Its simulator profile needs no server."""

from tickmux.codec import Credentials
from tickmux.simulator.dhan import DhanSimulator


class DhanSandboxSimulator(DhanSimulator):
    """The sandbox has no feed of its own: what it is simulated with is Dhan's."""

    name = "dhan_sandbox"

    def make_credentials(self, number: int) -> Credentials:
        return Credentials({**super().make_credentials(number).values, "profile": "live"})


SIMULATOR = DhanSandboxSimulator
