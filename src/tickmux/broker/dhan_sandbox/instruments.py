"""The sandbox's instruments are those of Dhan's production list (specification section 9)."""

from tickmux.broker.dhan.instruments import DhanInstruments


class DhanSandboxInstruments(DhanInstruments):
    """The same public file, the same mapping."""
