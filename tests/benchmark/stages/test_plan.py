"""Keys contain exactly what changes the numbers; unusable data is rejected before any work starts."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from crossfake.benchmark.core import keys
from crossfake.benchmark.core.errors import BenchError, require_known
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.core.registry import Entry
from crossfake.benchmark.core.settings import FaceSettings, ScoreSettings, Settings, TrainSettings
from crossfake.benchmark.core.types import FAKE, REAL
from crossfake.benchmark.stages.plan import Request, check_data, check_names, describe_plan, make_cells, make_plan
from crossfake.datasets.demo.world import MARKER, DemoWorld
from crossfake.detectors.common.in_memory import make_entry
from crossfake.leaderboards.rows import make_tables
from safetensors.numpy import save_file

FACES = FaceSettings(finder="mediapipe")


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": Settings(faces=FACES, options={"input_size": 64})},
        {"settings": Settings(faces=FaceSettings(finder="mediapipe", frames=8))},
        {"settings": Settings(faces=FaceSettings(finder="mediapipe", context=1.5))},
        {"settings": Settings(faces=FACES, train=TrainSettings(lr=0.1))},
        {"settings": Settings(faces=FACES, train=TrainSettings(threads=2))},
        {"seed": 1},
        {"entry": Entry("xception", "crossfake.detectors.baselines.classifier:ImageClassifier", "", backend="torch")},
        {"entry": Entry("meso4", "crossfake.detectors.baselines.meso:Meso4", "", backend="jax")},
    ],
)
def test_what_changes_the_weights_changes_both_keys(planned, changes):
    cell, other = planned.cell(), planned.cell(**changes)
    assert other.train_key != cell.train_key
    assert other.test_key != cell.test_key


def test_a_video_is_measured_once_however_many_cells_need_its_key(planned, monkeypatch):
    measured = Counter[Path]()
    measure = keys.measure_file
    monkeypatch.setattr(keys, "measure_file", lambda path: (measured.update([path]), measure(path))[1])
    train, test = planned.source(), planned.source("celebdf", "")
    for cell in [planned.cell(seed=seed, train=train, test=t) for seed in range(6) for t in (test, train)]:
        for _ in range(3):
            cell.describe(), cell.folder, cell.test_folder
    # Both sets have the same files here: one is for training and testing, the other for testing only.
    assert measured == {v.path: 2 if v.split == "test" else 1 for v in train.videos}


def test_what_changes_no_number_changes_no_key(planned, tmp_path):
    cell = planned.cell()
    moved = planned.cell(
        runs=Path("elsewhere"),
        settings=Settings(faces=FACES, score=ScoreSettings(draws=7)),
        train=replace(planned.source(), home=tmp_path / "moved"),
    )
    assert (moved.train_key, moved.test_key) == (cell.train_key, cell.test_key)


def test_spelling_out_a_default_changes_neither_key_nor_name(planned):
    entry = Entry("some", "some:Some", "", backend="torch", card={"defaults": {"variant": "paper", "input_size": 64}})
    plain, given, other = (
        planned.cell(entry=entry, settings=Settings(faces=FACES, options=options))
        for options in ({}, {"variant": "paper", "input_size": 64}, {"variant": "released"})
    )
    assert (given.train_key, given.name, given.options) == (plain.train_key, "some", {})
    assert (other.name, other.options) == ("some.released", {"variant": "released"})
    assert other.train_key != plain.train_key


def test_the_training_key_depends_only_on_train_and_val_videos(planned):
    cell = planned.cell()
    fewer = [v for v in planned.videos if v.id != "fake/test.mp4"]
    assert planned.cell(train=planned.source(videos=fewer)).train_key == cell.train_key
    for gone in ("fake/train.mp4", "fake/val.mp4"):
        fewer = [v for v in planned.videos if v.id != gone]
        assert planned.cell(train=planned.source(videos=fewer)).train_key != cell.train_key


@pytest.mark.parametrize(
    "changes",
    [{"label": REAL}, {"id": "fake/other.mp4"}, {"original": None}, {"split": "val"}, {"path": Path("/gone")}],
)
def test_every_fact_of_a_video_that_training_uses_is_in_the_key(planned, changes):
    changed = [replace(v, **changes) if v.id == "fake/train.mp4" else v for v in planned.videos]
    assert planned.cell(train=planned.source(videos=changed)).train_key != planned.cell().train_key


def test_another_file_size_is_another_data_set(planned):
    before = planned.cell().train_key
    (planned.home / "real/train.mp4").write_bytes(b"12345")
    assert planned.cell().train_key != before


def test_groups_and_methods_added_later_reach_the_predictions_without_retraining(planned):
    for changes in ({"groups": {"gender": "male"}}, {"method": "B"}):
        told = [replace(v, **changes) for v in planned.videos]
        cell = planned.cell(train=planned.source(videos=told), test=planned.source("celebdf", "", videos=told))
        assert cell.train_key == planned.cell().train_key
        assert cell.test_key != planned.cell().test_key


def test_a_new_face_finder_makes_old_results_stale(planned, monkeypatch):
    before = planned.cell()
    keys = before.train_key, before.test_key
    monkeypatch.setattr("crossfake.datasets.faces.finder.FINDER_VERSION", 999)
    assert planned.cell().train_key != keys[0]
    assert planned.cell().test_key != keys[1]


def test_a_limited_run_has_its_own_keys_even_where_nothing_is_cut(planned):
    limited = planned.cell(train=planned.source(limit=10), test=planned.source("celebdf", "", limit=10))
    assert limited.train_key != planned.cell().train_key
    assert planned.cell(test=planned.source("celebdf", "", limit=10)).test_key != planned.cell().test_key


def test_a_given_checkpoint_is_keyed_by_content_without_training_settings(planned, tmp_path):
    for name, content in (("a.pkl", b"one"), ("b.pkl", b"one"), ("c.pkl", b"two")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (planned.cell(checkpoint=tmp_path / name).train_key for name in ("a.pkl", "b.pkl", "c.pkl"))
    assert a == b != c
    slow = Settings(faces=FACES, train=TrainSettings(lr=0.1))
    assert planned.cell(checkpoint=tmp_path / "a.pkl", settings=slow).train_key == a


def test_a_start_file_is_keyed_by_content_wherever_it_is(planned, tmp_path):
    def plan(name, content):
        (tmp_path / name).write_bytes(content)
        settings = Settings(faces=FaceSettings(finder="mediapipe"), options={"pretrained": str(tmp_path / name)})
        return planned.cell(settings=settings)

    one, copy, other = plan("one.pth", b"1"), plan("copy.pth", b"1"), plan("other.pth", b"2")
    assert one.train_key == copy.train_key != other.train_key
    assert one.options == one.describe().options == {"pretrained": f"sha256:{hashlib.sha256(b'1').hexdigest()}"}
    published = planned.cell(settings=Settings(faces=FaceSettings(finder="mediapipe"), options={"pretrained": True}))
    assert published.options == {"pretrained": True}


def test_reports_a_missing_checkpoint_before_rendering_a_world(tmp_path, monkeypatch):
    monkeypatch.setattr("crossfake.benchmark.stages.plan.find_root", None)
    request = Request(("meso4",), "ff++", ("celebdf",), checkpoint=tmp_path / "none.pth")
    with pytest.raises(BenchError, match=r"no checkpoint .*none\.pth"):
        make_plan(request, "demo", Reporter(quiet=True))


def test_the_users_code_is_in_the_key_by_file_and_by_module(planned, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "crossfake_test_mine.py"
    for target in (f"{path}:Mine", "crossfake_test_mine:Mine"):
        entry = Entry("local/mine", target, "")
        path.write_text("class Mine: ...\n")
        first = planned.cell(entry=entry).train_key
        path.write_text("class Mine: x = 1\n")
        assert planned.cell(entry=entry).train_key != first
    assert planned.cell().train_content()["code"] is None
    assert "crossfake_test_mine" not in sys.modules


def test_folder_names_give_world_detector_sets_and_seed(planned):
    cell = planned.cell(settings=Settings(faces=FACES, tag="small"), seed=3)
    assert cell.folder == Path("runs/real/meso4.small") / f"ff++-c23.seed3.{cell.train_key}"
    assert cell.test_folder == cell.folder / f"test.celebdf.{cell.test_key}"
    demo = DemoWorld(size="tiny", seed=0)
    assert planned.cell(train=planned.source(demo=demo)).folder.parts[1] == "demo"
    own = planned.cell(
        entry=Entry("timm:resnet10t", "crossfake.x:Y", ""), train=planned.source("local/mine", "", videos=())
    )
    assert own.folder.parent == Path("runs/real/timm-resnet10t")
    assert own.folder.name.startswith("local-mine.seed0.")


def test_a_cell_describes_itself(planned):
    told = planned.cell(test=planned.source("celebdf", "", limit=2)).describe()
    assert told.train == "ff++:c23"
    assert told.test == "celebdf"
    assert (told.frames, told.limit, told.weights) == (32, 2, "trained here")


def test_one_class_and_missing_files_are_reported_with_split_and_count(planned):
    check_data([planned.cell()])
    reals = [v for v in planned.videos if not (v.split == "val" and v.label == FAKE)]
    with pytest.raises(BenchError, match=r"1 real and 0 fake videos in its val split: one class .* trained on"):
        check_data([planned.cell(train=planned.source(videos=reals))])
    tests = [v for v in planned.videos if not (v.split == "test" and v.label == REAL)]
    with pytest.raises(BenchError, match="0 real and 1 fake videos in its test split: one class alone can't be scored"):
        check_data([planned.cell(test=planned.source("celebdf", "", videos=tests))])
    absent = [replace(v, path=Path("/nowhere")) for v in planned.videos]
    with pytest.raises(BenchError, match=r"none of the 2 videos of the test split exists \(first: real/test.mp4\)"):
        check_data([planned.cell(test=planned.source("celebdf", "", videos=absent))])


def test_a_cell_requires_only_what_it_needs(planned, tmp_path):
    (tmp_path / "weights.pkl").write_bytes(b"1")
    tests = [v for v in planned.videos if v.split == "test"]
    check_data([planned.cell(train=planned.source(videos=tests), checkpoint=tmp_path / "weights.pkl")])
    others = [v for v in planned.videos if v.split != "test"]
    check_data([planned.cell(test=planned.source("celebdf", "", videos=others))], tests=False)


def test_a_custom_dataset_can_be_trained_on(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("class Mine: ...\n")
    entries = check_names(Request(("meso4",), f"{path}:Mine", (f"{path}:Mine",)))
    assert [e.name for e in entries] == ["meso4"]


def test_sets_without_a_train_split_are_refused_unless_there_is_a_checkpoint():
    with pytest.raises(
        BenchError, match=r"dfd has no train split, only test\. Sets to train on: .*celebdf, .*dfdc, .*ff\+\+"
    ):
        check_names(Request(("meso4",), "dfd", ("ff++",)))
    assert check_names(Request(("meso4",), "dfd", ("ff++",), checkpoint=Path("x.pkl")))


def test_a_request_becomes_detectors_times_seeds_times_tests(planned):
    request = Request(("meso4", "resnet34"), "ff++", ("celebdf", "ff++"), seeds=(0, 5))
    sources = {"ff++": planned.source(), "celebdf": planned.source("celebdf", "")}
    cells = make_cells(request, check_names(request), sources)
    assert [(c.name, c.seed, c.test.label) for c in cells] == [
        (name, seed, test) for name in ("meso4", "resnet34") for seed in (0, 5) for test in ("celebdf", "ff++:c23")
    ]
    assert len({c.folder for c in cells}) == 4
    assert len({c.test_folder for c in cells}) == 8


def test_unknown_names_get_the_nearest_name_as_a_suggestion():
    with pytest.raises(BenchError, match=r"no size named 'tinny'. Did you mean 'tiny'\? Known: tiny, large"):
        require_known("size", "tinny", ("tiny", "large"))


def test_a_plan_is_made_without_a_command_line_and_shown_as_rows(tiny_world, tmp_path):
    pytest.importorskip("torch")  # Each part of the plan is built once, to check that it can be.
    asked = Request(("meso4",), "ff++", ("ff++", "celebdf"), overrides=("options.input_size=32",), runs=tmp_path)
    cells = make_plan(asked, str(tiny_world), Reporter(quiet=True))
    rows = describe_plan(cells)
    assert [(r["detector"], r["test"], r["state"]) for r in rows] == [
        ("meso4.small", "ff++:c23", "to do"),
        ("meso4.small", "celebdf", "to do"),
    ]
    assert rows[0]["train videos"] == len(cells[0].train.split("train")) > 0
    assert "auto" not in str([c.train_content()["faces"] for c in cells])
    with pytest.raises(BenchError, match="no face finder named 'nobody'"):
        make_plan(replace(asked, overrides=("faces.finder=nobody",)), None, Reporter(quiet=True))


def test_four_methods_are_a_separate_dataset_with_the_same_faces(tiny_world, tmp_path):
    def plan(train, tests):
        asked = Request(("meso4",), train, tests, overrides=("options.input_size=32",), runs=tmp_path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("crossfake.benchmark.stages.plan.check_detectors", lambda *_: None)
            return make_plan(asked, {"ff++": str(tiny_world), "celebdf": str(tiny_world)}, Reporter(quiet=True))

    four, (five, *_) = plan("ff++:c23:methods=4", ("ff++:methods=4", "celebdf")), plan("ff++:methods=5", ("ff++:c23",))
    assert [(r["train"], r["test"]) for r in describe_plan(four)] == [
        ("ff++:c23:4m", "ff++:c23:4m"),
        ("ff++:c23:4m", "celebdf"),
    ]
    assert (five.train.label, four[0].folder.name.partition(".")[0]) == ("ff++:c23", "ff++-c23-4m")
    methods = [{v.method for v in cell.train.split("train")} for cell in (four[0], five)]
    assert methods[1] - methods[0] == {"FaceShifter"}
    assert len({c.train_key for c in (four[0], five)}) == len({c.test_key for c in (four[0], five)}) == 2
    faces = four[0].settings.faces
    assert four[0].train.store_folder(faces) == five.train.store_folder(faces)


def test_other_data_never_counts_as_the_demo_world(planned, tmp_path):
    """`folder:/path` is outside the data root, even if the root is a demo world."""
    world, own = DemoWorld(size="tiny", seed=0), tmp_path / "own"
    demo = planned.source(demo=world)
    other = replace(planned.source("folder", "", demo=world), home=own)
    told = [planned.cell(train=a, test=b).describe() for a in (demo, other) for b in (demo, other)]
    assert [(c.world, c.protocol) for c in told] == [
        ("demo", "demo tiny, seed 0"),
        ("demo", "demo tiny, seed 0, tested on other data"),
        ("demo", "demo tiny, seed 0, trained on other data"),
        ("real", "real"),
    ]
    assert planned.cell(train=other, test=other, runs=Path("runs")).folder.parts[1] == "real"
    (own / "inside").mkdir(parents=True)
    (own / MARKER).write_text(json.dumps({"size": "tiny", "seed": 4, "complete": True}))
    elsewhere = replace(planned.source("folder", "", demo=world), home=own / "inside")
    assert (
        planned.cell(train=demo, test=elsewhere).describe().protocol
        == "demo tiny, seed 4, trained on demo tiny, seed 0 data"
    )
    assert planned.cell(test=elsewhere).describe().protocol == "demo tiny, seed 4, trained on other data"


def save_checkpoint(path: Path, **trained_on: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = json.dumps({"detector": "meso4", **({"trained_on": trained_on} if trained_on else {})})
    save_file({"w": np.zeros(1, np.float32)}, path, metadata={"crossfake": header})
    return path


class Untrained:
    def score(self, frames):
        return np.zeros(len(frames))


def test_only_rows_trained_here_say_so(planned, tmp_path):
    def told(**changes):
        cell = planned.cell(**changes).describe()
        return cell.weights, cell.train, cell.selection, cell.source

    plain, known = save_checkpoint(tmp_path / "a.safetensors"), save_checkpoint(tmp_path / "b.st", dataset="ff++:c23")
    without = {"settings": Settings(faces=FACES, train=TrainSettings(epochs=0))}
    assert told() == ("trained here", "ff++:c23", "source val", "ff++:c23")
    assert told(checkpoint=plain) == ("given checkpoint", "unknown", "unknown", "ff++:c23")
    (tmp_path / "b.st").rename(known := tmp_path / "b.safetensors")
    assert told(checkpoint=known) == ("given checkpoint", "ff++:c23", "source val", "ff++:c23")
    assert told(entry=make_entry(Untrained)) == ("its own", "unknown", "unknown", "ff++:c23")
    assert told(entry=make_entry(Untrained())) == ("given object", "unknown", "unknown", "ff++:c23")
    assert told(**without) == ("not trained", "unknown", "unknown", "ff++:c23")


def test_a_recipe_is_in_the_name_only_of_what_it_trains(planned, tmp_path):
    sources = {"ff++": planned.source(demo=DemoWorld(size="tiny", seed=0))}
    sources["celebdf"] = sources["ff++"]

    def name(detector, **changes):
        request = Request((detector,), "ff++", ("celebdf",), **changes)
        return make_cells(request, check_names(request), sources)[0].name

    assert name("meso4") == "meso4.small"
    assert name("meso4", checkpoint=save_checkpoint(tmp_path / "a.safetensors")) == "meso4"
    assert name(make_entry(Untrained)) == "local/Untrained"
    assert name(make_entry(Untrained), overrides=("tag=mine",)) == "local/Untrained.mine"


def test_excluded_videos_change_only_keys_of_cells_that_use_them(planned):
    none, part = planned.cell(), {name: frozenset({f"real/{name}.mp4"}) for name in ("train", "test")}
    other = planned.cell(train=replace(planned.source(), excluded=frozenset({"real/elsewhere.mp4"})))
    assert (other.train_key, other.test_key) == (none.train_key, none.test_key)
    tested = planned.cell(test=replace(planned.source("celebdf", ""), excluded=part["test"]))
    assert (tested.train_key, tested.describe().excluded) == (none.train_key, ["real/test.mp4"])
    assert tested.test_key != none.test_key
    trained = planned.cell(train=replace(planned.source(), excluded=part["train"]))
    assert trained.train_key != none.train_key
    assert (trained.describe().trained_without, trained.describe().excluded) == (1, [])


def test_a_path_is_excluded_as_its_id_is(planned):
    path = str(planned.home / "real/test.mp4")
    source = replace(planned.source(), excluded=frozenset({path}))
    assert [v.id for v in source.split("test")] == ["fake/test.mp4"]
    assert [v.id for v in source.list_excluded("train", "test")] == ["real/test.mp4"]


def test_a_demo_world_checkpoint_is_marked_demo_wherever_it_is_tested(planned, make, tmp_path):
    path = save_checkpoint(tmp_path / "a.safetensors", dataset="ff++:c23", world="demo")
    told = planned.cell(train=None, checkpoint=path).describe()
    assert (told.world, told.protocol) == ("demo", "demo world, tested on other data")
    (table,) = make_tables([make(**{name: getattr(told, name) for name in ("world", "protocol")})])
    assert table.is_synthetic


def test_seeds_that_auto_trained_in_other_precisions_are_never_pooled(planned):
    cell = planned.cell()
    assert cell.make_recipe_key("bf16") != cell.make_recipe_key() == cell.describe().recipe_key


def test_seeds_that_started_from_different_files_of_one_name_are_never_pooled(planned):
    one, other = (planned.cell().make_recipe_key(started_from=f"resnet34.tv_in1k sha256:{s}") for s in "ab")
    assert len({one, other, planned.cell().make_recipe_key()}) == 3
