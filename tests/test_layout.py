"""The rules of the house that can be seen in the text: layers, who imports what, sizes, words."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pyflagwasm"
MOST_LINES = 400
SUFFIXES = {".py", ".rs", ".c", ".h", ".mjs", ".fbs", ".toml", ".md", ".yml", ".yaml", ".json", ""}
GENERATED = ("tests/fbs_generated", "wasm/target", "wasm/build/")
HIDDEN = {".ci", ".github"}
BUILT = {"dist", "build", "LICENSE"}

# The first that fits. A module imports from its own layer and from those above it in this list, never from those below.
LAYERS: list[tuple[str, tuple[str, ...]]] = [
    ("words", ("_abi", "errors", "extras", "once", "types", "wanted")),
    ("config", ("config",)),
    ("runtime", ("runtime",)),
    ("documents", ("last_good", "loading", "signing", "sources")),
    ("counting", ("exposures",)),
    ("waiting", ("explain", "generation", "pool")),
    (
        "shell",
        (
            "answers",
            "background",
            "bound",
            "changes",
            "counted",
            "evaluations",
            "evaluator",
            "holding",
            "hooks",
            "intake",
            "shortcuts",
        ),
    ),
    (
        "edges",
        (
            "__init__",
            "__main__",
            "bulk",
            "cli",
            "codegen",
            "integrations",
            "pytest_plugin",
            "serve",
            "testing",
            "typed",
        ),
    ),
]
WAITS = {"background", "cli.serve", "evaluator", "exposures", "intake", "pool.waiting", "serve", "sources"}
OUTSIDE = {  # what is not of the standard library, and which modules or packages may import it
    "wasmtime": {"runtime.guest"},
    "flatbuffers": {"config.compile"},
    "anyio": WAITS | {"bulk.evaluator"},
    "pytest": {"pytest_plugin"},
    "httpx2": {"exposures.http", "sources"},
    "watchfiles": {"sources.file"},
    "cryptography": {"signing"},
    "starlette": {"integrations.starlette", "serve"},
    "fastapi": {"integrations.fastapi"},
    "aiohttp": {"integrations.aiohttp"},
    "openfeature": {"integrations.openfeature", "integrations.opentelemetry", "integrations.transactions"},
    "ctypes": {"runtime.guest", "runtime.portable"},
    "asyncio": {"shortcuts"},
    "uvicorn": {"cli.serve"},
    "pyarrow": {"bulk", "integrations.spark"},
    "pyspark": {"integrations.spark"},
    "numpy": {"bulk"},
    "opentelemetry": {"integrations.opentelemetry"},
    "hatchling": {"runtime.native.hatch_build"},
    "setuptools": {"runtime.native.hatch_build"},
}


def modules() -> dict[str, Path]:
    """The package's modules by name within it: `runtime.guest`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


MODULES = modules()


def layer(module: str) -> int:
    return next(i for i, (_, names) in enumerate(LAYERS) if module.split(".")[0] in names)


def imports(module: str, tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """What a module imports: the name, and whether it is of this package."""
    package = [] if module == "__init__" else module.split(".")
    if MODULES[module].name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, False
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or "", False
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                name = ".".join([*base, alias.name])
                yield (name if name in MODULES else ".".join(base) or "__init__"), True


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module: str) -> None:
    own = layer(module)
    for name, ours in imports(module, ast.parse(MODULES[module].read_text())):
        if ours:
            assert name in MODULES, f"{module} imports {name}, which is no module"
            assert layer(name) <= own, f"{module} ({LAYERS[own][0]}) imports {name} ({LAYERS[layer(name)][0]})"
        else:
            top = name.split(".")[0]
            assert top != "pyflagwasm", f"{module}: write the import of {name} relatively"
            assert top in OUTSIDE or top in sys.stdlib_module_names, f"{module} imports {name}"
            allowed = OUTSIDE.get(top, {module})
            assert {module, module.split(".")[0]} & allowed, f"{module} imports {name}"


def test_every_module_has_a_layer() -> None:
    known = {name for _, names in LAYERS for name in names}
    assert {module.split(".")[0] for module in MODULES} == known


def test_every_module_says_what_lives_in_it() -> None:
    silent = [
        name
        for name, path in MODULES.items()
        if path.read_text() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_only_the_command_line_prints() -> None:
    printing = [
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert set(printing) <= {"cli.output"}


# ---------------------------------------------------------------- all files of the repository


def files() -> list[Path]:
    """All texts of the repository that are written by hand."""
    found = []
    for top in sorted(ROOT.iterdir()):
        if (top.name.startswith(".") and top.name not in HIDDEN) or top.name in BUILT:
            continue
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            relative = path.relative_to(ROOT).as_posix()
            cached = any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(top).parts)
            if path.is_file() and path.suffix in SUFFIXES and not cached and not relative.startswith(GENERATED):
                found.append(path)
    return found


FILES = files()
# Each is written so that it does not find itself.
UNWANTED = {
    "a path of somebody's machine": r"(?<![\w.$*{}])/(?:[r]oot|[w]ork|[h]ome|[t]mp|[U]sers)/\w",
    "a number of an issue": r"(?i)(?<!\w)(?:[i]ssue|[p]ull request|[b]ug) #?\d+",
    "something left for later": r"\b(?:T[O]DO|F[I]XME|X[X]X|H[A]CK)\b",
    "an ignored type error without its code": r"type: [i]gnore(?!\[)",
    "a lint exception without its code": r"# [n]oqa(?!:)",
    "a test that waits for time to pass": r"[s]leep\(0\.",
}


def test_files_were_found() -> None:
    assert {path.suffix for path in FILES} >= {".py", ".rs", ".fbs", ".toml"}
    assert len(FILES) > 60


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_words(path: Path) -> None:
    text = path.read_text()
    for what, pattern in UNWANTED.items():
        match = re.search(pattern, text)
        line = text[: match.start()].count("\n") + 1 if match else 0
        assert match is None, f"{path}:{line}: {what}: {match[0]!r}"


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.suffix in (".py", ".rs", ".mjs")],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_no_file_is_too_long(path: Path) -> None:
    assert path.read_text().count("\n") <= MOST_LINES


def test_the_unwanted_is_found() -> None:
    samples = [
        "see /ro" + "ot/x",
        "is" + "sue #12",
        "TO" + "DO: it",
        "# type: ig" + "nore",
        "# no" + "qa",
        "sleep(" + "0.1)",
    ]
    assert [bool(re.search(pattern, text)) for pattern, text in zip(UNWANTED.values(), samples, strict=True)] == [
        True
    ] * 6
