"""The listening sockets, and everybody who has come in and has not authenticated.

Connections are counted from their acceptance on, before any handshake. Those that have not authenticated have places
of their own (`Limits.max_unauthenticated`), so that they can take none from clients. When these are full the oldest
of them has to go: a client that means well sends its key at once. One address may have half of them. Who has sent a
key that is still being verified is not sent away.

Accepting pauses when the process is about to run out of descriptors, which everything else needs too, and goes on
when some are free again; the log says so once. Owns the listening sockets, one timer, and a task for each connection
that is just being set up.
"""

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import Callable

from picows import WSUpgradeRequest, WSUpgradeResponse

from tickmux import owned_task
from tickmux.errors import CloseCode
from tickmux.websocket_proxy.client_protocol import ClientProtocol
from tickmux.websocket_proxy.client_session import ClientSession
from tickmux.websocket_proxy.handshake import Origins, rejection
from tickmux.websocket_proxy.refusals import Refusals
from tickmux.websocket_proxy.session_host import Limits

log = logging.getLogger(__name__)

_BACKLOG = 1024
_AT_ONCE = 64
"""Connections that are accepted before the loop gets its turn."""
_PAUSE = 0.25
_HANDSHAKE = 5.0
"""Seconds for the upgrade request; never longer than the time for authentication."""
_SPARE = 64
"""Descriptors that are left for feeds, the database and the web app, at least."""
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class ClientDoor:
    """Lets clients in. `session` makes the session of one whose handshake is good."""

    def __init__(
        self,
        limits: Limits,
        origins: Origins,
        refusals: Refusals,
        session: Callable[[ClientProtocol], ClientSession],
    ) -> None:
        self._limits = limits
        self._origins = origins
        self._refusals = refusals
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []
        self._waiting: dict[ClientProtocol, None] = {}
        """Who has not authenticated, in the order of arrival."""
        self._by_address: dict[str, int] = {}
        self._open: set[ClientProtocol] = set()
        self._opening: set[asyncio.Task[object]] = set()
        self._resume: asyncio.TimerHandle | None = None
        self._pausing = False
        self._logger = logging.getLogger("picows.client")

    @property
    def unauthenticated(self) -> int:
        """Connections that have not authenticated, those without a finished handshake too."""
        return len(self._waiting)

    async def open(self, host: str, port: int) -> int:
        """Listens on all addresses of the host; the port that it got. Raises OSError."""
        found = await self._loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listening = socket.socket(family, kind, protocol)
            self._sockets.append(listening)
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind((address[0], port, *address[2:]))
            listening.listen(_BACKLOG)
            port = int(listening.getsockname()[1])  # the one that the system chose, on the other addresses too
        self._listen()
        return port

    def close(self) -> None:
        """Lets nobody in any more."""
        if self._resume is not None:
            self._resume.cancel()
        for listening in self._sockets:
            self._loop.remove_reader(listening)
            listening.close()
        self._sockets.clear()
        for visitor in tuple(self._open):
            if visitor.session is None or visitor.session.lingering:
                visitor.abort()

    # -- accepting ----------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._resume = None
        for listening in self._sockets:
            self._loop.add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            if len(self._open) >= _room():
                self._pause("as many connections as this process may have descriptors for")
                return
            try:
                connection, peer = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._pause(error.strerror or "no descriptors")
                return
            self._pausing = False
            connection.setblocking(False)
            self._take_in(connection, str(peer[0]) if peer else "")

    def _pause(self, why: str) -> None:
        for listening in self._sockets:
            self._loop.remove_reader(listening)
        if not self._pausing:
            self._pausing = True
            self._refusals.tell("descriptors", connections=len(self._open), because=why)
        self._make_room(None)
        self._resume = self._loop.call_later(_PAUSE, self._listen)

    def _take_in(self, connection: socket.socket, address: str) -> None:
        most = self._limits.max_unauthenticated
        if self._by_address.get(address, 0) >= max(1, most // 2) and not self._make_room(address):
            self._turn_away(connection, "address_limit", address)
            return
        if len(self._waiting) >= most and not self._make_room(None):
            self._turn_away(connection, "unauthenticated_limit", address)
            return
        visitor = ClientProtocol(self, address, min(_HANDSHAKE, self._limits.auth_grace), self._logger)
        self._open.add(visitor)
        self._wait_for(visitor)
        task = owned_task.start(self._set_up(visitor, connection), "a connection that comes in")
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _set_up(self, visitor: ClientProtocol, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: visitor, connection)
        except OSError:  # it has gone already
            connection.close()
            self.gone(visitor)

    def _turn_away(self, connection: socket.socket, reason: str, address: str) -> None:
        self._refusals.tell(reason, address=address, unauthenticated=len(self._waiting))
        connection.close()

    def _make_room(self, address: str | None) -> bool:
        """Sends the oldest that has not authenticated away, of an address or of all."""
        for visitor in self._waiting:
            if address is not None and visitor.address != address:
                continue
            if visitor.session is not None and visitor.session.verifying:
                continue
            self._refusals.tell("crowded_out", address=visitor.address, unauthenticated=len(self._waiting))
            self._forget(visitor)
            if visitor.session is not None:
                visitor.session.close(CloseCode.TRY_AGAIN_LATER, "too many connections that have not authenticated")
            else:
                visitor.abort()
            return True
        return False

    # -- those who wait -----------------------------------------------------------------------------------

    def _wait_for(self, visitor: ClientProtocol) -> None:
        self._waiting[visitor] = None
        self._by_address[visitor.address] = self._by_address.get(visitor.address, 0) + 1

    def _forget(self, visitor: ClientProtocol) -> None:
        if visitor not in self._waiting:
            return
        del self._waiting[visitor]
        left = self._by_address[visitor.address] - 1
        if left:
            self._by_address[visitor.address] = left
        else:
            del self._by_address[visitor.address]

    def authenticated(self, visitor: ClientProtocol) -> None:
        """It has a place of its own now."""
        self._forget(visitor)

    # -- Reception ----------------------------------------------------------------------------------------

    def greet(self, visitor: ClientProtocol, request: WSUpgradeRequest) -> ClientSession | WSUpgradeResponse:
        """A session, or the answer to a handshake that is refused."""
        refused = rejection(request, self._origins)
        if refused is None:
            return self._session(visitor)
        self._refusals.tell(
            f"handshake_{refused.reason}", address=visitor.address, origin=request.headers.get("Origin", "")
        )
        answer: WSUpgradeResponse = WSUpgradeResponse.create_error_response(
            refused.status, refused.message.encode() + b"\n", dict(refused.headers) or None
        )
        return answer

    def gone(self, visitor: ClientProtocol) -> None:
        """Its place is free."""
        if not visitor.greeted:
            self._refusals.count("no_handshake")  # a port check, say: nothing to tell
        self._open.discard(visitor)
        self._forget(visitor)


def _room() -> int:
    """Connections that the limit of descriptors has room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 30 if soft == resource.RLIM_INFINITY else max(_SPARE, soft - _SPARE)
