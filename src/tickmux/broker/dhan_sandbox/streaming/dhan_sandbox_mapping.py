"""The sandbox's codecs: Dhan's own, and in the simulator profile made-up ticks at every pulse (section 5).

Which profile it is, the session's credentials say when the connection opens; where they do not say, it is the live
one. In the simulator nothing is sent, and every frame is the time in epoch milliseconds.
"""

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime, time

from tickmux.broker.dhan.streaming.depth_mapping import DepthCodec
from tickmux.broker.dhan.streaming.dhan_mapping import BESIDE_BOOK, MainFeedCodec
from tickmux.broker.dhan.streaming.standing import Standing
from tickmux.broker.dhan.streaming.wire import DhanCodec
from tickmux.broker.dhan_sandbox.streaming.synthetic_market import SyntheticMarket
from tickmux.codec import Credentials, Decoded, Event, Frame
from tickmux.instrument import Instrument
from tickmux.login import IST
from tickmux.tick import MODE_DEPTH, Mode, Tick

SIMULATOR, LIVE = "simulator", "live"

_MODES = {"ltp": Mode.LTP, "quote": Mode.QUOTE, BESIDE_BOOK: Mode.QUOTE, "full": Mode.DEPTH}
_OPENS, _CLOSES = time(9, 15), time(15, 30)
_TIME_DIGITS = 13


class _SandboxCodec(DhanCodec):
    """What both codecs do with a profile; the other base class speaks Dhan's wire."""

    auth_hint = "; the live profile needs a production token with a data plan, not one of the sandbox"
    _simulated = False
    _market_hours_only = False

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        self._simulated = credentials.get("profile") == SIMULATOR
        self._market_hours_only = credentials.get("market_hours") == "yes"
        return super().open_frames(credentials)

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return [] if self._simulated else super().subscribe_frames(instruments, kind)

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return [] if self._simulated else super().unsubscribe_frames(instruments, kind)

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        return [] if self._simulated else super().change_frames(instruments, old, new)

    def close_frames(self) -> list[Frame]:
        return [] if self._simulated else super().close_frames()

    def decode(self, frame: bytes | str) -> Decoded:
        if not self._simulated:
            return super().decode(frame)
        if not (isinstance(frame, str) and len(frame) == _TIME_DIGITS and frame.isascii() and frame.isdigit()):
            return Decoded(event=Event.MALFORMED, message="not the time in epoch milliseconds")
        now = int(frame)
        if self._market_hours_only and not _market_is_open(now):
            return Decoded(event=Event.HEARTBEAT)
        return Decoded(ticks=self.made_up(now))

    @abstractmethod
    def made_up(self, now: int) -> list[Tick]:
        """The ticks of all that is subscribed, at `now` in epoch milliseconds."""


class SandboxMainCodec(_SandboxCodec, MainFeedCodec):
    """Kinds are those of Dhan's main feed. `market` is shared by the connections of a feed."""

    def __init__(self, standing: Standing, market: SyntheticMarket) -> None:
        super().__init__(standing)
        self._market = market

    def made_up(self, now: int) -> list[Tick]:
        tick = self._market.tick
        return [tick(instrument, _MODES[kind], now) for instrument, kind in self.kinds.items()]


class SandboxDepthCodec(_SandboxCodec, DepthCodec):
    """Books of 20 or 200 levels, without prices beside them."""

    def __init__(self, levels: int, standing: Standing, market: SyntheticMarket) -> None:
        super().__init__(levels, standing)
        self._market = market

    def made_up(self, now: int) -> list[Tick]:
        return [
            Tick(instrument=instrument, mode=MODE_DEPTH, depth=self._market.book(instrument, now, self._levels))
            for instrument in self.kinds
        ]


def _market_is_open(now: int) -> bool:
    local = datetime.fromtimestamp(now / 1000, IST)
    return local.weekday() < 5 and _OPENS <= local.time() < _CLOSES
