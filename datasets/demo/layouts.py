"""Defines layouts, and those of DeepFakeDetection, Celeb-DF v2 and the DFDC.

A layout is the plan of a dataset: every video with its official path, and the text of the official lists. It is plain
data; `film` turns it into files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .face_grid import make_rng
from .methods import DFDC_METHODS, choose_in_turn
from .people import Person
from .population import Population, Size, choose_donors, draw_donors, make_clip
from .shots import Clip, Fake, Shot

FFPP, CELEB, DFDC = "FaceForensics++", "Celeb-DF-v2", "DFDC"
SCENES = ("exit_phone_room", "kitchen_pan", "podium_speech_happy", "talking_against_wall", "walk_down_hall_angry")
DFDC_PARTS = 2


class Layout(NamedTuple):
    """The videos of a dataset, and its text files by path; all paths are relative to the root."""

    shots: list[Shot]
    texts: dict[str, str]


def make_demographics_table(home: str, shots: Iterable[Shot]) -> str:
    """Return the table of groups for a dataset's videos; a fake has its target's group."""
    rows = [
        f"{video.removeprefix(home + '/')},{shot.clip.person.gender},{shot.clip.person.race}"
        for shot in shots
        for video in shot.videos
    ]
    return "\n".join(["video,gender,race", *sorted(rows)]) + "\n"


def make_ffpp_fake(home: str, folder: str, name: str, method: str, clip: Clip, donor: Clip) -> Fake:
    """Return a fake in the FaceForensics++ tree; if two people are shown, its mask tells who was forged."""
    parent = f"{home}/manipulated_sequences/{folder}"
    mask = f"{parent}/masks/videos/{name}" if clip.companion else None
    return Fake(f"{parent}/c23/videos/{name}", method, donor, mask)


# --- DeepFakeDetection -----------------------------------------------------------------------------------------------


def plan_dfd(size: Size, seed: int) -> Layout:
    """Plan DeepFakeDetection, which is in the FaceForensics++ tree and has no splits."""
    actors, rng = size.dfd.actors.people("dfd", seed), make_rng(seed, "dfd names")
    shots = [_make_dfd_shot(actors, actor, take, size, rng) for actor in actors for take in range(size.dfd.scenes)]
    return Layout(shots, {f"{FFPP}/demographics_dfd.csv": make_demographics_table(FFPP, shots)})


def _make_dfd_shot(actors: list[Person], actor: Person, take: int, size: Size, rng: np.random.Generator) -> Shot:
    number = actors.index(actor) + 1
    scene = SCENES[(number + take) % len(SCENES)]
    clip, fakes = make_clip(actor, take, "dfd", size.filming), []
    for donor in choose_donors(actors, actor, size.dfd.donors, skip=take * size.dfd.donors):
        code = "".join(rng.choice(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), 8))
        name = f"{number:02d}_{actors.index(donor) + 1:02d}__{scene}__{code}.mp4"
        fakes.append(
            make_ffpp_fake(FFPP, "DeepFakeDetection", name, "DFD", clip, make_clip(donor, take, "dfd", size.filming))
        )
    real = f"{FFPP}/original_sequences/actors/c23/videos/{number:02d}__{scene}.mp4"
    return Shot("dfd", "test", clip, real, tuple(fakes))


# --- Celeb-DF v2 -----------------------------------------------------------------------------------------------------


def plan_celebdf(size: Size, seed: int) -> Layout:
    """Plan Celeb-DF v2: its test list, and training videos of some of the same celebrities."""
    people = size.celeb.celebrities.people("celebdf", seed)
    tested = [_make_celeb_shot("test", people, person, 0, size.celeb.donors, size) for person in people]
    for k, person in enumerate(size.celeb.youtube.people("celebdf-youtube", seed)):
        path = f"{CELEB}/YouTube-real/{k:05d}.mp4"
        tested.append(Shot("celebdf", "test", make_clip(person, 0, "celebdf", size.filming), path))
    rest = [_make_celeb_shot("train", people, person, 1, 1, size) for person in _choose_people(people, size.celeb.rest)]
    # In this list 1 means real and 0 fake.
    labels = {video: int(video == shot.real) for shot in tested for video in shot.videos}
    listed = sorted(f"{label} {video.removeprefix(CELEB + '/')}" for video, label in labels.items())
    texts = {
        f"{CELEB}/List_of_testing_videos.txt": "\n".join(listed) + "\n",
        f"{CELEB}/demographics.csv": make_demographics_table(CELEB, tested + rest),
    }
    return Layout(tested + rest, texts)


def _make_celeb_shot(split: str, people: list[Person], person: Person, take: int, count: int, size: Size) -> Shot:
    a = people.index(person)
    fakes = []
    for donor in draw_donors(people, person, count):
        path = f"{CELEB}/Celeb-synthesis/id{a}_id{people.index(donor)}_{take:04d}.mp4"
        fakes.append(Fake(path, "Celeb-DF", make_clip(donor, take, "celebdf", size.filming)))
    real = f"{CELEB}/Celeb-real/id{a}_{take:04d}.mp4"
    return Shot("celebdf", split, make_clip(person, take, "celebdf", size.filming), real, tuple(fakes))


def _choose_people(people: list[Person], population: Population) -> list[Person]:
    """Choose as many people as in the population, the first of each group."""
    chosen: list[Person] = []
    for wanted in population.people("", 0):
        group = (wanted.gender, wanted.race)
        chosen.append(next(p for p in people if (p.gender, p.race) == group and p not in chosen))
    return chosen


# --- DFDC ------------------------------------------------------------------------------------------------------------


def plan_dfdc(size: Size, seed: int) -> Layout:
    """Plan the DFDC: a test folder with labels.csv, and small training parts with metadata.json."""
    rng = make_rng(seed, "dfdc names")
    people = size.dfdc.test.people("dfdc-test", seed)
    tested = []
    for k, person in enumerate(people):
        methods = choose_in_turn(DFDC_METHODS, k, size.dfdc.methods)
        tested.append(_make_dfdc_shot("test", "test", people, person, methods, size, rng))
    trained, texts = _plan_dfdc_train(size, seed, rng)
    labels = sorted(f"{_get_file_name(video)},{int(video != shot.real)}" for shot in tested for video in shot.videos)
    texts[f"{DFDC}/test/labels.csv"] = "\n".join(["filename,label", *labels]) + "\n"
    texts[f"{DFDC}/demographics.csv"] = make_demographics_table(DFDC, tested + trained)
    return Layout(tested + trained, texts)


def _plan_dfdc_train(size: Size, seed: int, rng: np.random.Generator) -> tuple[list[Shot], dict[str, str]]:
    """Distribute the people over the parts; a fake and its original are in the same part, as in the DFDC."""
    people, shots, texts = size.dfdc.train.people("dfdc-train", seed), [], {}
    for part in range(DFDC_PARTS):
        folder, metadata = f"train/dfdc_train_part_{part}", {}
        for k in range(part, len(people), DFDC_PARTS):
            methods = choose_in_turn(DFDC_METHODS, k, 1)
            shot = _make_dfdc_shot("train", folder, people, people[k], methods, size, rng)
            shots.append(shot)
            original = _get_file_name(shot.videos[0])
            metadata[original] = {"label": "REAL", "split": "train"}
            metadata |= {
                _get_file_name(f.path): {"label": "FAKE", "split": "train", "original": original} for f in shot.fakes
            }
        texts[f"{DFDC}/{folder}/metadata.json"] = json.dumps(dict(sorted(metadata.items())), indent=1) + "\n"
    return shots, texts


def _make_dfdc_shot(
    split: str,
    folder: str,
    people: list[Person],
    person: Person,
    methods: list[str],
    size: Size,
    rng: np.random.Generator,
) -> Shot:
    """Film a person under random, uninformative names."""
    fakes = [
        Fake(_draw_dfdc_path(folder, rng), method, make_clip(donor, 0, "dfdc", size.filming))
        for method, donor in zip(methods, choose_donors(people, person, len(methods)), strict=True)
    ]
    return Shot("dfdc", split, make_clip(person, 0, "dfdc", size.filming), _draw_dfdc_path(folder, rng), tuple(fakes))


def _draw_dfdc_path(folder: str, rng: np.random.Generator) -> str:
    return f"{DFDC}/{folder}/{''.join(rng.choice(list('abcdefghijklmnopqrstuvwxyz'), 10))}.mp4"


def _get_file_name(path: str) -> str:
    return path.rsplit("/", 1)[1]
