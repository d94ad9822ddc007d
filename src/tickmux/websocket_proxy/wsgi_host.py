"""Servers that a Flask app with a proxy cannot run under: said at the start, in one line, and the process ends.

The proxy is a native event loop in a thread of the process that serves. Green threads (gevent, eventlet) replace the
threads and sockets under it: it crashes or stands still. A fork leaves it behind. A second worker opens a second set
of connections to the broker.
"""

import os
import signal
import sys
import time
from typing import Any, NamedTuple, NoReturn

_APP_LOAD_ERROR = 4
"""gunicorn ends, instead of starting another worker, when one of them exits with this."""

_PATIENCE = 20.0

_USE = (
    "use `gunicorn -w 1 --threads 8 …`, or run `tickmux proxy` apart and give gunicorn "
    "'tickmux.web:create_app(start_proxy=False)'"
)


class _Gunicorn(NamedTuple):
    """What of gunicorn is loading the app."""

    worker: type | None
    """None before the fork."""
    workers: int
    age: int
    """The number of the worker, counted from gunicorn's start; 0 before the fork."""

    @property
    def speaks(self) -> bool:
        """One of several workers gives the reason and ends gunicorn, which ends the others: it logs a traceback when
        two of them refuse to start."""
        return self.worker is None or self.workers < 2 or self.age % self.workers == 1


def refuse_unfit_host() -> None:
    """Ends the process, with the reason on standard error, where the proxy would not work."""
    gunicorn = _gunicorn()
    if (reason := _unfit(gunicorn)) is None:
        return
    if gunicorn is not None and not gunicorn.speaks:
        _wait_for_the_end()
    sys.stderr.write(f"error: {reason}: {_USE}\n")
    sys.stderr.flush()
    sys.exit(_APP_LOAD_ERROR)


def _wait_for_the_end() -> NoReturn:
    """Waits until gunicorn ends this worker, `_PATIENCE` seconds at most."""
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    arbiter, ends = os.getppid(), time.monotonic() + _PATIENCE
    while os.getppid() == arbiter and time.monotonic() < ends:
        time.sleep(0.05)
    sys.exit(0)


def _unfit(gunicorn: _Gunicorn | None) -> str | None:
    """Why the proxy would not work; None when it would."""
    if (library := _patching_library()) is not None:
        return f"{library} has replaced Python's threads and sockets, and the proxy does not work on its own"
    if gunicorn is None:
        return None
    if gunicorn.worker is None:
        return "gunicorn's --preload starts the proxy before the worker, which would have none: leave --preload out"
    if not {"SyncWorker", "ThreadWorker"} & {base.__name__ for base in gunicorn.worker.__mro__}:
        return f"gunicorn's worker class {gunicorn.worker.__name__} cannot run the proxy"
    if gunicorn.workers > 1:
        return f"gunicorn runs {gunicorn.workers} workers, each of which would open its own connections to the broker"
    return None


def _patching_library() -> str | None:
    """Which library has put its green threads in the place of Python's."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and (gevent.is_module_patched("threading") or gevent.is_module_patched("socket")):
        return "gevent"
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and (eventlet.is_monkey_patched("thread") or eventlet.is_monkey_patched("socket")):
        return "eventlet"
    return None


def _gunicorn() -> _Gunicorn | None:
    """gunicorn tells an app nothing of itself, but whoever loads the app stands on the stack: a worker, or with
    --preload the arbiter alone."""
    frame = sys._getframe()
    while frame is not None:
        owner: Any = frame.f_locals.get("self")
        modules = {base.__module__ for base in type(owner).__mro__}
        if "gunicorn.workers.base" in modules:
            return _Gunicorn(type(owner), owner.cfg.workers, owner.age)
        if "gunicorn.arbiter" in modules:
            return _Gunicorn(None, owner.cfg.workers, 0)
        frame = frame.f_back  # type: ignore[assignment]
    return None
