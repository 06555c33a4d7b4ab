"""How well frozen features identify people: a linear classifier of people, tested on unseen videos.

After "Implicit Identity Leakage" (CVPR 2023), whose protocol isn't published; this one is ours.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...detectors import create_from
from ..core.contracts import Cropper, FaceReader, Scores, TellsFeatures
from ..core.errors import BenchError
from ..core.progress import Reporter
from ..core.records import EstimateField, Record
from ..core.types import FAKE, REAL, Estimate, Video
from ..core.workers import IN_PROCESS, WorkerPool
from ..stats.influence import Samples, measure_mean
from ..stats.intervals import estimate_difference, estimate_share
from ..stats.people import number_apart
from .detectors import DetectorRequest, load_detector
from .devices import place
from .sources import DataSource
from .video_crops import VideoCrops

FOLDS = 5
PAGE = "docs/identity_leakage.md"
WHO = ("target", "source")
FORMER_WHO = {"filmed": "target", "donor": "source"}
"""Earlier names of `who`."""
VideoPeople = list[tuple[Video, str]]
"""Videos, and the person to identify in each."""


def name_people(videos: Sequence[Video], who: str) -> VideoPeople:
    """Name the person to identify in each usable video.

    Args:
        videos: any videos; unusable ones are left out.
        who: `target`, the person shown in a real video, or `source`, whose face was pasted into a fake one.

    Raises:
        BenchError: fewer than two people appear in two originals each, so nobody can be identified on an unseen one.
    """
    label, place = (REAL, 0) if who == "target" else (FAKE, 1)
    named = [(v, v.identities[place]) for v in videos if v.label == label and len(v.identities) > place]
    originals = Counter(person for person, _ in {(person, original_id(v)) for v, person in named})
    kept = [(v, person) for v, person in named if originals[person] > 1]
    if len(several := {person for _, person in kept}) < 2:
        kind = "real" if label == REAL else "fake"
        raise BenchError(
            f"no people to identify: of {len(videos)} videos, {len(named)} {kind} ones name who is in them "
            f"({len(originals)} people), and {len(several)} people appear in two or more originals. "
            + f"Use a dataset with several originals a {'person, such as dfd' if label == REAL else 'source person'}"
        )
    return kept


class Accuracies(NamedTuple):
    """The share of videos whose person is recognised by a trained network, by a random one, and the difference."""

    accuracy: Estimate
    random: Estimate
    difference: Estimate


class Recognition(NamedTuple):
    """The numbers of people and videos, chance level, and the networks' accuracies."""

    people: int
    videos: int
    chance: float
    accuracies: Accuracies


class IdentityProbe(Record):
    """Results for a detector on some splits of a dataset; see `Recognition` and `Accuracies`."""

    schema_version: int
    kind: Literal["identity probe"]
    detector: str
    checkpoint: str
    scored: str
    world: str
    protocol: str
    split: list[str]
    who: str
    people: int
    videos: int
    chance: float
    accuracy: EstimateField
    random: EstimateField
    difference: EstimateField


def original_id(video: Video) -> str:
    """Return the original: all fakes of a real video share it, so it is never on both sides of a test."""
    return video.original or video.id


def assign_folds(told: VideoPeople) -> NDArray[np.int64]:
    """Distribute the originals over folds so that training always includes some of each person, (videos,).

    An original with several people, such as a clip that got several people's faces, goes where they appear least.
    """
    people_in: dict[str, set[str]] = defaultdict(set)
    for video, person in told:
        people_in[original_id(video)].add(person)
    dealt: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(FOLDS, dtype=np.int64))
    place: dict[str, int] = {}
    for clip, persons in people_in.items():
        place[clip] = int(np.argmin(sum(dealt[person] for person in persons)))
        for person in persons:
            dealt[person][place[clip]] += 1
    return np.array([place[original_id(video)] for video, _ in told])


def probe_identities(
    networks: tuple[Scores, Scores],
    cropper: Cropper,
    store: FaceReader,
    told: VideoPeople,
    pool: WorkerPool = IN_PROCESS,
    plugin: str = "",
) -> Recognition:
    """Recognise people from the features of a trained network and of a random one.

    Raises:
        BenchError: the detector has no features.
    """
    folds, names = assign_folds(told), [person for _, person in told]
    videos = [v for v, _ in told]
    right = [classify_people(extract_features(n, cropper, store, videos, pool, plugin), names, folds) for n in networks]
    count = len(set(names))
    return Recognition(count, len(told), 1 / count, compare_accuracies(told, *right))


