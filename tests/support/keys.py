"""Keys of a bus that no folder holds."""

from pathlib import Path

import zmq

from tickmux.websocket_proxy.bus_keys import BusKeys, KeyPair

KEYS = BusKeys(Path("/nowhere"), *(KeyPair(*zmq.curve_keypair()) for _ in range(3)))
