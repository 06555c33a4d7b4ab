"""The plugins that docs/ shows are complete: each is written out, installed, checked and run as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCK = re.compile(r"^`([\w.]+)`(?:[^\n]+\n)+\n```(?:python|toml)\n(.*?)```", re.DOTALL | re.MULTILINE)


def written(page: str, folder: Path) -> Path:
    """Write every file that a page shows, named in the line before its block."""
    files = dict(BLOCK.findall((DOCS / page).read_text(encoding="utf-8")))
    assert files, f"no files in {page}"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def installed(project: Path, site: Path) -> Path:
    """Install a project into a folder of its own, without the network."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(project)], check=True, capture_output=True)
    return site


def bench(*argv: object, site: Path | None = None, cwd: Path) -> str:
    places = [str(site) if site else "", os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "crossfake.benchmark.cli.main", *map(str, argv)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packaging() -> None:
    for package in ("pip", "setuptools"):
        try:
            version(package)
        except PackageNotFoundError:
            pytest.skip(f"{package} is not installed: pip install -e '.[test]'")


@pytest.fixture
def clips(tiny_world: Path, tmp_path: Path) -> Path:
    """Videos of the demo world in the layout that docs/your_dataset.md reads."""
    (tmp_path / "data" / "clips").mkdir(parents=True)
    lines = []
    for label, part in enumerate(("original_sequences", "manipulated_sequences")):
        for i, video in enumerate(sorted((tiny_world / "FaceForensics++" / part).rglob("*.mp4"))[:3]):
            shutil.copy(video, tmp_path / "data" / "clips" / f"{label}{i}.mp4")
            lines.append(f"{label}{i} {label} {('train', 'val', 'test')[i]}")
    (tmp_path / "data" / "clips" / "labels.txt").write_text("\n".join(lines))
    return tmp_path / "data"


def test_the_detector_in_a_file_runs(tiny_world, tmp_path):
    folder = written("your_detector.md", tmp_path / "own")
    assert "local/mine.mydetector keeps its contract" in bench("check", "./mine.py:MyDetector", cwd=folder)
    run = ("run", "--detector", "./mine.py:MyDetector", "--train", "ff++", "--test", "celebdf", "--data", tiny_world)
    out = bench(*run, "--runs", tmp_path / "runs", "--set", "score.draws=10", "--workers", 0, cwd=folder)
    assert "local/mine.mydetector" in out
    assert len(list((tmp_path / "runs").rglob("scorecard.json"))) == 1


def test_the_detector_in_a_package_is_installed_listed_checked_and_run(packaging, tiny_world, tmp_path):
    site = installed(written("your_detector.md", tmp_path / "own"), tmp_path / "site")
    assert "Smooth faces are fake" in bench("list", "detectors", site=site, cwd=tmp_path)
    out = bench("check", "contrast", site=site, cwd=tmp_path)
    assert "uint8 (5, 64, 64, 3)" in out  # the card's option, not the class's default
    assert "1 arrays, same scores" in out
    out = bench("check", "contrast", "--set", "options.size=96", site=site, cwd=tmp_path)
    assert "uint8 (5, 96, 96, 3)" in out
    run = ("run", "--detector", "contrast", "--train", "ff++", "--test", "celebdf", "--data", tiny_world)
    out = bench(*run, "--runs", "runs", "--set", "score.draws=10", "--workers", 0, site=site, cwd=tmp_path)
    assert "contrast" in out
    assert len(list((tmp_path / "runs").rglob("scorecard.json"))) == 1


def test_the_dataset_in_a_file_and_in_a_package(packaging, clips, tmp_path):
    folder = written("your_dataset.md", tmp_path / "own")
    assert "local/clips keeps its contract" in bench("check", "./clips.py:Clips", "--data", clips, cwd=folder)
    site = installed(folder, tmp_path / "site")
    assert "Clips (example)" in bench("list", "datasets", site=site, cwd=tmp_path)
    bench("check", "clips", "--data", clips, site=site, cwd=tmp_path)
    toy = f"{Path(__file__).parent / 'benchmark' / 'toy.py'}:Brightness"
    run = ("run", "--detector", toy, "--train", "clips", "--test", "clips", "--data", clips)
    out = bench(*run, "--runs", "runs", "--set", "score.draws=10", "--workers", 0, site=site, cwd=tmp_path)
    assert "clips" in out
    assert len(list((tmp_path / "runs").rglob("scorecard.json"))) == 1
