"""Updating a list: fetched first, stored only when all of it could be read, secrets sent to nobody else."""

import gzip
from datetime import datetime, timedelta

import httpx
import msgspec
import pytest

from tickmux.codec import Credentials
from tickmux.database import ListRefused
from tickmux.database.instrument_update import DownloadFailed, update_instruments
from tickmux.instrument import Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList, ListFormatError
from tickmux.login import IST
from tickmux.websocket_proxy.broker_factory import broker_names, load_broker

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
    assert update(good) == (3, {})
    assert store.resolve("lines", "NSE", "INFY").token == "two.txt:INFY"
    assert store.resolve("lines", "NSE", "OLD") is None
    assert update.seen == [("one.txt", 2, 8), ("one.txt", 8, 8), ("two.txt", 4, 4), 3]


def test_content_encodings_are_undone_and_archives_are_not(update, store):
    def handler(request):
        if request.method == "POST":
            return httpx.Response(200, content=gzip.compress(b"INFY"), headers={"content-encoding": "gzip"})
        return httpx.Response(200, content=b"SBIN")

    assert update(handler) == (2, {})


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

    assert update(handler) == (2, {})


def test_a_redirect_within_the_host_keeps_its_headers(update):
    def handler(request):
        if request.url.path == "/one":
            return httpx.Response(302, headers={"location": "/moved"})
        return good(request)

    assert update(handler) == (3, {})


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
        done = update_instruments("lines", reader, store, session, http, lambda *_: None, lambda _: None)
    assert done.instruments == 3
    assert [reason for reason in reader.skipped if "extras.txt" in reason]


TODAY = datetime.now(IST).date()
LATER, GONE = TODAY + timedelta(days=20), TODAY - timedelta(days=3)


def contracts(day=LATER, exchange="NFO", count=40, first=100):
    """Options of ten underlyings."""
    names = [f"U{number % 10}" for number in range(count)]
    return [
        Instrument(
            derivative_symbol(name, day, "CE", 100.0 + number), exchange, str(first + number), exchange,
            f"{name}-{number}", name, format_expiry(day), 100.0 + number, 1, "CE",
        )
        for number, name in enumerate(names)
    ]  # fmt: skip


def shares(exchange="NSE", count=40):
    return [Instrument(f"S{n}", exchange, str(n), exchange, f"S{n}", series="EQ") for n in range(count)]


def refused(store, new, unreadable=0.0, **options):
    with pytest.raises(ListRefused) as error:
        store.replace("lines", new, unreadable=lambda: unreadable, **options)
    return str(error.value)


def test_a_list_that_has_lost_a_kind_of_instruments_is_refused_and_the_old_one_kept(store):
    old = [*shares(), *contracts()]
    store.replace("lines", old, unreadable=lambda: 0.0)
    words = refused(store, [*shares(), *contracts()[:4]])
    assert "4 options of NFO, where 40 were listed" in words
    assert "tickmux instruments update lines --force" in words
    assert store.resolve("lines", "NFO", old[-1].symbol) == old[-1]
    assert store.replace("lines", [*shares(), *contracts()[:4]], unreadable=lambda: 0.0, force=True) == 44


def test_contracts_that_have_ended_are_not_missed(store):
    store.replace("lines", [*shares(), *contracts(GONE, first=500), *contracts()], unreadable=lambda: 0.0)
    assert store.replace("lines", [*shares(), *contracts()], unreadable=lambda: 0.0) == 80


def test_a_list_of_which_more_cannot_be_read_than_before_is_refused(store):
    store.replace("lines", shares(), unreadable=lambda: 0.1)
    assert store.replace("lines", shares(), unreadable=lambda: 0.12) == 40
    assert "30% of its rows cannot be read, 12% before" in refused(store, shares(), 0.3)


def test_a_list_without_known_underlyings_is_refused(store):
    store.replace("lines", contracts(), unreadable=lambda: 0.0)
    others = [
        msgspec.structs.replace(one, name="X", symbol=f"X{one.symbol}", token=f"9{one.token}")
        if one.name in ("U1", "U2")
        else one
        for one in contracts()
    ]
    assert "2 of 10 underlyings of NFO are gone (U1, U2)" in refused(store, others)


def test_a_list_whose_tokens_belong_to_others_is_refused(store):
    store.replace("lines", contracts(), unreadable=lambda: 0.0)
    turned = [
        msgspec.structs.replace(one, token=other.token)
        for one, other in zip(contracts(), contracts()[::-1], strict=True)
    ]
    assert "40 of 40 tokens of NFO belong to other instruments" in refused(store, turned)


