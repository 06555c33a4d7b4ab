"""A package counts as installed only if it is found outside the working folder."""

import sys

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.packages import find_package
from crossfake.benchmark.stages.engines import parse_engine
from crossfake.benchmark.stages.ray_engine import check_ray


@pytest.mark.parametrize("file", ["notes.txt", "rayless/__init__.py", "rayless.py"])
def test_a_folder_in_the_working_folder_is_not_an_installed_package(file, tmp_path, monkeypatch):
    (tmp_path / "rayless").mkdir()
    (tmp_path / file).write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert find_package("rayless") is None


def test_installed_packages_are_found_next_to_a_folder_of_the_same_name(tmp_path, monkeypatch):
    (tmp_path / "numpy").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert find_package("numpy").origin.endswith("numpy/__init__.py")
    assert find_package("nobody_wrote_this") is None


@pytest.mark.skipif(find_package("ray") is not None, reason="Ray is installed")
def test_a_folder_called_ray_is_not_ray(tmp_path, monkeypatch):
    (tmp_path / "ray").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    with pytest.raises(BenchError, match=r"--engine ray needs Ray: pip install 'crossfake\[ray\]'"):
        check_ray(parse_engine("ray"))
