"""The running app does what its OpenAPI document says, and the document in docs/ is that one."""

import json
import re
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from support.web import Browser, settings_in
from tickmux.web.app import ENDPOINTS, create_app
from tickmux.web.context import EXTENSION
from tickmux.web.endpoint import Endpoint
from tickmux.web.rate_limit import LoginLimits
from tickmux.websocket_proxy.app_integration import shutdown_websocket_proxy
from tickmux.websocket_proxy.broker_factory import broker_names, load_broker

ROOT = Path(__file__).parents[2]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    # Nothing is out there at these addresses: no login and no download leaves this machine.
    urls = ",".join(
        f"{name}.{key}=http://127.0.0.1:9" for name in broker_names() for key in load_broker(name).login.default_urls
    )
    yield create_app(settings_in(tmp_path_factory.mktemp("home"), BROKER_URLS=urls), simulate="zerodha")
    shutdown_websocket_proxy()


@pytest.fixture(scope="module")
def browser(app):
    made = Browser(app)
    made.set_up()
    return made


@pytest.fixture(scope="module")
def schema(app, browser):
    return schemathesis.openapi.from_wsgi("/api/openapi.json", app)


def test_the_document_in_docs_is_the_one_that_is_served(app):
    kept = json.loads((ROOT / "docs" / "openapi.json").read_text())
    served = app.test_client().get("/api/openapi.json").json
    assert kept == served, "renew it: python -m tickmux.web > docs/openapi.json"


def test_every_route_of_the_api_is_in_the_document(app):
    documented = {(one.method, one.path) for one in ENDPOINTS}
    routed = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/")
    }
    assert routed - documented == {("GET", "/api/brokers/<name>/callback")}, "a navigation, no call of the API"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")
def test_answers_are_as_documented(endpoint, schema, app, browser):
    path = re.sub(r"<(\w+)>", r"{\1}", endpoint.path)
    strategies = [schema[path][endpoint.method].as_strategy(generation_mode=mode) for mode in GenerationMode]

    @hypothesis.settings(
        max_examples=12,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        derandomize=True,
        database=None,
    )
    @hypothesis.given(hypothesis.strategies.one_of(strategies))
    def check(case):
        if browser.get("/api/keys").status_code == 401:
            browser.log_in()
        web = app.extensions[EXTENSION]
        web.login_limit = LoginLimits()
        for limit in (web.key_limit, web.broker_limit):
            limit._buckets.clear()
        case.headers = {**(case.headers or {}), "X-CSRF-Token": browser.csrf}
        case.cookies = {"tickmux_session": browser.cookie}
        case.call_and_validate(checks=CHECKS)

    check()


def test_all_endpoints_are_declared_with_a_summary():
    assert all(isinstance(one, Endpoint) and one.summary for one in ENDPOINTS)
