"""What goes out, when: gaps, REST requests in order, HTTP 429, and heartbeats that overtake all of it."""

import asyncio

import httpx
import pytest

from support.virtual_time import run_virtually
from tickmux.codec import HttpRequest
from tickmux.feeds.feed_session import ask
from tickmux.feeds.outbox import RATE_LIMIT_WAITS, Outbox

FIRST, SECOND = HttpRequest("POST", "/first"), HttpRequest("PUT", "/second")


class World:
    """An outbox with its loop; `answers` are taken in turn, a float among them is a time that the server takes."""

    def __init__(self, gap=0.0, answers=()):
        self.sent, self.asked, self.taken = [], [], []
        self.answers = list(answers)
        self.awake = asyncio.Event()
        self.clock = asyncio.get_running_loop().time
        self.outbox = Outbox(
            gap,
            send=lambda frame: self.sent.append((self.clock(), frame)),
            ask=self._ask,
            answered=lambda request, response: self.taken.append((request.url, response.status_code)),
            wake=self.awake.set,
        )

    async def _ask(self, request):
        self.asked.append((round(self.clock(), 3), request.url))
        answer = self.answers.pop(0) if self.answers else httpx.Response(200)
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            answer = httpx.Response(200)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def run(self, seconds):
        ends = self.clock() + seconds
        while (now := self.clock()) < ends:
            self.awake.clear()
            at = self.outbox.pump(now)
            try:
                await asyncio.wait_for(self.awake.wait(), max(0.001, min(at, ends) - now))
            except TimeoutError:
                pass


def virtually(test):
    def runner():
        run_virtually(test())

    runner.__name__ = test.__name__
    return runner


@virtually
async def test_the_gap_lies_between_groups_and_not_within_one():
    world = World(gap=0.5)
    world.outbox.put(["a", b"b"])
    world.outbox.put(["c"])
    world.outbox.put([])
    await world.run(2)
    assert world.sent == [(0.0, "a"), (0.0, b"b"), (0.5, "c")]
    assert world.outbox.empty


@virtually
async def test_requests_keep_their_order_with_frames():
    world = World(answers=[2.0])
    world.outbox.put([FIRST, "after"])
    world.outbox.put([SECOND])
    await world.run(1)
    assert not world.outbox.empty
    await world.run(4)
    assert world.taken == [("/first", 200), ("/second", 200)]
    assert world.sent == [(2.0, "after")]
    assert world.asked == [(0.0, "/first"), (2.0, "/second")]


@virtually
async def test_a_rate_limit_is_waited_for_whatever_others_wish_meanwhile():
    world = World(answers=[httpx.Response(429)] * 3)
    world.outbox.put([FIRST])

    async def others():
        for _ in range(40):
            await asyncio.sleep(0.25)
            world.awake.set()
            world.outbox.put([SECOND])

    wishing = asyncio.ensure_future(others())
    await world.run(12)
    await wishing
    assert world.asked[:4] == [(0.0, "/first"), (1.0, "/first"), (3.0, "/first"), (7.0, "/first")]
    assert world.taken[0] == ("/first", 200)


@virtually
async def test_heartbeats_go_out_while_a_request_is_waited_for():
    world = World(gap=0.1, answers=[httpx.Response(429), 8.0])
    world.outbox.put([FIRST])
    await world.run(0.5)
    world.outbox.put_urgent(["beat"])
    await world.run(0.1)
    assert [frame for _, frame in world.sent] == ["beat"], "while the limit is waited for"
    await world.run(1)
    world.outbox.put_urgent(["beat"])
    await world.run(0.1)
    assert len(world.sent) == 2, "while the request is under way"
    await world.run(10)
    assert world.taken == [("/first", 200)]


@virtually
async def test_a_limit_that_does_not_end_is_given_to_the_codec():
    world = World(answers=[httpx.Response(429)] * 20)
    world.outbox.put([FIRST])
    await world.run(sum(RATE_LIMIT_WAITS) + 1)
    assert len(world.asked) == len(RATE_LIMIT_WAITS) + 1
    assert world.taken == [("/first", 429)]


@virtually
async def test_the_broker_may_say_how_long_its_limit_lasts():
    world = World(answers=[httpx.Response(429, headers={"Retry-After": "20"})])
    world.outbox.put([FIRST])
    await world.run(30)
    assert world.asked == [(0.0, "/first"), (20.0, "/first")]


@virtually
async def test_what_is_put_first_waits_for_the_request_that_is_being_repeated():
    world = World(answers=[httpx.Response(429)])
    world.outbox.put([FIRST])
    world.outbox.put(["last"])
    await world.run(0.5)
    world.outbox.put_first([SECOND])
    world.outbox.put_first([])
    await world.run(3)
    assert [url for _, url in world.asked] == ["/first", "/first", "/second"]
    assert [frame for _, frame in world.sent] == ["last"]


@virtually
async def test_a_request_that_cannot_be_made_ends_the_session():
    world = World(answers=[httpx.ConnectError("down")])
    world.outbox.put([FIRST])
    with pytest.raises(httpx.ConnectError):
        await world.run(1)


@virtually
async def test_closing_gives_up_the_request_and_leaves_no_task():
    before = asyncio.all_tasks()
    world = World(answers=[100.0])
    world.outbox.put([FIRST])
    await world.run(1)
    await world.outbox.close()
    assert world.outbox.empty
    assert asyncio.all_tasks() == before
    assert world.taken == []


@pytest.mark.parametrize(
    "url, full", [("/instruments", "http://rest.example/base/instruments"), ("http://other.example/x",) * 2]
)
def test_a_path_is_below_the_rest_base_and_an_absolute_address_is_not(url, full):
    async def main():
        asked = []

        def answer(request):
            asked.append(str(request.url))
            return httpx.Response(200)

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            await ask(http, HttpRequest("GET", url), "http://rest.example/base")
        assert asked == [full]

    asyncio.run(main())
