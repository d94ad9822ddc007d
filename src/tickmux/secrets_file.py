"""Secrets that nobody has set: made once, kept in `TICKMUX_HOME/secrets.env`, readable by their owner alone.

Processes that start at the same time agree: only one at a time may write (an exclusive lock on
`secrets.env.lock`), and the file is replaced as a whole, so a reader sees all of it or the old one.

A file that is there and is not whole is never written to: new secrets in its place would make all API keys and stored
sessions worthless for good. Whole is what can be read line by line to its end, and, if tickmux made it, has `_END`.
"""

import fcntl
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

FILE_NAME = "secrets.env"
_HEADER = (
    "# Made by tickmux. Keep it and back it up apart from the database: without it, API keys no longer work\n"
    "# and stored broker sessions cannot be read.\n"
)
_END = "# end\n"
_USUAL = 2
"""Secrets in a file of a tickmux that did not write `_END` yet."""
_LINE = re.compile(r"(export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=\s*\S.*|#.*|\s*")


class SecretsDamaged(Exception):
    """`secrets.env` is there and cannot be relied on; the message says why, and how to go on."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} is damaged ({why}), and without it no API key works and no stored broker session can be read: "
            f"restore it from a backup. If there is none, `mv {path} {path}.damaged`, start again, make new API keys "
            "and log in to the brokers again"
        )


def private_folder(path: Path) -> Path:
    """Makes the folder, for its owner alone, unless it is there; an existing one keeps its mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds the lock that `path` (made when missing, never removed) stands for, among processes and threads."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def kept_secrets(home: Path, names: Sequence[str]) -> dict[str, str]:
    """The secrets called `names`, those that are missing made and stored. Raises OSError, SecretsDamaged."""
    path = private_folder(home) / FILE_NAME
    found = _read(path)
    if all(name in found for name in names):
        return {name: found[name] for name in names}
    with exclusive(home / f"{FILE_NAME}.lock"):
        found = _read(path)
        if missing := [name for name in names if name not in found]:
            found |= {name: secrets.token_urlsafe(48) for name in missing}
            replace_private(path, _HEADER + "".join(f"{name}={value}\n" for name, value in found.items()) + _END)
    return {name: found[name] for name in names}


def _read(path: Path) -> dict[str, str]:
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:  # copied about, perhaps: others must not read it
            path.chmod(0o600)
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise SecretsDamaged(path, "it is not text") from None
    found = {name: value for name, value in dotenv_values(stream=StringIO(text), interpolate=False).items() if value}
    if why := _damage(text, found):
        raise SecretsDamaged(path, why)
    return found


def _damage(text: str, found: Mapping[str, str]) -> str:
    """Why the file's text cannot be all that was once written; empty when it can."""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r").replace("\t", " ")
        if not _LINE.fullmatch(line) or not line.isprintable():
            return f"line {number} is not NAME=value"
    if not found:
        return "it has no secret in it"
    if not text.endswith("\n"):
        return "it breaks off in its last line"
    if text.startswith(_HEADER.partition("\n")[0]) and not text.endswith(_END) and len(found) < _USUAL:
        return "its end is missing"
    return ""


def replace_private(path: Path, text: str) -> None:
    """Writes the file as a whole, readable by its owner alone. Raises OSError, and leaves the old one then."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
