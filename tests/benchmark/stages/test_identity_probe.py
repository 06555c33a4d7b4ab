"""The identity probe: who is included, no original in both halves, and what the classifier can and can't learn."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from shlex import join

import numpy as np
import pytest
from command_line import bench, read_mistake, words
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.types import FAKE, REAL, Video
from crossfake.benchmark.stages.identity_probe import (
    FOLDS,
    assign_folds,
    classify_people,
    compare_accuracies,
    extract_features,
    name_people,
    original_id,
    pool_features,
)
from crossfake.benchmark.stats.intervals import SAME
from hypothesis import given
from hypothesis import strategies as st


def real(person: str, take: int) -> Video:
    return Video(f"{person}_{take}", Path("/nowhere"), REAL, "real", "test", (person,))


def fake(target: str, donor: str, method: str = "A") -> Video:
    source = f"{target}_0"
    return Video(f"{method}/{target}_{donor}", Path("/nowhere"), FAKE, method, "test", (target, donor), original=source)


def test_targets_are_probed_on_real_videos_and_sources_on_fakes():
    videos = [real("a", 0), real("a", 1), real("b", 0), real("b", 1), real("c", 0)]
    videos += [fake("x", "d"), fake("y", "d"), fake("x", "e"), fake("z", "e"), fake("z", "f"), fake("z", "f", "B")]
    assert [(v.id, who) for v, who in name_people(videos, "target")] == [
        ("a_0", "a"),
        ("a_1", "a"),
        ("b_0", "b"),
        ("b_1", "b"),
    ]
    # f was pasted twice, but into one original.
    assert [who for _, who in name_people(videos, "source")] == ["d", "d", "e", "e"]


def test_too_few_people_to_tell_apart_is_a_one_line_error():
    with pytest.raises(BenchError, match=r"of 3 videos, 3 real ones .* \(2 people\), and 1 people appear in") as error:
        name_people([real("a", 0), real("a", 1), real("b", 0)], "target")
    assert "\n" not in str(error.value)
    with pytest.raises(BenchError, match=r"0 fake ones .* several originals a source person"):
        name_people([real("a", 0)], "source")


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.sampled_from("AB")), min_size=1, unique=True))
def test_an_original_is_in_one_fold_and_everybody_can_be_learned(rows):
    told = [(fake(f"t{target}", f"d{donor}", method), f"d{donor}") for target, donor, method in rows]
    folds = assign_folds(told)
    found, persons = defaultdict(set), defaultdict(set)
    for (video, person), fold in zip(told, folds, strict=True):
        found[original_id(video)].add(fold)
        persons[person].add(original_id(video))
    assert all(len(folds) == 1 for folds in found.values())
    place = {clip: min(folds) for clip, folds in found.items()}
    shared = Counter(clip for clips in persons.values() for clip in clips)
    for clips in persons.values():
        if all(shared[clip] == 1 for clip in clips):
            assert len({place[clip] for clip in clips}) == min(FOLDS, len(clips))


def test_clips_with_several_sources_leave_every_source_to_learn_from():
    told = [(fake(f"t{t}", f"d{d}"), f"d{d}") for t in range(12) for d in {t % 4, (t + 1) % 4}]
    folds = assign_folds(told)
    of_donor = {d: {int(f) for (_, who), f in zip(told, folds, strict=True) if who == d} for _, d in told}
    assert all(len(used) > 1 for used in of_donor.values())


def several(people_count: int, videos: int) -> list[tuple[Video, str]]:
    return [(real(f"p{p}", v), f"p{p}") for p in range(people_count) for v in range(videos)]


def test_people_are_recognised_by_what_their_videos_share_not_by_one_videos_traits():
    told, rng = several(4, 6), np.random.default_rng(0)
    names, folds = [person for _, person in told], assign_folds(told)
    person_of = np.array([int(name[1:]) for name in names])
    shared = [np.eye(4)[p] + rng.normal(0, 0.1, (3, 4)) for p in person_of]
    assert classify_people(shared, names, folds).all()
    own = [np.tile(np.eye(len(told))[i], (3, 1)) for i in range(len(told))]
    assert classify_people(own, names, folds).mean() < 0.5
    noise = [rng.normal(size=(3, 4)) for _ in told]
    assert classify_people(noise, names, folds).mean() < 0.6


def test_accuracies_and_their_difference_have_intervals_over_people():
    told = several(10, 4)
    right = np.tile([True, True, True, False], 10)
    estimates = compare_accuracies(told, right, right)
    assert estimates.accuracy.value == estimates.random.value == 0.75
    assert estimates.accuracy.n == 40
    assert estimates.difference == (0, None, None, 40, SAME)
    unequal = np.repeat(np.arange(10) % 2 == 0, 4)  # The person decides everything: as wide as with ten samples.
    wide = compare_accuracies(told, unequal, right).accuracy
    narrow = compare_accuracies(told, np.tile([True, False], 20) ^ np.isin(np.arange(40), (0, 21)), right).accuracy
    assert wide.value == narrow.value == 0.5
    assert wide.hi - wide.lo > 0.6 > 0.4 > narrow.hi - narrow.lo


def test_maps_are_pooled_and_a_detector_without_features_is_refused():
    maps = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    np.testing.assert_array_equal(pool_features({"features": maps}), [[5.5, 17.5]])
    np.testing.assert_array_equal(pool_features({"features": maps[..., 0, 0]}), maps[..., 0, 0])
    with pytest.raises(BenchError, match="gives no features: its outputs are logits"):
        pool_features({"logits": maps})
    with pytest.raises(BenchError, match=r"no method outputs_of\(frames\)"):
        extract_features(object(), None, None, [])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    pytest.importorskip("torch")
    from crossfake.benchmark.core.checkpoints import save
    from crossfake.detectors import create

    path = tmp_path_factory.mktemp("probe") / "meso4.safetensors"
    save(create("meso4", input_size=32), path, {"detector": "meso4", "options": {"input_size": 32}})
    return path


@pytest.fixture(scope="module")
def actors(tiny_world, tmp_path_factory):
    """The tiny world's actors with a second video each, as the tiny world has only one per person."""
    home = tmp_path_factory.mktemp("actors") / "FaceForensics++"
    shutil.copytree(tiny_world / "FaceForensics++", home, ignore=shutil.ignore_patterns("youtube", "Face*", "*.json"))
    for path in sorted((home / "original_sequences/actors/c23/videos").glob("*.mp4")):
        shutil.copy(path, path.with_name(f"{path.stem[:2]}__talking.mp4"))
    return home.parent


