"""Test any trained model as it is, from Python. Bodies are lazy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from .running import run

if TYPE_CHECKING:
    from .benchmark.core.progress import Reporter
    from .benchmark.stages.sources import Data
    from .detectors.model_files import Inputs
    from .running import DetectorLike, Results, Settings


class Work(TypedDict, total=False):
    """The options that `evaluate` passes on to `run`."""

    backend: str
    config: Path | str | None
    settings: Settings
    limit: int | None
    exclude: Path | str | None
    faces_only: bool
    runs: Path | str
    workers: int | None
    batch_size: int
    engine: str
    speed: bool
    runtime: str
    precision: str
    device: str
    progress: bool | Reporter
    command: str


def evaluate(
    model: DetectorLike,
    test: str | Sequence[str],
    *,
    val: str = "",
    data: Data | None = None,
    checkpoint: Path | str | None = None,
    size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    fake: int | None = None,
    crop: str = "box",
    margin: float = 1.3,
    output: str | None = None,
    **work: Unpack[Work],
) -> Results:
    """Test a trained model on datasets, and score; nothing is trained.

    Args:
        model: a checkpoint's path; `onnx:FILE`, `hf:FOLDER`, `hf:ORGANISATION/MODEL` or `timm:NAME@FILE`; a torch
            `nn.Module`; a detector's name, class or object, with a `checkpoint` if it takes one.
        test: one or several datasets, or folders and tables of your own, such as `./my_videos`.
        val: a dataset whose val split fixes thresholds and temperature; by default there are none.
        checkpoint: the weights, if `model` is a detector.
        size, mean, std, fake, crop, margin, output: the input and output format of a module or model file, if it
            doesn't say; see `wrap_model`.
        data, work: see `run`.

    Raises:
        BenchError: something in the request is wrong, or the model can't be used; raised before any video is read.
    """
    from .detectors.model_files import Inputs

    chosen, weights = choose_model(model, checkpoint, Inputs(size, mean, std, fake, crop, margin, output))
    return run(chosen, None, test, val=val, data=data, checkpoint=weights, **work)


def choose_model(
    model: DetectorLike, checkpoint: Path | str | None, inputs: Inputs
) -> tuple[DetectorLike, Path | str | None]:
    """Return what `run` needs for a model: a detector, and its checkpoint if there is one. See `evaluate`.

    Raises:
        BenchError: the model can't be opened.
    """
    from .detectors.common.in_memory import is_torch_module
    from .detectors.model_files import names_model_file, open_model
    from .detectors.model_files.inputs import FileModel

    if isinstance(model, str) and names_model_file(model):
        return open_model(model, inputs), None
    if is_torch_module(model):
        wrapped = FileModel("", "", model, inputs)
        wrapped.try_out()
        return wrapped, None
    if isinstance(model, str | Path) and checkpoint is None and _is_checkpoint(Path(model)):
        return _name_detector(Path(model)), model
    return str(model) if isinstance(model, Path) else model, checkpoint


def _is_checkpoint(path: Path) -> bool:
    """Whether this is a file, or named like one that is missing, rather than a detector's name."""
    return path.is_file() or path.suffix in (".safetensors", ".pkl", ".pth", ".pt")


def _name_detector(checkpoint: Path) -> str:
    from .benchmark.core.checkpoints import find_named_detector, read_header
    from .benchmark.core.errors import BenchError

    header = read_header(checkpoint)
    if not header.get("detector"):
        raise BenchError(
            f"{checkpoint} doesn't name its detector. Give both: bench eval NAME --checkpoint {checkpoint}"
        )
    return find_named_detector(header, checkpoint).name
