"""`tickmux brokers`: what every broker's feed offers, as its adapter says."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import msgspec
import typer

from tickmux.cli.console import JsonOption, note, print_json, print_table
from tickmux.websocket_proxy.base_adapter import BaseBrokerWebSocketAdapter
from tickmux.websocket_proxy.broker_factory import Broker, broker_names, load_broker


class Pool(msgspec.Struct, frozen=True):
    """The size of one channel's connection pool: by default, and at most."""

    symbols: int
    connections: int
    max_symbols: int
    max_connections: int

    def __str__(self) -> str:
        most = (self.max_symbols, self.max_connections)
        limit = f" (at most {most[0]} × {most[1]})" if most != (self.symbols, self.connections) else ""
        return f"{self.symbols} × {self.connections}{limit}"


class Row(msgspec.Struct, frozen=True):
    """One broker, as `tickmux brokers --json` prints it; `depth` is levels by exchange."""

    name: str
    display_name: str
    transport: str
    modes: list[str]
    exchanges: list[str]
    depth: Mapping[str, list[int]]
    pools: Mapping[str, Pool]
    login: str
    token_life: str
    orders: bool


def brokers(
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/brokers/README.md.")] = False,
) -> None:
    """List the brokers with what their feeds offer.

    Depth is in levels; "symbols × connections" is the connection pool by default.

    Examples:

        tickmux brokers

        tickmux brokers --json
    """
    rows = list(broker_rows())
    if as_json:
        print_json(rows)
        return
    if markdown:
        typer.echo(markdown_page(rows), nl=False)
        return
    print_table(_COLUMNS, [_cells(row) for row in rows], separated=True)


_COLUMNS = ("Broker", "Transport", "Modes", "Depth", "Symbols × connections", "Login", "Token valid")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        row.transport,
        " ".join(row.modes),
        depth_text(row.depth),
        pool_text(row.pools),
        row.login,
        row.token_life,
    )


def markdown_page(rows: Iterable[Row]) -> str:
    """`docs/brokers/README.md`: the same table for readers, each broker's name leading to its page."""
    lines = [
        "# Brokers",
        "",
        "Made by `tickmux brokers --markdown` from the adapters. Depth is in levels; symbols × connections is",
        "the connection pool by default, and in brackets what the broker allows.",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"|{' --- |' * len(_COLUMNS)}",
    ]
    for row in rows:
        _, *cells = _cells(row)
        lines.append(f"| [{row.display_name}]({row.name}.md) (`{row.name}`) | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def broker_rows() -> Iterator[Row]:
    """All brokers that can be loaded, sorted by name."""
    for name in broker_names():
        try:
            yield broker_row(load_broker(name))
        except Exception as error:  # somebody's package is broken: the others are still worth a list
            note(f"warning: broker {name} cannot be loaded: {type(error).__name__}: {error}")


def broker_row(broker: Broker) -> Row:
    """What there is to say of a broker."""
    adapter = broker.adapter()
    depth = {exchange: list(levels) for exchange in adapter.exchanges if (levels := adapter.depth_levels(exchange))}
    return Row(
        name=adapter.name,
        display_name=adapter.display_name,
        transport=adapter.transport,
        modes=["LTP", "QUOTE", "DEPTH"] if depth else ["LTP", "QUOTE"],
        exchanges=list(adapter.exchanges),
        depth=depth,
        pools=_pools(adapter),
        login=broker.login.kind.value,
        token_life=adapter.token_life,
        orders=adapter.has_orders,
    )


def _pools(adapter: BaseBrokerWebSocketAdapter) -> dict[str, Pool]:
    return {
        name: Pool(channel.symbols, channel.connections, channel.symbol_limit, channel.connection_limit)
        for name, channel in adapter.channels.items()
    }


def depth_text(depth: Mapping[str, list[int]]) -> str:
    """`5`, or `5; 5 20 50: NSE, NFO` where exchanges differ: first what most of them offer."""
    by_levels: dict[tuple[int, ...], list[str]] = {}
    for exchange, levels in depth.items():
        by_levels.setdefault(tuple(levels), []).append(exchange)
    groups = sorted(by_levels.items(), key=lambda group: -len(group[1]))
    texts = [" ".join(map(str, levels)) for levels, _ in groups]
    return "; ".join(
        [*texts[:1], *(f"{text}: {', '.join(group[1])}" for text, group in zip(texts[1:], groups[1:], strict=True))]
    )


def pool_text(pools: Mapping[str, Any]) -> str:
    """`3000 × 1`, with the channel's name where there are several."""
    if len(pools) == 1:
        return str(next(iter(pools.values())))
    return "; ".join(f"{name} {pool}" for name, pool in pools.items())
