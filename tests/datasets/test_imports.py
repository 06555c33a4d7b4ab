"""Faces prepared by other tools: DeepfakeBench's crops, CADDM's frames, the fairness papers' crops."""

import json
import shutil
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from command_line import bench
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.settings import FaceSettings
from crossfake.benchmark.core.types import Picture
from crossfake.datasets.base import load_videos
from crossfake.datasets.deepfakebench import _list_folder
from crossfake.datasets.faces.pictures import read_pictures
from crossfake.datasets.faces.prepare import prepare
from crossfake.datasets.faces.sampling import VideoFile

SETTINGS = FaceSettings(finder="mediapipe", frames=4)
POINTS = np.stack([np.linspace(60, 200, 81), 128 + 70 * np.sin(np.arange(81))], axis=1).astype(int)
YOUTUBE, DEEPFAKES = "original_sequences/youtube/c23/frames", "manipulated_sequences/Deepfakes/c23/frames"


def grey(level: int) -> np.ndarray:
    return np.full((256, 256, 3), level, np.uint8)


def plant_crop(path: Path, level: int, points: np.ndarray | None = POINTS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), grey(level))
    if points is not None:
        landmarks = Path(str(path).replace("/frames/", "/landmarks/")).with_suffix(".npy")
        landmarks.parent.mkdir(parents=True, exist_ok=True)
        np.save(landmarks, points)


def record(label: str, folder: str, names=("000.png", "010.png"), form="./datasets/rgb/{}") -> dict:
    return {"label": label, "frames": [form.format(f"{folder}/{name}") for name in names]}


def ffpp(form="./datasets/rgb/{}", compression="c23", names=("010.png", "000.png")) -> dict:
    def video(label: str, folder: str) -> dict:
        full = f"FaceForensics++/{folder}".replace("c23", compression)
        return {compression: {Path(folder).name: record(label, full, names, form)}}

    face2face = DEEPFAKES.replace("Deepfakes", "Face2Face")
    none: dict = {compression: {}}
    return {
        "FaceForensics++": {
            "FF-real": {
                "train": video("FF-real", f"{YOUTUBE}/071"),
                "val": none,
                "test": video("FF-real", f"{YOUTUBE}/000"),
            },
            "FF-DF": {
                "train": video("FF-DF", f"{DEEPFAKES}/071_054"),
                "val": none,
                "test": video("FF-DF", f"{DEEPFAKES}/000_003"),
            },
            "FF-F2F": {"test": video("FF-F2F", f"{face2face}/000_003")},
        }
    }


def plant_all(root: Path, rgb: str, content: dict, points: np.ndarray | None = POINTS) -> None:
    """Write every frame in a list, whatever form the paths have."""
    for text in _strings(content):
        if text.endswith(".png"):
            plant_crop(root / rgb / text[text.index("FaceForensics++") :].replace("\\", "/"), 99, points)


def _strings(content) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [s for v in (content.values() if isinstance(content, dict) else content) for s in _strings(v)]


FORMS = ("./datasets/rgb/{}", "datasets/{}", "{}", "/home/me/DeepfakeBench/datasets/rgb/{}", "/mnt/big/{}", "D:/{}")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize("rgb", ["datasets/rgb", "rgb"])
def test_all_forms_of_paths_are_the_same_videos(plant, form, windows, rgb):
    content = ffpp(form)
    if windows:
        content = json.loads(json.dumps(content).replace("/", "\\\\"))
    root = plant({"preprocessing/dataset_json/FaceForensics++.json": content})
    plant_all(root, rgb, content)
    videos = load_videos("deepfakebench:FaceForensics++", root).videos
    face2face = DEEPFAKES.replace("Deepfakes", "Face2Face")
    assert {v.id: (v.label, v.method, v.split) for v in videos} == {
        f"FaceForensics++/{DEEPFAKES}/000_003": (1, "Deepfakes", "test"),
        f"FaceForensics++/{face2face}/000_003": (1, "Face2Face", "test"),
        f"FaceForensics++/{DEEPFAKES}/071_054": (1, "Deepfakes", "train"),
        f"FaceForensics++/{YOUTUBE}/000": (0, "real", "test"),
        f"FaceForensics++/{YOUTUBE}/071": (0, "real", "train"),
    }
    fake = videos[0]
    assert (fake.original, fake.identities) == (f"FaceForensics++/{YOUTUBE}/000", ("000", "003"))
    assert (fake.compression, fake.origin) == ("c23", "DeepfakeBench crops")
    assert [p.frame for p in fake.pictures] == [0, 10]
    assert all(Path(p.file).is_file() and Path(p.landmarks).is_file() for v in videos for p in v.pictures)


