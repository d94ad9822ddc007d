"""Brings a broker's instrument list up to date: download, parse, store.

Everything is fetched before anything is stored. A file that cannot be had, or is none of the broker's, keeps the rows
of its exchanges as they are in the list in use; without such rows the whole update fails. A new list that is too
unlike the old one does not replace it. A download is bounded by `_MAX_BYTES` and `_MAX_REDIRECTS`.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import httpx

from tickmux.codec import Credentials
from tickmux.database.instrument_store import InstrumentStore
from tickmux.instrument import Instrument
from tickmux.instrument_list import Download, InstrumentList, ListFormatError

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


class Update(NamedTuple):
    """What an update has done: the list's length, and the exchanges that keep their old rows, with the reason."""

    instruments: int
    kept: dict[str, str]

    @property
    def warning(self) -> str:
        """What did not work, in words; empty when all of the list is new."""
        reasons: dict[str, list[str]] = {}
        for exchange, reason in self.kept.items():
            reasons.setdefault(reason, []).append(exchange)
        return "; ".join(f"{', '.join(kept)} kept as before: {reason}" for reason, kept in reasons.items())


def update_instruments(
    broker: str,
    reader: InstrumentList,
    store: InstrumentStore,
    credentials: Credentials | None,
    http: httpx.Client,
    downloaded: DownloadProgress,
    stored: Callable[[int], object],
    *,
    force: bool = False,
) -> Update:
    """Replaces the broker's list; `force` takes one that is unlike the one in use.

    Raises DownloadFailed, ListFormatError, EmptyList or ListRefused; the old list is in use then.
    """
    parts = reader.downloads(credentials)
    listed = store.exchanges(broker)
    kept: dict[str, str] = {}
    files: list[tuple[bytes, Download]] = []

    def does_without(part: Download, error: Exception) -> bool:
        """Whether the update goes on without the part."""
        has_rows = bool(part.exchanges) and not listed.isdisjoint(part.exchanges)
        if has_rows:
            kept.update(dict.fromkeys(listed.intersection(part.exchanges), str(error)))
        elif part.optional:
            reader.skipped[f"{part.filename} could not be fetched, the list is good without it"] += 1
        return has_rows or part.optional

    for part in parts:
        try:
            files.append((fetch(part, http, downloaded), part))
        except DownloadFailed as error:
            if error.refused or not does_without(part, error):
                raise
    read = 0

    def instruments() -> Iterator[Instrument]:
        nonlocal read
        for data, part in files:
            try:
                rows = reader.read(data, part.filename)
                for row in rows:
                    read += 1
                    yield row
            except ListFormatError as error:
                if not does_without(part, error):
                    raise
        if read == 0 and kept:
            raise DownloadFailed(next(iter(kept.values())))

    def unreadable() -> float:
        return reader.unreadable / max(1, reader.unreadable + read)

    count = store.replace(broker, instruments(), stored, kept=kept, unreadable=unreadable, force=force)
    return Update(count, kept)


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
