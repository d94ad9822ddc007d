"""The CURVE keys of this installation's ZeroMQ sockets: made once, kept in TICKMUX_HOME/bus-keys.

    server.key_secret       the key pair of the sockets that listen on TCP (the bus, the feed process)
    server.key              its public half, which those who connect need
    feeds.key_secret        the key pair by which server and feed process know each other
    publisher.key_secret    a key pair for publishers of the user's own
    publishers/*.key        the public keys of publishers that are let in

The files have the format of `zmq.auth` (ZPL), so that a publisher reads them with `zmq.auth.load_certificate`. Secret
ones are readable by their owner alone (0600, the folder 0700). Processes that start at the same time agree on them:
one at a time writes, under the folder's lock.
"""

import stat
from pathlib import Path
from typing import NamedTuple

import zmq
from zmq.auth import load_certificate

from tickmux.secrets_file import exclusive, private_folder, replace_private

FOLDER = "bus-keys"
_SECRET, _PUBLIC = ".key_secret", ".key"
_HEADER = "#   Made by tickmux. {}\n\nmetadata\ncurve\n"


class KeysUnusable(OSError):
    """A key file that is not as it should be; the message names it and says what to do."""


class KeyPair(NamedTuple):
    """A CURVE key pair in Z85, as ZeroMQ's options take it."""

    public: bytes
    secret: bytes


class ClientKeys(NamedTuple):
    """What a socket needs that connects to a door: its own key pair, and the door's public key."""

    mine: KeyPair
    server: bytes


class BusKeys(NamedTuple):
    """All keys, as `bus_keys` has read them."""

    folder: Path
    server: KeyPair
    feeds: KeyPair
    publisher: KeyPair

    @property
    def for_feeds(self) -> ClientKeys:
        """What server and feed process connect to each other with."""
        return ClientKeys(self.feeds, self.server.public)

    def is_publisher(self, public: bytes) -> bool:
        """Whether the key is in the publishers' folder now; a new or removed file counts at the next connection."""
        return public in self.publishers().values()

    def publishers(self) -> dict[str, bytes]:
        """Name -> public key of the publishers that are let in."""
        found = {path.stem: _public_key(path) for path in sorted((self.folder / "publishers").glob(f"*{_PUBLIC}"))}
        return {name: key for name, key in found.items() if key is not None}


def bus_keys(home: Path) -> BusKeys:
    """The keys kept in `home`; those that are missing are made. Raises KeysUnusable, OSError."""
    folder = private_folder(private_folder(home) / FOLDER)
    publishers = private_folder(folder / "publishers")
    with exclusive(folder / "lock"):
        server, feeds, publisher = (_pair(folder / f"{name}{_SECRET}") for name in ("server", "feeds", "publisher"))
        _keep_public(folder / f"server{_PUBLIC}", server.public)
        if not any(publishers.iterdir()):
            _keep_public(publishers / f"publisher{_PUBLIC}", publisher.public)
    return BusKeys(folder, server, feeds, publisher)


def _pair(path: Path) -> KeyPair:
    if not path.exists():
        public, secret = zmq.curve_keypair()
        text = f'    public-key = "{public.decode()}"\n    secret-key = "{secret.decode()}"\n'
        replace_private(path, _HEADER.format("Keep it secret.") + text)
    elif stat.S_IMODE(path.stat().st_mode) & 0o077:  # it may have been copied with other permissions
        path.chmod(0o600)
    public_key, secret_key = _load(path)
    if secret_key is None:
        raise KeysUnusable(f"{path} holds no secret key: restore it from a copy, or delete it to have new keys made")
    return KeyPair(public_key, secret_key)


def _keep_public(path: Path, public: bytes) -> None:
    if not path.exists() or _public_key(path) != public:
        replace_private(path, _HEADER.format("A public key.") + f'    public-key = "{public.decode()}"\n')


def _public_key(path: Path) -> bytes | None:
    try:
        return _load(path)[0]
    except OSError:  # a file of another kind lets nobody in
        return None


def _load(path: Path) -> tuple[bytes, bytes | None]:
    try:
        return load_certificate(path)
    except (OSError, ValueError) as error:
        raise KeysUnusable(
            f"{path} is no key file ({error}): restore it from a copy, or delete it to have new keys made"
        ) from None
