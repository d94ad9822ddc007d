"""Builds the pages into the package, so that whoever installs the wheel needs no Node.

Runs `npm ci` and `npm run build` in `frontend/` where Node is there and the pages are missing or older than their
sources. Without Node the package is built without pages, and the server says at `/` how to get them. An editable
installation builds nothing: `make run` does.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SOURCES = ("src", "public", "scripts")
_FILES = ("index.html", "package.json", "package-lock.json", "vite.config.ts", "tsconfig.json", "tsconfig.app.json")


class PagesBuildHook(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        frontend = Path(self.root, "frontend")
        index = Path(self.root, "src", "tickmux", "web", "static", "index.html")
        if _newest(frontend) <= (index.stat().st_mtime if index.exists() else 0.0):
            return
        npm = shutil.which("npm")
        if npm is None or not frontend.is_dir():
            what = "web pages that are older than their sources" if index.exists() else "no web pages"
            self.app.display_warning(f"npm was not found: the package gets {what}")
            return
        for arguments in (("ci", "--no-audit", "--no-fund"), ("run", "build")):
            subprocess.run([npm, *arguments], cwd=frontend, check=True)  # noqa: S603


def _newest(frontend: Path) -> float:
    """When the pages' sources were last changed; endless where there are none."""
    files = [frontend / name for name in _FILES]
    for folder in _SOURCES:
        files += (frontend / folder).rglob("*")
    return max((file.stat().st_mtime for file in files if file.is_file()), default=float("inf"))
