"""The installed crossfake is imported from the right place, and doesn't overwrite Hugging Face's `datasets`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import crossfake
import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("api", "benchmark", "configs", "datasets", "detectors", "leaderboards")
OFFLINE = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]

# Prints where crossfake is. Hugging Face's package stands for any other package named `datasets`.
CHECK = """
import importlib.metadata, importlib.resources, datasets
import crossfake, crossfake.datasets.base, crossfake.datasets.faces.crop, crossfake.plugin
from crossfake.benchmark.core.registry import detectors
from crossfake.benchmark.core.settings import CONFIGS
from crossfake.leaderboards import html

assert datasets.theirs
assert datasets is not crossfake.datasets
assert importlib.metadata.version("crossfake") == crossfake.__version__
assert importlib.resources.files("crossfake").joinpath("py.typed").is_file()
assert "caddm" in detectors.names()
assert (CONFIGS / "caddm.yaml").is_file()
print(crossfake.__file__, crossfake.datasets.base.__file__, sep="\\n")
"""


def run(command: list[object], cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def put_their_datasets(folder: Path) -> None:
    (folder / "datasets").mkdir(parents=True)
    (folder / "datasets" / "__init__.py").write_text("theirs = True\n")


def test_the_version_is_the_installed_one():
    assert crossfake.__version__ == version("crossfake")


def test_importing_crossfake_loads_no_other_package():
    code = "import sys, crossfake; sys.exit(', '.join({'numpy', 'pandas', 'pydantic', 'cv2'} & set(sys.modules)) or 0)"
    run([sys.executable, "-c", code], ROOT)


def test_python_m_crossfake_is_bench(tmp_path):
    listed = run([sys.executable, "-m", "crossfake", "list", "datasets"], tmp_path)
    assert listed == run([sys.executable, "-m", "crossfake.benchmark.cli.main", "list", "datasets"], tmp_path)
    assert "celebdf" in listed


IN_THE_ROOT = pytest.param(True, marks=pytest.mark.slow, id="in the root")


@pytest.mark.parametrize("inside", [IN_THE_ROOT, pytest.param(False, id="elsewhere")])
def test_their_datasets_and_ours_are_imported_side_by_side(inside, tmp_path):
    put_their_datasets(tmp_path / "site")
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    run([sys.executable, "-c", CHECK], ROOT if inside else tmp_path, PYTHONPATH=path)


def test_import_datasets_in_the_root_is_not_ours():
    """It is Hugging Face's package if that is installed, and otherwise an empty namespace."""
    run(
        [
            sys.executable,
            "-c",
            "try: import datasets\nexcept ImportError: datasets = 0\nassert not hasattr(datasets, 'base')",
        ],
        ROOT,
    )


# ---- fresh installation


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the tree, so that building leaves nothing behind in it."""
    copy = tmp_path_factory.mktemp("source")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    return copy


@pytest.fixture(scope="module")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with everything that is installed here except crossfake and the other `datasets`."""
    folder = tmp_path_factory.mktemp("dependencies")
    for site in [Path(p) for p in sys.path if Path(p).name == "site-packages"]:
        for path in site.iterdir():
            ours = path.name.startswith(("crossfake", "__editable__", "datasets")) or path.suffix == ".pth"
            if not ours and not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture
def python(tmp_path, dependencies) -> Path:
    """Return the interpreter of a new environment with the dependencies and another project's `datasets` package."""
    venv.create(tmp_path / "venv", symlinks=True)
    interpreter = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    put_their_datasets(site)
    return interpreter


def check_imports(python: Path, expected: tuple[Path, Path], root: Path, elsewhere: Path) -> None:
    for folder in (root, elsewhere):
        where = run([python, "-c", CHECK], folder, PYTHONPATH="", PYTHONSAFEPATH="")
        assert tuple(map(Path, where.split())) == expected
        assert "celebdf" in run(
            [python, "-m", "crossfake", "list", "datasets"], folder, PYTHONPATH="", PYTHONSAFEPATH=""
        )


@pytest.mark.slow
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_an_editable_installation_imports_the_tree(installer, python, source, tmp_path):
    if installer == "pip":
        run([python, "-m", "pip", "install", *OFFLINE, "-e", source], tmp_path, PYTHONPATH="")
    elif uv := shutil.which("uv"):
        run([uv, "pip", "install", "--python", python, *OFFLINE, "-e", source], tmp_path, PYTHONPATH="")
    else:
        pytest.skip("uv is not on the PATH, so its editable installation was not tried: pip install uv")
    check_imports(python, (source / "api" / "__init__.py", source / "datasets" / "base.py"), source, tmp_path)


@pytest.mark.slow
def test_a_wheel_holds_every_package_and_is_imported_also_in_the_root(python, source, tmp_path):
    told = run([sys.executable, "-m", "pip", "wheel", "-v", *OFFLINE[1:], "-w", tmp_path, source], tmp_path)
    assert "Package would be ignored" not in told
    (wheel,) = tmp_path.glob("crossfake-*.whl")
    names = set(ZipFile(wheel).namelist())
    for folder in FOLDERS:
        package = Path("crossfake") if folder == "api" else Path("crossfake", folder)
        for file in (source / folder).rglob("*.py"):
            assert (package / file.relative_to(source / folder)).as_posix() in names
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    assert {name.replace(".", "/") for name in packages} <= {os.path.dirname(name) for name in names}
    assert {
        "crossfake/py.typed",
        "crossfake/leaderboards/templates/board.html",
        "crossfake/configs/caddm.yaml",
    } <= names
    assert not [
        name for name in names if name.startswith(("datasets/", "api/")) or name == "crossfake/datasets/__init__.py"
    ]

    run([python, "-m", "pip", "install", *OFFLINE, wheel], tmp_path, PYTHONPATH="")
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages/crossfake")
    check_imports(python, (site / "__init__.py", site / "datasets" / "base.py"), ROOT, tmp_path)