def test_crops_go_into_the_face_store_with_their_landmarks_and_origin(plant, tmp_path):
    content = ffpp(names=[f"{i:03d}.png" for i in range(0, 320, 10)])
    root = plant({"dataset_json/FaceForensics++.json": content})
    plant_all(root, "rgb", content)
    videos = load_videos("deepfakebench:FaceForensics++", root).videos
    store = prepare(videos, SETTINGS, tmp_path / "store")
    assert {(o.status, o.frames, o.origin) for o in store.outcomes().values()} == {
        ("ok", (0, 100, 200, 310), "DeepfakeBench crops")
    }
    face = store.faces(videos[0].id)[0]
    assert np.allclose(face.landmarks + face.top_left, POINTS)
    assert (face.crop == 99).all()
    assert face.frame_size == (256, 256)


def test_published_annotations_give_the_person_shown(plant):
    content = ffpp()
    path = "FaceForensics++/manipulated_sequences/Deepfakes/raw/face_images/071_054/frame1.png"
    table = f",path,label,male,asian,white,black\n0,{path},1,-1,1,-1,-1\n"
    root = plant({"dataset_json/FaceForensics++.json": content, "A-FF++.csv": table})
    plant_all(root, "rgb", content)
    groups = {v.id: dict(v.groups) for v in load_videos("deepfakebench:FaceForensics++", root).videos if v.groups}
    assert groups == {f"FaceForensics++/{DEEPFAKES}/071_054": {"gender": "female", "race": "asian"}}


def test_other_compressions_have_a_list_or_a_part_of_one(plant):
    root = plant({"dataset_json/FaceForensics++.json": ffpp(compression="c40")})
    plant_all(root, "rgb", ffpp(compression="c40"))
    assert {v.compression for v in load_videos("deepfakebench:FaceForensics++_c40", root).videos} == {"c40"}
    with pytest.raises(BenchError, match=r"FaceForensics\+\+\.json lists no videos, or none in c23"):
        load_videos("deepfakebench:FaceForensics++", root)
    plant({"dataset_json/FaceForensics++_c40.json": ffpp(compression="c40"), "dataset_json/FaceForensics++.json": {}})
    assert len(load_videos("deepfakebench:FaceForensics++_c40", root).videos) == 5


def celeb(folder: str, name: str) -> dict:
    label = "CelebDFv2_fake" if "synthesis" in folder else "CelebDFv2_real"
    return {name: record(label, f"Celeb-DF-v2/{folder}/frames/{name}", form="./datasets/rgb/{}")}


def test_known_defects_of_celeb_df_are_corrected(plant):
    reals = [("Celeb-real", f"id{i}_0000") for i in range(20)]
    fakes = [("Celeb-synthesis", f"id{i}_id{i + 1}_0000") for i in range(20)]
    lists = {}
    for label, videos in (("CelebDFv2_real", reals), ("CelebDFv2_fake", fakes)):
        tested = {k: v for video in videos[:5] for k, v in celeb(*video).items()}
        lists[label] = {
            "train": {k: v for video in videos for k, v in celeb(*video).items()},
            "val": tested,
            "test": tested,
        }
    root = plant({"dataset_json/Celeb-DF-v2.json": {"Celeb-DF-v2": lists}})
    plant_crop(root / "rgb/Celeb-DF-v2/Celeb-real/frames/id0_0000/000.png", 50, None)
    videos = {v.id: v for v in load_videos("deepfakebench:Celeb-DF-v2", root).videos}
    test = {v.path.parent.name for v in videos.values() if v.split == "test"}
    assert test == {name for _, name in (*reals[:5], *fakes[:5])}
    assert len(videos) == 40
    val = {v.identities[0] for v in videos.values() if v.split == "val"}
    train = {v.identities[0] for v in videos.values() if v.split == "train"}
    assert val
    assert not val & train
    fake = videos["Celeb-DF-v2/Celeb-synthesis/frames/id7_id8_0000"]
    assert fake.original == "Celeb-DF-v2/Celeb-real/frames/id7_0000"
    assert videos["Celeb-DF-v2/Celeb-real/frames/id0_0000"].pictures[0].landmarks == ""


