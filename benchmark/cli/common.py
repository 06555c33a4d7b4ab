"""Options that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.display import escape, escape_json, escape_line, say
from ..core.limits import MOST_BATCH, MOST_DRAWS, MOST_SEED, MOST_WORKERS
from ..core.typed_commands import start_from

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ...leaderboards.markdown import Grid
    from ..core.progress import Reporter

    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

Keywords = dict[str, Any]
"""Arguments of a function of the Python API, by name; the values come from argparse."""
ENTRIES = Path("leaderboards/entries")
"""Where submitted rows are."""
STDOUT = Path("-")
"""The meaning of --json without a file."""


def add_verb(
    verbs: Verbs, name: str, action: Callable[[argparse.Namespace], int], help: str, epilog: str = ""
) -> argparse.ArgumentParser:
    """Add a verb whose work is `action(arguments) -> exit code`."""
    made: argparse.ArgumentParser = verbs.add_parser(
        name, help=help, description=help, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.set_defaults(action=action, parser=made)
    loudness = made.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_true", help="results and errors only, no progress")
    loudness.add_argument("-v", "--verbose", action="store_true", help="more detail, and tracebacks of errors")
    return made


def make_reporter(arguments: argparse.Namespace) -> Reporter:
    """Return a reporter that writes progress to stderr: stdout is for results."""
    from ..core.progress import Reporter

    return Reporter(quiet=arguments.quiet, aside=True, verbose=arguments.verbose)


def add_data(p: argparse.ArgumentParser) -> None:
    """Add --data and --limit."""
    p.add_argument(
        "--data",
        metavar="ROOT|demo",
        help="folder that holds the datasets, or the synthetic demo world "
        "(demo, demo:tiny, demo:large, demo:fair, demo:SIZE:SEED); default: $BENCH_DATA, else demo",
    )
    _add_limit(p)


def _add_limit(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--limit",
        type=parse_positive,
        metavar="N",
        help="at most N real and N fake videos of each split; the rows are marked PARTIAL",
    )


def add_several_data(p: argparse.ArgumentParser) -> None:
    """Add --data (repeatable, for single datasets), --limit, --exclude and --faces-only."""
    p.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="[DATASET=]ROOT|demo",
        help="folder that holds the datasets, or the synthetic demo world (demo, demo:tiny, demo:large, demo:fair, "
        "demo:SIZE:SEED); default: $BENCH_DATA, else demo; repeat it as celebdf=ROOT for a dataset in another folder",
    )
    _add_limit(p)
    add_exclude(p)
    add_faces_only(p)


def add_faces_only(p: argparse.ArgumentParser) -> None:
    """Add --faces-only."""
    p.add_argument("--faces-only", action="store_true", help="use the faces found before, without opening any video")


def add_exclude(p: argparse.ArgumentParser) -> None:
    """Add --exclude."""
    p.add_argument(
        "--exclude",
        type=Path,
        metavar="LIST",
        help="text file with one video id or path per line: these are left out of all splits, and the rows say so",
    )


def add_recipe(p: argparse.ArgumentParser) -> None:
    """Add the options that choose a recipe: --backend, --config, --set, --checkpoint."""
    p.add_argument("--backend", default="", metavar="NAME", help="torch or jax; default: torch if there is a choice")
    add_config(p)
    p.add_argument("--checkpoint", type=Path, metavar="FILE", help="use these weights instead of training")
    p.add_argument(
        "--pretrained",
        action="append",
        default=[],
        type=start_from,
        metavar="FILE",
        dest="overrides",
        help="start training from the weights in this file (with timm's names) instead of published ones",
    )


def add_config(p: argparse.ArgumentParser) -> None:
    """Add the options that change a recipe: --config and --set."""
    p.add_argument(
        "--config",
        type=Path,
        metavar="FILE|NAME",
        help="a recipe that overrides the detector's own; NAME: one of configs/",
    )
    add_set(p)


def add_set(p: argparse.ArgumentParser) -> None:
    """Add --set."""
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="one setting, such as train.epochs=3; may be repeated",
    )


def add_run(p: argparse.ArgumentParser) -> None:
    """Add --seed, --runs and the options for how the work is done."""
    p.add_argument("--seed", type=parse_seeds, default=(0,), metavar="N[,N]", help="one run for each seed (default 0)")
    told = "devices that share each training, in PyTorch (default 1); over several machines: torchrun (docs/scaling.md)"
    p.add_argument("--devices", type=parse_positive, metavar="N", help=told)
    add_places(p)


def add_places(p: argparse.ArgumentParser) -> None:
    """Add --runs, --engine and the options for how the work is done."""
    p.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs are kept (default runs/)")
    add_engine(p)
    add_work(p)


def add_engine(p: argparse.ArgumentParser) -> None:
    """Add where the work is done: --engine, --address and --gpus-per-group."""
    p.add_argument("--engine", default="inline", metavar="NAME", help="inline (default): work in this process; or ray")
    p.add_argument("--address", default="", metavar="ADDR", help="the Ray cluster, such as 10.0.0.1:6379; or auto")
    p.add_argument("--gpus-per-group", type=parse_positive, metavar="N", help="GPUs per training on Ray (default 1)")


def name_engine(arguments: argparse.Namespace) -> str:
    """Return the engine in one word, as functions of the Python API take it: `ray:10.0.0.1:6379?gpus=2`."""
    address = f":{arguments.address}" if arguments.address else ""
    devices = getattr(arguments, "devices", None) or 1
    counts = {"gpus": arguments.gpus_per_group, "devices": devices if devices > 1 else None}
    return f"{arguments.engine}{address}{''.join(f'?{name}={n}' for name, n in counts.items() if n)}"


def add_no_speed(p: argparse.ArgumentParser) -> None:
    """Add --no-speed."""
    told = "don't measure how fast the detectors are (at most 20 s each, once per machine; bench speed takes longer)"
    p.add_argument("--no-speed", dest="speed", action="store_false", help=told)


def add_runtime(p: argparse.ArgumentParser) -> None:
    """Add the options for what runs a network, and where: --runtime and --precision (in scoring), --device."""
    add_device(p)
    p.add_argument(
        "--runtime",
        default="",
        metavar="NAME",
        help="what runs a torch network in scoring: torch (default), compile, onnxruntime, openvino, or auto: the "
        "fastest that agrees with torch on the source's val split",
    )
    p.add_argument(
        "--precision",
        default="",
        metavar="NAME",
        help="number format in scoring: fp32 (default), tf32, bf16, fp16, auto",
    )


def add_device(p: argparse.ArgumentParser) -> None:
    """Add --device."""
    p.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="where networks run: auto (default: a GPU or TPU if there is one), cpu, cuda, cuda:1, mps, tpu",
    )


def add_work(p: argparse.ArgumentParser) -> None:
    """Add the options that change no number: --workers and --batch-size."""
    add_workers(p)
    p.add_argument(
        "--batch-size", type=parse_batch_size, default=32, metavar="N", help="images scored at once (default 32)"
    )


def add_workers(p: argparse.ArgumentParser) -> None:
    """Add --workers."""
    p.add_argument(
        "--workers", type=parse_workers, metavar="N", help="processes that prepare data (default: one per core)"
    )


def add_part(p: argparse.ArgumentParser, help: str) -> None:
    """Add --part I/N."""
    p.add_argument("--part", default="", metavar="I/N", help=f"{help}; I starts at 1")


def add_json(p: argparse.ArgumentParser, what: str) -> None:
    """Add --json [FILE]: JSON on stdout instead of text, or in a file in addition to it."""
    about = f"{what} as JSON, instead of the text; with FILE, written there too"
    p.add_argument("--json", type=parse_json_file, nargs="?", const=STDOUT, metavar="FILE", help=about)


def add_split(p: argparse.ArgumentParser, default: str, help: str) -> None:
    """Add --split, and its former name."""
    p.add_argument("--split", default=default, metavar="SPLIT[,SPLIT]", help=help)
    p.add_argument("--splits", dest="split", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def write_json_to(to: Path, content: object) -> None:
    """Print JSON, or write it to the file given with --json."""
    import json

    from ..core.storage import write_json

    if to == STDOUT:
        say(escape_json(json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)))
    else:
        write_json(to, content)


def parse_json_file(text: str) -> Path:
    """Read the name of a JSON file to write, or `-`; other names are refused, since they may be the file to read."""
    if text != str(STDOUT) and not text.lower().endswith(".json"):
        raise argparse.ArgumentTypeError(f"'{text[:60]}' doesn't end in .json. Give the other arguments before --json")
    return Path(text)


def parse_positive(text: str) -> int:
    """Read a positive integer."""
    return _parse_whole(text, 1, 10**12)


def parse_batch_size(text: str) -> int:
    """Read a batch size, up to a recipe's maximum."""
    return _parse_whole(text, 1, MOST_BATCH)


