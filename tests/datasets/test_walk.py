"""Walking folders: each real folder is visited once, system files are ignored, and skipped files are reported."""

import errno
import os

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.datasets.walk import Skipped, list_files, walk_folders


def walk(root):
    skipped = Skipped()
    found = [f"{inside}/{name}".lstrip("/") for inside, names in walk_folders(root, skipped) for name in names]
    assert len(found) == len(set(found))
    return found, skipped


def test_each_real_folder_comes_once_under_its_own_name(plant, tmp_path_factory):
    root = plant(dict.fromkeys(["real/a.mp4", "fake/swap/b.mp4"]))
    elsewhere = tmp_path_factory.mktemp("disk")
    (elsewhere / "c.mp4").touch()
    for link, target in {
        "fake/aaa": "../real",
        "real/loop": ".",
        "real/up": "..",
        "real/above": "../..",
        "fake/swap/other": elsewhere,
        "fake/zz": elsewhere,
        "itself": "itself",
    }.items():
        (root / link).symlink_to(target)
    found, skipped = walk(root)
    assert found == ["fake/swap/b.mp4", "real/a.mp4", "fake/zz/c.mp4"]
    assert {"fake/aaa", "real/loop", "real/up", "real/above"} < set(skipped.repeated)
    assert len(skipped.repeated) == 5


def test_hidden_and_system_files_are_ignored(plant):
    hidden = ["._a.mp4", ".x/a.mp4", "__MACOSX/a.mp4", "@eaDir/a.mp4", "$RECYCLE.BIN/a.mp4", "thumbs.DB", "desktop.ini"]
    root = plant(dict.fromkeys([*hidden, "sub/b.JPG"]))
    found, skipped = walk(root)
    assert found == ["sub/b.JPG"]
    assert skipped.describe() == []


def test_every_suffix_that_is_skipped_is_counted(plant):
    root = plant(dict.fromkeys(["a.mp4", "b.gif", "c/d.GIF", "e.heic", "README"]))
    found, skipped = walk(root)
    assert found == ["a.mp4"]
    assert skipped.describe() == ["files left out, by suffix: 2 .gif, 1 without suffix, 1 .heic"]


def test_pipes_and_broken_links(plant):
    root = plant({"a.mp4": None})
    os.mkfifo(root / "pipe.mp4")
    (root / "gone.mp4").symlink_to("nowhere.mp4")
    found, skipped = walk(root)
    assert found == ["a.mp4", "gone.mp4"]
    assert skipped.special == ["pipe.mp4"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root opens everything")
def test_folders_that_cannot_be_opened_are_reported(plant):
    root = plant({"a.mp4": None, "shut/b.mp4": None})
    (root / "shut").chmod(0)
    try:
        assert walk(root)[1].describe() == ["folders that can't be opened: shut"]
    finally:
        (root / "shut").chmod(0o700)


def test_names_that_are_not_utf8_are_spelled_with_percent(tmp_path):
    for folder in (b"real", b"real/s\xffub"):
        os.makedirs(os.fsencode(tmp_path) + b"/" + folder)
    for name in (b"real/caf\xe9.mp4", b"real/s\xffub/b.mp4", "real/café.mp4".encode()):
        open(os.fsencode(tmp_path) + b"/" + name, "w").close()
    found, skipped = walk(tmp_path)
    assert found == ["real/caf%E9.mp4", "real/café.mp4", "real/s%FFub/b.mp4"]
    assert skipped.unnamed == ["real/caf%E9.mp4", "real/s%FFub/b.mp4"]
    "".join(found).encode()


def test_names_of_255_letters_and_with_colons(tmp_path):
    names = ["n" * 251 + ".mp4", "a:b?*.mp4", "line\nbreak.mp4"]
    for name in names:
        (tmp_path / name).touch()
    assert walk(tmp_path)[0] == sorted(names) == list_files(tmp_path, {".mp4"})
    assert list_files(tmp_path / "nowhere", {".mp4"}) == []


def test_a_briefly_unreadable_folder_is_not_taken_as_empty(plant, monkeypatch):
    root, failures, scan = plant({"real/a.mp4": None}), [errno.ESTALE], os.scandir
    monkeypatch.setattr("crossfake.benchmark.core.transient_errors.time.sleep", lambda seconds: None)

    def scan_or_fail(folder):
        if failures and str(folder).endswith("real"):
            raise OSError(code := failures.pop(), os.strerror(code), folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", scan_or_fail)
    assert walk(root)[0] == ["real/a.mp4"]
    for ask in (lambda: list_files(root / "real", {".mp4"}), lambda: walk(root)):
        failures += [errno.ESTALE] * 3
        with pytest.raises(BenchError, match=r"real can't be read just now \(Stale file handle\)"):
            ask()
