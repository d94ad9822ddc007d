"""The built pages: files of the front end, and `index.html` for every address that the pages route themselves.

Files come from the package's `static` folder, which the front end's build fills. Bounded: the compressed copies of
`_COMPRESSED` files are kept.
"""

import gzip
import mimetypes
from functools import lru_cache
from pathlib import Path

from flask import Request, Response

from tickmux.web.errors import ApiError

STATIC = Path(__file__).parent / "static"

_COMPRESSED = 200
_FOR_EVER = "public, max-age=31536000, immutable"
_TEXT = ("text/", "application/json", "application/manifest+json", "image/svg+xml")
_TYPES = {".js": "text/javascript", ".woff2": "font/woff2", ".map": "application/json"}

_NO_PAGES = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tickmux</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:4rem auto;padding:0 1rem}</style>
<h1>tickmux is running</h1>
<p>The server works, but its pages are not part of this installation. In a checkout, with
<a href="https://nodejs.org">Node 20 or newer</a>, this builds them:</p>
<pre>cd frontend &amp;&amp; npm ci &amp;&amp; npm run build</pre>
<p>Then reload this page. Packages from PyPI carry the pages and need no Node: <code>pip install tickmux</code>.</p>
<p>Everything else works without them: the WebSocket, <a href="/api/health">/api/health</a>, and the command line
(<code>tickmux --help</code>).</p>
</html>
"""


class Pages:
    """The files in `folder`."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder.resolve()

    def answer(self, request: Request) -> Response:
        """The file at the request's path, or the page that finds its way itself. Raises ApiError (404)."""
        name = request.path.lstrip("/")
        file = self._file(name)
        if file is not None and name != "index.html":
            return _send(request, file, _FOR_EVER if name.startswith("assets/") else "no-cache")
        if name.startswith("assets/"):
            raise ApiError(404, "NOT_FOUND", "there is no such file: reload the page")
        index = self._file("index.html")
        if index is None:
            return Response(_NO_PAGES, 200, {"Cache-Control": "no-store"}, content_type="text/html; charset=utf-8")
        return _send(request, index, "no-cache")

    def _file(self, name: str) -> Path | None:
        """The file of that name within the folder, if there is one."""
        if not name or "\0" in name:
            return None
        try:
            path = (self._folder / name).resolve()
            return path if path.is_relative_to(self._folder) and path.is_file() else None
        except (OSError, ValueError):  # too long a name, or one that no file can have
            return None


def _send(request: Request, file: Path, caching: str) -> Response:
    kind = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    stat = file.stat()
    if kind.startswith(_TEXT) and request.accept_encodings.quality("gzip") > 0:
        response = Response(_gzipped(file, stat.st_mtime_ns))
        response.headers["Content-Encoding"] = "gzip"
    else:
        response = Response(file.read_bytes())
    response.content_type = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
    response.headers["Cache-Control"] = caching
    response.headers["Vary"] = "Accept-Encoding"
    response.set_etag(f"{stat.st_mtime_ns:x}-{stat.st_size:x}")
    response.make_conditional(request)
    return response


@lru_cache(maxsize=_COMPRESSED)
def _gzipped(file: Path, changed: int) -> bytes:
    """`changed` makes another file of one that was built anew."""
    return gzip.compress(file.read_bytes(), 9, mtime=0)
