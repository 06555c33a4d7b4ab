"""The code's structure: one import package, no `datasets/__init__.py`, imports go down, short files and functions."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("api", "benchmark", "configs", "datasets", "detectors", "leaderboards")
CODE = sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))
MAX_LINES, MAX_FUNCTION = 400, 50

# Each floor imports only from itself and the floors before it. Modules on no floor belong to the API.
FLOORS = (
    "benchmark.core",
    "benchmark.stats",
    "datasets",
    "detectors",
    "benchmark.stages",
    "leaderboards",
    "api",
    "benchmark.cli",
)


def name_module(path: Path) -> str:
    """Return a file's module within `crossfake`, such as `detectors.caddm.swap`, or `plugin` for api/plugin.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for i, part in enumerate(parts) if part != "__init__" and (i or part != "api"))


MODULES = {name_module(path): path for path in CODE}


@pytest.fixture(scope="module")
def setuptools_table() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def test_datasets_is_never_a_package_of_its_own():
    assert not (ROOT / "datasets" / "__init__.py").exists()
    assert not (ROOT / "__init__.py").exists()


def test_no_folder_in_the_root_hides_an_installed_crossfake():
    assert not (ROOT / "crossfake").exists()
    assert not (ROOT / "crossfake.py").exists()


def test_every_folder_with_code_or_data_is_packaged(setuptools_table):
    folders = {p.parent for p in CODE} | {ROOT / "configs", ROOT / "leaderboards" / "templates"}
    expected = {f"crossfake.{name_module(f)}".rstrip(".") for f in folders}
    assert sorted(setuptools_table["packages"]) == sorted(expected)
    mapped = setuptools_table["package-dir"]
    assert mapped == {f"crossfake.{f}".removesuffix(".api"): f for f in FOLDERS}


def test_every_kind_of_data_file_is_packaged(setuptools_table):
    folders = setuptools_table["package-data"].items()
    packaged = {p for f, names in folders for n in names for p in ROOT.joinpath(*f.split(".")[1:] or ["api"]).glob(n)}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            results = path.match("leaderboards/demo.*") or path.is_relative_to(ROOT / "leaderboards" / "entries")
            if path.is_dir() or results or path.suffix in {".py", ".pyc"} or "__pycache__" in path.parts:
                continue
            assert path in packaged, path


def test_type_checkers_find_the_folders():
    api, linked = (
        [p for p in folder.iterdir() if p.name != "__pycache__"] for folder in (ROOT / "api", ROOT / ".types/crossfake")
    )
    links = {p.name: p for p in linked}
    wanted = {p.name: p for p in [*api, *(ROOT / f for f in FOLDERS if f != "api")]}
    assert sorted(links) == sorted(wanted)
    for name, link in links.items():
        assert link.is_symlink(), "git on Windows needs core.symlinks=true"
        assert link.resolve() == wanted[name]
        assert not link.readlink().is_absolute()


