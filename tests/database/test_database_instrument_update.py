"""Updating a list: fetched first, stored only when all of it could be read, secrets sent to nobody else."""

import gzip

import httpx
import pytest

from tickmux.codec import Credentials
from tickmux.database.instrument_update import DownloadFailed, update_instruments
from tickmux.instrument import Instrument
from tickmux.instrument_list import Download, InstrumentList, ListFormatError

HEADERS = {"Authorization": "token secret", "X-Private": "secret"}


class Lines(InstrumentList):
    """A broker whose list is one symbol a line, in two files."""

    needs_login = True
    default_urls = {"lists": "https://lists.example"}

    def downloads(self, credentials):
        assert credentials is not None
        return [
            Download(url=f"{self.urls['lists']}/one?key=hunter2", filename="one.txt", headers=HEADERS),
            Download(url=f"{self.urls['lists']}/two", filename="two.txt", method="POST", json={"all": True}),
        ]

    def parse(self, data, filename):
        if data.startswith(b"<"):
            raise ListFormatError(f"{filename} is an error page")
        for line in data.decode().split():
            yield Instrument(line, "NSE", f"{filename}:{line}")


@pytest.fixture
def update(store):
    store.replace("lines", [Instrument("OLD", "NSE", "0")])
    seen = []

    def run(handler):
        with httpx.Client(transport=httpx.MockTransport(handler)) as http:
            return update_instruments(
                "lines",
                Lines(),
                store,
                Credentials({"access_token": "t"}),
                http,
                lambda name, done, total: seen.append((name, done, total)),
                seen.append,
            )

    run.seen = seen
    return run


def streamed(*chunks):
    return httpx.Response(200, content=iter(chunks), headers={"content-length": str(sum(map(len, chunks)))})


def good(request):
    if request.method == "POST":
        assert request.content == b'{"all":true}'
        return streamed(b"INFY")
    assert request.headers["x-private"] == "secret"
    return streamed(b"SB", b"IN TCS")


def test_all_files_become_one_list(update, store):
    assert update(good) == 3
    assert store.resolve("lines", "NSE", "INFY").token == "two.txt:INFY"
    assert store.resolve("lines", "NSE", "OLD") is None
    assert update.seen == [("one.txt", 2, 8), ("one.txt", 8, 8), ("two.txt", 4, 4), 3]


def test_content_encodings_are_undone_and_archives_are_not(update, store):
    def handler(request):
        if request.method == "POST":
            return httpx.Response(200, content=gzip.compress(b"INFY"), headers={"content-encoding": "gzip"})
        return httpx.Response(200, content=b"SBIN")

    assert update(handler) == 2


@pytest.mark.parametrize("status", [404, 429, 500])
def test_an_error_answer_leaves_the_old_list(update, store, status):
    with pytest.raises(DownloadFailed, match=f"lists.example.*{status}") as caught:
        update(lambda request: httpx.Response(status, content=b"NOT A LIST"))
    assert not caught.value.refused
    assert "hunter2" not in str(caught.value)
    assert store.resolve("lines", "NSE", "OLD") is not None


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_session_is_told_apart(update, status):
    with pytest.raises(DownloadFailed) as caught:
        update(lambda request: httpx.Response(status))
    assert caught.value.refused


def test_a_network_failure_leaves_the_old_list(update, store):
    def handler(request):
        raise httpx.ConnectTimeout("https://lists.example/one?key=hunter2")

    with pytest.raises(DownloadFailed, match="ConnectTimeout") as caught:
        update(handler)
    assert "hunter2" not in str(caught.value)
    assert store.resolve("lines", "NSE", "OLD") is not None


def test_a_second_file_that_is_no_list_leaves_the_old_list(update, store):
    def handler(request):
        return httpx.Response(200, content=b"<html>" if request.method == "POST" else b"SBIN")

    with pytest.raises(ListFormatError):
        update(handler)
    assert store.resolve("lines", "NSE", "OLD") is not None
    assert store.resolve("lines", "NSE", "SBIN") is None


def test_a_redirect_to_another_host_takes_no_secret_along(update):
    def handler(request):
        if request.method == "POST":
            return httpx.Response(200, content=b"INFY")
        if request.url.host == "lists.example":
            return httpx.Response(302, headers={"location": "https://cdn.example/file"})
        assert "secret" not in str(request.headers)
        return httpx.Response(200, content=b"SBIN")

    assert update(handler) == 2


def test_a_redirect_within_the_host_keeps_its_headers(update):
    def handler(request):
        if request.url.path == "/one":
            return httpx.Response(302, headers={"location": "/moved"})
        return good(request)

    assert update(handler) == 3


def test_redirects_end_some_time(update):
    with pytest.raises(DownloadFailed, match="redirects"):
        update(lambda request: httpx.Response(302, headers={"location": "/again"}))


def test_an_endless_file_is_given_up(update, monkeypatch):
    monkeypatch.setattr("tickmux.database.instrument_update._MAX_BYTES", 100)
    with pytest.raises(DownloadFailed, match="given up"):
        update(lambda request: httpx.Response(200, content=b"x" * 101))


def test_a_list_is_good_without_an_optional_file_and_the_gap_is_counted(store):
    class WithExtras(Lines):
        def downloads(self, credentials):
            extras = Download(url="https://lists.example/extras", filename="extras.txt", optional=True)
            return [*super().downloads(credentials), extras]

    def handler(request):
        return httpx.Response(503) if request.url.path == "/extras" else good(request)

    reader = WithExtras()
    with httpx.Client(transport=httpx.MockTransport(handler)) as http:
        session = Credentials({"access_token": "t"})
        count = update_instruments("lines", reader, store, session, http, lambda *_: None, lambda _: None)
    assert count == 3
    assert [reason for reason in reader.skipped if "extras.txt" in reason]
