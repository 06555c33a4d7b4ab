"""Training without a backend: batches depend only on the seed; selection, resuming and early errors."""

from __future__ import annotations

import io
import json
import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.core.settings import FaceSettings, TrainSettings
from crossfake.benchmark.core.storage import WriteError
from crossfake.benchmark.core.types import FAKE, REAL, LostFrame
from crossfake.benchmark.core.workers import IN_PROCESS
from crossfake.benchmark.stages.kept_crops import keep_crops
from crossfake.benchmark.stages.train import Training
from crossfake.benchmark.stages.training_batches import Batches, FrameIndex, index_frames
from crossfake.benchmark.stages.training_state import StateKeeper
from crossfake.benchmark.stages.validation import Validation
from crossfake.detectors.common.crops import BoxCrop
from hypothesis import given
from hypothesis import strategies as st

CONTENT = {"real/a.mp4": [0, 10, 20], "real/b.mp4": [0], "fake/a.mp4": [0, 10, 16], "fake/b.mp4": [7, 9]}


def frames_of(labels: list[int]) -> FrameIndex:
    n = len(labels)
    none = np.full(n, -1)
    return FrameIndex(["v"], np.zeros(n, int), np.arange(n), np.array(labels), none, none)


class Tell:
    """A sampler whose samples encode frame, pair and draw; None for a frame in `hopeless`."""

    def __init__(self, hopeless: tuple[int, ...] = ()):
        self.hopeless = hopeless

    def __call__(self, sample, rng):
        if sample.face.frame in self.hopeless:
            return None
        pair = -1 if sample.original is None else sample.original.frame
        return {"told": np.array([sample.face.frame, pair, sample.label]), "draw": rng.normal(size=2)}


@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 5))
def test_every_frame_comes_once_before_any_repeats(n, size, seed):
    batches = Batches(frames_of([REAL] * n), None, Tell(), size, False, seed)
    row = [i for step in range(3 * n) for i in batches.choose_frames(step)]
    for turn in range(3):
        assert sorted(row[turn * n : (turn + 1) * n]) == list(range(n))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(2, 9), st.integers(0, 5))
