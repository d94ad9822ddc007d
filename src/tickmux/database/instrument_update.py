"""Brings a broker's instrument list up to date: download, parse, store.

Everything is fetched before anything is stored, and the store keeps its old list unless the whole new one could
be read. A download is bounded by `_MAX_BYTES` and `_MAX_REDIRECTS`.
"""

from collections.abc import Callable, Iterator

import httpx

from tickmux.codec import Credentials
from tickmux.database.instrument_store import InstrumentStore
from tickmux.instrument import Instrument
from tickmux.instrument_list import Download, InstrumentList

_MAX_BYTES = 512 * 1024 * 1024
_MAX_REDIRECTS = 5
_SAFE_HEADERS = frozenset({"accept", "user-agent"})

DownloadProgress = Callable[[str, int, int | None], object]
"""Told the file's name, the bytes so far, and the bytes in all where the server says."""


class DownloadFailed(Exception):
    """A file could not be fetched; `refused` when the broker did not accept the session."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


def update_instruments(
    broker: str,
    reader: InstrumentList,
    store: InstrumentStore,
    credentials: Credentials | None,
    http: httpx.Client,
    downloaded: DownloadProgress,
    stored: Callable[[int], object],
) -> int:
    """Replaces the broker's list and returns its length.

    Raises DownloadFailed, ListFormatError or EmptyList; the old list is in use then.
    """
    files = []
    for one in reader.downloads(credentials):
        try:
            files.append((fetch(one, http, downloaded), one.filename))
        except DownloadFailed:
            if not one.optional:
                raise
            reader.skipped[f"{one.filename} could not be fetched, the list is good without it"] += 1

    def instruments() -> Iterator[Instrument]:
        for data, filename in files:
            yield from reader.parse(data, filename)

    return store.replace(broker, instruments(), stored)


def fetch(download: Download, http: httpx.Client, progress: DownloadProgress) -> bytes:
    """One file's bytes. Headers go to the named host only, never along with a redirect to another."""
    try:
        request = http.build_request(
            download.method, download.url, headers=dict(download.headers), json=download.json
        )
        for _ in range(_MAX_REDIRECTS + 1):
            response = http.send(request, stream=True, follow_redirects=False)
            try:
                if response.next_request is None:
                    return _body(response, download.filename, progress)
                request = _redirected(request, response.next_request)
            finally:
                response.close()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        host = httpx.URL(download.url).host
        raise DownloadFailed(
            f"{download.filename} could not be fetched from {host} ({type(error).__name__})"
        ) from error
    raise DownloadFailed(f"{download.filename} could not be fetched: more than {_MAX_REDIRECTS} redirects")


def _redirected(old: httpx.Request, new: httpx.Request) -> httpx.Request:
    if (old.url.scheme, old.url.netloc) == (new.url.scheme, new.url.netloc):
        return new
    return httpx.Request(
        new.method, new.url, headers={name: value for name, value in old.headers.items() if name in _SAFE_HEADERS}
    )


def _body(response: httpx.Response, filename: str, progress: DownloadProgress) -> bytes:
    host = response.url.host
    if response.status_code in (401, 403):
        raise DownloadFailed(f"{host} does not accept the session (HTTP {response.status_code})", refused=True)
    if not response.is_success:
        raise DownloadFailed(f"{filename} could not be fetched from {host} (HTTP {response.status_code})")
    length = response.headers.get("content-length", "")
    total = int(length) if length.isascii() and length.isdigit() else None
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise DownloadFailed(f"{filename} from {host} is longer than {_MAX_BYTES // 1024 // 1024} MiB: given up")
        progress(filename, response.num_bytes_downloaded, total)
    return bytes(body)
