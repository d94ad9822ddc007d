"""`tickmux decode`: what a broker's codec makes of captured frames."""

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from tickmux.capture import CaptureError, read_document, read_frame_lines, read_instruments
from tickmux.decode import decode_document
from tickmux.websocket_proxy.broker_factory import UnknownBroker

_BAD_INPUT = 2


def decode(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The capture; `-` reads standard input.")],
    broker: Annotated[str | None, typer.Option(help="Whose wire it is, where FILE does not say.")] = None,
    instruments: Annotated[
        Path | None, typer.Option(help="Rows that `tickmux instruments parse` printed, or a JSON array of them.")
    ] = None,
    channel: Annotated[str | None, typer.Option(help="Which of the broker's sockets, where it has several.")] = None,
) -> None:
    """Decode captured frames of a broker, offline: one JSON line for each item.

    FILE is a JSON object:

        {"broker": "zerodha",
         "instruments": [
           {"symbol": "SBIN", "exchange": "NSE", "token": "779521"}],
         "incoming": [
           {"name": "one", "frames": [{"hex": "00010008000be50100013d53"}]}]}

    Each item has a codec of its own, in which all instruments are
    subscribed: frames whose meaning depends on earlier ones belong into one
    item, in order. Binary frames are {"hex": …}, text frames {"text": …}. An
    item may name its "channel". Items under "outgoing" show what would be
    sent: {"name": "two", "call": {"op": "subscribe", "mode": "QUOTE",
    "instruments": [["SBIN", "NSE"]]}}.

    With --broker and --instruments, FILE may also be plain lines, one frame
    each: hexadecimal digits (or hex:…) are binary, anything else (or text:…)
    is text. They share one codec, and each gets its own line.

    Examples:

        tickmux decode tests/vectors/zerodha.json

        tickmux instruments parse zerodha instruments.csv > rows.jsonl

        tickmux decode --broker zerodha --instruments rows.jsonl frames.txt

    Exit code 2: the input cannot be read; standard error says why.
    """
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        document = _document(data, may_be_lines=bool(broker and instruments))
        if broker:
            document["broker"] = broker
        if channel:
            document["channel"] = channel
        if instruments:
            document["instruments"] = read_instruments(instruments.read_bytes())
        for line in decode_document(document):
            typer.echo(msgspec.json.encode(line))
    except (CaptureError, UnknownBroker) as error:
        typer.echo(f"tickmux decode: {file}: {error}", err=True)
        raise typer.Exit(_BAD_INPUT) from None
    except OSError as error:
        typer.echo(f"tickmux decode: {error.filename or file}: {error.strerror}", err=True)
        raise typer.Exit(_BAD_INPUT) from None


def _document(data: bytes, *, may_be_lines: bool) -> dict[str, Any]:
    try:
        document = read_document(data)
    except CaptureError:
        if not may_be_lines:
            raise
        document = {}
    if may_be_lines and not document.keys() & {"incoming", "outgoing"}:
        frames = read_frame_lines(data.decode(errors="replace"))
        return {"incoming": frames, "continuous": True}
    return document