def test_a_first_list_and_one_like_the_old_are_taken(store):
    assert store.replace("lines", contracts()[:15], unreadable=lambda: 0.9) == 15
    assert store.replace("lines", contracts()[:14], unreadable=lambda: 0.9) == 14


class Parts(Lines):
    """A broker with a file for each exchange."""

    needs_login = False

    def downloads(self, credentials):
        return [
            Download(url=f"https://lists.example/{name}", filename=name, exchanges=(name,)) for name in ("NSE", "NFO")
        ]

    def parse(self, data, filename):
        if data.startswith(b"<"):
            raise ListFormatError(f"{filename} is an error page")
        return (Instrument(symbol, filename, f"new-{symbol}") for symbol in data.decode().split())


@pytest.mark.parametrize("bad", [httpx.Response(500), httpx.Response(200, content=b"<html>")])
def test_a_part_that_fails_keeps_the_old_rows_of_its_exchange(store, bad):
    store.replace("lines", [Instrument("A", "NSE", "old-A"), Instrument("F", "NFO", "old-F", series="x")])

    def answer(request):
        return bad if request.url.path == "/NFO" else httpx.Response(200, content=b"A B")

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        done = update_instruments("lines", Parts(), store, None, http, lambda *_: None, lambda _: None)
    assert done.instruments == 3
    assert list(done.kept) == ["NFO"]
    assert "NFO kept as before: NFO" in done.warning
    assert store.resolve("lines", "NSE", "A").token == "new-A"
    assert store.resolve("lines", "NFO", "F") == Instrument("F", "NFO", "old-F", series="x")


def test_where_there_are_no_old_rows_a_part_that_fails_is_an_error(store):
    store.replace("lines", [Instrument("A", "NSE", "old-A")])

    def answer(request):
        return httpx.Response(500 if request.url.path == "/NFO" else 200, content=b"A B")

    with httpx.Client(transport=httpx.MockTransport(answer)) as http, pytest.raises(DownloadFailed):
        update_instruments("lines", Parts(), store, None, http, lambda *_: None, lambda _: None)
    assert store.resolve("lines", "NSE", "A").token == "old-A"


def test_where_all_parts_fail_the_update_fails(store):
    store.replace("lines", [Instrument("A", "NSE", "old-A"), Instrument("F", "NFO", "old-F")])
    transport = httpx.MockTransport(lambda request: httpx.Response(500))
    before = store.info("lines")
    with httpx.Client(transport=transport) as http, pytest.raises(DownloadFailed):
        update_instruments("lines", Parts(), store, None, http, lambda *_: None, lambda _: None)
    assert store.info("lines") == before


@pytest.mark.parametrize("name", broker_names())
def test_every_file_of_a_broker_with_several_says_what_it_holds(name):
    session = {"access_token": "a", "api_key": "k", "session_token": "s", "token": "t"}
    broker = load_broker(name)
    files = broker.instruments().downloads(Credentials(session))
    served = set(broker.adapter.exchanges)
    if len([one for one in files if not one.optional]) > 1:
        held = {exchange for one in files for exchange in one.exchanges}
        assert served <= held | {"MCX_INDEX", "GLOBAL_INDEX", "CDS_INDEX", "NCO", "BCD"}


UNFIT = {
    "bad lot size": Instrument("LOT", "NSE", "2", lotsize=10**23),
    "bad symbol": Instrument("X" * 65, "NSE", "3"),
    "bad expiry": Instrument("N01JAN80FUT", "NFO", "5", expiry="01-JAN-80", instrumenttype="FUT"),
    "bad text": Instrument("NUL", "NSE", "4", name="a\0b"),
}


@pytest.mark.parametrize("reason", UNFIT)
def test_a_row_that_cannot_be_listed_is_left_out_alone_and_counted(store, reason):
    class WithOne(Lines):
        def parse(self, data, filename):
            yield Instrument("SBIN", "NSE", "1", lotsize=2**31 - 1, expiry="01-JAN-80")
            yield UNFIT[reason]

    reader = WithOne()
    with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as http:
        update_instruments("lines", reader, store, Credentials({}), http, lambda *_: None, lambda _: None)
    assert store.count("lines") == 1
    assert reader.skipped == {reason: 2}
    assert reader.unreadable == 2
