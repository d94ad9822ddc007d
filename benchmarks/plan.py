"""What is measured, how long, and what is aimed at."""

import statistics
from collections.abc import Callable, Sequence

import msgspec

from benchmarks.measuring import Load, Run, Window, bare, from_broker, from_bus

FEW = Load(name="50 clients × 8,000 ticks/s", clients=50, symbols=1000, rate=8000, batch=8)
MANY = Load(name="1,000 clients × 400 ticks/s", clients=1000, symbols=50, rate=400, batch=1)

RATIO_AIM = 1.3
P99_AIM_MS = 5.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how long; `broker` names the loads that are also measured from a broker's frame on."""

    rounds: int
    window: Window
    loads: Sequence[Load]
    broker: Sequence[Load]

    @property
    def runs(self) -> int:
        return 3 * self.rounds * len(self.loads) + len(self.broker)


FULL = Plan(rounds=5, window=Window(settle=1.0, measure=4.0), loads=(FEW, MANY), broker=(FEW, MANY))
SHORT = Plan(rounds=2, window=Window(settle=0.5, measure=1.0), loads=(FEW, MANY), broker=(FEW,))


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """The three programs under one load, one straight after the other: what the machine does meanwhile hits all."""

    one_send: Run
    """C, a send() for every delivery."""
    tickmux: Run
    same_sends: Run
    """C, with as many frames in a send() as tickmux had."""


class Spread(msgspec.Struct, frozen=True):
    median: float
    least: float
    most: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds of one load. The ratios are tickmux's CPU a delivery over the C program's, round by round."""

    load: Load
    rounds: list[Round]
    broker: Run | None
    ratio_one_send: Spread
    ratio_same_sends: Spread

    def median(self, program: str, figure: str) -> float:
        """Of one figure of a `Run` over all rounds; `program` is a field of `Round`."""
        return float(statistics.median(getattr(getattr(one, program), figure) for one in self.rounds))


class Verdict(msgspec.Struct, frozen=True):
    """One aim and whether it was met."""

    aim: str
    value: float
    limit: float

    @property
    def met(self) -> bool:
        return self.value <= self.limit


def carry_out(plan: Plan, begins: Callable[[Load, str], None]) -> list[Outcome]:
    """Measures everything; `begins` hears of each run before it starts."""
    outcomes = []
    for load in plan.loads:
        rounds = [_round(load, plan.window, begins) for _ in range(plan.rounds)]
        broker = None
        if load in plan.broker:
            begins(load, "tickmux, broker")
            broker = from_broker(load, plan.window)
        outcomes.append(
            Outcome(
                load=load,
                rounds=rounds,
                broker=broker,
                ratio_one_send=_spread([one.tickmux.cpu_us / one.one_send.cpu_us for one in rounds]),
                ratio_same_sends=_spread([one.tickmux.cpu_us / one.same_sends.cpu_us for one in rounds]),
            )
        )
    return outcomes


def judge(outcomes: Sequence[Outcome]) -> list[Verdict]:
    """The aims: CPU against C's one send() a delivery under every load, latency under the first."""
    verdicts = [
        Verdict(f"{outcome.load.name}: CPU, tickmux ÷ C", outcome.ratio_one_send.median, RATIO_AIM)
        for outcome in outcomes
    ]
    first = outcomes[0]
    verdicts.append(
        Verdict(f"{first.load.name}: p99 bus → client, ms", first.median("tickmux", "p99_ms"), P99_AIM_MS)
    )
    return verdicts


def _round(load: Load, window: Window, begins: Callable[[Load, str], None]) -> Round:
    begins(load, "C, frame by frame")
    one_send = bare(load, window, 1.0)
    begins(load, "tickmux")
    tickmux = from_bus(load, window)
    begins(load, "C, same sends")
    return Round(one_send=one_send, tickmux=tickmux, same_sends=bare(load, window, max(1.0, tickmux.frames_a_send)))


def _spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))
