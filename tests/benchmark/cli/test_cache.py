"""`bench cache` lists stored items with their sizes, and removes the ones that are named or unused."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from command_line import bench
from crossfake.benchmark.core.cache import find_kept, remove_kept
from crossfake.benchmark.core.display import format_size
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.storage import hold_lock


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    for name, size, days in (("faces/old", 200_000, 100), ("faces/new", 5000, 1), ("models", 50_000, 200)):
        folder = tmp_path / "cache" / name
        folder.mkdir(parents=True)
        (folder / "a.bin").write_bytes(bytes(size))
        for path in (folder / "a.bin", folder):
            os.utime(path, (time.time() - days * 86400,) * 2)
    (tmp_path / "cache" / "typed_commands.txt").write_text("")
    (tmp_path / "cache" / "faces" / "link").symlink_to(tmp_path)
    return tmp_path / "cache"


def test_cached_items_are_listed_largest_first(cache, capsys):
    assert bench("cache --json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in listed] == ["faces/old", "models", "faces/new"]
    assert 200_000 <= listed[0]["bytes"] < 220_000
    assert bench("cache") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[2].startswith("| faces/old | 20")
    assert shown[-1].endswith(f" kB in {cache}")


def test_only_unused_items_are_removed(cache, capsys):
    assert bench("cache prune --unused 90 --dry-run") == 0
    assert (cache / "faces" / "old" / "a.bin").exists()
    assert capsys.readouterr().out.count("would remove") == 2
    with hold_lock(cache / "models"):  # A held lock means that it is in use.
        pass
    assert bench("cache prune --unused 90") == 0
    assert capsys.readouterr().out.startswith("removed faces/old (2")
    assert {p.name for p in (cache / "faces").iterdir()} == {"new", "link", ".old.lock"}
    assert (cache / "models" / "a.bin").exists()


def test_items_in_use_are_left_alone(cache, capsys):
    with hold_lock(cache / "faces" / "new"):
        assert bench("cache prune faces/new models") == 1
    said = capsys.readouterr()
    assert "skipped: " in said.err
    assert said.out.startswith("removed models")
    assert (cache / "faces" / "new" / "a.bin").exists()


def test_a_killed_removal_is_finished_by_the_next(cache, monkeypatch, capsys):
    (kept,) = find_kept(["faces/old"])
    with monkeypatch.context() as patch:
        patch.setattr(
            "crossfake.benchmark.core.cache.shutil.rmtree", lambda path: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            remove_kept(kept)
    assert [one.name for one in find_kept(["models"])] == ["models"]
    (half,) = (cache / "faces").glob(".old.*.tmp")
    half.rename(half.with_name(f".old.{'x' * 3}-1-{'0' * 8}-0.tmp"))
    os.utime(next((cache / "faces").glob(".old.*.tmp")), (0, 0))
    monkeypatch.setattr("crossfake.benchmark.core.storage._swept", set())
    assert bench("cache prune --unused 9999") == 0
    assert not list((cache / "faces").glob(".old.*.tmp"))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("cache prune", "say what to remove: names from bench cache, or --unused DAYS"),
        ("cache prune faces/odl", "the cache has no 'faces/odl'. Did you mean 'faces/old'"),
        ("cache prune --unused soon", "'soon' is not a number of days. Example: --unused 90"),
    ],
)
def test_mistakes_are_one_line_errors(cache, capsys, asked, told):
    assert bench(asked) == 2
    assert told in capsys.readouterr().err


def test_an_empty_cache_and_sizes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "nowhere"))
    assert bench("cache") == 0
    assert capsys.readouterr().out == f"0 B in {tmp_path / 'nowhere'}\n"
    sizes = (999, 1000, 1_600_000_000_000, 10**16)
    assert [format_size(n) for n in sizes] == [
        "999 B",
        "1.0 kB",
        "1.6 TB",
        "10000.0 TB",
    ]
    with pytest.raises(BenchError):
        find_kept(["x"])