def parse_image_size(text: str) -> int:
    """Read the side of an image, in pixels."""
    return _parse_whole(text, 1, 10_000)


def parse_draws(text: str) -> int:
    """Read a number of draws, up to a recipe's maximum."""
    return _parse_whole(text, 1, MOST_DRAWS)


def parse_seed(text: str) -> int:
    """Read a seed: all generators take those below 2^32."""
    return _parse_whole(text, 0, MOST_SEED)


def parse_workers(text: str) -> int:
    """Read a number of processes; 0 means none besides this one."""
    return _parse_whole(text, 0, MOST_WORKERS)


def _parse_whole(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or len(text) > 20 or not least <= int(text) <= most:
        upper = f", at most {most:,}" if most < 10**12 else ""
        raise argparse.ArgumentTypeError(f"'{text[:60]}' is not an integer of at least {least}{upper}")
    return int(text)


def parse_share(text: str) -> float:
    """Read a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 1")
    return value


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read `0` or `0,1,2`."""
    parts = parse_names(text)
    if not parts or not all(p.isdecimal() for p in parts):
        raise argparse.ArgumentTypeError(f"'{text[:60]}' is not a list of seeds such as 0 or 0,1,2")
    return tuple(dict.fromkeys(map(parse_seed, parts)))


def parse_names(text: str) -> tuple[str, ...]:
    """Read `a,b` into its parts, each once."""
    return tuple(dict.fromkeys(p.strip() for p in text.split(",") if p.strip()))


def make_detector_request(arguments: argparse.Namespace) -> Keywords:
    """Return the detector that parsed options name, as arguments of the Python API."""
    return {
        "detector": arguments.detector,
        "backend": arguments.backend,
        "checkpoint": arguments.checkpoint,
        "config": arguments.config,
        "settings": arguments.overrides,
    }


def make_runtime_request(arguments: argparse.Namespace) -> Keywords:
    """Return the runtime, precision and device, as arguments of the Python API."""
    return {name: getattr(arguments, name) for name in ("runtime", "precision", "device")}


def make_run_request(arguments: argparse.Namespace) -> Keywords:
    """Return the request in parsed options, as arguments of `crossfake.run`, `plan` and `train`."""
    from ..stages.sources import parse_data

    return {
        "detectors": arguments.detector,
        "train": arguments.train,
        "data": parse_data(arguments.data),
        "seeds": arguments.seed,
        "backend": arguments.backend,
        "config": arguments.config,
        "settings": arguments.overrides,
        "checkpoint": arguments.checkpoint,
        "limit": arguments.limit,
        "exclude": arguments.exclude,
        "faces_only": arguments.faces_only,
        "runs": arguments.runs,
        "engine": name_engine(arguments),
    }


def make_work_options(arguments: argparse.Namespace) -> Keywords:
    """Return how to do the work, as arguments of `crossfake.run`."""
    return {
        "workers": arguments.workers,
        "batch_size": arguments.batch_size,
        "command": arguments.command,
        "progress": make_reporter(arguments),
    }


def print_parts(parts: Iterable[str | Grid]) -> None:
    """Print texts and tables: tables that fit the terminal if there is one, else markdown."""
    from rich.console import Console

    from ...leaderboards.markdown import format_grid

    console = Console()
    for part in parts:
        if isinstance(part, str):
            say(part)
        elif console.is_terminal:
            console.print(make_table(*part))
        else:
            say(format_grid(*part))
        say()


def make_table(header: list[str], rows: list[list[str]]) -> RenderableType:
    """Return a table for a terminal; the first column isn't wrapped."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table
    from rich.text import Text

    columns = [Column(Text(name), no_wrap=i == 0) for i, name in enumerate(header)]
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(escape(cell)) for cell in row))
    return table


def print_left_out(problems: list[str]) -> None:
    """Say on stderr which files were left out of a board, and why."""
    for problem in problems:
        say(f"left out: {escape_line(problem)}", aside=True)
