"""The plugins shown in docs/ are complete: each is written to files, installed, checked and run unchanged."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from command_line import bench, words

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCK = re.compile(r"^`([\w.]+)`(?:[^\n]+\n)+\n```(?:python|toml)\n(.*?)```", re.DOTALL | re.MULTILINE)


def written(page: str, folder: Path) -> Path:
    """Write every file that a page shows; the line before each code block names it."""
    files = dict(BLOCK.findall((DOCS / page).read_text(encoding="utf-8")))
    assert files, f"no files in {page}"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def installed(site: Path, *projects: Path) -> Path:
    """Install projects into a separate folder, without the network."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(site), *map(str, projects)], check=True, capture_output=True)
    return site


ONE_AFTER_THE_OTHER = """
import json, sys
from crossfake.benchmark.cli.main import main
for command in json.loads(sys.argv[1]):
    code = main(command)
    print("=====")
    if code:
        sys.exit(code)
"""


def bench_with(site: Path, cwd: Path, *commands: list[str]) -> list[str]:
    """Run commands with the packages in `site`, and return the output of each."""
    places = [str(site), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps(commands)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("=====\n")[:-1]


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


def test_the_detector_in_a_file_runs(tiny_world, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(written("your_detector.md", tmp_path / "own"))
    assert bench("check ./mine.py:MyDetector") == 0
    assert "local/mine.mydetector meets the contract" in capsys.readouterr().out
    asked = "run --detector ./mine.py:MyDetector --train ff++ --test celebdf --set score.draws=10 --workers 0"
    assert bench(asked, data=tiny_world, runs=tmp_path / "runs") == 0
    assert "local/mine.mydetector" in capsys.readouterr().out
    assert len(list((tmp_path / "runs").rglob("scorecard.json"))) == 1


def test_the_dataset_in_a_file_runs(clips, tmp_path, capsys):
    assert bench("check", f"{written('your_dataset.md', tmp_path / 'own')}/clips.py:Clips", data=clips) == 0
    assert "local/clips meets the contract" in capsys.readouterr().out


@pytest.mark.slow
def test_both_in_packages_are_installed_listed_checked_and_run(packaging, tiny_world, clips, tmp_path):
    own = [written(f"your_{what}.md", tmp_path / what) for what in ("detector", "dataset")]
    toy = f"{Path(__file__).parent / 'benchmark' / 'toy.py'}:Brightness"
    quick = "--set score.draws=10 --workers 0 --runs"
    detectors, checked, larger, ran, datasets, _, ran_on_clips = bench_with(
        installed(tmp_path / "site", *own),
        tmp_path,
        words("list detectors"),
        words("check contrast"),
        words("check contrast --set options.size=96"),
        words(f"run --detector contrast --train ff++ --test celebdf {quick} contrast", data=tiny_world),
        words("list datasets"),
        words("check clips", data=clips),
        words(f"run --train clips --test clips {quick} clips", detector=toy, data=clips),
    )
    assert "Smooth faces are fake" in detectors
    assert "uint8 (5, 64, 64, 3)" in checked  # the card's option, not the class's default
    assert "1 arrays, same scores" in checked
    assert "uint8 (5, 96, 96, 3)" in larger
    assert "contrast" in ran
    assert "Clips (example)" in datasets
    assert "clips" in ran_on_clips
    assert [len(list((tmp_path / runs).rglob("scorecard.json"))) for runs in ("contrast", "clips")] == [1, 1]
