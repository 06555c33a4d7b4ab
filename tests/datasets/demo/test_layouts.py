"""The plan of the demo world: official names and lists, groups, and pairs of people. Nothing is rendered here."""

import csv
import io
import json
import re
from collections import Counter, defaultdict

import pytest
from crossfake.datasets.demo.methods import FFPP_METHODS, METHODS
from crossfake.datasets.demo.people import GENDERS, RACES
from crossfake.datasets.demo.population import Population, pair_off
from crossfake.datasets.demo.shots import Shot
from crossfake.datasets.demo.world import plan_world

SIZES = ["tiny", "default", "large", "fair"]


@pytest.fixture(scope="module", params=SIZES)
def layout(request):
    return plan_world(request.param, 0, "standard")


@pytest.fixture(scope="module")
def default():
    return plan_world("default", 0, "standard")


@pytest.fixture(scope="module")
def leaky():
    return plan_world("default", 0, "leak")


def of(shots: list[Shot], dataset: str, split: str | None = None) -> list[Shot]:
    return [s for s in shots if s.dataset == dataset and split in (None, s.split)]


def people(shots: list[Shot]) -> set[str]:
    donors = {fake.donor.person.name for shot in shots for fake in shot.fakes}
    return {shot.clip.person.name for shot in shots} | donors


def count_by_group(shots: list[Shot]) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    real, fake = Counter(), Counter()
    for shot in shots:
        group = (shot.clip.person.gender, shot.clip.person.race)
        real[group] += 1
        fake[group] += len(shot.fakes)
    return real, fake


def ratios(shots: list[Shot]) -> dict[tuple[str, str], float]:
    real, fake = count_by_group(shots)
    return {group: fake[group] / real[group] for group in real}


def test_no_two_videos_share_a_path(layout):
    paths = [video for shot in layout.shots for video in shot.videos]
    assert len(paths) == len(set(paths))


def test_ffpp_names_follow_the_split_files(layout):
    for split in ("train", "val", "test"):
        listed = json.loads(layout.texts[f"FaceForensics++/{split}.json"])
        ids = {i for pair in listed for i in pair}
        assert len(ids) == 2 * len(listed)
        shots = of(layout.shots, "ffpp", split)
        home = "FaceForensics++/original_sequences/youtube/c23/videos"
        assert {shot.real for shot in shots} == {f"{home}/{i}.mp4" for i in ids}
        allowed = {f"{a}_{b}" for a, b in listed} | {f"{b}_{a}" for a, b in listed}
        for shot in shots:
            for fake in shot.fakes:
                method, target, source = re.fullmatch(
                    r"FaceForensics\+\+/manipulated_sequences/(\w+)/c23/videos/(\d{3})_(\d{3})\.mp4", fake.path
                ).groups()
                assert method in FFPP_METHODS
                assert f"{target}_{source}" in allowed
                assert shot.real.endswith(f"/{target}.mp4")
                masked = f"FaceForensics++/manipulated_sequences/{method}/masks/videos/{target}_{source}.mp4"
                assert fake.mask == (masked if shot.clip.companion else None)
                assert fake.donor == next(s.clip for s in shots if s.real.endswith(f"/{source}.mp4"))


def test_all_methods_are_trained_on(layout):
    shots = of(layout.shots, "ffpp", "train")
    assert {fake.method for shot in shots for fake in shot.fakes} == set(FFPP_METHODS)


def test_dfd_names(layout):
    for shot in of(layout.shots, "dfd"):
        actor, scene = re.fullmatch(
            r"FaceForensics\+\+/original_sequences/actors/c23/videos/(\d\d)__([a-z_]+)\.mp4", shot.real
        ).groups()
        folder = "FaceForensics\\+\\+/manipulated_sequences/DeepFakeDetection/c23/videos"
        for fake in shot.fakes:
            assert re.fullmatch(rf"{folder}/{actor}_(?!{actor})\d\d__{scene}__[A-Z0-9]{{8}}\.mp4", fake.path)


def test_celebdf_list_has_1_for_real(layout):
    lines = layout.texts["Celeb-DF-v2/List_of_testing_videos.txt"].splitlines()
    real, youtube = r"1 Celeb-real/id\d+_\d{4}\.mp4", r"1 YouTube-real/\d{5}\.mp4"
    fake = r"0 Celeb-synthesis/id(\d+)_id(?!\1_)\d+_\d{4}\.mp4"
    assert all(re.fullmatch(f"{real}|{youtube}|{fake}", line) for line in lines)
    tested = {f"Celeb-DF-v2/{line[2:]}" for line in lines}
    shots = of(layout.shots, "celebdf")
    assert tested == {v for shot in shots if shot.split == "test" for v in shot.videos}
    assert {v for shot in shots if shot.split == "train" for v in shot.videos}


