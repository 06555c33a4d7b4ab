"""The meaning of folder names: splits, classes, methods; and which pictures belong to the same video."""

import pytest
from command_line import bench
from crossfake.benchmark.core.errors import BenchError
from crossfake.datasets.base import load_videos
from crossfake.datasets.folder import group_frames, parse_frame_number
from crossfake.datasets.integrity import check

ALL = ("train", "val", "test")


def listed(root, name="folder"):
    return {v.id: (v.label, v.method, v.split, len(v.pictures)) for v in load_videos(name, root).videos}


@pytest.mark.parametrize("val", ["val", "valid", "Validation", "DEV"])
def test_every_spelling_of_the_splits(plant, val):
    splits = {"Training": "train", val: "val", "testing": "test"}
    root = plant({f"{s}/{c}/{i}.mp4": None for s in splits for c in ("real", "fake") for i in range(3)})
    assert {v: row[2] for v, row in listed(root).items()} == {
        f"{s}/{c}/{i}.mp4": split for s, split in splits.items() for c in ("real", "fake") for i in range(3)
    }


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["train/real/a.mp4", "test/fake/b.mp4", "holdout/real/c.mp4"], "splits test/, train/ and also hold"),
        (["real/train/a.mp4", "real/b.mp4", "fake/c.mp4"], "real holds the splits train/ and also files"),
        (["fake/swap/test/a.mp4", "fake/swap/new/b.mp4", "real/c.mp4"], "fake/swap holds the splits test/ and .* new/"),
        (["train/real/test/a.mp4"], "train/real/test is test and train by its name"),
        (["real/fake/a.mp4"], "real/fake is both real and fake by its name"),
    ],
)  # fmt: skip
def test_a_partial_split_is_refused_by_name(plant, files, message):
    with pytest.raises(BenchError, match=message):
        load_videos("folder", plant(dict.fromkeys(files)))


@pytest.mark.parametrize(
    ("real", "fake", "split"),
    [
        ("0_real", "1_fake", "test"),
        ("original", "manipulated", "test"),
        ("train/nature", "train/ai", "train"),
        ("training_real", "training_fake", "train"),
        ("set/faces/val/Real", "set/faces/val/Fake", None),
        ("deep/down/REAL", "deep/down/FAKE", "test"),
    ],
)
def test_other_names_of_the_classes(plant, real, fake, split):
    root = plant({f"{folder}/{i}.mp4": None for folder in (real, fake) for i in range(4)})
    if split is None:
        with pytest.raises(BenchError, match="no data in"):
            load_videos("folder", root)
        root = root / "set"
        real, fake, split = (text.removeprefix("set/") for text in (real, fake, "val"))
    found = listed(root)
    assert {(v.rpartition("/")[0], label) for v, (label, *_) in found.items()} == {(real, 0), (fake, 1)}
    assert {s for *_, s, _ in found.values()} <= ({"train", "val"} if split == "train" else {split})
    assert {method for label, method, *_ in found.values() if label} == {"fake"}


def test_a_certain_class_decides_and_folders_without_one_are_reported(plant, capsys):
    root = plant(dict.fromkeys(["real/original/a.mp4", "fake/original/b.mp4", "ai/c.mp4", "extra/d.mp4"]))
    assert {v: row[:2] for v, row in listed(root).items()} == {
        "real/original/a.mp4": (0, "real"),
        "fake/original/b.mp4": (1, "original"),
        "ai/c.mp4": (1, "fake"),
    }
    assert "their paths name no class, such as real or fake: extra\n" in capsys.readouterr().err


def test_the_folder_below_fake_is_the_method_of_pictures_too(plant, capsys):
    names = [f"{folder}/{i:05d}.png" for folder in ("real/ffhq", "fake/stylegan2", "fake/sdxl") for i in range(3)]
    root = plant(dict.fromkeys(names))
    assert listed(root) == {
        "real/ffhq": (0, "real", "test", 3),
        "fake/stylegan2": (1, "stylegan2", "test", 3),
        "fake/sdxl": (1, "sdxl", "test", 3),
    }
    said = capsys.readouterr().err
    assert "numbered pictures count as frames of one video each: " in said
    assert "use pictures instead of folder" in said
    alone = listed(root, "pictures")
    assert alone.keys() == set(names)
    assert {row[1:] for row in alone.values()} == {(m, "test", 0) for m in ("real", "stylegan2", "sdxl")}
    assert listed(root.parent, f"pictures:{root.name}") == alone