def test_files_and_functions_fit_on_a_page():
    sources = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in CODE}
    assert {name: n for name, text in sources.items() if (n := len(text.splitlines())) >= MAX_LINES} == {}
    functions = [
        (f"{name}, line {node.lineno}: {node.name}", node.end_lineno - node.lineno + 1)
        for name, text in sources.items()
        for node in ast.walk(parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert {name: lines for name, lines in functions if lines >= MAX_FUNCTION} == {}


parse = cache(ast.parse)


class Import(NamedTuple):
    """An import of one of our modules by another; `early` if it runs as soon as the other is imported."""

    target: str
    line: int
    early: bool


@cache
def find_imports(module: str, source: str, is_package: bool = False) -> list[Import]:
    """Return our modules that a module imports, including imports in functions and for type checkers."""
    return list(_find_imports(module, source, is_package))


def _find_imports(module: str, source: str, is_package: bool) -> Iterator[Import]:
    base = module.split(".") if is_package else module.split(".")[:-1]
    for node, early in list_import_statements(source):
        if isinstance(node, ast.Import):
            targets = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = ["crossfake", *base[: len(base) - node.level + 1]] if node.level else []
            package = ".".join([*start, *([node.module] if node.module else [])])
            targets = [f"{package}.{a.name}" for a in node.names]
        else:
            continue
        for target in targets:
            if target.split(".")[0] == "crossfake":
                yield Import(find_owner(target.partition(".")[2]), node.lineno, early)


@cache
def list_import_statements(source: str) -> list[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Return a module's import statements, and whether they run when it is imported."""
    walked = walk_statements(parse(source), True)
    return [(node, early) for node, early in walked if isinstance(node, ast.Import | ast.ImportFrom)]


def walk_statements(node: ast.AST, early: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Yield all nodes below one, and whether they run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        later |= isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        yield child, early
        yield from walk_statements(child, early and not later)


def find_owner(name: str) -> str:
    """Return the module that a dotted name refers to or is in."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def find_floor(module: str) -> int:
    if module == "__main__":  # Part of the command line, in the place that Python requires.
        return FLOORS.index("benchmark.cli")
    floors = [i for i, floor in enumerate(FLOORS) if f"{module}.".startswith(f"{floor}.")]
    if floors or module == "benchmark":  # That module is empty.
        return max(floors, default=0)
    assert not module.startswith("benchmark."), f"{module} is on no floor"
    return FLOORS.index("api")


def find_climbs(module: str, source: str, is_package: bool = False) -> list[tuple[str, str]]:
    """Return upward imports and imports of datasets by detectors, as (importing, imported) pairs."""
    return [
        (module, found.target)
        for found in find_imports(module, source, is_package)
        if find_floor(found.target) > find_floor(module)
        or (module.startswith("detectors") and found.target.startswith("datasets"))
    ]


def test_imports_go_down_only():
    climbs = {
        climb
        for module, path in MODULES.items()
        for climb in find_climbs(module, path.read_text(encoding="utf-8"), path.name == "__init__.py")
    }
    assert climbs == set()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("benchmark.core.made_up", "from ..stages import plan"),
        ("benchmark.core.made_up", "from ..stages.cells import Cell"),
        ("benchmark.core.made_up", "import crossfake.benchmark.stages.plan"),
        ("benchmark.core.made_up", "from crossfake.benchmark import stages"),
        ("benchmark.stats.made_up", "def f():\n    from ...detectors import create"),
        ("datasets.made_up", "if TYPE_CHECKING:\n    from ..benchmark.stages.cells import Cell"),
        ("detectors.made_up", "from ..datasets import base"),
        ("detectors.made_up.detector", "class A:\n    def f(self):\n        from ...datasets.faces.crop import x"),
        ("leaderboards.made_up", "from .. import plugin"),
        ("leaderboards.made_up", "from .. import __version__"),
        ("plugin.made_up", "from ..benchmark.cli.main import main"),
    ],
)
def test_an_import_that_goes_up_is_found(module, source):
    assert len(find_climbs(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("benchmark.cli.made_up", "from ... import plugin\nfrom ..stages import plan"),
        ("benchmark.stages.made_up", "from ...detectors import create\nfrom ...datasets.base import load_videos"),
        ("datasets.made_up", "import datasets\nimport numpy as np\nfrom ..benchmark.core import keys"),
        ("__main__", "from .benchmark.cli.main import main"),
    ],
)
def test_an_import_that_goes_down_or_outside_does_not_count_as_up(module, source):
    assert find_climbs(module, source) == []


def find_circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of an import cycle, or an empty list."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def graph_imports(module: str, source: str, is_package: bool = False) -> dict[str, set[str]]:
    return {module: {i.target for i in find_imports(module, source, is_package) if i.early} - {module}}


def test_no_modules_import_each_other():
    graph = {}
    for module, path in MODULES.items():
        graph |= graph_imports(module, path.read_text(encoding="utf-8"), path.name == "__init__.py")
    assert find_circle(graph) == []
    assert len(graph) == len(MODULES)


def test_a_cycle_is_found_unless_one_import_is_deferred():
    one = "from ..benchmark.core import keys\nfrom . import ffpp"
    other = "from .dfd import DeepFakeDetection"
    assert find_circle(graph_imports("datasets.dfd", one) | graph_imports("datasets.ffpp", other))
    later = f"def f():\n    {other}"
    assert not find_circle(graph_imports("datasets.dfd", one) | graph_imports("datasets.ffpp", later))


BACKENDS = {"torch": {"torch", "timm", "torchvision"}, "jax": {"jax", "flax", "optax"}}


def find_early_packages(module: str) -> set[str]:
    """Return the packages that importing a module imports."""
    nodes = [node for node, early in list_import_statements(MODULES[module].read_text(encoding="utf-8")) if early]
    names = [a.name for node in nodes if isinstance(node, ast.Import) for a in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(("backend", "other"), [("torch", "jax"), ("jax", "torch")])
def test_no_port_imports_the_other_backend(backend, other):
    """Slow tests train and score without the other backend installed."""
    packages = {module: find_early_packages(module) for module in MODULES if module.startswith("detectors.")}
    waiting = [module for module, found in packages.items() if found & BACKENDS[backend]]
    reached = set(waiting)
    assert len(reached) > 5
    while waiting:
        module = waiting.pop()
        assert not packages[module] & BACKENDS[other], module
        path = MODULES[module]
        found = find_imports(module, path.read_text(encoding="utf-8"), path.name == "__init__.py")
        more = {i.target for i in found if i.early and i.target in packages} - reached
        reached |= more
        waiting += more


def test_the_harness_imports_no_backend():
    code = (
        "import sys, importlib, pkgutil, crossfake.benchmark as b\n"
        "for m in pkgutil.walk_packages(b.__path__, 'crossfake.benchmark.'): importlib.import_module(m.name)\n"
        "import crossfake.leaderboards.board, crossfake.leaderboards.terminal\n"
        "sys.exit(', '.join({'torch', 'jax', 'timm', 'flax'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_tox_looks_for_interpreters_in_pyenv_after_the_path(tmp_path):
    for name in ("3.10.13", "3.12.1", "3.13.0"):
        (tmp_path / "versions" / name / "bin").mkdir(parents=True)
    code = "import os, runpy; runpy.run_path('toxfile.py'); print(os.environ['PATH'])"
    environment = {**os.environ, "PATH": "/usr/bin", "PYENV_ROOT": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    expected = ["/usr/bin", *(str(tmp_path / "versions" / name / "bin") for name in ("3.12.1", "3.13.0"))]
    assert done.stdout.strip().split(os.pathsep) == expected
