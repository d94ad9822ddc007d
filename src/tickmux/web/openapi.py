"""The OpenAPI document, made of the endpoints' declarations: there is no other list of them.

`python -m tickmux.web` prints it; `docs/openapi.json` is its output.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from tickmux import __version__
from tickmux.web.endpoint import Endpoint
from tickmux.web.shapes import Failure, OpenApiDocument

_REF = "#/components/schemas/{name}"


def document(endpoints: Iterable[Endpoint]) -> OpenApiDocument:
    """The document of these endpoints."""
    listed = list(endpoints)
    shapes = [shape for one in listed for shape in (one.answer, one.body, one.query) if shape is not None]
    schemas, components = msgspec.json.schema_components([Failure, *shapes], ref_template=_REF)
    schema_of = {id(shape): schema for shape, schema in zip([Failure, *shapes], schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for one in listed:
        path = re.sub(r"<(\w+)>", r"{\1}", one.path)
        paths.setdefault(path, {})[one.method.lower()] = _operation(one, schema_of, components)
    return OpenApiDocument(
        openapi="3.1.0",
        info={
            "title": "tickmux web API",
            "version": __version__,
            "description": "What the pages use. Market data is on the WebSocket: see docs/protocol.md.",
            "license": {"name": "Apache-2.0"},
        },
        paths=paths,
        components={
            "schemas": components,
            "securitySchemes": {"session": {"type": "apiKey", "in": "cookie", "name": "tickmux_session"}},
        },
    )


def _operation(one: Endpoint, schema_of: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    failures = {status: [code] for status, code in one.errors.items()}
    for status, code in _always(one):
        failures.setdefault(status, []).append(code)
    responses = {str(one.status): _response(HTTPStatus(one.status).phrase, schema_of[id(one.answer)])}
    for status, codes in sorted(failures.items()):
        responses[str(status)] = _response(", ".join(sorted(set(codes))), schema_of[id(Failure)])
    operation: dict[str, Any] = {
        "operationId": f"{one.method.lower()}_{re.sub(r'[^a-z]+', '_', one.path.removeprefix('/api/'))}".rstrip("_"),
        "summary": one.summary,
        "responses": responses,
        "security": [] if one.is_open else [{"session": []}],
    }
    if parameters := [*_path_parameters(one), *_query_parameters(one, schema_of, components), *_csrf(one)]:
        operation["parameters"] = parameters
    if one.body is not None:
        content = {"application/json": {"schema": schema_of[id(one.body)]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _always(one: Endpoint) -> Iterable[tuple[int, str]]:
    """What may go wrong with every endpoint of its kind."""
    if one.needs_database:
        yield 503, "DATABASE_FAILED"
    if not one.is_open:
        yield 401, "LOGIN_REQUIRED"
        yield 409, "SETUP_REQUIRED"
    if one.changes:
        yield 403, "CSRF_FAILED"
    if one.body is not None:
        yield 400, "INVALID_JSON"
        yield 413, "PAYLOAD_TOO_LARGE"
    if one.body is not None or one.query is not None:
        yield 422, "INVALID_PARAMETERS"
    if "<" in one.path:
        yield 404, "NOT_FOUND"


def _response(description: str, schema: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _path_parameters(one: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"<(\w+)>", one.path)
    ]


def _query_parameters(one: Endpoint, schema_of: dict[int, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    if one.query is None:
        return []
    shape = components[schema_of[id(one.query)]["$ref"].rpartition("/")[2]]
    return [
        {"name": name, "in": "query", "required": name in shape.get("required", ()), "schema": _not_null(schema)}
        for name, schema in shape["properties"].items()
    ]


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is there or not; it is never null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if kinds else schema


def _csrf(one: Endpoint) -> list[dict[str, Any]]:
    if not one.changes:
        return []
    text = "`csrf_token` of the last session answer"
    return [
        {"name": "X-CSRF-Token", "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
    ]