def test_pictures_of_several_videos_are_grouped_by_prefix_and_others_stay_single(plant):
    names = ["v0_1.jpg", "v0_2.jpg", "v1_1.jpg", "v1_2.JPG", "anna.jpg", "berta_7.jpg"]
    root = plant({f"real/frames/{name}": None for name in names} | {"fake/a.mp4": None})
    assert {v: pictures for v, (*_, pictures) in listed(root).items()} == {
        "real/frames/v0_*": 2,
        "real/frames/v1_*": 2,
        "real/frames/anna.jpg": 0,
        "real/frames/berta_7.jpg": 0,
        "fake/a.mp4": 0,
    }


def test_files_of_the_same_name_in_one_folder_are_reported(plant, capsys):
    assert len(listed(plant(dict.fromkeys(["real/a.mp4", "real/A.avi", "fake/a.mp4"])))) == 3
    assert "files with the same name count as separate videos: real/A.avi = real/a.mp4" in capsys.readouterr().err


def test_frames_are_grouped_by_what_comes_before_their_number():
    assert group_frames(["me.png"]) == {"": ["me.png"]}
    assert group_frames(["anna.png", "berta.png"]) == {}
    assert group_frames(["1.png", "2.jpg"]) == {"": ["1.png", "2.jpg"]}
    assert parse_frame_number("1" * 30 + ".png") is None


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"real/a.mp4": "a", "real/b.mp4": "b"}, "all videos of test are real"),
        ({"real/a.txt": "a", "fake/b.mp4": "b"}, "no videos in real/"),
        ({"train/real/a.mp4": "a", "test/real/b.mp4": "a", "test/fake/c.mp4": "c"}, "all videos of train are real"),
        (
            {f"{s}/{c}/{i}.mp4": f"{c}{i}{s * (i > 0)}" for s in ALL for c in ("real", "fake") for i in range(2)},
            "the same file is in the test set and elsewhere: test/fake/0.mp4 = train/fake/0.mp4 = val/fake/0.mp4",
        ),
        (
            {"real/a.mp4": "a", "fake/b.mp4": "a"},
            "the same file is labelled both real and fake: fake/b.mp4 = real/a.mp4",
        ),
    ],
)
def test_faults_that_make_a_score_wrong_are_problems(plant, capsys, files, fault):
    root = plant(files)
    assert any(fault in line for line in check("folder", root, ALL).faults)
    assert bench("data check folder", data=root) == 1
    assert f"  problem: {fault}" in capsys.readouterr().out


def test_frames_are_compared_if_deep(plant):
    frames = [(s, c, i) for s in ("train", "test") for c in ("real", "fake") for i in (1, 2)]
    root = plant({f"{s}/{c}/clip/f_{i}.png": f"{c}{i}{s * (c == 'fake')}" for s, c, i in frames})
    assert check("folder", root, ("train", "test")).faults == []
    (fault,) = check("folder", root, ("train", "test"), deep=True).faults
    assert fault.startswith("the same file is in the test set and elsewhere: test/real/clip = train/real/clip")


def test_left_out_files_are_a_note_and_not_a_problem(plant, capsys):
    root = plant({"real/a.mp4": "a", "fake/b.mp4": "b", "fake/c.gif": "c", "real/notes.txt": "d"})
    (root / "real/again").symlink_to(".")
    assert bench("data check folder", data=root) == 0
    said = capsys.readouterr()
    assert "note: files left out, by suffix: 1 .gif, 1 .txt" in said.out
    assert "note: links to folders that are read already: real/again" in said.out
    assert said.err.count("left out") == 1


def test_a_non_utf8_name_is_unreadable_and_the_others_are_used(plant, capsys):
    root = plant({"real/a.mp4": "a", "fake/b.mp4": "b"})
    (root / "fake/caf\udce9.mp4").write_text("c")
    (root / "other\udcff/real").mkdir(parents=True)
    assert {v.id for v in load_videos("folder", root).videos} == {"real/a.mp4", "fake/b.mp4", "fake/caf%E9.mp4"}
    report = check("folder", root, ALL)
    assert (report.unreadable, report.missing) == ({"fake/caf%E9.mp4": "its name isn't UTF-8: rename it"}, [])
    assert bench("data check folder --json", data=root) == 1
    assert "no videos in other%FF/real/" in capsys.readouterr().out
    with pytest.raises(BenchError, match=r"found fake, other%FF, real\."):
        load_videos("celebdf", root)


def test_a_transcoded_copy_is_complete_and_its_duplicate_is_reported(plant):
    youtube = "original_sequences/youtube/c23/videos"
    splits = {f"{s}.json": [[a, b]] for s, a, b in (("train", "0", "1"), ("val", "2", "3"), ("test", "4", "5"))}
    root = plant({**splits, **{f"{youtube}/{i}.AVI": str(i) for i in range(6)}, f"{youtube}/0.mkv": "x"})
    report = check("ff++:c23", root, ALL)
    assert [m for m in report.missing if youtube in m] == []
    assert report.foreign == {f"{youtube}/0.mkv": f"by its name the same video as {youtube}/0.AVI"}
