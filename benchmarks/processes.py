"""The processes that take part in a benchmark: building the C programs, starting, asking, counting CPU time."""

import json
import os
import select
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_SOURCES = Path(__file__).parent
_BINARIES = _SOURCES / "bin"
_PATIENCE = 60.0


class NotPossibleHere(Exception):
    """This machine lacks something that the benchmark needs; the message says what."""


class ChildFailed(Exception):
    """A process of the benchmark ended or fell silent."""


def build(name: str) -> str:
    """The path of a C program of this folder, compiled when its source is newer."""
    if not sys.platform.startswith("linux"):
        raise NotPossibleHere("the benchmark needs Linux: it reads CPU times from /proc and uses epoll")
    compiler = shutil.which("gcc")
    if compiler is None:
        raise NotPossibleHere("the benchmark needs gcc for its load client: apt install gcc (or the like)")
    binary = _BINARIES / name
    sources = [_SOURCES / f"{name}.c", _SOURCES / "wire.h"]
    if not binary.exists() or binary.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        _BINARIES.mkdir(exist_ok=True)
        command = [compiler, "-std=c11", "-O2", "-Wall", "-Wextra", "-o", str(binary), str(sources[0])]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            raise NotPossibleHere(f"gcc cannot build {sources[0].name}:\n{built.stderr}")
    return str(binary)


class Child:
    """A process that takes commands as lines and answers with lines of JSON; ended when the block ends."""

    def __init__(self, *command: str) -> None:
        self._name = next(word for word in command if not word.startswith("-") and word != sys.executable)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_SOURCES.parent, bufsize=0
        )
        self._said = b""
        self.pid = self._process.pid

    @classmethod
    def module(cls, name: str, *arguments: object) -> Self:
        """`python -m benchmarks.<name> arguments`."""
        return cls(sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments))

    @classmethod
    def program(cls, name: str, *arguments: object) -> Self:
        """A C program of this folder."""
        return cls(build(name), *map(str, arguments))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
        except BrokenPipeError:
            raise self._failed("has ended") from None

    def answer(self) -> dict[str, Any]:
        """The next line that the process prints."""
        stdout = self._process.stdout
        assert stdout is not None
        while b"\n" not in self._said:
            ready, _, _ = select.select([stdout], [], [], _PATIENCE)
            if not ready:
                raise self._failed(f"said nothing for {_PATIENCE:g} s")
            more = stdout.read(4096)
            if not more:
                raise self._failed("has ended")
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def cpu_seconds(self) -> float:
        """CPU time of all threads so far, the kernel's work for them included."""
        return sum(_thread_seconds(thread) for thread in Path(f"/proc/{self.pid}/task").iterdir())

    def _failed(self, what: str) -> ChildFailed:
        return ChildFailed(f"{Path(self._name).name} {what} (exit code {self._process.poll()})")


def _thread_seconds(thread: Path) -> float:
    """To the nanosecond where the kernel keeps scheduler statistics, else to the clock tick."""
    try:
        return int((thread / "schedstat").read_text().split()[0]) / 1e9
    except OSError:
        fields = (thread / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
