"""Start and end of web server and proxy, over real sockets."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support.running import served
from tickmux.websocket_proxy.app_integration import _HANDOVER
from tickmux.websocket_proxy.port_check import describe_taken

PATIENCE = 60  # these start programs, on machines that may be busy
RELEASE = 2.0

FOREIGN = """
import flask
from tickmux.websocket_proxy.app_integration import start_websocket_proxy
app = flask.Flask("foreign")

@app.get("/")
def index():
    return "foreign"

start_websocket_proxy(app)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait(what, condition, patience=PATIENCE):
    ends = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < ends, what
        time.sleep(0.02)
    return found


@contextmanager
def process(arguments, home, **environment):
    """A child with ports of its own; gives (process, lines of its output, WebSocket port, bus port)."""
    ports = free_port(), free_port()
    environ = {
        **os.environ,
        "TICKMUX_HOME": str(home),
        "WEBSOCKET_PORT": str(ports[0]),
        "ZMQ_PORT": str(ports[1]),
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
    child = subprocess.Popen(
        arguments, env=environ, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(child.stdout.readline, "")), daemon=True)
    reader.start()
    try:
        yield child, lines, *ports
    finally:
        if child.poll() is None:
            child.kill()
        child.wait(PATIENCE)
        reader.join(PATIENCE)


def assert_released(child, number, *ports):
    """Ends the child and sees that all its ports are free within two seconds."""
    began = time.monotonic()
    child.send_signal(number)
    wait("the ports are still taken", lambda: not any(map(listens, ports)), RELEASE)
    assert time.monotonic() - began < RELEASE
    child.wait(PATIENCE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_releases_all_three_ports_within_two_seconds(tmp_path, number):
    with served(tmp_path, "--external") as running:
        ports = [int(address.rpartition(":")[2]) for address in (running.url, running.bus, running.web)]
        assert all(map(listens, ports))
        assert httpx.get(f"{running.web}/api/health").json()["proxy"]["running"]
        assert_released(running.process, number, *ports)
        assert running.process.returncode == 0


def test_a_taken_web_port_is_one_line_that_names_the_setting(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "tickmux", "serve", "--port", "0", "--zmq-port", "0", "--web-port", port]
        failed = subprocess.run(
            command, env={**os.environ, "TICKMUX_HOME": str(tmp_path)}, capture_output=True, text=True, timeout=30
        )
    assert failed.returncode == 1
    (line,) = failed.stderr.strip().splitlines()
    assert "WEB_PORT" in line
    assert port in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_any_flask_app_gets_the_proxy_and_it_ends_with_the_program(tmp_path, number):
    port = free_port()
    (tmp_path / "foreign.py").write_text(f"{FOREIGN}\napp.run(port={port})\n")
    with process([sys.executable, "foreign.py"], tmp_path) as (child, lines, ws, bus):
        wait(lines, lambda: listens(port) and listens(ws))
        assert httpx.get(f"http://127.0.0.1:{port}/").text == "foreign"
        assert_released(child, number, port, ws, bus)


def test_the_proxy_ends_with_the_interpreter(tmp_path):
    (tmp_path / "short.py").write_text(f"{FOREIGN}\nprint('started', flush=True)\n")
    with process([sys.executable, "short.py"], tmp_path) as (child, lines, ws, bus):
        assert child.wait(PATIENCE) == 0
        wait(lines, lambda: lines == ["started\n"])
        assert not listens(ws)
        assert not listens(bus)


@pytest.mark.parametrize("how", ["script", "flask"])
def test_the_reloaders_parent_starts_no_proxy(tmp_path, how):
    port = free_port()
    (tmp_path / "foreign.py").write_text(
        f"{FOREIGN}\nif __name__ == '__main__':\n    app.run(port={port}, debug=True)\n"
    )
    command = {
        "script": ["foreign.py"],
        "flask": ["-m", "flask", "--app", "foreign", "run", "--debug", "--port", str(port)],
    }[how]
    with process([sys.executable, *command], tmp_path) as (child, lines, ws, bus):
        wait(lines, lambda: listens(port))
        assert httpx.get(f"http://127.0.0.1:{port}/").text == "foreign"
        wait(lines, lambda: listens(ws))
        served_by = listener(ws)
        assert served_by != child.pid
        assert parent_of(served_by) == child.pid
        assert not [line for line in lines if "taken" in line or "another process" in line]
        os.kill(served_by, signal.SIGTERM)
        wait(lines, lambda: not listens(ws) and not listens(bus), RELEASE)


def test_without_the_reloader_a_debugged_app_gets_its_proxy_with_the_first_request(tmp_path):
    port = free_port()
    (tmp_path / "foreign.py").write_text(FOREIGN)
    command = [
        sys.executable,
        "-m",
        "flask",
        "--app",
        "foreign",
        "run",
        "--debug",
        "--no-reload",
        "--port",
        str(port),
    ]
    with process(command, tmp_path) as (child, lines, ws, bus):
        wait(lines, lambda: listens(port))
        assert httpx.get(f"http://127.0.0.1:{port}/").text == "foreign"
        assert listens(ws)
        assert_released(child, signal.SIGINT, port, ws, bus)


def gunicorn(port, workers, *more):
    app = 'tickmux.web:create_app(simulate="zerodha")'
    listening = f"127.0.0.1:{port}"
    return [sys.executable, "-m", "gunicorn", "-w", str(workers), "--threads", "4", "-b", listening, *more, app]


def test_gunicorn_with_one_worker(tmp_path):
    port = free_port()
    with process(gunicorn(port, 1), tmp_path) as (child, lines, ws, bus):
        wait(lines, lambda: listens(port) and listens(ws))
        health = httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=PATIENCE).json()
        assert health["proxy"] == {"running": True, "clients": 0}
        assert_released(child, signal.SIGTERM, port, ws, bus)
        assert child.returncode == 0