def test_dfdcs_single_record_for_validation_is_left_out(plant):
    def videos(label, names):
        return {n: record(label, f"DFDC/test/frames/{n}") for n in names}

    defect = record("DFDC_Real", "DFDC/test/frames/bbb")
    lists = {
        "DFDC_Real": {"train": {}, "val": defect, "test": videos("DFDC_Real", ["aaa", "bbb"])},
        "DFDC_Fake": {"train": {}, "val": defect, "test": videos("DFDC_Fake", ["ccc"])},
    }
    root = plant({"DFDC.json": {"DFDC": lists}})
    plant_crop(root / "DFDC/test/frames/aaa/000.png", 50)
    assert {(v.path.parent.name, v.label, v.split) for v in load_videos("deepfakebench:DFDC", root).videos} == {
        ("aaa", 0, "test"),
        ("bbb", 0, "test"),
        ("ccc", 1, "test"),
    }


@pytest.mark.parametrize("width", [np.int32, np.int64])
@pytest.mark.parametrize("spelling", ["windows", "linux", "posix"])
def test_lmdb_is_read_whichever_tool_wrote_it(plant, tmp_path, spelling, width):
    content = ffpp("{}")
    root = plant({"preprocessing/dataset_json/FaceForensics++.json": content})
    plant_all(root, "rgb", content)
    database = root / "datasets/lmdb/FaceForensics++_lmdb"
    database.mkdir(parents=True)
    with lmdb.open(str(database), map_size=1 << 24) as written, written.begin(write=True) as values:
        for path in (root / "rgb").rglob("*.*"):
            key = path.relative_to(root / "rgb").as_posix()
            spelt = {"windows": key.replace("/", "\\"), "linux": key.replace("/", "\\", 1), "posix": key}[spelling]
            is_image = path.suffix == ".png"
            values.put(spelt.encode(), path.read_bytes() if is_image else np.load(path).astype(width).tobytes())
    shutil.rmtree(root / "rgb")
    videos = load_videos("deepfakebench:FaceForensics++", root).videos
    store = prepare(videos, SETTINGS, tmp_path / "store")
    assert {(o.status, o.frames, o.origin) for o in store.outcomes().values()} == {
        ("ok", (0, 10), "DeepfakeBench LMDB")
    }
    face = store.faces(videos[0].id)[0]
    assert np.allclose(face.landmarks + face.top_left, POINTS)


def test_missing_files_are_reported(plant):
    root = plant({"rgb/x": None})
    with pytest.raises(BenchError, match=r"no list UADFV\.json of DeepfakeBench.*Lists there: none \(rgb\)"):
        load_videos("deepfakebench:UADFV", root)
    plant(
        {
            "dataset_json/Celeb-DF-v2.json": {
                "Celeb-DF-v2": {"CelebDFv2_real": {"test": celeb("Celeb-real", "id0_0000")}}
            }
        }
    )
    with pytest.raises(BenchError, match=r"Did you mean 'Celeb-DF-v2'\?"):
        load_videos("deepfakebench:Celeb-DF-v1", root)
    with pytest.raises(
        BenchError, match=r"no pictures in .*looked for Celeb-DF-v2/Celeb-real/frames/id0_0000/000\.png"
    ):
        load_videos("deepfakebench:Celeb-DF-v2", root)


def test_masks_show_who_was_forged_where_landmarks_do_not(plant):
    root = plant({"dataset_json/FaceForensics++.json": ffpp()})
    plant_all(root, "rgb", ffpp(), points=None)
    (root / "rgb" / "FaceForensics++" / DEEPFAKES.replace("frames", "masks") / "071_054").mkdir(parents=True)
    masks = {v.id.rpartition("/")[2]: v.mask for v in load_videos("deepfakebench:FaceForensics++", root).videos}
    assert {name for name, mask in masks.items() if mask} == {"071", "071_054"}
    assert masks["071"] == masks["071_054"]
    plant_all(root, "rgb", ffpp())
    _list_folder.cache_clear()
    assert not any(v.mask for v in load_videos("deepfakebench:FaceForensics++", root).videos)


@pytest.mark.parametrize("name", ["x.png", "000", f"000.{'p' * 300}", f"{'p' * 300}/000.png"])
def test_frames_without_a_file_are_reported(plant, name):
    videos = {"000": {"label": "FF-real", "frames": [f"rgb/FaceForensics++/{name}"]}}
    content = json.dumps({"FaceForensics++": {"FF-real": {"test": {"c23": videos}}}})
    root = plant({"dataset_json/FaceForensics++.json": content})
    with pytest.raises(BenchError, match=r"isn't named by its number|bytes, which no file can have"):
        load_videos("deepfakebench:FaceForensics++", root)


@pytest.mark.parametrize("content", ["[", "[]", "{}", '{"FaceForensics++": {"FF-real": []}}', "[" * 10_000])
def test_an_invalid_list_is_refused_with_what_is_wrong(plant, capsys, content):
    root = plant({"dataset_json/FaceForensics++.json": content})
    assert bench("data import deepfakebench --workers 0", root) == 2
    assert "FaceForensics++.json" in capsys.readouterr().err
    with pytest.raises(BenchError, match=r"Lists there: FaceForensics\+\+\. Name one: deepfakebench:FaceForensics\+\+"):
        load_videos("deepfakebench", root)


