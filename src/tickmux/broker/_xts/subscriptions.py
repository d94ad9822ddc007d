"""Subscribing over REST: the calls, and what has to follow upon each answer (specification section 4).

Subscriptions belong to the session's token and outlive the socket, so that a reconnect meets "already subscribed":
drop and subscribe again, which also gives a snapshot; then one by one, and a refusal of a single one means that it is
subscribed. Open interest is a stream of its own beside the quotes of derivatives; it takes only what the broker's
limit leaves, and gives way to prices.

One call follows another only when that has been answered. Bounded by what is subscribed.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tickmux.broker._xts.messages import OPEN_INTEREST, Key
from tickmux.broker._xts.rest import MOST_IN_ONE_CALL, Answer, Verdict, keys_of, subscription
from tickmux.codec import HttpRequest

OPEN_INTEREST_SEGMENTS = frozenset({2, 3, 12, 13, 51})


class Outcome(NamedTuple):
    """What an answer came to: calls to make now, instruments that stay without a subscription, and the words why.

    `failed` says that nothing can be known of the call, so that the session has to be made anew.
    """

    follow: list[HttpRequest]
    refused: tuple[Key, ...] = ()
    words: str = ""
    failed: bool = False


class Subscriptions:
    """The calls of one connection."""

    def __init__(self) -> None:
        self.token = ""
        self.open_interest: set[Key] = set()
        """Whose open interest is subscribed, or about to be."""
        self._room: int | None = None
        """How many more subscriptions the broker allows, once it has said so."""
        self._open_interest_allowed = True
        self._steps: deque[HttpRequest] = deque()
        self._awaited: HttpRequest | None = None
        self._again: set[tuple[int, tuple[Key, ...]]] = set()
        """Calls that have been refused as already subscribed once, or repeated for want of room."""

    # -- calls ---------------------------------------------------------------------------------------------

    def calls(self, method: str, keys: Sequence[Key], code: int) -> list[HttpRequest]:
        """POST or PUT for `keys`, in as many calls as they need."""
        return [
            subscription(method, keys[start : start + MOST_IN_ONE_CALL], code, self.token)
            for start in range(0, len(keys), MOST_IN_ONE_CALL)
        ]

    def end_open_interest(self, keys: Iterable[Key]) -> list[HttpRequest]:
        """The calls that end the open interest of those of `keys` that have it."""
        ended = [key for key in keys if key in self.open_interest]
        self.open_interest.difference_update(ended)
        return self.calls("PUT", ended, OPEN_INTEREST)

    def want_open_interest(self, keys: Iterable[Key]) -> list[HttpRequest]:
        """The calls that add the open interest of those of `keys` that have one, as far as there is room."""
        wanted = [key for key in keys if key[0] in OPEN_INTEREST_SEGMENTS and key not in self.open_interest]
        if not self._open_interest_allowed or self._room is None:
            return []
        wanted = wanted[: max(0, self._room)]
        self._room -= len(wanted)  # until the answer says it: other calls may come before that
        self.open_interest.update(wanted)
        return self.calls("POST", wanted, OPEN_INTEREST)

    # -- answers -------------------------------------------------------------------------------------------

    def answered(self, request: HttpRequest, answer: Answer, wants_open_interest: Iterable[Key]) -> Outcome:
        """What follows. `wants_open_interest`: those of the request's instruments that show it."""
        if answer.remaining is not None:
            self._room = answer.remaining
        outcome = self._judge(request, answer, wants_open_interest)
        if outcome.failed:
            return outcome
        if answer.verdict is Verdict.THROTTLED:  # the same call again before any other: what comes after builds on it
            self._steps.extendleft(outcome.follow)
        else:
            self._steps.extend(outcome.follow)
        if request == self._awaited:
            self._awaited = None
        follow = []
        if self._awaited is None and self._steps:
            self._awaited = self._steps.popleft()
            follow = [self._awaited]
        return outcome._replace(follow=follow)

    def _judge(self, request: HttpRequest, answer: Answer, wants_open_interest: Iterable[Key]) -> Outcome:
        if answer.verdict is Verdict.THROTTLED:
            return Outcome([request], words=answer.words)
        if request.method != "POST":
            # At worst a stream goes on that nobody is shown; in a repetition the next call tells.
            words = "" if answer.verdict is Verdict.ACCEPTED or request == self._awaited else answer.words
            return Outcome([], words=words)
        keys, code = keys_of(request), int(request.body["xtsMessageCode"])
        if answer.verdict is Verdict.ACCEPTED:
            self._again.discard((code, keys))
            return Outcome(self.want_open_interest(wants_open_interest) if code != OPEN_INTEREST else [])
        if answer.verdict is Verdict.ALREADY_SUBSCRIBED:
            if (code, keys) not in self._again:
                self._again.add((code, keys))
                return Outcome([*self.calls("PUT", keys, code), request])
            self._again.discard((code, keys))
            if len(keys) > 1:
                return Outcome(self._one_by_one(keys, code))
            return Outcome(self.want_open_interest(wants_open_interest) if code != OPEN_INTEREST else [])
        if code == OPEN_INTEREST:
            self.open_interest.difference_update(keys)
            self._open_interest_allowed = False  # open interest is given up, prices are not
            return Outcome([])
        if answer.verdict is Verdict.LIMIT:
            return self._make_room(keys, code, request, answer.words)
        if answer.verdict is Verdict.TRANSIENT:
            return Outcome([], words=answer.words, failed=True)
        self._again.discard((code, keys))
        if len(keys) > 1:  # perhaps one of them alone is wrong
            return Outcome(self._one_by_one(keys, code))
        return Outcome([], refused=keys, words=answer.words)

    def _one_by_one(self, keys: tuple[Key, ...], code: int) -> list[HttpRequest]:
        self._again.update((code, (key,)) for key in keys)  # none of them is dropped for the sake of a repetition
        return [call for key in keys for call in self.calls("POST", (key,), code)]

    def _make_room(self, keys: tuple[Key, ...], code: int, request: HttpRequest, words: str) -> Outcome:
        """Open interest gives way first; a change of code may succeed once the old one has been dropped."""
        self._open_interest_allowed = False
        if self.open_interest:
            return Outcome([*self.end_open_interest(tuple(self.open_interest)), request])
        if (code, keys) not in self._again:
            self._again.add((code, keys))
            return Outcome([request])
        self._again.discard((code, keys))
        room = self._room or 0
        if 0 < room < len(keys):
            return Outcome(self.calls("POST", keys[:room], code), refused=keys[room:], words=words)
        return Outcome([], refused=keys, words=words)
