import pytest


def names(browser):
    return [(key["name"], key["revoked_at"] is not None) for key in browser.get("/api/keys").json["keys"]]


def test_a_key_is_made_listed_renamed_and_revoked(browser):
    made = browser.post("/api/keys", {"name": "laptop"})
    assert made.status_code == 201
    key, whole = made.json["key"], made.json["api_key"]
    assert whole.startswith(key["prefix"])
    assert (key["last_used_at"], key["revoked_at"]) == (None, None)
    assert whole not in browser.get("/api/keys").text, "a key is shown once"
    browser.post("/api/keys", {"name": "excel"})
    assert names(browser) == [("excel", False), ("laptop", False)]
    renamed = browser.send("PATCH", f"/api/keys/{key['id']}", {"name": "desk"})
    assert renamed.json["key"]["name"] == "desk"
    revoked = browser.send("DELETE", f"/api/keys/{key['id']}").json["key"]
    assert revoked["revoked_at"] > 0
    assert browser.send("DELETE", f"/api/keys/{key['id']}").json["key"] == revoked
    assert names(browser) == [("excel", False), ("desk", True)]


def test_names_are_unique_among_the_living(browser):
    first = browser.post("/api/keys", {"name": "laptop"}).json["key"]
    other = browser.post("/api/keys", {"name": "desk"}).json["key"]
    taken = browser.post("/api/keys", {"name": "laptop"})
    assert (taken.status_code, taken.json["code"]) == (409, "NAME_TAKEN")
    assert browser.send("PATCH", f"/api/keys/{other['id']}", {"name": "laptop"}).status_code == 409
    assert browser.send("PATCH", f"/api/keys/{other['id']}", {"name": "desk"}).status_code == 200
    browser.send("DELETE", f"/api/keys/{first['id']}")
    assert browser.post("/api/keys", {"name": "laptop"}).status_code == 201


@pytest.mark.parametrize("name", ["", "x" * 65, "line\nbreak", None, 7])
def test_a_name_has_1_to_64_printable_characters(browser, name):
    refused = browser.post("/api/keys", {"name": name})
    assert (refused.status_code, list(refused.json["fields"])) == (422, ["name"])


def test_an_unknown_key_is_not_found(browser):
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        answer = browser.send(method, "/api/keys/nothing", body)
        assert (answer.status_code, answer.json["code"]) == (404, "NOT_FOUND")


def test_keys_of_others_are_out_of_sight(browser, app):
    web = app.extensions["tickmux.web"]
    foreign = web.api_keys.create("bob", "his").split("_")[1]
    assert names(browser) == []
    assert browser.send("DELETE", f"/api/keys/{foreign}").status_code == 404
    assert web.api_keys.list("bob")[0].revoked is None
