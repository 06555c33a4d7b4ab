"""Runs are exported to one file; importing it writes only files that belong to runs."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.run_archives import pack_runs, unpack_runs

RUN = "demo/meso4/ff++-c23.seed0.abc"
FILES = {f"{RUN}/plan.json": b"{}", f"{RUN}/test.celebdf.def/predictions.parquet": bytes(500), f"{RUN}/log.txt": b"x"}
LEFT = {f"{RUN}/checkpoint.safetensors": b"w", f"{RUN}/.abc.tmp.json": b"half", "demo/meso4/.lock": b""}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name, content in (FILES | LEFT).items():
        path = tmp_path / "runs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "runs"


def read(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_run_is_restored_unchanged_except_its_weights(runs, tmp_path):
    assert pack_runs([runs / RUN], runs, tmp_path / "a.zip") == 3
    made = unpack_runs(tmp_path / "a.zip", tmp_path / "other")
    assert read(tmp_path / "other") == FILES
    assert {p.relative_to(tmp_path / "other").as_posix() for p in made} == set(FILES)


def test_existing_files_stay(runs, tmp_path):
    pack_runs([runs / RUN], runs, tmp_path / "a.zip")
    (tmp_path / "other" / RUN).mkdir(parents=True)
    (tmp_path / "other" / RUN / "plan.json").write_bytes(b"mine")
    assert len(unpack_runs(tmp_path / "a.zip", tmp_path / "other")) == 2
    assert read(tmp_path / "other")[f"{RUN}/plan.json"] == b"mine"


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    "name",
    ["../out.json", "/etc/out.json", "a/../../out.json", "C:/out/a.json", "a/run.py", "a/.hidden/x.json", "top.json",
     "a/b/c/d/e/f/g/h.json", link("a/b.json")],
)  # fmt: skip
def test_files_foreign_to_a_run_are_refused_and_nothing_is_written(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("demo/good.json", "{}")
        archive.writestr(name, "/etc/passwd")
    with pytest.raises(BenchError) as error:
        unpack_runs(tmp_path / "a.zip", tmp_path / "runs")
    assert "\n" not in str(error.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip"]


@pytest.mark.parametrize("kind", ["a bomb", "twice", "cut", "a bit", "text"])
def test_a_forged_or_damaged_archive_is_refused_as_a_whole(tmp_path, kind):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("demo/good.json", "{}" * 500)
        if kind == "a bomb":
            archive.writestr("demo/bomb.json", bytes(30_000_000))
        if kind == "twice":
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr("demo/good.json", "{}")
    content = path.read_bytes()
    flipped = bytes([*content[:45], content[45] ^ 255, *content[46:]])
    path.write_bytes({"cut": content[:-30], "a bit": flipped, "text": b"no archive"}.get(kind, content))
    with pytest.raises(BenchError) as error:
        unpack_runs(path, tmp_path / "runs")
    assert str(error.value).startswith(str(path))
    assert not (tmp_path / "runs").exists()


def test_a_file_that_is_not_an_archive_is_refused(tmp_path):
    with pytest.raises(BenchError, match=r"no archive .*a\.zip\. Make one: bench run \.\.\. --export a\.zip"):
        unpack_runs(tmp_path / "a.zip", tmp_path)
