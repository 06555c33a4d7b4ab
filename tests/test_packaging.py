"""The house: one import package, no `datasets/__init__.py`, files and functions that fit on a page."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmark", "configs", "datasets", "detectors", "leaderboards")
CODE = sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))
MAX_LINES, MAX_FUNCTION = 400, 50


@pytest.fixture(scope="module")
def setuptools_table() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def test_datasets_is_never_a_package_of_its_own():
    assert not (ROOT / "datasets" / "__init__.py").exists()
    assert not (ROOT / "__init__.py").exists()


def test_import_datasets_in_the_root_is_not_ours():
    """It is Hugging Face's where that is installed, and an empty namespace where it isn't."""
    code = "import datasets; print(getattr(datasets, '__file__', None)); print(hasattr(datasets, 'base'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        assert "No module named 'datasets'" in done.stderr
        return
    where, has_ours = done.stdout.split("\n")[:2]
    assert where == "None" or not Path(where).is_relative_to(ROOT / "datasets")
    assert has_ours == "False"


def test_a_real_package_named_datasets_wins_in_the_root(tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("mine = True\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    code = "import datasets; assert datasets.mine; import crossfake.datasets.base"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)


def test_every_folder_with_code_or_recipes_is_packaged(setuptools_table):
    folders = {p.parent for p in CODE} | {ROOT / "configs"}
    expected = sorted(".".join(["crossfake", *f.relative_to(ROOT).parts]) for f in folders)
    assert sorted(setuptools_table["packages"]) == expected
    mapped = setuptools_table["package-dir"]
    assert mapped == {f"crossfake.{f}": f for f in FOLDERS}


def test_every_kind_of_data_file_is_packaged(setuptools_table):
    folders = setuptools_table["package-data"].items()
    packaged = {p for f, names in folders for n in names for p in ROOT.joinpath(*f.split(".")[1:]).glob(n)}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            results = path.match("leaderboards/demo.*") or path.is_relative_to(ROOT / "leaderboards" / "entries")
            if path.is_dir() or results or path.suffix in {".py", ".pyc"} or "__pycache__" in path.parts:
                continue
            assert path in packaged, path


def test_type_checkers_find_the_folders():
    links = {p.name: p for p in (ROOT / ".types" / "crossfake").iterdir()}
    assert sorted(links) == sorted(FOLDERS)
    for name, link in links.items():
        assert link.is_symlink(), "git on Windows needs core.symlinks=true"
        assert link.resolve() == ROOT / name
        assert not link.readlink().is_absolute()


@pytest.mark.parametrize("path", CODE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_files_and_functions_fit_on_a_page(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) < MAX_LINES
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno + 1 < MAX_FUNCTION, f"{node.name} in line {node.lineno}"


def test_the_harness_imports_no_backend():
    code = (
        "import sys, importlib, pkgutil, crossfake.benchmark as b\n"
        "for m in pkgutil.walk_packages(b.__path__, 'crossfake.benchmark.'): importlib.import_module(m.name)\n"
        "import crossfake.leaderboards.board, crossfake.leaderboards.terminal\n"
        "sys.exit(', '.join({'torch', 'jax', 'timm', 'flax'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
