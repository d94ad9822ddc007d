"""`make attack`: what an attack costs the others, before its defence was built and now; a minute or two, on loopback.

Each line is a measurement of one of the attack tests, at full size. `before` is what was seen on the undefended
server. Other attacks add their lines to `FIGURES`.
"""

import logging
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import test_clients_attack as clients  # noqa: E402
import test_slow_readers as readers  # noqa: E402
import test_web_attack as web  # noqa: E402

from support.running import served  # noqa: E402


async def _long_requests() -> str:
    held = await clients.long_requests()
    worst = max(held, key=held.__getitem__)
    return f"{held[worst] * 1000:.1f} ms of CPU ({worst})"


async def _strangers() -> str:
    longest, _ = await clients.strangers_requests(connections=4, seconds=5.0)
    return f"{longest:.2f} s"


async def _unfinished() -> str:
    return f"{await clients.unfinished_frames(600) >> 10} KiB each"


async def _unread() -> str:
    longest, kept = await clients.unread_answers(2500, 10_000)
    return f"{longest:.2f} s, {kept >> 10} KiB"


async def _crowd() -> str:
    good, held = await clients.crowd(2000)
    return f"{good} of 20 served, {held} strangers"


def _reader(share: float) -> Callable[[], Awaitable[str]]:
    async def measure() -> str:
        quick, slow = await readers.measured(share, 10.0)
        median, p99, beside = slow.worst(0.5), slow.worst(0.99), quick.worst(0.99)
        return f"{median:.2f} s median, {p99:.2f} s p99 (a quick reader beside it: {beside:.2f} s p99)"

    return measure


def _page(attack: Callable[..., Awaitable[Any]]) -> Callable[[], Awaitable[str]]:
    async def measure() -> str:
        with tempfile.TemporaryDirectory() as home, served(Path(home), "--simulate", "zerodha") as running:
            return f"{await web.slowest_page(running, attack):.2f} s"

    return measure


FIGURES: list[tuple[str, str, Callable[[], Awaitable[str]]]] = [
    ("one request about 9,000 symbols holds the loop", "62 ms a 10,000, 700 ms on a live feed", _long_requests),
    ("four strangers' subscribes: another's ping", "9.1 s", _strangers),
    ("600 unfinished megabytes of strangers are kept", "611 MB (1 MiB each)", _unfinished),
    ("2,500 unread list_subscriptions: another's ping, kept", "13.4 s, 2.3 GB", _unread),
    ("2,000 idle connections", "good clients get 1013", _crowd),
    ("2,000 idle HTTP connections: the next page", "never (105 are enough)", _page(web.idle)),
    ("500 unfinished HTTP requests: the next page", "never", _page(web.slow_heads)),
    ("age of prices, read at half the speed", "18.8 s", _reader(0.5)),
    ("age of prices, read at a tenth of the speed", "not measured", _reader(0.1)),
]


def main() -> None:
    logging.disable(logging.WARNING)
    width = max(len(name) for name, _, _ in FIGURES)
    for name, before, measure in FIGURES:
        now = uvloop.run(measure())  # type: ignore[arg-type]
        print(f"{name:{width}}   before: {before}   now: {now}", flush=True)


if __name__ == "__main__":
    main()
