"""Searching instruments."""

from tickmux.web.context import Call
from tickmux.web.endpoint import Api
from tickmux.web.errors import ApiError
from tickmux.web.shapes import FoundSymbol, SymbolAnswer, SymbolQuery
from tickmux.websocket_proxy.broker_factory import UnknownBroker, load_broker

api = Api("symbols")


@api.endpoint(
    "GET",
    "/api/symbols",
    "Search the instruments of the active broker, best match first",
    SymbolAnswer,
    query=SymbolQuery,
    errors={409: "NO_INSTRUMENTS"},
)
def symbols(call: Call, query: SymbolQuery) -> SymbolAnswer:
    source = call.web.source(call.user)
    if source is None:
        raise ApiError(409, "NO_INSTRUMENTS", "there is no instrument list: choose a broker first")
    found = call.web.search.find(source.list_name, query.q, query.exchange, query.limit)
    if found is None:
        raise ApiError(409, "NO_INSTRUMENTS", f"no instrument list of {source.broker} was loaded yet: download it")
    try:
        levels_of = load_broker(source.broker).adapter().depth_levels
    except UnknownBroker as error:
        raise ApiError(409, "NO_INSTRUMENTS", str(error)) from None
    return SymbolAnswer(
        query=query.q,
        broker=source.broker,
        total=found.total,
        results=[
            FoundSymbol(
                symbol=one.symbol,
                exchange=one.exchange,
                name=one.name,
                instrumenttype=one.instrumenttype,
                expiry=one.expiry,
                strike=one.strike,
                lotsize=one.lotsize,
                tick_size=one.tick_size,
                depth_levels=list(levels_of(one.exchange)),
            )
            for one in found.instruments
        ],
    )
