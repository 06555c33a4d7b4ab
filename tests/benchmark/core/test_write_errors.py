"""Full disks and read-only folders give a one-line error whichever library writes, and no partial files."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import bench
from crossfake.benchmark.core.storage import WriteError, hold_lock, make_folder, name_write_errors, write_text

# Each library reports a full disk differently, so each is tried in a process limited to files of 40 kB.
FULL = """
import resource, sys
from pathlib import Path
import numpy as np, pandas as pd
from crossfake.benchmark.core import storage
from crossfake.benchmark.core.predictions import PredictionsMetadata, write_predictions
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
rng, folder = np.random.default_rng(0), Path(sys.argv[1])

def write_checkpoint(path):
    from safetensors.numpy import save_file
    with storage.write_atomically(path) as temporary:
        save_file({"x": rng.normal(size=100_000)}, temporary)

def write_video(path):
    from crossfake.benchmark.stages.annotate import write_video
    write_video(path, iter(rng.integers(0, 255, (30, 256, 256, 3), np.uint8)), 25)

def write_table(path):
    write_predictions(path, pd.DataFrame({"score": rng.normal(size=100_000)}), PredictionsMetadata())

for name, write in {
    "a.json": lambda path: storage.write_json(path, list(range(100_000))),
    "a.parquet": write_table,
    "a.safetensors": write_checkpoint,
    "a.mp4": write_video,
}.items():
    try:
        write(folder / name)
    except storage.WriteError as error:
        print(error)
"""


def test_a_full_disk_is_reported_with_the_file_and_what_to_do(tmp_path):
    run = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    told = run.stdout.splitlines()
    assert [line.partition(" can't")[0] for line in told] == [
        str(tmp_path / name) for name in ("a.json", "a.parquet", "a.safetensors", "a.mp4")
    ], run.stderr
    assert all("File too large. Make room there, or name another folder: --runs DIR or --out DIR" in t for t in told)
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_should_be_is_named(tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    table = tmp_path / "t.csv"
    table.write_text("video,frame,label,score\na,0,0,.1\nb,0,1,.9\n")
    assert bench("score", table, json=tmp_path / "taken" / "in" / "card.json") == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert f"{tmp_path / 'taken' / 'in'} can't be written: Not a directory. Name another folder: --runs DIR" in told


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_closed_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    for write in (lambda: write_text(tmp_path / "a", ""), lambda: make_folder(tmp_path / "a")):
        with pytest.raises(WriteError, match=r"a can't be written: Permission denied\. Name another folder"):
            write()
    with pytest.raises(WriteError, match="Permission denied"), hold_lock(tmp_path / "a"):
        pass


def test_in_the_cache_the_advice_is_about_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    path, remedy = tmp_path / "faces" / "a.arrow", r"ame another folder: BENCH_CACHE=DIR$"
    with pytest.raises(WriteError, match=f"Make room there, or n{remedy}"), name_write_errors(path):
        raise OSError("Error writing bytes to file. Detail: [errno 28] No space left on device")
    with pytest.raises(WriteError, match=rf"written: Permission denied\. N{remedy}"), name_write_errors(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path.parent))


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file", "/data/read.mp4"),
        PermissionError(errno.EACCES, "Permission denied", "/data/read.mp4"),
        OSError(errno.ENOTCONN, "not connected"),
        ValueError("a mistake of ours"),
    ],
)
def test_read_errors_during_a_write_stay_unchanged(tmp_path, error):
    with pytest.raises(type(error)) as caught, name_write_errors(tmp_path / "a"):
        raise error
    assert caught.value is error


def test_a_worker_can_send_a_write_error():
    error = WriteError(errno.ENOSPC, "No space left on device", "/x/y")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert Path(error.filename) == Path("/x/y")
