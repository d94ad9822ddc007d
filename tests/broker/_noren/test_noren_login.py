"""The family's OAuth logins, member by member, and what all of its logins have in common."""

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest

from broker._noren.stand_in import NEXT_DAY, NOW, SECRET, TROUBLE, StandIn
from tickmux.login import LoginFailed
from tickmux.websocket_proxy.broker_factory import load_broker

OAUTH = {
    "shoonya": ("https://api.shoonya.com", "NorenWClientAPI", 3),
    "zebu": ("https://go.mynt.in", "NorenWClientAPI", 6),
    "tradesmart": ("https://v2api.tradesmartonline.in", "NorenWClientAPIv2", 6),
}
VALUES = {"client_id": "FA12345_U", "secret_key": SECRET}
CALLBACK = {"code": "c0de"}
GOOD = {"stat": "Ok", "access_token": "acc", "susertoken": "sus", "USERID": "fa12345", "expires_in": ""}

members = pytest.mark.parametrize("name", OAUTH)


def login(name: str) -> Any:
    return load_broker(name).login()


@members
def test_the_browser_is_sent_to_the_brokers_page(name: str) -> None:
    host, _, _ = OAUTH[name]
    page = StandIn().page(login(name), {"client_id": " FA12345&_U "})
    assert page == f"{host}/OAuthlogin/authorize/oauth?client_id=FA12345%26_U"


@members
def test_the_code_buys_a_session_until_the_tokens_are_cleared(name: str) -> None:
    host, path, hour = OAUTH[name]
    server = StandIn(GOOD)
    session = server.exchange(login(name), VALUES, CALLBACK)
    (request,) = server.asked
    assert (request.method, str(request.url)) == ("POST", f"{host}/{path}/GenAcsTok")
    assert request.headers["content-type"] == "text/plain"
    start, _, text = request.content.decode().partition("=")
    checksum = hashlib.sha256(f"FA12345_U{SECRET}c0de".encode()).hexdigest()
    assert (start, json.loads(text)) == ("jData", {"code": "c0de", "checksum": checksum})
    assert (session["user_id"], session["token"]) == ("FA12345", "acc")
    assert session.get("other_token") == ("sus" if name == "zebu" else "")
    assert session.expires_at == NEXT_DAY + hour * 3600
    assert SECRET not in repr(session)


@members
@pytest.mark.parametrize(
    ("answer", "user", "token"),
    [
        ({"stat": "ok", "susertoken": "sus", "uid": "Z56004_U"}, "Z56004", "sus"),
        ({"stat": "OK", "access_token": "acc"}, "FA12345", "acc"),
        ({"stat": "Ok", "access_token": "acc", "USERID": 42}, "42", "acc"),
        ({"stat": "Ok", "access_token": "acc", "actid": "z56004"}, "Z56004", "acc"),
        ({"stat": "Ok", "access_token": "acc", "uid": "z56004_u", "actid": "X"}, "Z56004", "acc"),
    ],
)
def test_members_answers_vary(name: str, answer: dict[str, Any], user: str, token: str) -> None:
    session = StandIn(answer).exchange(login(name), VALUES, CALLBACK)
    assert (session["user_id"], session["token"], session.get("other_token")) == (user, token, "")


@members
def test_the_end_that_the_broker_names_counts_if_it_is_one(name: str) -> None:
    end = int(NOW.timestamp()) + 7200
    named = StandIn({**GOOD, "expires_in": str(end)}).exchange(login(name), VALUES, CALLBACK)
    assert named.expires_at == end
    for odd in ("0", "-1", "86400", str(int(NOW.timestamp()) - 1), "9" * 15, "soon", str(end + 10**7)):
        session = StandIn({**GOOD, "expires_in": odd}).exchange(login(name), VALUES, CALLBACK)
        assert session.expires_at == NEXT_DAY + OAUTH[name][2] * 3600


@members
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"stat": "Not_Ok", "emsg": "Invalid Input : INVALID_VERIFIER"}, "good for one use"),
        ({"stat": "Not_Ok", "emsg": f"{SECRET} is wrong"}, "refused the login"),
        ({"stat": "Ok"}, "no token"),
        ({"stat": "Not_Ok", "access_token": "acc"}, "refused the login"),
        *((trouble, "") for trouble in TROUBLE),
    ],
)
def test_what_is_no_session_says_what_to_do_and_no_secret(name: str, answer: Any, words: str) -> None:
    with pytest.raises(LoginFailed) as failed:
        StandIn(answer).exchange(login(name), VALUES, CALLBACK)
    assert words in str(failed.value)
    assert SECRET not in str(failed.value)
    assert "c0de" not in str(failed.value)


@members
@pytest.mark.parametrize(
    ("values", "callback"), [(VALUES, {}), (VALUES, {"code": " "}), ({"client_id": "x"}, CALLBACK), ({}, CALLBACK)]
)
def test_without_all_that_is_needed_nobody_is_asked(name: str, values: Any, callback: Any) -> None:
    server = StandIn()
    with pytest.raises(LoginFailed):
        server.exchange(login(name), values, callback)
    assert server.asked == []


# -- pasted tokens ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*OAUTH, "flattrade", "definedge", "firstock"])
def test_a_pasted_token_is_a_session(name: str) -> None:
    session = login(name).from_token({"user_id": " fa1 ", "token": " abc "}, NOW)
    assert session.values == {"user_id": "FA1", "token": "abc"}
    assert session.expires_at is not None
    assert NOW.timestamp() < session.expires_at <= (NOW + timedelta(days=1)).timestamp()


@pytest.mark.parametrize("name", [*OAUTH, "flattrade", "definedge", "firstock"])
@pytest.mark.parametrize("values", [{}, {"user_id": "a"}, {"token": "a"}, {"user_id": "a", "token": "a b"}])
def test_what_cannot_be_a_session_is_refused(name: str, values: dict[str, str]) -> None:
    with pytest.raises(LoginFailed):
        login(name).from_token(values, NOW)


@members
def test_a_session_of_the_password_login_is_pasted_with_its_variant(name: str) -> None:
    values = {"user_id": "fa1", "token": "abc", "variant": " SuserToken "}
    assert login(name).from_token(values, NOW)["variant"] == "susertoken"
    with pytest.raises(LoginFailed, match="variant"):
        login(name).from_token({**values, "variant": "other"}, NOW)


@pytest.mark.parametrize("name", [*OAUTH, "flattrade", "definedge", "firstock", "aliceblue"])
def test_secrets_are_marked_and_one_time_values_are_not_remembered(name: str) -> None:
    flow = login(name)
    for field in (*flow.fields, *flow.token_fields):
        if field.name in ("secret_key", "api_secret", "token", "totp_secret", "password"):
            assert field.secret
        if field.name in ("token", "totp", "variant"):
            assert not field.remember
