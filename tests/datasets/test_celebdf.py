"""Celeb-DF: labels and splits from its layout and test list. The files are empty; nothing is decoded."""

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.datasets.celebdf import LIST, CelebDF

TEST_LIST = "1 Celeb-real/id1_0000.mp4\n0 Celeb-synthesis/id1_id0_0000.mp4\n1 YouTube-real/00007.mp4\n"
FILES = {
    LIST: TEST_LIST,
    "YouTube-real/00001.mp4": None,
    "Celeb-real/id1_0000.mp4": None,
    **{f"Celeb-real/id{i}_0003.mp4": None for i in range(40)},
    **{f"Celeb-synthesis/id{i}_id{(i + 1) % 40}_0003.mp4": None for i in range(40)},
    "Celeb-synthesis/id5_id6_0099.mp4": None,
}


@pytest.fixture
def videos(plant):
    return {v.id: v for v in CelebDF().videos(plant(FILES), "")}


def test_one_means_real_in_the_test_list(videos):
    test = {v.id: v.label for v in videos.values() if v.split == "test"}
    assert test == {"Celeb-real/id1_0000.mp4": 0, "Celeb-synthesis/id1_id0_0000.mp4": 1, "YouTube-real/00007.mp4": 0}


def test_a_listed_video_missing_on_disk_is_still_listed(videos):
    assert not videos["YouTube-real/00007.mp4"].path.exists()


def test_the_rest_is_train_or_val(videos):
    assert len(videos) == 3 + 1 + 40 + 40 + 1
    assert {v.split for v in videos.values() if v.id not in TEST_LIST} == {"train", "val"}


def test_source_and_identities_come_from_the_name(videos):
    fake = videos["Celeb-synthesis/id5_id6_0003.mp4"]
    assert fake.original == "Celeb-real/id5_0003.mp4"
    assert fake.identities == ("id5", "id6")
    assert videos["Celeb-synthesis/id5_id6_0099.mp4"].original is None
    assert videos["Celeb-real/id5_0003.mp4"].identities == ("id5",)
    assert videos["YouTube-real/00001.mp4"].identities == ()


def test_held_out_people_are_few_and_keep_their_fakes(videos):
    val = {v.identities[0] for v in videos.values() if v.split == "val" and v.identities}
    train = {v.identities[0] for v in videos.values() if v.split == "train" and v.identities}
    assert 1 <= len(val) <= 10
    assert not val & train
    assert {v.label for v in videos.values() if v.split == "val"} == {0, 1}


def test_held_out_people_do_not_depend_on_the_others(plant, videos):
    kept = {name: content for name, content in FILES.items() if "id1" in name or "id2" in name or name == LIST}
    home = plant({})
    for name in FILES.keys() - kept.keys():
        (home / name).unlink()
    fewer = CelebDF().videos(plant(kept), "")
    before = {v.id for v in fewer if videos[v.id].split == "val"}
    assert before <= {v.id for v in fewer if v.split == "val"}


def test_a_small_copy_still_has_a_real_and_a_fake_to_select_on(plant):
    names = [n for i in range(3) for n in (f"Celeb-real/id{i}_0001.mp4", f"Celeb-synthesis/id{i}_id9_0001.mp4")]
    videos = CelebDF().videos(plant({LIST: TEST_LIST, **dict.fromkeys(names)}), "")
    assert {v.label for v in videos if v.split == "val"} == {0, 1}
    assert {v.label for v in videos if v.split == "train"} == {0, 1}


def test_folder_spelt_youtube_real_with_a_small_t_is_the_same(plant):
    home = plant({LIST: TEST_LIST, "Celeb-synthesis/id0_id1_0000.mp4": None, "Youtube-real/00007.mp4": None})
    videos = {v.id: v for v in CelebDF().videos(home, "")}
    assert videos["Youtube-real/00007.mp4"].path.exists()
    assert videos["Youtube-real/00007.mp4"].split == "test"


@pytest.mark.parametrize("line", ["0 Celeb-real/id1_0000.mp4", "Celeb-real/id1_0000.mp4", "1 elsewhere/id1.mp4"])
def test_bad_line_of_the_list_is_named(plant, line):
    with pytest.raises(BenchError, match=rf"{LIST}, line 4: expected .*1 is real.*found '{line}'"):
        CelebDF().videos(plant({LIST: TEST_LIST + line, "Celeb-synthesis/id0_id1_0000.mp4": None}), "")


def test_missing_list_is_named(plant):
    home = plant({"Celeb-DF-v2/Celeb-synthesis/id0_id1_0000.mp4": None}) / "Celeb-DF-v2"
    assert CelebDF().home(home.parent) == home
    with pytest.raises(BenchError, match=rf"no {LIST}, the test list of Celeb-DF: expected at .*comes with the videos"):
        CelebDF().videos(home, "")
