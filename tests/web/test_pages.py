import gzip

import pytest
from flask import Flask, request

from tickmux.web.errors import ApiError
from tickmux.web.pages import Pages


@pytest.fixture
def built(tmp_path):
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<title>tickmux</title>")
    (folder / "theme.js").write_text("theme()")
    (folder / "assets" / "index-4f3a.js").write_text("app()" * 100)
    (folder / "assets" / "inter-4f3a.woff2").write_bytes(b"wOF2")
    (tmp_path / "secrets.env").write_text("sesame")
    return folder


def get(folder, path, **options):
    with Flask("pages").test_request_context(path, **options):
        return Pages(folder).answer(request)


@pytest.mark.parametrize(
    "path",
    ["/", "/login", "/websocket/test", "/websocket/test/50", "/settings/broker/zerodha", "/index.html", "/a.b"],
)
def test_every_page_is_the_index(built, path):
    answer = get(built, path)
    assert answer.get_data(as_text=True) == "<title>tickmux</title>"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.content_type == "text/html; charset=utf-8"


def test_hashed_files_are_kept_for_ever_and_others_are_not(built):
    asset = get(built, "/assets/index-4f3a.js")
    assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert asset.content_type == "text/javascript; charset=utf-8"
    assert get(built, "/theme.js").headers["Cache-Control"] == "no-cache"
    assert get(built, "/assets/inter-4f3a.woff2").content_type == "font/woff2"


def test_a_hashed_file_that_is_gone_is_not_found(built):
    with pytest.raises(ApiError) as refused:
        get(built, "/assets/index-old.js")
    assert refused.value.status == 404


@pytest.mark.parametrize(
    "path", ["/../secrets.env", "/%2e%2e/secrets.env", "/assets/../../secrets.env", "/\0", "//etc/passwd"]
)
def test_nothing_outside_the_folder_is_served(built, path):
    try:
        answer = get(built, path)
    except ApiError as refused:
        assert refused.status == 404
    else:
        assert answer.get_data(as_text=True) == "<title>tickmux</title>"


def test_text_is_compressed_for_those_who_take_it(built):
    path = "/assets/index-4f3a.js"
    small = get(built, path, headers={"Accept-Encoding": "gzip, br"})
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.get_data()) == get(built, path).get_data()
    assert "Content-Encoding" not in get(built, path).headers
    assert (
        "Content-Encoding" not in get(built, "/assets/inter-4f3a.woff2", headers={"Accept-Encoding": "gzip"}).headers
    )


def test_an_unchanged_page_is_not_sent_again(built):
    etag = get(built, "/").headers["ETag"]
    assert get(built, "/", headers={"If-None-Match": etag}).status_code == 304
    (built / "index.html").write_text("<title>newer</title>")
    assert get(built, "/", headers={"If-None-Match": etag}).status_code == 200


def test_without_a_build_the_page_says_how_to_make_one(tmp_path):
    answer = get(tmp_path / "nothing", "/watchlist")
    assert answer.status_code == 200
    assert "npm run build" in answer.get_data(as_text=True)
    assert answer.headers["Cache-Control"] == "no-store"
