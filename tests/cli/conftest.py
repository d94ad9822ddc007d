import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from tickmux.cli import app
from tickmux.config import variables

KITE_CSV = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange\n"
    "779521,3045,SBIN,STATE BANK OF INDIA,0,,0,0.05,1,EQ,NSE,NSE\n"
    "256265,1001,NIFTY 50,NIFTY 50,0,,0,0,0,EQ,INDICES,NSE\n"
    "9604354,37517,NIFTY25AUG25000CE,NIFTY,0,2025-08-28,25000,0.05,75,CE,NFO-OPT,NFO\n"
    "412675,1612,EURINR25SEP102.75CE,EURINR,0,2025-09-26,102.75,0.0025,1,CE,CDS-OPT,CDS\n"
    "bad,1,BAD,,0,,0,0,0,EQ,NSE,NSE\n"
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A data folder of its own, and no setting from outside."""
    for variable in variables():
        monkeypatch.delenv(variable.name, raising=False)
    monkeypatch.setenv("TICKMUX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def run(home):
    """Runs a command in this process: `run("apikey", "list", input="…")`."""

    def invoke(*arguments, input=""):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def spawn(home):
    """Starts a command as a process of its own."""
    started = []

    def start(*arguments, **options):
        command = [sys.executable, "-m", "tickmux", *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, env=os.environ.copy(), **{**pipes, **options})
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def kite_csv():
    """Zerodha's instrument list: four instruments and a row that is none."""
    return KITE_CSV


@pytest.fixture
def kite(home, monkeypatch):
    """A Kite REST server on loopback, in whose place the zerodha broker finds it. `kite.answers` may be changed."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            length = int(self.headers.get("content-length", 0))
            server.requests.append((self.path, dict(self.headers), self.rfile.read(length).decode()))
            status, body = server.answers[self.path]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = answer

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    server.answers = {
        "/session/token": (200, '{"status":"success","data":{"access_token":"sesame","user_id":"AB1234"}}'),
        "/instruments": (200, KITE_CSV),
    }
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("BROKER_URLS", f"zerodha.api=http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
