"""A real PostgreSQL server: a cluster in a temporary folder, reached through a socket in it, without a port."""

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "timezone": "UTC",
}
_ADMIN = "tickmux"


def only(name):
    """For a test of what one kind of database does (`sqlite`, `postgresql`)."""
    return pytest.mark.parametrize("engine_name", [name], indirect=True)


def programs():
    """The folder of PostgreSQL's programs, or None; Debian keeps them out of PATH."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


class Cluster:
    """One running server. `url(name)` is DATABASE_URL of a database of it."""

    def __init__(self, folder, bin_folder, account):
        self.folder = folder
        self._bin = bin_folder
        self._account = account
        self._process = None

    def start(self):
        options = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.folder / "data", "-k", self.folder, *options],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=_die_with_parent,
                **self._account,
            )
        until = time.monotonic() + 60
        ready = [self._bin / "pg_isready", "-q", "-h", self.folder, "-d", "postgres", "-U", _ADMIN]
        while subprocess.run(ready, check=False).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL does not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self):
        self._process.send_signal(signal.SIGINT)  # "fast": clients are disconnected
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(10)

    def restart(self):
        self.stop()
        self.start()

    def url(self, name):
        return f"postgresql://{_ADMIN}@/{name}?host={self.folder}"

    def run(self, statement):
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    @contextmanager
    def database(self, template="template0"):
        """A new database, removed afterwards; gives its URL."""
        name = f"t{secrets.token_hex(6)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running_cluster():
    """A cluster that lives as long as the block. PostgreSQL refuses to run as root: it is `nobody`'s then."""
    bin_folder = programs()
    account = {}
    folder = Path(tempfile.mkdtemp(prefix="tickmux-postgres-", dir="/tmp"))  # a socket's path must be short
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    try:
        subprocess.run(
            [bin_folder / "initdb", "-D", folder / "data", "-U", _ADMIN, "-A", "trust", "-N", "-E", "UTF8",
             "--locale", "C.UTF-8"],
            check=True, stdout=subprocess.DEVNULL, cwd=folder, **account,
        )  # fmt: skip
        cluster = Cluster(folder, bin_folder, account)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _die_with_parent():
    """A test run that is killed leaves no server behind (Linux)."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)
    except AttributeError:
        pass