def test_the_verb_measures_both_networks(checkpoint, actors, tmp_path, capsys):
    out = tmp_path / "probe.json"
    asked = "probe identity --test dfd --set faces.frames=2 --workers 0"
    assert bench(asked, checkpoint=checkpoint, data=actors, json=out) == 0
    result = json.loads(out.read_text())
    assert (result["kind"], result["who"], result["scored"]) == ("identity probe", "target", "dfd:c23")
    assert result["accuracy"]["n"] == result["videos"] == 2 * result["people"] == 4
    assert result["accuracy"]["value"] == 1  # The second take is a copy.
    assert result["chance"] == pytest.approx(1 / result["people"])
    difference = result["accuracy"]["value"] - result["random"]["value"]
    assert result["difference"]["value"] == pytest.approx(difference)
    assert f"{result['people']} people (target), {result['videos']} videos" in capsys.readouterr().out


@pytest.mark.parametrize(("former", "now"), [("filmed", "target"), ("donor", "source")])
def test_former_option_names_work_and_warn_of_the_new_ones(checkpoint, tiny_world, capsys, former, now):
    # ff++ has nobody to identify; the kind in the error shows which people were meant.
    assert bench("probe identity --test ff++", checkpoint=checkpoint, data=tiny_world, who=former) == 2
    note, *_, error = capsys.readouterr().err.splitlines()
    assert note == f"bench: note: --who {former} is now called {now}. Use --who {now}"
    assert f"{'real' if now == 'target' else 'fake'} ones name who is in them" in error


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--who sourc", "no person to tell named 'sourc'. Did you mean 'source'"),
        ("--split tst", "no split named 'tst'. Did you mean 'test'"),
        ("--test dfdd", "Did you mean 'dfd'"),
        ("--checkpoint nowhere.safetensors", "no checkpoint nowhere.safetensors"),
        ("--test ff++", "no people to identify"),
        ("--test ff++,dfd", "--test ff++,dfd: the probe takes one dataset"),
    ],
)
def test_mistakes_are_one_line_errors(checkpoint, tiny_world, capsys, line, message):
    usual = words("probe identity --test dfd", checkpoint=checkpoint, data=tiny_world)
    assert bench(f"{join(usual)} {line}") == 2
    assert message in read_mistake(capsys)


def test_a_missing_checkpoint_is_requested(capsys):
    assert bench("probe identity --test dfd") == 2
    assert "--checkpoint is missing" in capsys.readouterr().err
