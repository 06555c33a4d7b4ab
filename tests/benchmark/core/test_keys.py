"""A file is read once for its hash, and again only after it has changed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from crossfake.benchmark.core import keys
from crossfake.benchmark.core.errors import BenchError

OLD = 1_600_000_000


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """List the files that are read for a hash. Files count as old immediately, so their hashes are cached."""
    found: list[Path] = []
    read = keys._read_hash
    monkeypatch.setattr(keys, "_FRESH", 0)
    monkeypatch.setattr(keys, "_read_hash", lambda path: (found.append(path), read(path))[1])
    return found


def test_a_file_is_read_once_for_its_hash(tmp_path, reads):
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    assert {keys.file_hash(path) for _ in range(3)} == {keys.hashlib.sha256(b"one").hexdigest()}
    assert reads == [path]


def test_a_rewritten_file_is_read_again(tmp_path, reads):
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    os.utime(path, (OLD, OLD))
    first = keys.file_hash(path)
    path.write_bytes(b"two")  # The same length and inode.
    assert keys.file_hash(path) != first


def test_the_hash_of_a_fresh_file_is_never_cached(tmp_path):
    """Two writes within one tick of the file system's clock have the same modification time."""
    path = tmp_path / "weights"
    found = []
    for content in (b"one", b"two"):
        path.write_bytes(content)
        found.append(keys.file_hash(path))
    assert found[0] != found[1]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BenchError, match="no checkpoint"):
        keys.file_hash(tmp_path / "weights")


def test_a_size_that_is_briefly_unreadable_is_read_again_and_not_taken_as_missing(tmp_path, monkeypatch):
    path, failures, stat = tmp_path / "a.mp4", [errno.ESTALE, errno.EIO], os.stat
    path.write_bytes(b"1234")
    monkeypatch.setattr("crossfake.benchmark.core.transient_errors.time.sleep", lambda seconds: None)

    def stat_or_fail(asked, *arguments, **options):
        if asked == path and failures:
            code = failures.pop()
            raise OSError(code, os.strerror(code), str(asked))
        return stat(asked, *arguments, **options)

    monkeypatch.setattr(os, "stat", stat_or_fail)
    assert keys.measure_file(path) == 4
    failures += [errno.EIO] * 3
    with pytest.raises(BenchError, match=r"a\.mp4 can't be read just now \(Input/output error\)\. Run the command"):
        keys.measure_file(path)
    assert keys.measure_file(tmp_path / "b.mp4") == -1
