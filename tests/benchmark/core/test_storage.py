"""Files are complete or absent even if writing fails; keys depend on content; a lock has one holder."""

from __future__ import annotations

import errno
import math
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from crossfake.benchmark.core import storage
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.keys import hash_key
from crossfake.benchmark.core.owners import get_owner, parse_owner
from crossfake.benchmark.core.readers import read_json
from crossfake.benchmark.core.storage import (
    WriteError,
    cache_home,
    hold_lock,
    sweep,
    write_atomically,
    write_json,
    write_text,
)
from filelock import FileLock, Timeout
from hypothesis import given
from hypothesis import strategies as st

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "file.npz"
    with write_atomically(path) as temporary:
        assert temporary.suffix == ".npz"  # Writers choose the format by the suffix.
        assert temporary.parent == path.parent
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [p.name for p in path.parent.iterdir()] == ["file.npz"]


def test_a_failure_keeps_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def fail() -> None:
        with write_atomically(path) as temporary:
            temporary.write_text("ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_kill_keeps_the_old_file_and_half_written_ones_are_cleaned_up(tmp_path, monkeypatch):
    path = tmp_path / "card.json"
    write_json(path, {"old": 1})
    code = f"""
        import os, signal
        from pathlib import Path
        from crossfake.benchmark.core.storage import write_atomically
        with write_atomically(Path({str(path)!r})) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert read_json(path, dict) == {"old": 1}
    (left,) = (p for p in tmp_path.iterdir() if p != path)
    assert left.name.startswith(".card.")  # Hidden, so that a glob for cards doesn't find it.
    sweep(tmp_path)
    assert left.exists()  # A folder is swept once per process, as it may have many files.
    monkeypatch.setattr(storage, "_swept", set())
    sweep(tmp_path)
    assert [*tmp_path.iterdir()] == [path]


def test_half_written_files_stay_while_their_owner_may_still_be_writing(tmp_path, monkeypatch):
    ours = get_owner()
    ended = ours._replace(token="0" * 8)  # An earlier process with the same id, as in containers.
    names = {
        "ours": f".a.{ours}-7.tmp.json",
        "parent's": f".b.c.{ours._replace(pid=os.getppid())}-0.tmp",
        "elsewhere": f".a.{ours._replace(host='other')}-0.tmp.arrow",
        "old format": ".a.12345.tmp.arrow",
        "no file of ours": ".notes.tmp.txt",
        "ended": f".a.{ended}-0.tmp.json",
    }
    for name in names.values():
        (tmp_path / name).touch()
    monkeypatch.setattr(storage, "_swept", set())
    sweep(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {*names.values()} - {names["ended"]}
    for name in names.values():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    monkeypatch.setattr(storage, "_swept", set())
    sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [names["no file of ours"]]


def test_the_note_of_a_killed_lock_holder_is_cleaned_up_and_others_stay(tmp_path, monkeypatch):
    ours = get_owner()
    owners = {"ours": ours, "elsewhere": ours._replace(host="other"), "gone": ours._replace(token="0" * 8)}
    for name, owner in owners.items():
        (tmp_path / f".{name}.owner").write_text(f"me\n{owner}\n")
        os.utime(tmp_path / f".{name}.owner", (0, 0))  # As old as if a training had taken days.
    (tmp_path / ".theirs.owner").write_text("no note of ours")
    monkeypatch.setattr(storage, "_swept", set())
    with hold_lock(tmp_path / "new"):
        assert not (tmp_path / ".gone.owner").exists()
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {".ours.owner", ".elsewhere.owner", ".theirs.owner", ".new.lock"}


@pytest.mark.parametrize("text", ["", "a-1", "a-b-00000000", "a.b-1-00000000", "a-1-0000000g", f"a-1-{'0' * 9}"])
def test_names_without_an_owner(text):
    assert parse_owner(text) is None
    assert parse_owner(str(get_owner())) == get_owner()


def test_a_file_is_on_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda handle: done.append(os.readlink(f"/proc/self/fd/{handle}")))
    monkeypatch.setattr(os, "replace", lambda old, new, move=os.replace: done.append("renamed") or move(old, new))
    write_text(tmp_path / "a.txt", "whole")
    assert [Path(name).suffixes[-2:] for name in done] == [[".tmp", ".txt"], []]
    assert done[1] == "renamed"


def test_waiting_for_a_lock_says_who_holds_it_and_since_when(tmp_path, capsys):
    path, ready = tmp_path / "store", threading.Event()

    def wait() -> None:
        ready.set()
        with hold_lock(path):
            pass

    waiting = threading.Thread(target=wait)
    with hold_lock(path):
        waiting.start()
        assert ready.wait(20)
        for _ in range(400):
            if said := capsys.readouterr().err:
                break
            time.sleep(0.05)
    waiting.join(20)
    host = get_owner().host.partition("+")[0]
    assert re.fullmatch(
        rf"waiting for {path}, which process {os.getpid()} on {host} \(\S+, since [\d :-]{{19}}\) is using\n", said
    )
    assert [p.name for p in tmp_path.iterdir()] == [".store.lock"]


def test_text_is_utf8_and_json_is_for_every_reader(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"name": "Zoë", "n": 1})
    assert path.read_bytes() == '{\n  "name": "Zoë",\n  "n": 1\n}\n'.encode()
    for number in (math.nan, math.inf):
        with pytest.raises(ValueError, match="JSON compliant"):
            write_json(path, {"n": number})
    assert read_json(path, dict)["n"] == 1


@given(plain)
def test_a_key_is_short_hexadecimal_and_always_the_same(content):
    key = hash_key(content)
    assert key == hash_key(content)
    assert len(key) == 10
    assert int(key, 16) >= 0
    assert hash_key(content, 20).startswith(key)


@given(st.dictionaries(st.text(), plain, min_size=2, max_size=6), st.randoms())
def test_the_order_of_a_dict_is_not_in_the_key(content, random):
    items = list(content.items())
    random.shuffle(items)
    assert hash_key(dict(items)) == hash_key(content)
    assert hash_key([dict(items)]) == hash_key([content])


@given(st.lists(st.integers(), min_size=2, unique=True))
def test_the_order_of_a_list_is_in_the_key(content):
    assert hash_key(content[::-1]) != hash_key(content)


def test_keys_are_the_same_in_another_process():
    content = {"b": [1, 2.5, None], "a": {"y": "é", "x": (True, Path("p"))}}
    code = (
        "from pathlib import Path; from crossfake.benchmark.core.keys import hash_key; "
        "print(hash_key({'a': {'x': (True, Path('p')), 'y': 'é'}, 'b': [1, 2.5, None]}))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONUTF8": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == hash_key(content) == "0af7fb9f5e"


def test_a_lock_keeps_others_out_and_is_freed(tmp_path):
    folder = tmp_path / "runs" / "one"
    with hold_lock(folder):
        assert not folder.exists()  # The lock is next to the folder, so that the folder can be made, moved and removed.
        other = FileLock(str(folder.with_name(".one.lock")), timeout=0)
        with pytest.raises(Timeout):
            other.acquire()
        with hold_lock(tmp_path / "runs" / "two"):
            pass
    with other:
        pass


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_holder_frees_its_lock(tmp_path):
    code = f"""
        import os, signal
        from pathlib import Path
        from crossfake.benchmark.core.storage import hold_lock
        with hold_lock(Path({str(tmp_path / "one")!r})):
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == -signal.SIGKILL
    with FileLock(str(tmp_path / ".one.lock"), timeout=0):
        pass


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_home() == tmp_path
    monkeypatch.delenv("BENCH_CACHE")
    assert cache_home() == Path("/xdg/crossfake")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_home() == tmp_path / ".cache" / "crossfake"


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_the_cache_is_private(tmp_path, monkeypatch, umask):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "a" / "cache"))
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a" / "cache" / "faces" / "x.txt", "x")
        with hold_lock(tmp_path / "a" / "cache" / "faces" / "store"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "cache").stat().st_mode & 0o777 == 0o700
    (lock,) = (tmp_path / "a" / "cache" / "faces").glob(".*.lock")
    assert not lock.stat().st_mode & 0o022


def test_an_existing_cache_keeps_its_permissions(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    tmp_path.chmod(0o755)
    write_text(tmp_path / "x.txt", "x")
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_an_unknown_home_folder_is_reported(monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", "~nosuchuser/cache")
    with pytest.raises(BenchError, match="no home folder is known for ~nosuchuser"):
        cache_home()
    monkeypatch.delenv("BENCH_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))
    with pytest.raises(BenchError, match="BENCH_CACHE=DIR"):
        cache_home()


def test_a_read_only_file_system_error_says_what_cannot_be_written(tmp_path, monkeypatch):
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(WriteError, match=r"board\.md can't be written: Read-only file system\. Name another folder"):
        write_text(tmp_path / "board.md", "x")
