"""ImageNet weights for the JAX networks: timm's, fetched once through the PyTorch port in a separate process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ...benchmark.core.checkpoints import TrainedOn, read_header
from ...benchmark.core.display import say_once
from ...benchmark.core.errors import BenchError
from ...benchmark.core.keys import hash_key, name_start
from ...benchmark.core.storage import cache_home
from ..common.weights import read_checkpoint, to_named_arrays

_FETCH = """
import json, sys
from pathlib import Path
from crossfake.benchmark.core.checkpoints import save
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.start_weights import join_start_weights
from crossfake.detectors import create
try:
    made = create(sys.argv[1], backend="torch", **json.loads(sys.argv[2]))
    save(made, Path(sys.argv[3]), {"trained_on": {"started_from": join_start_weights(made)}})
except BenchError as error:
    sys.exit(str(error))
"""


class StartWeights(dict[str, np.ndarray]):
    """Weights by name, and the files that they are from; see `TellsStart`."""

    def __init__(self, weights: Mapping[str, np.ndarray], started_from: str):
        super().__init__(weights)
        self.started_from = started_from


def load_imagenet_weights(detector: str, keep: Callable[[str], bool], **options: object) -> StartWeights:
    """Return the weights that the PyTorch port of `detector` starts from, under the reference's names, if `keep`
    accepts them.

    They are kept in the cache folder as safetensors, so that torch and timm are needed only the first time. An earlier
    version kept them without the name of their file: they are fetched again, and used as they are if that fails.

    Raises:
        BenchError: torch isn't installed, or timm can't fetch the weights.
    """
    path = cache_home() / "imagenet" / f"{detector}.{hash_key(name_start(options))}.safetensors"
    if "started_from" not in _read_origin(path):
        command = [sys.executable, "-c", _FETCH, detector, json.dumps(options), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        reason = (done.stderr or "").strip().splitlines()[-1:] or ["the process was killed"]
        if done.returncode and not path.is_file():
            raise BenchError(reason[0])
        if done.returncode:
            say_once(f"note: {path} doesn't say which file it is from, and can't be fetched again ({reason[0]})")
    kept = to_named_arrays({k: v for k, v in read_checkpoint(path).items() if keep(k)}, str(path))
    return StartWeights(kept, _read_origin(path).get("started_from", ""))


def _read_origin(path: Path) -> TrainedOn:
    return read_header(path).get("trained_on", {}) if path.is_file() else {}
