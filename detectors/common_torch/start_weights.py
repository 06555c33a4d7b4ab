"""The published weights from which networks start: timm's, found or downloaded, and checked before use.

They are searched in BENCH_MODELS, in `models/` of the cache, and in the caches of Hugging Face's Hub and of torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from ...benchmark.core import environment
from ...benchmark.core.errors import BenchError, did_you_mean, require_existing
from ...benchmark.core.fetching import check_online, download
from ...benchmark.core.first_use import list_used, locate_record, record_use
from ...benchmark.core.keys import file_hash
from ...benchmark.core.readers import shorten
from ...benchmark.core.storage import cache_home
from ..common.fit import check_fit, find_weights
from ..common.weights import read_checkpoint
from .timm_interface import as_timm_model

FILES = ("model.safetensors", "pytorch_model.bin")  # of timm's models on the Hub, the first that there is
WHOLE = re.compile(r"[0-9a-f]{64}")  # What the Hub's cache calls a large file: its sha256, as the Hub told it.
PART = re.compile(r"-([0-9a-f]{8,64})\.\w+$")  # The beginning of a sha256, in the names of torch.hub's convention.


@dataclass(frozen=True)
class Published:
    """Weights that timm names: `name` with the tag, and the model of the Hub or the address that has them."""

    name: str
    repository: str
    revision: str | None
    files: tuple[str, ...]
    url: str

    @property
    def own_name(self) -> str:
        """The names that a copy in a user's folder may have."""
        return f"{self.name}.safetensors" if self.repository else self.url.rpartition("/")[2]

    @property
    def address(self) -> str:
        """Where they are available."""
        if not self.repository:
            return self.url
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self.repository, self.files[0], revision=self.revision)


def find_start_weights(name: str) -> Path:
    """Return the file of timm's weights for a model, downloaded if needed.

    Raises:
        BenchError: timm has none, they aren't available, or the file isn't the one published or first used here.
    """
    published = describe_published(name)
    path = next((place for place in _list_places(published) if place.is_file()), None) or _fetch(published)
    check_sum(published, path)
    return path


def describe_published(name: str) -> Published:
    """Return where the weights for a timm name with a tag are.

    Raises:
        BenchError: timm has no such tag, or no weights; or the name has no tag.
    """
    architecture, _, tag = name.partition(".")
    tags = [known for known in timm.list_pretrained() if known.partition(".")[0] == architecture]
    if name not in tags:
        have = f"It has {', '.join(tags)}" if tags else "Give a file: --pretrained FILE"
        problem = f"timm has no weights '{name}'" if tag else f"{name} doesn't say which weights"
        raise BenchError(f"{problem}.{did_you_mean(name, tags) if tag else ''} {have}")
    said = timm.get_pretrained_cfg(name)
    assert said is not None  # Since it is in the list.
    repository, _, revision = (said.hf_hub_id or "").partition("@")
    url = said.url if isinstance(said.url, str) else ""
    files = (said.hf_hub_filename,) if said.hf_hub_filename else FILES
    return Published(f"{said.architecture}.{said.tag}", repository, revision or None, files, url)


def _list_places(published: Published) -> Iterator[Path]:
    """Yield where the file may be, without contacting any server."""
    given = environment.read(environment.MODELS)
    for folder in (*([Path(given)] if given else []), cache_home() / "models"):
        yield folder / published.own_name
    if published.repository:
        from huggingface_hub import try_to_load_from_cache

        for file in published.files:
            cached = try_to_load_from_cache(published.repository, file, revision=published.revision)
            if isinstance(cached, str):
                yield Path(cached)
    if published.url:
        yield Path(torch.hub.get_dir()) / "checkpoints" / published.url.rpartition("/")[2]


def _fetch(published: Published) -> Path:
    kept = cache_home() / "models"
    try:
        if not published.repository:
            download(published.url, kept / published.own_name)
            return kept / published.own_name
        check_online(published.address)
        return _fetch_from_hub(published)
    except Exception as error:  # Of networks, names and permissions: a dozen types.
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise BenchError(
            f"no weights {published.name}, and {published.address} can't be fetched ({reason}). Put that file into "
            f"{kept} as {published.own_name}, or give one of your own: --pretrained FILE. "
            "To start from random weights: --set options.pretrained=false"
        ) from None


def _fetch_from_hub(published: Published) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    for file in published.files[:-1]:
        try:
            return Path(hf_hub_download(published.repository, file, revision=published.revision))  # nosec B615
        except EntryNotFoundError:
            continue
    return Path(hf_hub_download(published.repository, published.files[-1], revision=published.revision))  # nosec B615


def check_sum(published: Published, path: Path) -> str:
    """Return a file's sha256, which is the one published, and the same as ever on this machine.

    Published are the sums that the Hub tells with a file, and the beginnings of them in names such as
    `xception-43020ad28.pth`. Every file is recorded when it is first used (`core/first_use.py`).

    Raises:
        BenchError: the file is another.
    """
    found = file_hash(path)
    blob = path.resolve().name
    told = PART.search(path.name)
    expected = blob if WHOLE.fullmatch(blob) else told[1] if told else ""
    if not found.startswith(expected):
        raise BenchError(
            f"{path} is not {published.name} as published: its sha256 is {found[:12]}..., expected "
            f"{expected[:12]}... Remove it, to have it fetched again from {published.address}"
        )
    named = f"{published.name} {path.name if path.name in FILES else published.own_name}"
    used = list_used(named)
    if used and found not in used:
        raise BenchError(
            f"{path} is not the file that was first used here as {published.name}: its sha256 is {found[:12]}..., "
            f"and that file's was {shorten(used[0], 12)}. Restore it, or remove its line from {locate_record()}"
        )
    if not used:
        record_use(named, found)
    return found


# What changes no weight's name or shape before timm itself resizes it, or only which layers are kept.
_OF_USE_ONLY = {"num_classes", "features_only", "out_indices", "img_size", "drop_rate", "drop_path_rate", "bn_momentum"}


def read_own_weights(name: str, path: Path, arguments: Mapping[str, object]) -> dict[str, Tensor]:
    """Return the weights of a timm model from a file, under timm's names; their classifier only where it is used.

    Args:
        name: timm's name of the model.
        path: a .safetensors file, or what torch.save wrote.
        arguments: those that the model is made with.

    Raises:
        BenchError: no such file, or its weights are of another model; one line lists what is missing and unknown.
    """
    content = read_checkpoint(require_existing(path, "weights"), "torch")
    shaping = {key: value for key, value in arguments.items() if key not in _OF_USE_ONLY}
    make: Callable[..., nn.Module] = timm.create_model  # Most of its arguments are the model's own.
    with torch.device("meta"):
        whole = make(name, pretrained=False, **shaping)
    expected = dict(whole.state_dict())
    config = as_timm_model(whole).pretrained_cfg
    named = config.get("classifier") or ()
    heads = tuple(f"{head}." for head in ((named,) if isinstance(named, str) else named))
    classes = config["num_classes"]
    skipped = heads if arguments.get("num_classes", classes) != classes else ()
    found = {k: v for k, v in find_weights(content, expected)[0].weights.items() if not str(k).startswith(skipped)}
    wanted = {k: v for k, v in expected.items() if not k.startswith(skipped)}
    check_fit(found, wanted, f"{path}, for {name},")
    return {key: torch.as_tensor(value) for key, value in found.items()}
