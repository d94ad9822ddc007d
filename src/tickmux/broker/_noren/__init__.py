"""The Noren family: one JSON protocol that several brokers run on their own hosts.

`noren_codec` speaks it, `scrip_state` merges its deltas, `noren_adapter`, `login` and `instruments` hold what the
members share. A member's package holds its differences only.
"""

from tickmux.broker._noren.noren_adapter import FamilyAdapter

VECTOR_ADAPTER = FamilyAdapter
