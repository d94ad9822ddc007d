"""API keys of programs: made, named, revoked. A key is shown once."""

from tickmux.database import ApiKey
from tickmux.database.api_keys import NameTaken
from tickmux.web.context import Call
from tickmux.web.endpoint import Api
from tickmux.web.errors import ApiError
from tickmux.web.shapes import KeyAnswer, KeyDetail, KeyNaming, KeysAnswer, NewKeyAnswer

api = Api("keys")

_TAKEN = {409: "NAME_TAKEN"}
_UNKNOWN = {404: "NOT_FOUND"}


@api.endpoint("GET", "/api/keys", "The user's API keys, newest first, revoked ones too", KeysAnswer)
def keys(call: Call) -> KeysAnswer:
    return KeysAnswer(keys=[_detail(key) for key in reversed(call.web.api_keys.list(call.user))])


@api.endpoint(
    "POST", "/api/keys", "Make a key; it is shown this once", NewKeyAnswer, status=201, body=KeyNaming, errors=_TAKEN
)
def create(call: Call, body: KeyNaming) -> NewKeyAnswer:
    try:
        key = call.web.api_keys.create(call.user, body.name, only_name=True)
    except NameTaken as error:
        raise _taken(error) from None
    return NewKeyAnswer(key=_detail(_find(call, key.split("_")[1])), api_key=key)


@api.endpoint("PATCH", "/api/keys/<key_id>", "Rename a key", KeyAnswer, body=KeyNaming, errors={**_TAKEN, **_UNKNOWN})
def rename(call: Call, key_id: str, body: KeyNaming) -> KeyAnswer:
    _find(call, key_id)
    try:
        call.web.api_keys.rename(key_id, body.name)
    except NameTaken as error:
        raise _taken(error) from None
    return KeyAnswer(key=_detail(_find(call, key_id)))


@api.endpoint(
    "DELETE", "/api/keys/<key_id>", "Revoke a key; its clients are disconnected", KeyAnswer, errors=_UNKNOWN
)
def revoke(call: Call, key_id: str) -> KeyAnswer:
    _find(call, key_id)
    call.web.api_keys.revoke(key_id)
    if (proxy := call.web.proxy) is not None:
        proxy.soon(lambda: proxy.runtime.disconnect(key_id))
    return KeyAnswer(key=_detail(_find(call, key_id)))


def _find(call: Call, key_id: str) -> ApiKey:
    for key in call.web.api_keys.list(call.user):
        if key.key_id == key_id:
            return key
    raise ApiError(404, "NOT_FOUND", "there is no such key: see the list")


def _taken(error: NameTaken) -> ApiError:
    return ApiError(409, "NAME_TAKEN", str(error))


def _detail(key: ApiKey) -> KeyDetail:
    return KeyDetail(
        id=key.key_id,
        name=key.name,
        prefix=f"tmx_{key.key_id}",
        created_at=int(key.created * 1000),
        last_used_at=int(key.last_used * 1000) if key.last_used is not None else None,
        revoked_at=int(key.revoked * 1000) if key.revoked is not None else None,
    )
