"""Official SDKs whose pins clash with ours, or with each other's: each in a folder of its own, without its pins."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_FOLDER = Path(__file__).parents[2] / ".pytest_cache" / "sdk"


def official_sdk(requirement: str, *others: str, needs: Sequence[str] = ()) -> Path:
    """Where `requirement` (`fyers-apiv3==3.2.0`) is installed; the first call on a checkout installs it.

    `others` come without what they depend on, as the SDK does; `needs` come with it. Several test processes may ask
    at once: the folder appears complete or not at all.
    """
    folder = _FOLDER / requirement.replace("==", "-")
    if not folder.exists():
        _FOLDER.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=_FOLDER))
        installer = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else ["uv", "pip"]
        into = [*installer, "install", "--quiet", "--upgrade", "--target", str(fresh)]
        if needs:
            subprocess.run([*into, *needs], check=True, timeout=120)
        subprocess.run([*into, "--no-deps", requirement, *others], check=True, timeout=120)
        try:
            fresh.rename(folder)
        except OSError:
            shutil.rmtree(fresh)  # another process was quicker
    return folder


def import_path(requirement: str, *others: str) -> None:
    """Makes the SDK importable in this process."""
    folder = str(official_sdk(requirement, *others))
    if folder not in sys.path:
        sys.path.append(folder)
