"""Pages of the site that are made from code and from files outside docs/; mkdocs calls the functions `on_*`.

None of these pages is committed. Whenever the site is built, the command line, settings, environment variables, Python
API and contracts are read from the code, and the README and its neighbours are copied with their links adapted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Literal, get_args, get_origin

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parents[1]
FROM_ROOT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security_policy.md",
}
"""Pages in the repository's root, and their names on the site."""
COPIES = {"leaderboards/demo.html": "leaderboards/demo.html", "LICENSE": "LICENSE.txt", "CITATION.cff": "CITATION.cff"}
"""Files that pages link to."""
ELSEWHERE = {**FROM_ROOT, **COPIES, "leaderboards/demo.md": "leaderboards/demo.html", "tutorial.ipynb": "tutorial.md"}
WIDTH = "88"
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and files that aren't in docs/."""
    from mkdocs.structure.files import File

    for path, content in make_pages().items():
        files.append(File.generated(config, path, content=content))
    for source, path in COPIES.items():
        files.append(File.generated(config, path, abs_src_path=str(ROOT / source)))
    return files


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse a page that would load anything from another host, which would learn who reads the page."""
    if loaded := find_loads_from_elsewhere(output):
        raise ValueError(f"{page.file.src_path} loads {loaded[0]}")
    return output


def find_loads_from_elsewhere(html: str) -> list[str]:
    """Return the tags that load something from another host; links that need a click don't count."""
    return re.findall(
        r"<(?:script|link|img|iframe|source|video|audio)\b[^>]*?(?:src|href)=[\"']?(?:https?:)?//[^>]*>", html
    )


def make_pages() -> dict[str, str]:
    """Return the generated pages, by their path in the site."""
    return {
        **{path: turn_links((ROOT / source).read_text(encoding="utf-8")) for source, path in FROM_ROOT.items()},
        "tutorial.md": render_notebook(ROOT / "docs" / "tutorial.ipynb"),
        "reference/cli.md": make_cli_page(),
        "reference/settings.md": make_settings_page(),
        "reference/environment.md": make_environment_page(),
        "reference/python.md": make_api_page(),
        "reference/contracts.md": make_contracts_page(),
    }


def turn_links(markdown: str) -> str:
    """Adapt a root file's links to the site: `docs/` is the site's root, and root files are pages."""

    def turn(found: re.Match[str]) -> str:
        target = found["path"].removeprefix("docs/")
        return f"]({ELSEWHERE.get(target, target)}{found['anchor']})"

    return re.sub(r"\]\((?P<path>[^)#:]+)(?P<anchor>#[^)]*|)\)", turn, markdown)


# ---- the command line


def make_cli_page() -> str:
    """Return the page with every verb's help."""
    from crossfake.benchmark.cli.main import build_parser

    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDTH  # argparse reads it.
    try:
        parts = [f"{'#' * level} {name}\n\n```text\n{text}```\n" for level, name, text in list_helps(build_parser())]
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return "\n".join(["# Command line\n", "`bench VERB --help` prints the same on the terminal.\n", *parts])


def list_helps(parser: argparse.ArgumentParser, level: int = 2) -> Iterator[tuple[int, str, str]]:
    """Yield the heading level, name and help of a command and of its subcommands."""
    yield level, parser.prog, parser.format_help()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in dict.fromkeys(action.choices.values()):
                yield from list_helps(below, level + (level > 2 or parser.prog != "bench"))


# ---- settings


def make_settings_page() -> str:
    """Return the page with every setting's default and description, and the recipes."""
    from crossfake.benchmark.core import settings

    lines = [
        "# Settings and recipes\n",
        "Set any of these with `--set KEY=VALUE`, in a recipe given with `--config FILE`, or from Python with "
        "`settings={KEY: VALUE}`. These sources are merged, and later ones override earlier ones: the defaults below, "
        "`configs/DETECTOR.yaml`, `configs/demo.yaml` on the demo world, the settings in a checkpoint's header, "
        "`--config`, `--set`. A setting that changes numbers is part of a run's key if it isn't the default.\n",
        "| key | values | default | meaning |",
        "|---|---|---|---|",
        *(
            f"| `{key}` | {describe_values(info)} | {show_default(info)} | {escape_cell(info.description or '')} |"
            for key, info in list_settings(settings.Settings)
        ),
        "\n## Recipes\n",
        "These recipes come with crossfake; `--config NAME` uses one by its name.\n",
    ]
    files = sorted(settings.CONFIGS.glob("*.yaml"))
    recipes = [f"### {file.stem}\n\n```yaml\n{file.read_text(encoding='utf-8')}```\n" for file in files]
    return "\n".join([*lines, *recipes])