def test_balance_draws_halves_and_goes_through_each_class_in_turn(reals, fakes, size, seed):
    batches = Batches(frames_of([REAL] * reals + [FAKE] * fakes), None, Tell(), size, True, seed)
    steps = [batches.choose_frames(step) for step in range(20)]
    assert all(sum(i < reals for i in step) == size // 2 for step in steps)
    row = [i for step in steps for i in step if i < reals]
    counts = Counter(row[: len(row) // reals * reals])
    assert len(set(counts.values())) <= 1


def test_another_seed_or_turn_is_another_order():
    def row(seed: int) -> list[int]:
        return Batches(frames_of([0] * 40), None, Tell(), 80, False, seed).choose_frames(0)

    assert row(0) != row(1)
    assert row(0)[:40] != row(0)[40:]


@pytest.fixture
def batches(memory_store, make_video):
    store = memory_store(CONTENT)
    return Batches(index_frames([make_video(v) for v in CONTENT], store)[0], store, Tell(), 4, True, 3)


def test_a_batch_depends_only_on_its_step(batches):
    forward = [batches(step)[0] for step in range(6)]
    backward = [batches(step)[0] for step in reversed(range(6))][::-1]
    for a, b in zip(forward, backward, strict=True):
        assert np.array_equal(a["told"], b["told"])
        assert np.array_equal(a["draw"], b["draw"])
    draws = np.concatenate([b["draw"] for b in forward])
    assert len(np.unique(draws)) == draws.size  # No two samples share their draws.


def test_batches_are_the_same_in_other_processes(real_store, make_video, two_workers):
    from crossfake.detectors.baselines.augment import ClassifierSampler

    store = real_store(CONTENT)
    frames, _ = index_frames([make_video(v) for v in CONTENT], store)
    made = Batches(frames, store, ClassifierSampler(BoxCrop(8)), 4, True, 0)
    here, there = list(map(made, range(5))), list(two_workers.map(made, range(5)))
    assert len(here) == 5
    for (a, _), (b, _) in zip(here, there, strict=True):
        assert a.keys() == {"image", "label"}
        assert all(np.array_equal(a[k], b[k]) for k in a)


def test_lost_samples_are_named_and_never_replaced(memory_store, make_video):
    store = memory_store(CONTENT)
    frames, _ = index_frames([make_video(v) for v in CONTENT], store)
    batch, lost = Batches(frames, store, Tell(hopeless=(16,)), len(frames), False, 0)(0)
    assert lost == ["fake/a.mp4 face 2: no example could be made from it"]
    assert len(batch["told"]) == len(frames) - 1
    every = tuple(range(30))
    assert Batches(frames, store, Tell(hopeless=every), 2, False, 0)(0)[0] == {}


class Session:
    """Counts the steps in the detector's only weight; the loss at step n is `losses(n)`."""

    def __init__(self, detector):
        self.detector = detector

    def step(self, batch):
        self.detector.seen.append(batch["told"].tolist())
        self.detector.weight += 1
        return {"loss": self.detector.losses(int(self.detector.weight)), "other": 2.0}

    def state(self):
        return json.dumps(int(self.detector.weight)).encode()

    def restore(self, packed):
        self.detector.weight = json.loads(packed)


class Student:
    """A detector whose validation scores after each epoch are right or wrong, as given in `right`."""

    def __init__(self, right=(), losses=lambda n: 1.0, hopeless=(), per_epoch=2):
        self.right, self.losses, self.hopeless, self.per_epoch = right, losses, hopeless, per_epoch
        self.weight, self.seen = 0, []

    def training(self, settings, total, per_epoch):
        return Session(self)

    def sampler(self):
        return Tell(self.hopeless)

    def score(self, crops):
        fake = crops[:, 0, 0, 0].astype(int) >= 2  # by the video's number in CONTENT
        return np.where(fake == self.right[int(self.weight) // self.per_epoch - 1], 0.9, 0.1)

    def state(self):
        return {"weight": np.array(self.weight)}

    def load(self, weights):
        self.weight = int(weights["weight"])
        return self


class Recorder(Reporter):
    """Records all lines but the first, which names the device and so differs between machines."""

    def __init__(self):
        super().__init__(quiet=True)
        self.first: str = ""
        self.lines: list[str] = []

    def say(self, line):
        if self.first:
            self.lines.append(line)
        self.first = self.first or line


def training(student, store, videos, folder: Path, **settings: Any) -> Training:
    given = {"epochs": 3, "steps_per_epoch": 2, "batch_size": 4, **settings}
    return Training(
        student,
        lambda face: face.crop,
        TrainSettings(**given),
        0,
        store,
        videos,
        videos,
        folder,
        Recorder(),
        IN_PROCESS,
    )


@pytest.fixture
def course(memory_store, make_video, tmp_path):
    def make(student: Student, **settings: Any) -> Training:
        return training(student, memory_store(CONTENT), [make_video(v) for v in CONTENT], tmp_path, **settings)

    return make


@pytest.mark.parametrize(
    ("right", "best"), [([False, True, False], 2), ([True, True, False], 2), ([True, True, True], 3), ([True], 1)]
)
def test_the_best_epoch_is_taken_and_later_ones_win_ties(course, right, best):
    student = Student(right)
    report = course(student, epochs=len(right)).run()
    assert report["best_epoch"] == best
    assert student.weight == 2 * best
    assert [e["val.video.auc"] for e in report["epochs"]] == [float(r) for r in right]
    assert [(e["epoch"], e["loss"], e["other"]) for e in report["epochs"]] == [
        (i + 1, 1.0, 2.0) for i in range(len(right))
    ]
    assert report["frames"] == 9
    assert report["steps"] == 2 * len(right)


def test_an_epoch_is_all_frames_by_default(course):
    assert course(Student([True], per_epoch=99), epochs=1, steps_per_epoch=None).run()["steps"] == 9 // 4


def test_without_epochs_nothing_is_trained(course):
    student = Student()
    assert course(student, epochs=0).run()["best_epoch"] == -1
    assert student.weight == 0


def test_a_session_that_cannot_go_on_is_refused_before_the_first_step(course):
    student = Student()
    student.training = lambda settings, total, per_epoch: type("Half", (), {"step": Session.step})()
    with pytest.raises(BenchError, match=r"Half has no method state\(\), which a training session needs"):
        course(student).run()
    assert not student.seen


@pytest.mark.parametrize("precision", ["bf16", None])
def test_the_report_gives_the_sessions_precision_or_the_requested_one(course, precision):
    student = Student([True])
    session = type("Precise", (Session,), {"precision": precision} if precision else {})
    student.training = lambda settings, total, per_epoch: session(student)
    assert course(student, epochs=1).run()["precision"] == (precision or "fp32")


def test_steps_in_pieces_are_announced_once_and_reported(course):
    made = course(Student([True]), epochs=1, micro_batch=3)
    assert made.run()["micro_batch"] == 3
    (told,) = [line for line in made.reporter.lines if "pieces" in line]
    assert told.startswith("each step of 4 frames is split into pieces of at most 3; batch norms")
    whole = course(Student([True]), epochs=1, micro_batch=4)
    whole.run()
    assert not any("pieces" in line for line in whole.reporter.lines)


@pytest.mark.parametrize(
    ("needs_whole_batch", "told"),
    [
        ("", "--set train.micro_batch=1"),
        ("it compares", "--set train.batch_size=2"),
        (None, "--set train.batch_size=2"),
    ],
)
def test_a_step_that_does_not_fit_in_memory_says_what_would(course, needs_whole_batch, told):
    student = Student([True])
    if needs_whole_batch is not None:
        student.needs_whole_batch = needs_whole_batch

    def step(self, batch):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    student.training = lambda settings, total, per_epoch: type("Large", (Session,), {"step": step})(student)
    pieces = {"micro_batch": 2} if needs_whole_batch == "" else {}
    with pytest.raises(BenchError, match=f"{told}$"):
        course(student, epochs=1, **pieces).run()


def test_the_report_gives_the_sessions_threads(course):
    student = Student([True])
    student.training = lambda settings, total, per_epoch: type("Told", (Session,), {"threads": 3})(student)
    assert course(student, epochs=1).run()["threads"] == 3
    assert course(Student([True]), epochs=1).run()["threads"] is None


@pytest.mark.parametrize("killed_at", [1, 2, 3, 4, 5])
def test_a_killed_training_resumes_to_the_same_result(course, killed_at, monkeypatch):
    monkeypatch.setattr("crossfake.benchmark.stages.training_state.SAVE_EVERY", -1.0)
    monkeypatch.setattr("crossfake.benchmark.stages.training_state.SHARE", math.inf)
    whole = Student([True, False, False])
    expected = course(whole).run()
    course(whole).forget()

    def killed(n: int) -> float:
        if n > killed_at:
            raise KeyboardInterrupt
        return 1.0

    first = Student([True, False, False], losses=killed)
    with pytest.raises(KeyboardInterrupt):
        course(first).run()
    second = Student([True, False, False])
    again = course(second)
    assert again.run() == expected
    assert again.reporter.lines[0] == f"resuming training at step {killed_at}"
    assert first.seen[:killed_at] + second.seen == whole.seen
    assert second.weight == whole.weight == 2


DAMAGED_STATES = {
    "junk": lambda whole: b"junk" * 100,
    "empty": lambda whole: b"",
    "cut": lambda whole: whole[: len(whole) // 2],
    "zeros inside": lambda whole: whole[:100] + bytes(60) + whole[160:],
    "an array": lambda whole: pack_npy(np.zeros(3)),
    "other keys": lambda whole: pack(other=np.zeros(3)),
    "another session": lambda whole: pack(session=np.zeros(3, np.uint8), progress=np.array("{}")),
    "a progress that is none": lambda whole: pack(session=np.frombuffer(b"5", np.uint8), progress=np.array("[]")),
    "a step that is none": lambda whole: pack(
        session=np.frombuffer(b"5", np.uint8), progress=np.array('{"step": "x"}')
    ),
}


def pack_npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def pack(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", DAMAGED_STATES)
def test_training_restarts_from_a_damaged_state_to_the_same_result(course, tmp_path, kind):
    whole = course(Student([True, False, False]))
    expected = whole.run()
    state = tmp_path / "training_state.npz"
    state.write_bytes(DAMAGED_STATES[kind](state.read_bytes()))
    again = course(Student([True, False, False]))
    assert again.run() == expected
    assert again.detector.seen == whole.detector.seen
    assert again.reporter.lines[0].startswith(f"{state} can't be read (")
    assert again.reporter.lines[0].endswith("): training starts over")
    third = course(Student([True, False, False]))
    third.run()
    assert third.reporter.lines[0] == "resuming training at step 6"


def test_resume_files_and_half_written_files_of_killed_runs_are_removed(course, tmp_path):
    half = tmp_path / ".training_state.123.tmp.npz"
    half.write_bytes(b"half")
    made = course(Student([True, True, True]))
    made.run()
    assert not half.exists()
    assert (tmp_path / "training_state.npz").is_file()
    made.forget()
    made.forget()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_non_finite_loss_stops_and_names_the_step(course, value):
    student = Student([True] * 3, losses=lambda n: value if n == 3 else 1.0)
    with pytest.raises(BenchError, match=r"loss is no longer finite at step 3\. Try a lower rate"):
        course(student).run()


def test_more_than_a_twentieth_of_samples_lost_stops_and_lists_them(course, tmp_path):
    with pytest.raises(BenchError, match=r"no example could be made from \d+ samples in 20 steps, more than") as error:
        course(Student([True] * 30, hopeless=(16,)), steps_per_epoch=30).run()
    path = tmp_path / "lost_samples.json"
    assert str(path) in str(error.value)
    lost = json.loads(path.read_text())
    assert set(lost) == {"fake/a.mp4 face 2: no example could be made from it"}
    assert f" {len(lost)} samples" in str(error.value)


def test_a_few_lost_samples_are_reported(memory_store, make_video, tmp_path):
    content = {"real/a.mp4": list(range(100, 130)), "fake/a.mp4": list(range(100, 129)), "fake/z.mp4": [16]}
    videos = [make_video(v) for v in content]
    student = Student([True], hopeless=(16,), per_epoch=60)
    student.score = lambda crops: np.linspace(0, 1, len(crops))
    report = training(student, memory_store(content), videos, tmp_path, epochs=1, steps_per_epoch=60, batch_size=1)
    assert report.run()["lost"] == 1
    assert json.loads((tmp_path / "lost_samples.json").read_text()) == [
        "fake/z.mp4 face 0: no example could be made from it"
    ]
    assert f"1 samples were lost; they are listed in {tmp_path / 'lost_samples.json'}" in report.reporter.lines


def test_a_short_training_is_stopped_by_lost_samples_too(course):
    with pytest.raises(BenchError, match="more than 5%"):
        course(Student([True], hopeless=(16,), per_epoch=5), epochs=1, steps_per_epoch=5).run()


LARGE = {"real/a.mp4": list(range(50)), "fake/a.mp4": list(range(50))}


@pytest.fixture
def broken_course(memory_store, make_video, tmp_path):
    """A training on 100 frames after `lost` (by video) couldn't be prepared; `fake/gone.mp4` has no frame left."""

    def make(lost: dict[str, list[int]], student: Student | None = None, **settings: Any) -> Training:
        named = {v: tuple(LostFrame(n, "it has no landmarks") for n in numbers) for v, numbers in lost.items()}
        store = memory_store({**LARGE, "fake/gone.mp4": "unreadable"}, lost=named)
        videos = [make_video(v) for v in store.content]
        student = student or Student([True] * 3)
        student.score = lambda crops: np.linspace(0, 1, len(crops))
        return training(student, store, videos, tmp_path, **settings)

    return make


def test_too_many_losses_in_preparing_stop_before_the_first_step(broken_course, tmp_path):
    made = broken_course({"fake/a.mp4": [50, 51], "fake/gone.mp4": [0, 1, 2, 3]})
    told = r"6 of 106 training frames were lost while preparing faces, more than 5%; they are listed in .*"
    with pytest.raises(BenchError, match=told) as error:
        made.run()
    path = tmp_path / "lost_samples.json"
    assert str(error.value).endswith(str(path))
    named = ["fake/a.mp4 frame 51: it has no landmarks", "fake/gone.mp4 frame 0: it has no landmarks"]
    assert json.loads(path.read_text())[1:3] == named
    assert made.detector.weight == 0


def test_a_few_losses_in_preparing_are_named_and_counted(broken_course, tmp_path):
    made = broken_course({"fake/a.mp4": [50, 51], "real/a.mp4": [52]})
    report = made.run()
    assert (report["lost"], report["lost_in_preparing"], report["frames"]) == (3, 3, 100)
    assert len(json.loads((path := tmp_path / "lost_samples.json").read_text())) == 3
    told = "3 of 103 training frames were lost while preparing faces"
    assert made.reporter.lines[1] == f"{told}; they are listed in {path}"
    assert made.reporter.lines[-1] == f"3 samples were lost; they are listed in {path}"


def test_losses_in_preparing_and_of_the_sampler_add_up(broken_course, tmp_path):
    student = Student([True], hopeless=(16, 17), per_epoch=25)  # 4 of 100 frames
    made = broken_course({"fake/a.mp4": [50, 51]}, student, epochs=1, steps_per_epoch=25)
    told = "2 of 102 training frames were lost while preparing faces, and no example could be made from 3 samples"
    with pytest.raises(BenchError, match=rf"{told} in 20 steps, more than 5%"):
        made.run()
    assert len(json.loads((tmp_path / "lost_samples.json").read_text())) == 5


def test_losses_of_other_videos_and_stale_loss_lists_do_not_count(broken_course, tmp_path):
    made = broken_course({"fake/gone.mp4": list(range(20))})
    with pytest.raises(BenchError, match="20 of 120 training frames"):
        made.run()
    made.train_videos = made.train_videos[:2]
    assert made.run()["lost"] == 0
    assert not (tmp_path / "lost_samples.json").exists()


def test_balance_needs_both_classes_in_a_batch(course):
    with pytest.raises(BenchError, match=r"train\.balance needs real and fake frames in each batch: .*=2"):
        course(Student([True] * 3), balance=True, batch_size=1).run()


def test_samples_a_recipe_leaves_out_are_counted_but_not_lost(course):
    student = Student([True] * 3)
    student.sampler = lambda: lambda sample, rng: {} if sample.face.frame == 16 else {"told": np.zeros(1)}
    report = course(student).run()
    assert report["lost"] == 0
    assert report["left_out"] == 3  # 24 draws of 9 frames: each comes two or three times.


def test_pairs_are_reported_before_the_first_step(course):
    made = course(Student([True] * 3))
    made.run()
    told = "of 5 fake ones, 2 have their original at the same frame, 3 at the nearest one with a face"
    assert made.reporter.lines[0] == f"training on 9 frames; {told}, 0 have none"


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (["fake/a.mp4", "fake/b.mp4"], "nothing to train on: 4 real and 0 fake frames with a face in the train split"),
        (["real/a.mp4", "real/b.mp4"], "nothing to train on: 0 real and 5 fake frames"),
    ],
)
def test_one_class_is_not_trained_on(memory_store, make_video, tmp_path, gone, message):
    store = memory_store({v: "no_face" if v in gone else c for v, c in CONTENT.items()})
    student = Student([True] * 3)
    with pytest.raises(BenchError, match=message):
        training(student, store, [make_video(v) for v in CONTENT], tmp_path).run()
    assert student.weight == 0


def test_reports_a_validation_split_of_one_class_before_the_first_step(memory_store, make_video, tmp_path):
    store = memory_store({**CONTENT, "real/val.mp4": "unreadable", "fake/val.mp4": [0]})
    student = Student([True] * 3)
    made = training(student, store, [make_video(v) for v in CONTENT], tmp_path)
    made.val_videos = [make_video("real/val.mp4", "val"), make_video("fake/val.mp4", "val")]
    with pytest.raises(BenchError, match="nothing to select checkpoints on: 0 real and 1 fake videos with a face"):
        made.run()
    assert student.weight == 0


def test_an_epoch_draws_each_frame_once_and_with_balance_the_larger_class():
    frames = frames_of([REAL, FAKE, FAKE, FAKE])
    assert frames.epoch_length(balance=False) == 4
    assert frames.epoch_length(balance=True) == 6


def test_validation_reads_each_face_once_for_all_epochs(course):
    student = Student([True, True, False])
    made, cut = course(student), []
    made.cropper = lambda face: cut.append(face.frame) or face.crop
    assert [e["val.video.auc"] for e in made.run()["epochs"]] == [1.0, 1.0, 0.0]
    assert len(cut) == sum(map(len, CONTENT.values()))


def test_crops_kept_for_validation_are_those_that_scoring_reads(real_store, make_video, tmp_path, monkeypatch):
    store, videos, found = real_store(CONTENT), [make_video(v) for v in CONTENT], []
    for faces in (FaceSettings(), FaceSettings(crops="keep")):
        made = training(Student([True, False]), store, videos, tmp_path / faces.crops, epochs=2)
        made.faces, made.cropper = faces, BoxCrop(8)
        found.append([e["val.video.auc"] for e in made.run()["epochs"]])
    assert found == [[1.0, 0.0]] * 2
    assert not keep_crops(made.faces, store, BoxCrop(8), [], made.reporter, IN_PROCESS).list_lacking(CONTENT)


def test_validation_may_take_fewer_frames_and_epochs(course):
    made, cut = course(Student([False, True, True]), val_frames=2, val_every=2), []
    made.cropper = lambda face: cut.append(face.frame) or face.crop
    report = made.run()
    assert [e.get("val.video.auc") for e in report["epochs"]] == [None, 1.0, 1.0]
    assert report["best_epoch"] == 3
    assert sorted(cut) == sorted([0, 20, 0, 0, 16, 7, 9])


def test_default_selection_and_what_saves_memory_change_no_key():
    later = {"val_frames", "val_every", "micro_batch", "remat", "compile"}
    assert TrainSettings().key_content().keys() == TrainSettings.model_fields.keys() - later
    assert TrainSettings(micro_batch=2, remat=True).key_content() == TrainSettings().key_content()
    assert TrainSettings(val_frames=8, val_every=2).key_content()["val_frames"] == 8


def test_the_best_weights_are_written_when_they_change_and_used_to_resume(course, tmp_path):
    made, written = course(Student([True, False, False])), []
    made.keeper._write = lambda *asked: written.append(asked[2]) or StateKeeper._write(made.keeper, *asked)
    made.run()
    assert set(written) == {1}
    assert [p.name for p in tmp_path.glob("training_best.*")] == ["training_best.1.npz"]
    again = course(Student([True, False, False]))
    assert again.run()["best_epoch"] == 1
    assert again.detector.weight == 2


def test_without_its_best_weights_a_training_starts_over(course, tmp_path):
    expected = course(Student([True, False, False])).run()
    (tmp_path / "training_best.1.npz").unlink()
    again = course(Student([True, False, False]))
    assert again.run() == expected
    assert again.reporter.lines[0].endswith("training starts over")


def test_states_of_one_archive_are_resumed_from(course, tmp_path):
    progress = {"step": 4, "best_epoch": 1, "best_auc": 1.0, "history": [{"epoch": 1}, {"epoch": 2}]}
    content = {"session": np.frombuffer(b"4", np.uint8), "progress": np.array(json.dumps(progress))}
    (tmp_path / "training_state.npz").write_bytes(pack(**content, **{"best/weight": np.array(2)}))
    made = course(Student([True, False, False]))
    assert made.run()["best_epoch"] == 1
    assert made.reporter.lines[0] == "resuming training at step 4"
    assert made.detector.weight == 2


def test_a_full_disk_stops_with_one_line_and_keeps_the_last_state(course, tmp_path, monkeypatch):
    monkeypatch.setattr("crossfake.benchmark.stages.training_state.SAVE_EVERY", -1.0)
    monkeypatch.setattr("crossfake.benchmark.stages.training_state.SHARE", math.inf)

    full = os.open("/dev/full", os.O_WRONLY)

    class Full(Session):
        def snapshot(self):
            if self.detector.weight < 4:
                return lambda file: file.write(self.state())

            def fill(file):
                file.file = type("FullFile", (), {"write": staticmethod(lambda data: os.write(full, data))})
                try:
                    file.write(b"0" * 9999)
                except OSError:
                    raise RuntimeError("torch doesn't say") from None

            return fill

    student = Student([True] * 3)
    student.training = lambda settings, total, per_epoch: Full(student)
    with pytest.raises(WriteError, match=r"training_state\.npz can't be written: No space left on device\. Make room"):
        course(student).run()
    os.close(full)
    again = course(Student([True] * 3))
    again.run()
    assert again.reporter.lines[0] == "resuming training at step 3"
    assert not list(tmp_path.glob("*.tmp*"))


def test_saving_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("crossfake.benchmark.stages.training_state.time.monotonic", lambda: now[0])
    keeper = StateKeeper(tmp_path)
    assert keeper.is_due(epoch_ends=True)
    assert not keeper.is_due(epoch_ends=False)
    keeper._cost = 12.0
    now[0] = 239.0
    assert not keeper.is_due(epoch_ends=True)
    now[0] = 241.0
    assert keeper.is_due(epoch_ends=True)
    assert keeper.is_due(epoch_ends=False)


class Rounded:
    """A detector that also scores in bf16, where its scores are shifted by `moved`."""

    def __init__(self, moved: float):
        self.moved, self.runtime, self.precision, self.asked = moved, "torch", "fp32", []

    def find_obstacle(self, runtime, precision):
        return "" if precision in ("fp32", "bf16") else "not here"

    def use_runtime(self, runtime, precision):
        self.precision = precision

    def score(self, crops):
        self.asked.append(self.precision)
        fake = crops[:, 0, 0, 0].astype(int) >= 2
        return np.where(fake, 0.9, 0.1) - (self.moved if self.precision == "bf16" else 0)


@pytest.mark.parametrize(("moved", "precision"), [(0.01, "bf16"), (0.05, "fp32")])
def test_validation_uses_training_precision_where_it_agrees_with_fp32(moved, precision, course):
    validation, detector = make_validation(course), Rounded(moved)
    chosen, shift = validation.choose_precision(detector, "bf16")
    assert (chosen, shift.auc, shift.score) == (precision, 0, pytest.approx(moved, rel=1e-3))
    detector.asked.clear()
    assert validation.compute_auc(detector, chosen) == 1
    assert set(detector.asked) == {precision}
    assert detector.precision == "fp32"  # Unchanged.


@pytest.mark.parametrize("wanted", ["fp32", "tf32", "auto"])
def test_validation_stays_in_fp32_where_nothing_else_is_available(wanted, course):
    detector = Rounded(0.01)
    assert make_validation(course).choose_precision(detector, wanted) == ("fp32", None)
    assert not detector.asked


def make_validation(course) -> Validation:
    made = course(Student())
    return Validation(made.cropper, made.train_store, made.val_videos, None, made.folder, made.pool)


def test_the_chosen_validation_precision_survives_a_kill(course):
    made, chosen = course(Student([True, True, True])), []
    made._choose_validation = lambda validation: chosen.append(1) or {"precision": "fp32", "auc_shift": 0.0}
    report = made.run()
    assert chosen == [1]
    assert report["validation"] == {"precision": "fp32", "auc_shift": 0.0}
    again = course(Student([True, True, True]))
    assert again.run()["validation"] == report["validation"]
