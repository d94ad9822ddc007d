"""Coverage-guided fuzzing of decoders, by hand: `python tests/broker/fuzz_decoders.py NAME [atheris options]`.

Needs `pip install atheris`. Options are libFuzzer's, such as `-max_total_time=600` or a folder that keeps the corpus.
It runs until something is found: bytes that raise, hang, grow the decoder, or make a tick that a second reading of
the same bytes (`broker/NAME/NAME_wire.py`) does not have. A finding belongs into the broker's codec tests.
"""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["tickmux.broker"]):
    from broker.kotak import kotak_wire
    from broker.motilal import motilal_wire


def kotak(data: bytes) -> None:
    """One frame for a decoder that is logged in."""
    made = kotak_wire.codec()
    found = kotak_wire.told(made.decode(data).ticks)
    wanted = kotak_wire.said(data)
    if found != wanted:
        raise AssertionError(f"{found} where the bytes say {wanted}")


def motilal(data: bytes) -> None:
    """A stream whose first byte says how long its frames are."""
    made, said = motilal_wire.codec(), motilal_wire.Said()
    size = data[0] + 1 if data else 1
    for start in range(1, len(data), size):
        decoded = made.decode(data[start : start + size])
        found, wanted = motilal_wire.told(decoded.ticks), said.read(data[start : start + size])
        if found != wanted or decoded.restart != said.lost:
            raise AssertionError(f"{found} where the bytes say {wanted}")
        if said.lost:
            break
        if len(made._rest) >= 30 or len(made._records) != len(motilal_wire.INSTRUMENTS):
            raise AssertionError("the decoder has grown")


def seeds(name: str) -> list[bytes]:
    """The frames of the broker's vectors."""
    vectors = {"kotak": kotak_wire.VECTORS, "motilal": motilal_wire.VECTORS}[name]
    prefix = b"" if name == "kotak" else b"\xff"
    frames = [frame for item in vectors["incoming"] for frame in item["frames"] if "hex" in frame]
    return [prefix + bytes.fromhex(frame["hex"]) for frame in frames]


TARGETS: dict[str, Callable[[bytes], None]] = {"kotak": kotak, "motilal": motilal}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: {sys.argv[0]} {'|'.join(TARGETS)} [corpus folder] [-max_total_time=SECONDS]")
    name = sys.argv.pop(1)
    folders = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if folders:
        corpus = Path(folders[0])
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds(name)):
            (corpus / f"vector-{number}").write_bytes(seed)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
