"""Notices on one upstream session that instruments ought to tick and do not; says what to do about it. Pure.

A connection can be mute though its heartbeats flow: the server has forgotten the subscriptions, or took only a part.
What ought to tick is learnt (`instrument_states`): each instrument is missed by its own rhythm, and all of them
together when the connection as a whole is quieter than it ever was. The first remedy is to subscribe again on
the same socket; the second, if that did not bring the ticks back, a new connection. Both have a backoff of their own:
an instrument that is missed is given twice the time from then on, and new connections lie ever further apart, so that
a basket that is merely illiquid costs a few frames and no reconnect storm.

Bounded by what is subscribed on the connection.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from tickmux.feeds.instrument_states import InstrumentStates, Rhythm
from tickmux.instrument import Instrument

SWEEP = 1.0
"""Seconds between two looks."""
_ASLEEP = 4.0
"""When so many seconds lie between two looks this process was suspended or stuck: the time between is not counted."""
_PROMPT = 3.0
"""An instrument that ticks within so many seconds of its subscription has been answered at once."""
_ANSWER = 8.0
"""Seconds for the first tick of a subscription, where most of the others have ticked by then."""
_ANSWERED_SHARE = 0.6
_PROMPT_SHARE = 0.8
"""A server that has answered so many at once does so: what it does not answer it does not serve."""
_REMEDY = 4.0
"""Seconds for a remedy to bring ticks back."""
_REMEDY_REMEMBERED = 60.0
"""Silence again within so many seconds after a re-subscription: that remedy does not help."""
_MANY = 0.5
"""Share of the instruments with a known rhythm, `_ENOUGH` at least, whose silence is that of all."""
_ENOUGH = 5
_SOME = 0.1
"""Share of instruments that were never served at all for which it is given up once."""
_FIRST_REST, _LONGEST_REST = 30.0, 1800.0
"""Seconds between two new connections for this reason, doubled each time."""
_HEALTHY = 300.0
"""Seconds without an alarm after which the backoff starts afresh."""


class Verdict(NamedTuple):
    """What to do: subscribe these again on the same socket, or (`replace` says why) open a new connection."""

    again: list[Instrument]
    replace: str = ""


_NOTHING = Verdict([])
_ANY = Instrument("", "", "")


class MuteWatch:
    """The watch over one connection's instruments; it outlives the sessions of the connection.

    `rhythms` maps the `id` of each subscribed instrument to its rhythm: the hot path sets `last_tick` in it, at the
    price of one lookup a tick. The instruments are kept alive by their rhythms.
    """

    def __init__(self, states: InstrumentStates, channel: str, quiet_after: float) -> None:
        self.rhythms: dict[int, Rhythm] = {}
        self._states = states
        self._channel = channel
        self._quiet_after = quiet_after
        self._pulse = Rhythm(_ANY)
        """How the connection ticks, whichever instrument it is."""
        self._looked_at = 0.0
        self._trading_since: dict[str, float] = {}
        self._mute_at = float("-inf")
        """When the connection as a whole was found mute in this session."""
        self._probed: set[Rhythm] = set()
        """What was subscribed again and has not ticked since."""
        self._replacements = 0
        self._rest_until = 0.0
        self._unserved_given_up = False
        self._alarmed_at = 0.0

    # -- what the session tells ---------------------------------------------------------------------------

    def begin(self, now: float) -> None:
        """A new session: its server has been told nothing, and is asked for nothing yet."""
        self.rhythms.clear()
        self._probed.clear()
        self._pulse.asked_at = now
        self._mute_at = float("-inf")
        self._looked_at = now

    def asked(self, instruments: Iterable[Instrument], now: float) -> None:
        """The server is being told to stream these."""
        for instrument in instruments:
            rhythm = self._states.rhythm(self._channel, instrument)
            rhythm.instrument = instrument  # equal, but the very object that the ticks will carry
            rhythm.asked_at = now
            self.rhythms[id(instrument)] = rhythm

    def changed(self, instruments: Iterable[Instrument], now: float) -> None:
        """These are streamed as another kind from now on, with another rhythm."""
        for instrument in instruments:
            rhythm = self._states.rhythm(self._channel, instrument)
            rhythm.unlearn()
            rhythm.asked_at = now
        self._pulse.unlearn()

    def ended(self, instruments: Iterable[Instrument]) -> None:
        """These are no longer streamed."""
        for instrument in instruments:
            self.rhythms.pop(id(instrument), None)
        self._pulse.unlearn()

    # -- judging ------------------------------------------------------------------------------------------

    def look(self, now: float, trading: Callable[[Instrument], bool]) -> Verdict:
        """To be called about every `SWEEP` seconds while the session lives and everything has been said."""
        if now - self._looked_at >= _ASLEEP:
            self._trading_since.clear()
            for rhythm in self._probed:
                rhythm.asked_at = now  # it took its time to be said
        self._looked_at = now
        since = self._open_markets(now, trading)
        rhythms = [one for one in self.rhythms.values() if one.instrument.exchange in since]
        for rhythm in rhythms:
            rhythm.note(since[rhythm.instrument.exchange])
            if rhythm.last_tick >= rhythm.asked_at:
                rhythm.silent = False
                if now - rhythm.asked_at <= _PROMPT + SWEEP:
                    rhythm.prompt = True
        if not rhythms:
            return _NOTHING
        self._pulse.last_tick = max(one.last_tick for one in rhythms)
        self._pulse.note(min(since.values()))
        if self._alarmed_at and self._pulse.last_tick - self._alarmed_at >= _HEALTHY:
            self._alarmed_at, self._replacements = 0.0, 0
        return self._judge_remedy(now, rhythms) or self._judge_silence(now, rhythms, since)

    def _open_markets(self, now: float, trading: Callable[[Instrument], bool]) -> dict[str, float]:
        """Since when the exchanges trade that do so now, as far as this watch has seen."""
        seen: dict[str, bool] = {}
        for rhythm in self.rhythms.values():
            exchange = rhythm.instrument.exchange
            if exchange not in seen:
                seen[exchange] = trading(rhythm.instrument)
        self._trading_since = {
            exchange: self._trading_since.get(exchange, now) for exchange, is_open in seen.items() if is_open
        }
        return self._trading_since

    def _judge_remedy(self, now: float, rhythms: list[Rhythm]) -> Verdict | None:
        """Whether the re-subscription has helped; None where there was none, or it cannot be told yet."""
        self._probed = {one for one in self._probed if one.last_tick < one.asked_at}
        dumb = [one for one in self._probed if now - one.asked_at >= _REMEDY]
        if not dumb:
            return None
        prompt = sum(one.prompt for one in rhythms) >= _PROMPT_SHARE * len(rhythms)
        asked_at = max(one.asked_at for one in dumb)
        if self._pulse.last_tick < asked_at:  # nothing has come at all
            patience = self._pulse.pulse_patience if self._pulse.known else self._quiet_after
            if prompt or now - asked_at >= patience:
                self._probed.clear()
                return self._replace(now, f"{len(dumb)} instruments stay silent after they were subscribed again")
            return None
        if len(dumb) < max(2.0, _SOME * len(rhythms)):
            return None
        if prompt and any(one.last_tick for one in dumb):
            self._probed.clear()
            return self._replace(now, f"{len(dumb)} of {len(rhythms)} instruments are served no more")
        if not self._unserved_given_up and not any(one.last_tick for one in dumb):
            self._unserved_given_up = True
            return self._replace(now, f"{len(dumb)} of {len(rhythms)} instruments are not served")
        return None

    def _judge_silence(self, now: float, rhythms: list[Rhythm], since: Mapping[str, float]) -> Verdict:
        waits = {one: now - max(one.last_tick, one.asked_at, since[one.instrument.exchange]) for one in rhythms}
        known = [one for one in rhythms if one.known]
        missed = [one for one in known if waits[one] >= one.patience]
        mute = self._pulse_missed(min(waits.values()))
        if mute or (len(known) >= _ENOUGH and len(missed) > _MANY * len(known)):
            missed = known or [one for one in rhythms if one.last_tick]
            again = rhythms  # what has hardly ticked yet has been forgotten as well
        else:
            missed += self._unanswered(now, rhythms)
            again = missed + self._unheard(rhythms, waits)
        if not again:
            return _NOTHING
        for one in missed:
            one.missed()
        self._alarmed_at = now
        if mute and now - self._mute_at < _REMEDY_REMEMBERED:
            verdict = self._replace(now, f"{len(again)} instruments are silent again")
            if verdict is not None:
                return verdict
        if mute:
            self._mute_at = now
        self._probed.update(again)
        return Verdict([one.instrument for one in again])

    def _pulse_missed(self, wait: float) -> bool:
        """Whether the connection as a whole is quieter than it has ever been, by far."""
        pulse = self._pulse
        if not pulse.known or wait < pulse.pulse_patience:
            return False
        pulse.missed()
        return True

    def _unheard(self, rhythms: list[Rhythm], waits: Mapping[Rhythm, float]) -> list[Rhythm]:
        """Those of which nothing is known: asked for again ever more rarely, and called silent by nobody."""
        due = [one for one in rhythms if not one.known and waits[one] >= self._quiet_after * 2 ** min(one.alarms, 6)]
        for one in due:
            one.alarms += 1
        return due

    def _unanswered(self, now: float, rhythms: list[Rhythm]) -> list[Rhythm]:
        """Those that never ticked in this session though most others did: the server may have taken only a part."""
        dumb = [
            one
            for one in rhythms
            if one.last_tick < one.asked_at
            and not one.known
            and now - one.asked_at >= _ANSWER * 2 ** min(one.alarms, 6)
        ]
        if not dumb:
            return []
        asked = [one for one in rhythms if one.last_tick >= one.asked_at or now - one.asked_at >= _ANSWER]
        answered = sum(one.last_tick >= one.asked_at for one in asked)
        return dumb if answered >= _ANSWERED_SHARE * len(asked) else []

    def _replace(self, now: float, why: str) -> Verdict | None:
        if now < self._rest_until:
            return None
        self._rest_until = now + min(_LONGEST_REST, _FIRST_REST * 2**self._replacements)
        self._replacements += 1
        return Verdict([], why)