def test_all_lists_are_imported_except_parts_of_others(plant, capsys, tmp_path):
    content = ffpp(names=("000.png",))
    root = plant({f"dataset_json/{name}.json": content for name in ("FaceForensics++", "FF-DF")})
    plant({"dataset_json/notes.json": {"a": 1}})
    plant_all(root, "rgb", content)
    assert bench("data import deepfakebench --workers 1", root) == 0
    assert capsys.readouterr().out.splitlines()[-1:] == [
        f"to use it: bench run ... --data {root} --test deepfakebench:FaceForensics++"
    ]
    assert len(load_videos("deepfakebench:FF-DF", root).videos) == 5


def test_a_missing_lmdb_is_reported():
    with pytest.raises(BenchError, match=r"/data/x_lmdb can't be read: No such file"):
        list(read_pictures([Picture(0, "/data/x_lmdb", "x/000.png")]))


def test_pictures_that_cannot_be_read_are_counted(tmp_path):
    plant_crop(tmp_path / "frames/a/0.png", 7)
    (tmp_path / "text.png").write_text("no picture")
    files = ["frames/a/0.png", "text.png", "missing.png"]
    found = list(read_pictures([Picture(i, str(tmp_path / f)) for i, f in enumerate(files)]))
    assert [(i, image.shape) for i, image in found] == [(0, (256, 256, 3))]


# --- CADDM -----------------------------------------------------------------------------------------------------------


def caddm(tmp_path: Path, folder: str, videos: dict[str, int], frames: int = 1, backslashes: bool = False) -> dict:
    """Write frames, and return their ldm.json. All frames of a video have the landmarks of its last one."""
    entries = {}
    for video, label in videos.items():
        for n in range(frames):
            path = tmp_path / folder / f"{video}/frame_{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), grey(40 + n))
            key = f"./{folder}/{video}/frame_{n}"
            name = Path(video).name.split("_")[0]
            source = f"./{folder}/original_sequences/youtube/raw/frames/{name}/frame_{n}"
            facts = {"landmark": POINTS.tolist(), "source_path": source, "label": label}
            entries[key.replace("/", "\\") if backslashes else key] = facts
    return entries


REAL, FAKE = "original_sequences/youtube/raw/frames/000", "manipulated_sequences/FaceSwap/raw/frames/000_003"


@pytest.mark.parametrize("backslashes", [False, True])
def test_caddms_frames_are_videos_with_their_landmarks(tmp_path, backslashes):
    entries = caddm(tmp_path, "test_images", {REAL: 0, FAKE: 1}, backslashes=backslashes)
    (tmp_path / "test_images/ldm.json").write_text(json.dumps(entries))
    fake, real = load_videos("caddm-frames", tmp_path).videos
    assert (real.id, real.label, real.split, real.method) == (f"test_images/{REAL}", 0, "test", "real")
    assert (fake.id, fake.label, fake.method, fake.original) == (f"test_images/{FAKE}", 1, "FaceSwap", real.id)
    assert fake.identities == ("000", "003")
    store = prepare([fake, real], SETTINGS, tmp_path / "store")
    face = store.faces(fake.id)[0]
    assert np.allclose(face.landmarks + face.top_left, POINTS)
    assert store.outcomes()[fake.id].origin == "CADDM frames, ldm.json"
    alone = load_videos("caddm-frames", tmp_path / "test_images").videos
    assert [v.id for v in alone] == [FAKE, REAL]


def test_landmarks_shared_by_all_frames_are_believed_in_the_last_one_only(tmp_path):
    entries = caddm(tmp_path, "train_images", {REAL: 0}, frames=12)
    (tmp_path / "train_images/ldm.json").write_text(json.dumps(entries))
    (video,) = load_videos("caddm-frames", tmp_path).videos
    assert video.split == "train"
    assert [p.frame for p in video.pictures] == list(range(12))
    assert [bool(p.landmarks) for p in video.pictures] == [False] * 11 + [True]


