"""The whole suite at other hours: `make test-hours`. Arguments go to pytest.

A test that holds only while markets are open, or not across midnight, is a defect; each moment here has been one.
libfaketime moves the wall clock, of all processes that a test starts, too; the monotonic clock stays.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

MOMENTS = {
    "Monday, 10:00 in India: markets are open": "2026-11-30 04:30:00",
    "a Saturday": "2026-11-28 06:00:00",
    "31 December, ten seconds before midnight in India": "2026-12-31 18:29:50",
}
"""What is about the moment -> UTC."""


def main() -> int:
    found = find_spec("libfaketime")
    if found is None or found.origin is None:
        sys.exit("libfaketime is missing: run `make test-hours`, which installs it")
    library = next(Path(found.origin).parent.rglob("libfaketime.so.1"))
    failed = []
    for about, moment in MOMENTS.items():
        print(f"\n=== {about} ===", flush=True)
        environ = os.environ | {
            "LD_PRELOAD": str(library),
            "FAKETIME": f"@{moment}",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "TZ": "UTC",
        }
        command = [sys.executable, "-m", "pytest", "-n", "auto", "--dist", "worksteal", *sys.argv[1:]]
        if subprocess.run(command, env=environ, check=False).returncode:
            failed.append(about)
    print("\n" + (f"failed at: {'; '.join(failed)}" if failed else "passed at all of them"))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
