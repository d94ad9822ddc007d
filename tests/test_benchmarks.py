"""The benchmark: a run of a few seconds of all its parts, and its judgement."""

import io
import shutil
import sys
import warnings
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.ingest import BUSIEST, busiest, least_us
from benchmarks.measuring import Load, Run, Window, bare
from benchmarks.plan import Outcome, Plan, Round, Spread, carry_out, judge
from benchmarks.processes import Child, ChildFailed
from benchmarks.report import as_json, machine, show, show_verdicts

LOAD = Load(name="5 clients × 400 ticks/s", clients=5, symbols=20, rate=400, batch=4)
WINDOW = Window(settle=0.1, measure=0.3)


@pytest.fixture
def gcc():
    if not sys.platform.startswith("linux") or shutil.which("gcc") is None:
        reason = "the benchmark was NOT tried: it needs Linux and gcc"
        warnings.warn(reason, stacklevel=1)
        pytest.skip(reason)


def spoken(plan, outcomes):
    console = Console(file=io.StringIO(), width=100)
    show(console, plan, machine(), outcomes)
    show_verdicts(console, judge(outcomes))
    return console.file.getvalue()


def a_run(**changes):
    figures = dict.fromkeys(Run.__struct_fields__, 1.0)
    return Run(**{**figures, **changes})


def outcome(load, *, tickmux, one_send, p99_ms):
    rounds = [
        Round(
            one_send=a_run(cpu_us=one_send),
            tickmux=a_run(cpu_us=tickmux, p99_ms=p99_ms),
            same_sends=a_run(),
        )
    ]
    ratio = tickmux / one_send
    return Outcome(
        load=load,
        rounds=rounds,
        broker=None,
        ratio_one_send=Spread(ratio, ratio, ratio),
        ratio_same_sends=Spread(1.0, 1.0, 1.0),
    )


def test_every_part_takes_its_part(gcc):
    plan = Plan(rounds=1, window=WINDOW, loads=(LOAD,), broker=(LOAD,))
    begun = []
    (found,) = carry_out(plan, lambda load, what: begun.append(what))

    assert len(begun) == plan.runs
    (only,) = found.rounds
    for run in (only.one_send, only.tickmux, only.same_sends, found.broker):
        assert run.complete > 0.5, "even the worst-served client gets its ticks"
        assert run.deliveries < 1.5 * LOAD.deliveries
        assert run.cpu_us > 0
        assert run.samples > 0
        assert 0 < run.p50_ms <= run.p99_ms <= run.max_ms < 10_000
    assert only.tickmux.bytes_a_frame == pytest.approx(only.one_send.bytes_a_frame, rel=0.02), "the same frames"

    text = spoken(plan, [found])
    assert "frame by frame" in text
    assert "same sends" in text
    written = msgspec.json.decode(as_json(plan, machine(), [found], judge([found])))
    assert written["outcomes"][0]["rounds"][0]["tickmux"]["cpu_us"] == only.tickmux.cpu_us


def test_the_bare_server_joins_as_many_frames_as_it_is_told(gcc):
    assert bare(LOAD, WINDOW, 1.0).frames_a_send == pytest.approx(1.0, abs=0.2)
    assert bare(LOAD, WINDOW, 3.5).frames_a_send == pytest.approx(3.5, abs=0.5)


def test_a_server_that_ends_is_told_from_one_that_answers(gcc):
    with (
        Child.program("bare_server", "too", "few") as child,
        pytest.raises(ChildFailed, match="bare_server has ended"),
    ):
        child.answer()


def test_aims_that_are_not_met_are_said_so():
    plan = Plan(rounds=1, window=WINDOW, loads=(LOAD,), broker=())
    good = outcome(LOAD, tickmux=1.3, one_send=1.0, p99_ms=4.9)
    assert [verdict.met for verdict in judge([good])] == [True, True]
    text = spoken(plan, [good])
    assert "NOT MET" not in text
    assert text.count("  met ") == 2

    bad = outcome(LOAD, tickmux=1.31, one_send=1.0, p99_ms=5.1)
    assert [verdict.met for verdict in judge([bad])] == [False, False]
    assert spoken(plan, [bad]).count("NOT MET") == 2


def test_latency_is_an_aim_of_the_first_load_only():
    first = outcome(LOAD, tickmux=1.0, one_send=1.0, p99_ms=1.0)
    second = outcome(LOAD, tickmux=1.0, one_send=1.0, p99_ms=500.0)
    assert all(verdict.met for verdict in judge([first, second]))


@pytest.mark.parametrize("broker", BUSIEST)
def test_the_busiest_frame_of_each_wire_gives_ticks_however_often_it_comes(broker):
    decode, frame, ticks = busiest(broker, BUSIEST[broker])
    assert [len(decode(frame).ticks) for _ in range(3)] == [ticks] * 3


def test_a_frame_that_gives_no_ticks_is_not_timed():
    with pytest.raises(LookupError, match="no vector of zerodha"):
        busiest("zerodha", "heartbeat: one byte")


def test_decoders_get_the_frame_in_turns():
    calls = []
    least = least_us([lambda frame: calls.append((1, frame)), lambda frame: calls.append((2, frame))], b"x", rounds=2)
    assert all(us >= 0 for us in least)
    assert [who for who, _ in calls[:: len(calls) // 4]] == [1, 2, 1, 2]
