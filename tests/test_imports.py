"""The arrows of the house: what each package may import, as one table. `docs/architecture.md` has the same table."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tickmux"

VOCABULARY = frozenset(
    {"tick", "instrument", "codec", "login", "instrument_list", "errors", "order_update", "contract_expiry"}
)
"""Modules at the root that say what things are, and the contracts; everybody may import them."""

MAY_IMPORT: dict[str, set[str]] = {
    "websocket_proxy": set(),
    "broker": {"websocket_proxy"},
    "simulator": {"websocket_proxy"},
    "database": {"config"},
    "options": set(),
    "orders": set(),
    "feeds": {"config", "database", "simulator", "websocket_proxy"},
    "web": {"config", "database", "feeds", "metrics", "runtime", "simulator", "websocket_proxy"},
    "cli": {"capture", "config", "database", "decode", "feeds", "runtime", "simulator", "web", "websocket_proxy"},
}
"""Package -> what it imports besides itself, the vocabulary and single modules at the root that import no package."""

PUT_TOGETHER: dict[str, set[str]] = {
    "websocket_proxy.app_integration": {"client_keys", "config", "database", "feeds", "runtime"},
    "websocket_proxy.broker_factory": {"broker"},
}
"""Modules that stand where users look for them, and know more than their package."""

LEAVES = frozenset({"env_file", "home_lock", "secrets_file", "owned_task"})
"""Modules at the root that import nothing of ours, except each other."""


def test_each_package_imports_only_what_the_table_allows():
    wrong = {
        f"{module} imports {target}"
        for module, imported in _graph().items()
        for target in imported
        if (package := _package(module)) in MAY_IMPORT
        and (other := _package(target)) not in {package, ""} | VOCABULARY | LEAVES
        and other not in MAY_IMPORT[package] | PUT_TOGETHER.get(module, set())
    }
    assert not wrong


def test_the_table_allows_nothing_that_is_not_needed():
    needed: dict[str, set[str]] = {package: set() for package in MAY_IMPORT}
    for module, imported in _graph().items():
        if (package := _package(module)) in MAY_IMPORT:
            needed[package] |= {_package(target) for target in imported} - PUT_TOGETHER.get(module, set())
    for package, allowed in MAY_IMPORT.items():
        assert allowed <= needed[package]


def test_the_vocabulary_knows_nothing_else():
    for module in VOCABULARY:
        assert {_package(target) for target in _graph()[module]} <= VOCABULARY


def test_no_modules_import_each_other_in_a_circle():
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way[way.index(module) :], module))
        if module not in done:
            for target in sorted(_graph()[module]):
                visit(target, (*way, module))
            done.add(module)

    for module in _graph():
        visit(module, ())


def test_the_architecture_page_has_the_same_table():
    page = (ROOT / "docs" / "architecture.md").read_text()
    for package, allowed in MAY_IMPORT.items():
        names = ", ".join(f"`{name}`" for name in sorted(allowed)) or "nothing else"
        assert f"| `{package}` | {names} |" in page


@cache
def _graph() -> dict[str, set[str]]:
    """Module -> the modules that it imports, without `tickmux.`; imports for type checkers count, too."""
    modules = {_name(path): path for path in SOURCE.rglob("*.py")}
    graph = {}
    for module, path in modules.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tickmux":
                base = (node.module or "").removeprefix("tickmux").removeprefix(".")
                for alias in node.names:
                    inner = f"{base}.{alias.name}".lstrip(".")
                    found.add(inner if inner in modules else base)
            elif isinstance(node, ast.Import):
                found |= {
                    alias.name.removeprefix("tickmux.") for alias in node.names if alias.name.startswith("tickmux.")
                }
        graph[module] = found - {module}
    return graph


def _name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix("__init__").rstrip(".")


def _package(module: str) -> str:
    return module.partition(".")[0]