def test_caddms_landmarks_that_are_not_numbers_are_lost_by_frame(tmp_path, recwarn):
    entries = caddm(tmp_path, "train_images", {REAL: 0}, frames=4)
    for number, bad in enumerate((float("nan"), 1e300, POINTS.tolist(), [[5000, 0]] * 81)):
        points = bad if isinstance(bad, list) else [[bad, bad]] * 81
        entries[f"./train_images/{REAL}/frame_{number}"]["landmark"] = points
    (tmp_path / "train_images/ldm.json").write_text(json.dumps(entries))
    (video,) = load_videos("caddm-frames", tmp_path).videos
    outcome = prepare([video], SETTINGS, tmp_path / "store").outcomes()[video.id]
    assert outcome.frames == (2,)
    assert outcome.lost == ((0, "it has no landmarks"), (1, "it has no landmarks"), (3, "a face of 0 x 0 pixels"))
    assert not recwarn.list


def test_landmarks_elsewhere_are_named(tmp_path, capsys):
    entries = caddm(tmp_path, "frames", {REAL: 0, FAKE: 1})
    (tmp_path / "points").mkdir()
    file = tmp_path / "points" / "mine.json"
    file.write_text(json.dumps(entries))
    with pytest.raises(BenchError, match=r"no ldm\.json in .*--landmarks FILE"):
        load_videos("caddm-frames", tmp_path / "frames")
    assert bench("data import caddm-frames --workers 1", tmp_path / "frames", landmarks=file) == 0
    said = capsys.readouterr().out
    assert f"--data {tmp_path / 'frames'} --test caddm-frames:{file}" in said


def test_entries_foreign_to_caddm_are_refused(tmp_path):
    (tmp_path / "ldm.json").write_text(json.dumps({"a/frame_0": {"landmark": [[1, 2]], "label": 0}}))
    with pytest.raises(BenchError, match=r"ldm\.json: the entry a/frame_0 isn't in CADDM's format"):
        load_videos("caddm-frames", tmp_path)


# --- the fairness papers ---------------------------------------------------------------------------------------------

HEADER = "img_path,label,ismale,isasian,iswhite,isblack,intersec_label"


@pytest.fixture
def crops(tmp_path, clips):
    """Crops of a demo face in two folders, real and fake, and a test.csv of them in the papers' format."""
    rows = []
    for folder, label in (("real/000", 0), ("fake/000_003", 1)):
        for i, frame in VideoFile(clips["h264"]).frames([0, 3]):
            path = tmp_path / folder / f"frame{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            rows.append(f"/their/disk/{folder}/frame{i}.png,{label},-1,1,-1,-1,4")
    (tmp_path / "test.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return tmp_path


def test_the_papers_crops_are_videos_by_folder_with_their_groups(crops):
    fake, real = load_videos("crops-csv", crops).videos
    assert (fake.id, fake.label, fake.split, dict(fake.groups)) == (
        "fake/000_003", 1, "test", {"gender": "female", "race": "asian"},
    )  # fmt: skip
    assert (real.id, real.label, [p.frame for p in real.pictures]) == ("real/000", 0, [0, 3])
    store = prepare([fake, real], SETTINGS, crops / "store")
    assert {(o.status, o.origin) for o in store.outcomes().values()} == {("ok", "fairness papers' crops")}


def test_crops_of_both_classes_in_one_folder_are_separate_videos(plant):
    rows = "".join(f"all/{name}.png,{label},1,-1,1,-1,1\n" for name, label in (("a1", 0), ("b1", 1)))
    root = plant({"test.csv": f"{HEADER}\n{rows}", "all/a1.png": None})
    assert [(v.id, v.label) for v in load_videos("crops-csv", root).videos] == [("all/a1.png", 0), ("all/b1.png", 1)]


def test_missing_crops_are_reported(plant):
    root = plant({"list.csv": f"{HEADER}\na/1.png,0,1,-1,1,-1,1\n"})
    with pytest.raises(BenchError, match=r"no realtrain\.csv, .*crops-csv:FILE"):
        load_videos("crops-csv", root)
    with pytest.raises(BenchError, match=r"the crop a/1\.png isn't in .*, not even by part of its path"):
        load_videos("crops-csv:list.csv", root)


def test_imported_faces_are_scored_and_the_predictions_give_their_origin(crops, tmp_path, capsys):
    from crossfake.benchmark.core.predictions import read_predictions

    toy = f"{Path(__file__).parents[1] / 'benchmark' / 'toy.py'}:Brightness"
    assert bench("data import crops-csv --workers 1", crops) == 0
    assert "| fake     |" in capsys.readouterr().out
    asked = "predict --test crops-csv --workers 0"
    assert bench(asked, detector=toy, data=crops, out=tmp_path / "out") == 0
    table, metadata = read_predictions(next((tmp_path / "out").glob("*.parquet")))
    assert metadata.origins == ["fairness papers' crops"]
    assert (len(table), set(table["gender"])) == (4, {"female"})
