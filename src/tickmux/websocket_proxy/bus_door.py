"""A ZeroMQ socket that listens on TCP, and who may come in.

A `Door` lets in peers that speak ZMTP 3 and hold a CURVE key that `admits` knows; or, where `keys` is None, peers
without keys, on loopback addresses only. ZMTP 1 and 2, which a browser's request cannot be told from, are refused by
libzmq for every socket that has a ZAP domain.

Each door has a ZeroMQ context of its own, since a context has one authenticator (ZAP, RFC 27) for all its sockets,
and ours may live in a host application's process. It owns three sockets and no task. Bounded: `MOST_PEERS`
connections, each of them with `_HANDSHAKE_MS` to come in, and what the socket's options say for each.
"""

import logging
import time
from collections.abc import Callable
from ipaddress import ip_address
from socket import SOCK_STREAM, gaierror, getaddrinfo

import zmq
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from tickmux.websocket_proxy.bus_keys import ClientKeys, KeyPair
from tickmux.websocket_proxy.port_check import PortTaken, check_port, describe_taken
from tickmux.websocket_proxy.zmq_wakeup import Wakeup

log = logging.getLogger(__name__)

MOST_PEERS = 256
_HANDSHAKE_MS = 5_000
_HEARTBEAT_MS = 2_000
_LOG_INTERVAL = 60.0
_ZAP = "inproc://zeromq.zap.01"
_DOMAIN = b"tickmux"
_EVENTS = int(
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class AddressRefused(OSError):
    """An address on which a socket must not or cannot listen; the message names the setting and says why."""


class Door:
    """A listening socket of `kind`; `setting` is the prefix of the variables that say where (`ZMQ`, `FEED`).

    `admits` judges a peer's public key. `connections` counts who has come to the door, `admitted` who came in.
    """

    def __init__(
        self, kind: int, setting: str, host: str, port: int, keys: KeyPair | None, admits: Callable[[bytes], bool]
    ) -> None:
        self._setting, self._host, self._port = setting, host, port
        self._admits = admits
        self._secret = keys is not None
        if keys is None and not is_loopback(host):
            raise AddressRefused(
                f"{setting}_HOST={host} is not an address of this machine alone, and publishers without keys may "
                f"connect only from this machine: set {setting}_HOST=127.0.0.1, or leave {setting}_PLAIN unset and "
                "give publishers keys (`tickmux bus-keys`)"
            )
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket: zmq.Socket[bytes] = self._context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.ZAP_DOMAIN, _DOMAIN)
        self.socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        if keys is not None:
            self.socket.setsockopt(zmq.CURVE_SERVER, 1)
            self.socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
        self._judge: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._wakeups: list[Wakeup] = []
        self._open: set[int] = set()
        self._logged = 0.0
        self.endpoint = ""
        """Where peers connect, from `open` on."""
        self.connections = 0
        self.admitted = 0

    def open(self) -> None:
        """Listens from now on, in the running loop. Options of `socket` are set before. Raises PortTaken,
        AddressRefused."""
        self._judge = self._context.socket(zmq.REP)
        self._judge.setsockopt(zmq.LINGER, 0)
        self._judge.bind(_ZAP)
        self._monitor = self.socket.get_monitor_socket(_EVENTS)
        self._wakeups = [Wakeup(self._judge, self._judge_peers), Wakeup(self._monitor, self._note_events)]
        try:
            self.endpoint = self._bind()
        except BaseException:
            self.close()
            raise

    @property
    def peers(self) -> int:
        """Connections now, those too that have not come in yet."""
        return len(self._open)

    def close(self, linger_ms: int = 0) -> None:
        """Frees the port; what has been sent has `linger_ms` to go out."""
        if self._context.closed:
            return
        for wakeup in self._wakeups:
            wakeup.close()
        if self._monitor is not None:
            self.socket.disable_monitor()
            self._monitor.close(0)
        if self._judge is not None:
            self._judge.close(0)
        self.socket.close(linger_ms)
        self._context.term()

    def _bind(self) -> str:
        check_port(f"{self._setting}_PORT", self._host, self._port)
        endpoint = tcp_endpoint(self._host, self._port, f"{self._setting}_HOST")
        self.socket.setsockopt(zmq.IPV6, int("[" in endpoint))
        try:
            self.socket.bind(endpoint)
        except zmq.ZMQError as error:
            if error.errno == zmq.EADDRINUSE:
                taken = describe_taken(self._host, self._port)
                raise PortTaken(f"{self._setting}_PORT", self._host, self._port, taken) from None
            raise AddressRefused(f"{self._setting}_HOST={self._host} cannot be listened on: {error}") from None
        return self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    # -- who comes ----------------------------------------------------------------------------------------

    def _judge_peers(self) -> None:
        assert self._judge is not None  # noqa: S101 - its own descriptor has called
        while True:
            try:
                version, request, _, address, _, mechanism, *credentials = self._judge.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._note_events()
            code, reason = self._verdict(mechanism, credentials)
            if reason:
                self._complain(f"from {address.decode('ascii', 'replace')}: {reason}")
            verdict = (code, reason.encode(), b"" if reason else b"peer")
            self._judge.send_multipart([version, request, *verdict, b""])

    def _verdict(self, mechanism: bytes, credentials: list[bytes]) -> tuple[bytes, str]:
        """ZAP's status, and why when it is no 200: after 300 a peer tries again, after 400 it does not."""
        if len(self._open) > MOST_PEERS:
            return b"300", f"there are {MOST_PEERS} connections, the most that there may be"
        if not self._secret:
            return (b"200", "") if mechanism == b"NULL" else (b"400", "no keys are used here")
        if mechanism != b"CURVE" or len(credentials) != 1 or not self._admits(z85.encode(credentials[0])):
            return b"400", "its key is not known here: see `tickmux bus-keys`"
        return b"200", ""

    def _note_events(self) -> None:
        assert self._monitor is not None  # noqa: S101 - opened together with the authenticator
        while True:
            try:
                event = parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return
            match int(event["event"]):
                case zmq.EVENT_ACCEPTED:
                    self.connections += 1
                    self._open.add(int(event["value"]))
                case zmq.EVENT_DISCONNECTED:
                    self._open.discard(int(event["value"]))
                case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    self.admitted += 1
                case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                    self._complain(
                        "without the right keys: see `tickmux bus-keys`"
                        if self._secret
                        else "that needs keys, or is mute"
                    )

    def _complain(self, who: str) -> None:
        """Once in a while: anybody who can connect can cause it."""
        now = time.monotonic()
        if now - self._logged >= _LOG_INTERVAL or not self._logged:
            self._logged = now
            log.warning("refused a connection to %s %s", self.endpoint, who)


def is_loopback(host: str) -> bool:
    """Whether every address of the host is of this machine alone."""
    try:
        addresses = {str(found[4][0]) for found in getaddrinfo(host, 0, type=SOCK_STREAM)}
    except gaierror:
        return False
    return all(ip_address(address.partition("%")[0]).is_loopback for address in addresses)


def tcp_endpoint(host: str, port: int, setting: str) -> str:
    """The host as ZeroMQ wants it, numeric; port 0 lets the system choose. Raises AddressRefused."""
    try:
        address = str(getaddrinfo(host, port, type=SOCK_STREAM)[0][4][0])
    except gaierror as error:
        raise AddressRefused(f"{setting}={host} is no address: {error.strerror}") from None
    return f"tcp://{f'[{address}]' if ':' in address else address}:{port or '*'}"


def connect_with_keys(socket: zmq.Socket[bytes], endpoint: str, keys: ClientKeys) -> None:
    """Connects to a door with these keys, and notices when its machine is gone."""
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.mine.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.mine.secret)
    socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server)
    socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * _HEARTBEAT_MS)
    socket.setsockopt(zmq.IPV6, int("[" in endpoint))
    socket.connect(endpoint)
