"""How tests are named, and what no test may leave behind."""

import gc
from collections.abc import Iterator

import psutil
import pytest


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes are numbered, not spelled out: a frame in a test's name is unreadable, and one that holds the
    time (an archive's header) would name the test differently in each of the processes that share the run."""
    return "bytes" if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves a process running, or a socket listening or connected.

    It is set up before all other fixtures of the test and looks after they have ended. What fixtures of a module or
    session hold was there before the test, or is theirs to end.
    """
    if any(scope_of(request, name) != "function" for name in request.fixturenames):
        yield
        return
    before = _held()
    yield
    left = _held() - before
    if left:
        gc.collect()  # a socket without an owner is closed here, and its ResourceWarning fails the test by itself
        left = _held() - before
    assert not left, f"left behind: {sorted(left)}"


def scope_of(request: pytest.FixtureRequest, name: str) -> str:
    definitions = request._arg2fixturedefs.get(name)
    return definitions[-1].scope if definitions else "function"


def _held() -> set[str]:
    me = psutil.Process()
    processes = {f"process {child.pid}" for child in me.children() if child.status() != psutil.STATUS_ZOMBIE}
    sockets = {
        f"socket {connection.fd} at {connection.laddr}"
        for connection in me.net_connections("inet")
        if connection.status in (psutil.CONN_LISTEN, psutil.CONN_ESTABLISHED)
    }
    return processes | sockets
