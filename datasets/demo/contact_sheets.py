"""Contact sheets of the demo world: `python -m crossfake.datasets.demo.contact_sheets FOLDER` writes four JPEG files.

Only the videos shown are rendered, into a temporary folder; frames are decoded from the files, so they look as a
detector sees them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np

from ...benchmark.core.storage import write_atomically
from .methods import METHODS
from .motion import FRAME
from .people import GENDERS, RACES
from .shots import GroundTruth, Shot, render_shot
from .world import plan_world

MARGIN = 18  # height of a caption, pixels
QUALITY = 88


def make_faces_sheet(folder: Path) -> np.ndarray:
    """Show a real face of each group (columns) from each dataset (rows)."""
    shots = plan_world("default", 0, "standard").shots
    groups = [(gender, race) for gender in GENDERS for race in RACES]
    rows = []
    for dataset in ("ffpp", "celebdf", "dfd", "dfdc"):
        tested = [s for s in shots if s.dataset == dataset and s.split == "test"]
        chosen = [next(s for s in tested if (s.clip.person.gender, s.clip.person.race) == group) for group in groups]
        named = zip(chosen, groups, strict=True)
        rows.append([_add_caption(_render_real_frame(folder, shot), f"{dataset}: {g}, {r}") for shot, (g, r) in named])
    return _stack_grid(rows)


def make_fakes_sheet(folder: Path) -> np.ndarray:
    """Show two fakes of each method next to their real sources, with the manipulated box."""
    shots = plan_world("default", 0, "standard").shots
    strips = []
    for method in (name for name in METHODS if not name.startswith("Leak")):
        fitting = [s for s in shots if s.split == "test" and any(f.method == method for f in s.fakes)]
        first = next(s for s in fitting if s.clip.person.race == "white")
        last = next(s for s in reversed(fitting) if s.clip.person.race == "others")
        strips.append([tile for shot in (first, last) for tile in _show_beside_source(folder, shot, method)])
    half = len(strips) // 2
    return _stack_grid([left + right for left, right in zip(strips[:half], strips[half:], strict=True)])


def make_leak_sheet(folder: Path) -> np.ndarray:
    """Show a target of the leak world, real and with old and new donors (donors above)."""
    shots = plan_world("default", 0, "leak").shots
    old, new = ([s for s in shots if s.dataset == d and s.split == "test"] for d in ("ffpp", "ffpp-new-donors"))
    rows = []
    for k in (0, 10, 23):
        tiles = [_add_caption(_render_real_frame(folder, old[k]), "real")]
        for name, shot in (("old donor", old[k]), ("new donor", new[k])):
            donor = Shot("", "", shot.fakes[0].donor, f"donors/{shot.fakes[0].donor.name}.mp4")
            tiles.append(_add_caption(_render_real_frame(folder, donor), name))
            known = _render_by_path(folder, shot)
            tiles += [_add_caption(_make_still(folder, known[f.path]), f"{f.method}, {name}") for f in shot.fakes]
        rows.append(tiles)
    return _stack_grid(rows)


def make_company_sheet(folder: Path) -> np.ndarray:
    """Show videos of two people, real and fake, and the masks: on the left the forged person is the nearer one."""
    shots = plan_world("default", 0, "standard").shots
    rows = []
    for dataset in ("ffpp", "dfd", "dfdc"):
        company = [s for s in shots if s.dataset == dataset and s.split == "test" and s.clip.companion]
        chosen = [next(s for s in company if s.clip.is_main == is_main) for is_main in (True, False)]
        rows.append([tile for shot in chosen for tile in _show_with_mask(folder, shot)])
    return _stack_grid(rows)


def _show_with_mask(folder: Path, shot: Shot) -> list[np.ndarray]:
    fake = shot.fakes[0]
    tiles = _show_beside_source(folder, shot, fake.method)
    if not fake.mask:
        return [*tiles, _add_caption(np.zeros((FRAME, FRAME, 3), np.uint8), "no masks, as in DFDC")]
    return [*tiles, _add_caption(_read_frames(folder / fake.mask)[0], "mask")]


def main(arguments: Sequence[str]) -> None:
    """Write the sheets into the folder given."""
    if len(arguments) != 1:
        raise SystemExit("usage: python -m crossfake.datasets.demo.contact_sheets FOLDER")
    sheets = {
        "faces": make_faces_sheet,
        "fakes": make_fakes_sheet,
        "company": make_company_sheet,
        "leak": make_leak_sheet,
    }
    for name, make in sheets.items():
        with TemporaryDirectory() as folder, write_atomically(Path(arguments[0]) / f"demo_{name}.jpg") as temporary:
            sheet = cv2.cvtColor(make(Path(folder)), cv2.COLOR_RGB2BGR)
            temporary.write_bytes(cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())


def _render_by_path(folder: Path, shot: Shot) -> dict[str, GroundTruth]:
    return {known.video: known for known in render_shot(folder, shot)}


def _read_frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def _make_still(folder: Path, known: GroundTruth) -> np.ndarray:
    """Return the frame of a video with the eyes widest open, with the manipulated box drawn if there is one."""
    lids = known.landmarks[:, [37, 38, 43, 44, 40, 41, 46, 47], 1]
    index = int(np.argmax(lids[:, 4:].sum(axis=1) - lids[:, :4].sum(axis=1)))
    image = _read_frames(folder / known.video)[index]
    if known.boxes is not None:
        x0, y0, x1, y1 = (int(v) for v in known.boxes[index])
        cv2.rectangle(image, (x0 - 1, y0 - 1), (x1, y1), (255, 60, 40), 1)
    return image


def _render_real_frame(folder: Path, shot: Shot) -> np.ndarray:
    """Return a frame of a shot's real video, without rendering its fakes."""
    (known,) = render_shot(folder, Shot(shot.dataset, shot.split, shot.clip, shot.real))
    return _make_still(folder, known)


def _show_beside_source(folder: Path, shot: Shot, method: str) -> list[np.ndarray]:
    known = _render_by_path(folder, shot)
    fake = next(f for f in shot.fakes if f.method == method)
    return [
        _add_caption(_render_real_frame(folder, shot), "real"),
        _add_caption(_make_still(folder, known[fake.path]), method),
    ]


def _add_caption(image: np.ndarray, text: str) -> np.ndarray:
    strip = np.full((MARGIN, FRAME, 3), 255, np.uint8)
    cv2.putText(strip, text, (3, MARGIN - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (30, 30, 30), 1, cv2.LINE_AA)
    return np.vstack([strip, image])


def _stack_grid(rows: Iterable[list[np.ndarray]]) -> np.ndarray:
    return np.vstack([np.hstack(row) for row in rows])


if __name__ == "__main__":
    main(sys.argv[1:])