def test_dfdc_lists(layout):
    rows = list(csv.DictReader(io.StringIO(layout.texts["DFDC/test/labels.csv"])))
    labels = {f"DFDC/test/{row['filename']}": int(row["label"]) for row in rows}
    assert labels == {v: int(v != s.real) for s in of(layout.shots, "dfdc", "test") for v in s.videos}
    listed = {}
    for path, text in layout.texts.items():
        if path.endswith("metadata.json"):
            listed |= {path.replace("metadata.json", name): row for name, row in json.loads(text).items()}
    shots = of(layout.shots, "dfdc", "train")
    assert set(listed) == {v for s in shots for v in s.videos}
    for shot in shots:
        assert listed[shot.real] == {"label": "REAL", "split": "train"}
        for fake in shot.fakes:
            original = shot.real.rsplit("/", 1)[1]
            assert listed[fake.path] == {"label": "FAKE", "split": "train", "original": original}
    assert all(re.fullmatch(r"[a-z]{10}\.mp4", v.rsplit("/", 1)[1]) for s in shots for v in s.videos)


def test_every_video_is_in_the_table_of_groups_with_the_group_of_its_target(layout):
    tables = {"ffpp": "FaceForensics++/demographics.csv", "dfd": "FaceForensics++/demographics_dfd.csv"}
    tables |= {"celebdf": "Celeb-DF-v2/demographics.csv", "dfdc": "DFDC/demographics.csv"}
    for dataset, path in tables.items():
        home = path.rsplit("/", 1)[0]
        rows = list(csv.DictReader(io.StringIO(layout.texts[path])))
        found = {f"{home}/{row['video']}": (row["gender"], row["race"]) for row in rows}
        shots = of(layout.shots, dataset)
        assert found == {v: (s.clip.person.gender, s.clip.person.race) for s in shots for v in s.videos}


def test_nobody_is_in_two_splits_or_datasets(layout):
    seen = defaultdict(set)
    for shot in layout.shots:
        # Celeb-DF splits by video, not by person, as the original does.
        where = shot.dataset if shot.dataset == "celebdf" else f"{shot.dataset} {shot.split}"
        for name in people([shot]):
            seen[name].add(where)
    assert {name: places for name, places in seen.items() if len(places) > 1} == {}


def test_nobody_is_their_own_donor(layout):
    assert all(fake.donor.person != shot.clip.person for shot in layout.shots for fake in shot.fakes)


def test_no_dataset_shares_a_method_with_another(layout):
    used = defaultdict(set)
    for shot in layout.shots:
        for fake in shot.fakes:
            used[fake.method].add(shot.dataset)
    assert all(len(datasets) == 1 for datasets in used.values())
    rows = [METHODS[name] for name in used]
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("size", ["default", "large"])
def test_minorities_have_fewer_real_videos_for_their_fakes_in_training(size):
    shots = of(plan_world(size, 0, "standard").shots, "ffpp", "train")
    found = ratios(shots)
    assert len(found) == 8
    assert all(ratio == (5 / 4 if race == "white" else 5.0) for (_, race), ratio in found.items())
    sizes = Counter((s.clip.person.gender, s.clip.person.race) for s in shots if s.clip.take == 0)
    assert sizes["female", "white"] > sizes["male", "white"] > 4 * sizes["male", "asian"] > 0
    assert len(set(sizes.values())) >= 4


@pytest.mark.parametrize("dataset", ["ffpp", "celebdf", "dfd", "dfdc"])
def test_the_mix_of_real_and_fake_is_the_same_for_all_groups_in_tests(default, dataset):
    found = ratios(of(default.shots, dataset, "test"))
    assert set(found) == {(gender, race) for gender in GENDERS for race in RACES}
    assert len(set(found.values())) == 1
    assert 1 <= min(found.values()) <= 3


@pytest.mark.parametrize(
    ("size", "dataset", "least"),
    [
        *[("default", dataset, 5) for dataset in ("ffpp", "celebdf", "dfd", "dfdc")],
        ("fair", "ffpp", 40),
        ("fair", "dfdc", 40),
    ],
)
def test_every_group_has_enough_real_and_fake_videos_to_be_measured(size, dataset, least):
    real, fake = count_by_group(of(plan_world(size, 0, "standard").shots, dataset, "test"))
    assert len(real) == len(fake) == 8
    assert min(*real.values(), *fake.values()) >= least


def test_a_false_positive_rate_of_five_percent_can_be_set_on_the_validation_videos(default):
    shots = of(default.shots, "ffpp", "val")
    assert len(shots) >= 40
    assert len({shot.clip.person for shot in shots}) == len(shots)