def test_gunicorn_replaces_its_worker(tmp_path):
    port = free_port()
    with process(gunicorn(port, 1), tmp_path) as (child, lines, ws, _):
        wait(lines, lambda: listens(port) and listens(ws))
        before = listener(ws)
        child.send_signal(signal.SIGHUP)
        wait(lines, lambda: listener(ws) not in (0, before))
        assert httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=PATIENCE).status_code == 200
        assert not [line for line in lines if "another process" in line]


@pytest.mark.parametrize(
    ("workers", "more", "reason"),
    [
        (2, (), "2 workers"),
        (1, ("--preload",), "leave --preload out"),
        (1, ("-k", "gevent"), "gevent has replaced"),
        (3, ("-k", "gevent"), "gevent has replaced"),
        (1, ("-k", "tornado"), "worker class TornadoWorker"),
    ],
    ids=["two workers", "preloaded", "gevent", "three of gevent", "tornado"],
)
def test_gunicorn_that_cannot_run_the_proxy_ends_at_once_with_the_reason_and_what_to_do(
    tmp_path, workers, more, reason
):
    with process(gunicorn(free_port(), workers, *more), tmp_path) as (child, lines, ws, _):
        assert child.wait(PATIENCE) != 0
        wait(lines, lambda: [line for line in lines if line.startswith("error: ")])
        (line,) = [line for line in lines if line.startswith("error: ")]
        assert reason in line
        assert "gunicorn -w 1 --threads 8" in line
        assert "tickmux proxy" in line
        assert not [line for line in lines if "Traceback" in line]
        assert not listens(ws)


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_an_app_whose_threads_have_been_replaced_ends_with_the_reason(tmp_path, library):
    patch = {
        "gevent": "from gevent import monkey; monkey.patch_all()",
        "eventlet": "import eventlet; eventlet.monkey_patch()",
    }
    (tmp_path / "patched.py").write_text(f"{patch[library]}\n{FOREIGN}\nprint('started', flush=True)\n")
    with process([sys.executable, "-W", "ignore", "patched.py"], tmp_path) as (child, lines, *_):
        assert child.wait(PATIENCE) == 4
        wait(lines, lambda: [line for line in lines if f"{library} has replaced" in line])
        assert "started\n" not in lines


def test_a_second_process_of_one_home_is_refused_with_the_reason(tmp_path):
    (tmp_path / "foreign.py").write_text(f"{FOREIGN}\nprint('started', flush=True)\nimport time; time.sleep(60)\n")
    with process([sys.executable, "foreign.py"], tmp_path) as (_, first, ws, _bus):
        wait(first, lambda: listens(ws))
        with process([sys.executable, "foreign.py"], tmp_path) as (child, lines, *_):
            assert child.wait(_HANDOVER + PATIENCE) != 0
            wait(lines, lambda: [line for line in lines if "SecondProxy: " in line])
            (line,) = [line for line in lines if "SecondProxy: " in line]
            assert re.search(r"another process \(pid \d+\)", line)
            assert "gunicorn -w 1" in line
            assert "tickmux proxy" in line


def listener(port):
    """Pid of the process that listens on the port, 0 for none."""
    found = re.search(r"pid (\d+)", describe_taken("127.0.0.1", port) or "")
    return int(found[1]) if found else 0


def parent_of(pid):
    return int(re.search(r"PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
