"""Where a dataset's faces are stored. A store is named by its content, so it can be copied to another machine."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import BenchError
from ..core.keys import hash_key, measure_file
from ..core.registry import datasets
from ..core.settings import FaceSettings
from ..core.storage import cache_home, hold_lock, name_write_errors, strip_separators

if TYPE_CHECKING:
    from ...datasets.faces.face_store import FaceStore
    from .sources import DataSource

SAMPLE = 64


def name_store(source: DataSource, faces: FaceSettings) -> Path:
    """Return the folder of a dataset's faces, from its name, compression, world and settings, not the videos' place.

    A user's own data is identified only by its place.
    """
    return _join(source, faces, _identify(source))


def find_store(source: DataSource, faces: FaceSettings) -> Path:
    """Return the folder that contains, or will contain, a dataset's faces.

    It may still have its former name, which included the videos' place. A second copy of a dataset with other file
    sizes, such as a re-encoded one, has a separate store.
    """
    named = name_store(source, faces)
    former = _join(source, faces, str(source.home.resolve()))
    if not named.exists() and former.is_dir():
        return former
    numbered = (named if i == 1 else named.with_name(f"{named.name}.{i}") for i in count(1))
    return next(folder for folder in numbered if not folder.is_dir() or _is_made_of(folder, source.home))


def adopt_store(source: DataSource, faces: FaceSettings) -> Path:
    """Rename a store with a former name, once, and leave a link for code that still uses it; return the new folder.

    Raises:
        WriteError: it can't be renamed.
    """
    found, named = find_store(source, faces), name_store(source, faces)
    if found.name == named.name or found.name.startswith(f"{named.name}."):
        return found
    with hold_lock(named), hold_lock(found), name_write_errors(named):
        if not named.exists():  # Nobody else has done it meanwhile.
            found.rename(named)
            found.symlink_to(named.name, target_is_directory=True)
    return named


def require_store(folder: Path, label: str) -> FaceStore:
    """Return a dataset's store as it is.

    Raises:
        BenchError: there is none.
    """
    from ...datasets.faces.face_store import FaceStore

    if not folder.is_dir():
        raise BenchError(
            f"no faces of {label}: {folder} doesn't exist. Copy the store there, or leave out --faces-only"
        )
    return FaceStore(folder)


def advise_on_names(source: DataSource, faces: FaceSettings) -> str:
    """Say what to do about videos that aren't listed: where a store has their faces, their names alone are needed."""
    from ...datasets.faces.face_store import FaceStore

    listed = {v.id for v in source.videos}
    known = [video for video in FaceStore(source.store_folder(faces)).outcomes() if video not in listed]
    if not known:
        return "See docs/datasets.md for its layout"
    return (
        f"The store has faces of {len(known)} videos that aren't listed there, such as {known[0]}. "
        "Make their names visible: docs/scaling.md, Faces travel"
    )


def _join(source: DataSource, faces: FaceSettings, identity: object) -> Path:
    from ...datasets.faces.finder import FINDER_VERSION

    masked = ["masks"] if source.has_masks else []  # They determine whose faces are taken.
    key = hash_key([identity, faces.key_content(), FINDER_VERSION, *masked])
    name = strip_separators(source.name.replace("+", "p"))
    return cache_home() / "faces" / f"{name}-{source.compression or 'as-is'}-{key}"


def _identify(source: DataSource) -> object:
    """Return a dataset's world; for data that isn't a published dataset, its place."""
    published = datasets.is_registered(source.name) and "takes" not in datasets.find_registered(source.name).card
    if not published:
        return str(source.home.resolve())
    world = source.home_root.demo
    if not world:
        return "real"
    return [world.size, world.seed, world.world, world.generator_version, source.home_root.has_new_donors]


def _is_made_of(folder: Path, home: Path) -> bool:
    """Return whether a store may belong to the videos in `home`: at least half of those checked have the same size."""
    from ...datasets.faces.face_store import FaceStore

    try:
        known = FaceStore(folder).sample_outcomes(SAMPLE)
    except BenchError:  # Preparing will fix it, or reject it with a reason.
        return True
    sizes = [(outcome.size, measure_file(home / outcome.video)) for outcome in known if outcome.size]
    there = [made == now for made, now in sizes if now >= 0]
    return 2 * sum(there) >= len(there)