def probe_source(
    request: DetectorRequest,
    source: DataSource,
    splits: Sequence[str],
    who: str,
    reporter: Reporter,
    pool: WorkerPool = IN_PROCESS,
    seed: int = 0,
) -> IdentityProbe:
    """Probe a trained detector, and one with random weights, on some splits of a dataset.

    Args:
        request: the detector, with its checkpoint.
        source: the dataset.
        splits: some of `train`, `val`, `test`.
        who: the person to identify, `target` or `source`; see `name_people`.
        reporter: receives progress.
        pool: the processes that prepare data.
        seed: seed of the random weights.

    Raises:
        BenchError: see `load_detector`, `name_people` and `probe_identities`.
    """
    videos = [v for s in splits for v in source.split(s)]
    name_people(videos, who)  # Before looking for faces, so that a wrong dataset is reported at once.
    loaded = load_detector(request, demo=source.home_root.demo is not None)
    entry, options = loaded.entry, loaded.settings.options
    random = create_from(entry, seed, **{k: v for k, v in options.items() if k != "pretrained"})
    place(random, request.device)
    store = source.prepare(splits, loaded.settings.faces, reporter, pool)
    told = name_people([v for v in videos if store.frames(v.id)], who)
    with reporter.task(f"recognising people in {source.label}"):
        found = probe_identities((loaded.detector, random), loaded.cropper, store, told, pool, entry.plugin)
    return IdentityProbe(
        schema_version=1,
        kind="identity probe",
        detector=entry.name,
        checkpoint=str(request.checkpoint),
        scored=source.label,
        world=source.home_root.world,
        protocol=source.home_root.protocol,
        split=list(splits),
        who=who,
        people=found.people,
        videos=found.videos,
        chance=found.chance,
        **found.accuracies._asdict(),
    )


def extract_features(
    detector: Scores,
    cropper: Cropper,
    store: FaceReader,
    videos: Sequence[Video],
    pool: WorkerPool = IN_PROCESS,
    plugin: str = "",
) -> list[NDArray[np.float32]]:
    """Return the pooled features (frames, C) of each video."""
    if not isinstance(detector, TellsFeatures):
        raise BenchError(f"this detector gives no features: it has no method outputs_of(frames). See {PAGE}")
    crops = pool.map(VideoCrops(store, cropper), [v.id for v in videos], plugin)
    return [pool_features(detector.outputs_of(cut)) for cut in crops]


def pool_features(outputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return a network's `features`, (N, C) or (N, C, H, W), as (N, C) by averaging over the map."""
    if "features" not in outputs:
        raise BenchError(f"this detector gives no features: its outputs are {', '.join(outputs)}. See {PAGE}")
    features = outputs["features"]
    return features.reshape(*features.shape[:2], -1).mean(-1)


def classify_people(
    features: Sequence[NDArray[np.float32]], told: Sequence[str], folds: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return, for each video, whether a classifier trained on the other folds recognises its person.

    Args:
        features: (frames, C) of each video; frames' probabilities are averaged.
        told: the person in each video.
        folds: the fold of each video.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names = np.array(told)
    right = np.zeros(len(names), bool)
    for fold in np.unique(folds):
        learned = np.flatnonzero(folds != fold).tolist()
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        rows = np.concatenate([features[i] for i in learned])
        model.fit(rows, np.repeat(names[learned], [len(features[i]) for i in learned]))
        for i in np.flatnonzero(folds == fold).tolist():
            shares = model.predict_proba(features[i]).mean(0)
            right[i] = model.classes_[shares.argmax()] == names[i]
    return right


def compare_accuracies(told: VideoPeople, right: NDArray[np.bool_], chance: NDArray[np.bool_]) -> Accuracies:
    """Return the accuracy, a control's accuracy, and their difference, with intervals over the targets."""
    people = number_apart(np.unique([v.identities[0] for v, _ in told], return_inverse=True)[1])
    n = len(right)
    samples = Samples(np.zeros(n, np.int64), np.zeros(n), np.arange(n), people)
    mine, control = (measure_mean(samples, hits) for hits in (right, chance))
    own, other = (estimate_share(found, people, n=n) for found in (mine, control))
    return Accuracies(own, other, estimate_difference(mine.subtract(control), people, n=n))