def test_each_person_in_the_tests_of_ffpp_is_filmed_once_and_all_methods_are_tested_alike(default):
    shots = of(default.shots, "ffpp", "test")
    assert len({shot.clip.person for shot in shots}) == len(shots)
    assert set(Counter(fake.method for shot in shots for fake in shot.fakes).values()) == {24}


@pytest.mark.parametrize("dataset", ["celebdf", "dfd"])
def test_donors_are_seen_in_videos_of_several_targets(default, dataset):
    targets, donors = defaultdict(set), defaultdict(set)
    for shot in of(default.shots, dataset, "test"):
        for fake in shot.fakes:
            targets[fake.donor.person.name].add(shot.clip.person.name)
            donors[shot.clip.person.name].add(fake.donor.person.name)
    assert set(map(len, donors.values())) == {3}
    shared = sorted(map(len, targets.values()))
    assert shared[0] >= 1
    if dataset == "dfd":
        assert set(shared) == {3}
    else:  # In its test list some donors have one target, others a quarter of all targets.
        assert shared[0] == 1
        assert shared[-1] >= 6


def test_some_videos_show_two_people_and_either_may_be_forged(default):
    for dataset in ("ffpp", "dfd", "dfdc"):
        shots = of(default.shots, dataset, "test")
        company = [shot for shot in shots if shot.clip.companion]
        assert 0.1 <= len(company) / len(shots) <= 0.2
        assert {shot.clip.is_main for shot in company} == {True, False}
        for shot in company:
            companion, person = shot.clip.companion, shot.clip.person
            assert companion.name != person.name
            assert (companion.gender, companion.race) == (person.gender, person.race)
            assert all(bool(fake.mask) == (dataset != "dfdc") for fake in shot.fakes)
    assert not any(shot.clip.companion for shot in of(default.shots, "celebdf"))
    assert not any(shot.clip.companion for shot in plan_world("tiny", 0, "standard").shots)


def test_each_training_person_is_faked_by_each_method_once(default):
    fakes = Counter((s.clip.person.name, f.method) for s in of(default.shots, "ffpp", "train") for f in s.fakes)
    assert set(fakes.values()) == {1}
    assert len(fakes) == 32 * 5


def test_lengths_are_those_of_the_clips_and_reveal_nothing(default):
    lengths = {shot.clip: shot.clip.frames for shot in default.shots}
    assert set(lengths.values()) == {6, 7, 8}


@pytest.mark.parametrize("count", [2, 4, 10, 14])
def test_pairs_meet_everybody_once_and_others_in_each_round(count):
    everybody = Population(male=(count, 0, 0, 0)).people("p", 0)
    met = Counter()
    for round_ in range(count - 1):
        paired = pair_off(everybody, round_)
        assert sorted(p.name for pair in paired for p in pair) == [p.name for p in everybody]
        met.update(frozenset(p.name for p in pair) for pair in paired)
    assert set(met.values()) == {1}
    assert len(met) == count * (count - 1) / 2


def test_leak_world_has_three_donors_in_all_splits_and_three_others_in_the_second_root(leaky):
    old, new = of(leaky.shots, "ffpp"), of(leaky.shots, "ffpp-new-donors")
    donors = {split: {f.donor.person for s in of(old, "ffpp", split) for f in s.fakes} for split in ("train", "test")}
    others = {f.donor.person for s in new for f in s.fakes}
    assert donors["train"] == donors["test"]
    assert len(donors["train"]) == len(others) == 3
    assert not donors["train"] & others
    assert {(p.gender, p.race) for p in others} == {(p.gender, p.race) for p in donors["test"]}
    assert not {s.clip.person for s in leaky.shots} & (donors["train"] | others)


def test_leak_world_differs_in_the_donors_only(leaky):
    old, new = of(leaky.shots, "ffpp", "test"), of(leaky.shots, "ffpp-new-donors", "test")
    assert [s.clip for s in old] == [s.clip for s in new]
    assert [f"new_donors/{s.real}" for s in old] == [s.real for s in new]
    assert [[f.method for f in s.fakes] for s in old] == [[f.method for f in s.fakes] for s in new]
    assert {f.method for s in old for f in s.fakes} == {"Leak-A", "Leak-B"}


def test_leak_world_lists_every_fake(leaky):
    for home in ("FaceForensics++", "new_donors/FaceForensics++"):
        for split in ("train", "val", "test"):
            listed = json.loads(leaky.texts[f"{home}/{split}.json"])
            shots = [s for s in leaky.shots if s.real.startswith(f"{home}/") and s.split == split]
            names = {f.path.rsplit("/", 1)[1] for s in shots for f in s.fakes}
            assert names == {f"{a}_{b}.mp4" for a, b in listed}
            assert {s.real.rsplit("/", 1)[1] for s in shots} == {f"{a}.mp4" for a, _ in listed}
