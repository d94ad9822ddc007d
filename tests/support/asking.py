"""Brokers that ask for a code in the middle of a login; nothing is out there."""

import time
from typing import ClassVar

import msgspec

from tickmux.broker.zerodha import BROKER
from tickmux.codec import Credentials
from tickmux.login import AnswerWanted, Field, LoginFailed, LoginFlow, LoginKind

CODE = "271828"
HALF_SESSION = "half-a-session"
PHONE = "a code was sent to ******1234"


class AskingLogin(LoginFlow):
    """Sends a code, asks again after a wrong one, and wants the cookie of its first answer back."""

    kind = LoginKind.KEYS
    fields = (Field(name="client_code", label="Client code"), Field(name="pin", label="PIN", secret=True))
    token_fields = ()
    default_urls: ClassVar = {}

    async def exchange(self, values, callback, redirect_uri, http, now):
        if values["pin"] == "0000":
            raise LoginFailed("the PIN is wrong: check it")
        asked = Field(name="code", label="Code", help="six digits", secret=True, remember=False)
        if "half" not in values:
            http.cookies.set("round", "1", domain="broker.example")
            raise AnswerWanted(PHONE, asked, {"half": HALF_SESSION})
        assert http.cookies.get("round") == "1"
        assert values["half"] == HALF_SESSION
        if values["code"] == "stop":
            raise LoginFailed("the broker has locked the account for an hour: try again then")
        if values["code"] != CODE:
            raise AnswerWanted("that code is wrong", asked, {"half": HALF_SESSION})
        return Credentials({"user_id": values["client_code"], "token": "sesame", **callback}, time.time() + 3600)

    def from_token(self, values, now):
        raise NotImplementedError


class AskingPageLogin(AskingLogin):
    """The same, after a page of the broker's."""

    kind = LoginKind.REDIRECT

    async def begin(self, values, redirect_uri, http):
        return f"http://broker.example/login?to={redirect_uri}"


asking = msgspec.structs.replace(BROKER, login=AskingLogin)
asking_page = msgspec.structs.replace(BROKER, login=AskingPageLogin)