def list_settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every dotted key with its field."""
    from pydantic import BaseModel

    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from list_settings(info.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, info


def describe_values(info: FieldInfo) -> str:
    """Return a field's type and bounds: `int, at least 1`."""
    bounds = [
        f"{word} {getattr(limit, name):,g}"
        for limit in info.metadata
        for name, word in BOUNDS.items()
        if hasattr(limit, name)
    ]
    return ", ".join([escape_cell(name_type(info.annotation)), *bounds])


def name_type(kind: object) -> str:
    """Return a type in readable form: `int | None`, `png | jpeg95`."""
    if get_origin(kind) is Literal:
        return " | ".join(f"`{value}`" for value in get_args(kind))
    if isinstance(kind, UnionType):
        return " | ".join(name_type(part) for part in get_args(kind))
    if kind is NoneType:
        return "`null`"
    return f"`{kind.__name__ if isinstance(kind, type) and not get_args(kind) else kind}`"


def show_default(info: FieldInfo) -> str:
    """Return a default as it is written in YAML."""
    return f"`{json.dumps(info.default)}`"


def escape_cell(text: str) -> str:
    """Escape a text for a table's cell."""
    return text.replace("|", "\\|")


# ---- the environment, Python


def make_environment_page() -> str:
    """Return the page of the variables that crossfake reads."""
    from crossfake.benchmark.core.environment import VARIABLES

    rows = [f"| `{name}` | {about} |" for name, about in VARIABLES.items()]
    head = [
        "# Environment variables\n",
        "crossfake reads these variables and no others.\n",
        "| variable | meaning |",
        "|---|---|",
    ]
    after = (
        "\nLibraries also read variables of their own, such as `OMP_NUM_THREADS` (the number of threads of PyTorch and "
        "OpenBLAS; `train.threads` sets it for a training), `CUDA_VISIBLE_DEVICES` and `XLA_FLAGS`."
    )
    return "\n".join([*head, *rows, after])


def make_api_page() -> str:
    """Return the page of everything that `crossfake` exports, and of the classes that its functions return."""
    import crossfake

    classes = ["crossfake.benchmark.core.scorecard.ScoreCard", "crossfake.benchmark.core.scorecard.Estimate"]
    names = [f"crossfake.{name}" for name in crossfake.__all__]
    shown = [make_directive(name) for name in [*names, *classes]]
    return "\n".join(["# Python API in full\n", "Start with [the introduction](../api.md) and its examples.\n", *shown])


def make_contracts_page() -> str:
    """Return the page of the plugins' protocols, and of the types that they receive."""
    members = {"show_root_toc_entry": False, "show_root_heading": False, "heading_level": 2}
    shown = [make_directive(f"crossfake.benchmark.core.{module}", members) for module in ("contracts", "types")]
    return "\n".join(["# Contracts in full\n", "[Plugins](../plugins.md) summarises them in a table.\n", *shown])


def make_directive(name: str, options: Mapping[str, object] | None = None) -> str:
    """Return the directive that mkdocstrings replaces with the documentation of a name."""
    lines = [f"        {key}: {json.dumps(value)}" for key, value in (options or {}).items()]
    return "\n".join([f"::: {name}", *(["    options:", *lines] if lines else []), ""])


# ---- notebooks


def render_notebook(path: Path) -> str:
    """Return a notebook as markdown: its texts, its code, and the output of its last run."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(turn_links(text))
            continue
        parts.append(f"```python\n{text}\n```")
        printed = "".join(read_output(output) for output in cell["outputs"]).rstrip()
        if printed:
            parts.append(f"```text\n{printed}\n```")
    return "\n\n".join(parts) + "\n"


def read_output(output: Mapping[str, object]) -> str:
    """Return an output's text."""
    data = output.get("data")
    text = output.get("text") or (data.get("text/plain") if isinstance(data, dict) else "") or ""
    return "".join(text) if isinstance(text, list) else str(text)
