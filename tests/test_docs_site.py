"""The documentation site has every page, its generated pages match the code, and no link is broken."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import ModuleType

import crossfake
import pytest
import yaml
from crossfake.benchmark.cli.main import VERBS, build_parser
from crossfake.benchmark.core import environment
from crossfake.benchmark.core.settings import Settings, list_keys

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
WRITTEN = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *DOCS.glob("*.md"),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FOLDERS = ("api", "benchmark", "datasets", "detectors", "leaderboards")
CODE = [p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py")]
COMMAND = re.compile(r"(?:^|\s|`)bench ([^\n`#|&;)]+)")
SHOWN_COMMAND = re.compile(r"^ *(?:[A-Z_]+=\S+ )*bench ([^\n]+)$", re.MULTILINE)
OPTION = re.compile(r"--?[a-z][\w-]*")
NAMED_FILE = re.compile(rf"\b((?:{'|'.join(FOLDERS)}|benchmarks|configs|docs|tests)/[\w./-]+\.(?:py|yaml|md|csv|html))")
MADE_UP = ("configs/NAME.yaml", "datasets/__init__.py")
VARIABLE = re.compile(r"BENCH_[A-Z]+=?")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    return load("hooks")


@pytest.fixture(scope="module")
def refresh() -> ModuleType:
    return load("refresh")


@pytest.fixture(scope="module")
def pages(hooks) -> dict[str, str]:
    return hooks.make_pages()


@pytest.fixture(scope="module")
def nav() -> set[str]:
    def walk(part: object) -> set[str]:
        if isinstance(part, str):
            return {part}
        return set().union(*map(walk, part.values() if isinstance(part, dict) else part))

    return walk(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])


def test_the_site_has_every_page_and_no_other(pages, nav):
    assert nav == {p.name for p in DOCS.glob("*.md")} | set(pages)


def test_external_resources_of_a_page_are_found(hooks):
    own = '<script src="a.js"></script><a href="https://arxiv.org">x</a><img src="images/x.png">'
    others = [
        '<script async src="https://x.org/a.js">',
        "<link rel=stylesheet href='//x.org/a.css'>",
        "<img src=http://x.org/p>",
    ]
    assert hooks.find_loads_from_elsewhere(own) == []
    assert hooks.find_loads_from_elsewhere(own + "".join(others)) == others


@pytest.mark.parametrize("page", WRITTEN, ids=lambda p: p.name)
def test_no_link_leads_nowhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("https://", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda p: p.name)
def test_pages_in_docs_link_to_nothing_outside_the_site(page):
    assert [link for link in LINK.findall(page.read_text(encoding="utf-8")) if link.startswith("../")] == []


def test_links_of_the_root_files_lead_to_pages(pages, nav, hooks):
    known = nav | set(hooks.COPIES.values()) | {f"images/{p.name}" for p in (DOCS / "images").iterdir()}
    for name in hooks.FROM_ROOT.values():
        targets = {t.partition("#")[0] for t in LINK.findall(pages[name]) if not t.startswith("https://")}
        assert targets - {""} <= known, name


def test_the_command_lines_page_has_the_help_of_every_verb(pages):
    page = pages["reference/cli.md"]
    (verbs,) = [a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    assert len(verbs.choices) >= len(VERBS)
    assert [name for name in verbs.choices if f"## bench {name}\n" not in page] == []
    assert "### bench data check\n" in page
    assert "--dry-run" in page


def test_the_settings_page_describes_every_setting(pages):
    lines = [line for line in pages["reference/settings.md"].splitlines() if line.startswith("| `")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert [row[0].strip("`") for row in rows] == list_keys(Settings)
    assert [row for row in rows if not row[3]] == []
    shown = {row[0].strip("`"): row[1:3] for row in rows}
    assert shown["train.batch_size"] == ["`int`, at least 1, at most 65,536", "`32`"]
    assert shown["faces.encoding"] == ["`zstd` \\| `png` \\| `jpeg95` \\| `jpeg444`", '`"zstd"`']


def test_every_variable_that_the_code_reads_is_documented(pages):
    """The code names variables only through the constants in `environment`."""
    page = pages["reference/environment.md"]
    assert [name for name in environment.VARIABLES if f"`{name}`" not in page] == []
    sources = {path: path.read_text(encoding="utf-8") for path in CODE}
    spelled = {
        (path.name, node.value)
        for path, source in sources.items()
        if "BENCH_" in source
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and VARIABLE.fullmatch(node.value)
    }
    assert spelled == {("environment.py", name) for name in environment.VARIABLES if name.startswith("BENCH_")}


def test_the_readme_example_prints_the_text_below_it_and_new_board_rows_replace_old(refresh, tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.split(refresh.BOARD)[1].split(refresh.END)[0]
    assert refresh.refresh_readme(text, f"# Board\n\n{table}\n| another |\n", tmp_path) == text
    rows = "".join(f"| {i} |\n" for i in range(9))
    board = f"words\n\n| head |\n|---|\n{rows}\nwords\n\n| another |\n"
    assert refresh.take_rows(board) == "| head |\n|---|\n| 0 |\n| 1 |\n| 2 |\n| 3 |\n| 4 |\n"


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    return build_parser()


@pytest.fixture(scope="module")
def options() -> dict[str, set[str]]:
    """Return the options of each command by its name, such as `data check`."""

    def walk(parser: argparse.ArgumentParser, name: str) -> dict[str, set[str]]:
        found = {name: {option for action in parser._actions for option in action.option_strings}}
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for below, made in action.choices.items():
                    found |= walk(made, f"{name} {below}".strip())
        return found

    return walk(build_parser(), "")


@pytest.mark.parametrize("page", WRITTEN, ids=lambda p: p.name)
def test_commands_settings_and_files_named_on_a_page_exist(page, options):
    text = page.read_text(encoding="utf-8")
    for command in COMMAND.findall(text):
        words = command.split()
        verb = max((name for n in range(3) if (name := " ".join(words[:n])) in options), key=len)
        assert verb or OPTION.fullmatch(words[0]), command
        assert {word for word in words if OPTION.fullmatch(word)} <= options[verb], command
    assert set(re.findall(r"--set (?:')?((?:faces|train|score)\.\w+)=", text)) <= set(list_keys(Settings))
    for named in NAMED_FILE.findall(text):
        assert (ROOT / named).exists() or named in MADE_UP, named


@pytest.mark.parametrize("page", WRITTEN, ids=lambda p: p.name)
def test_commands_shown_on_a_page_are_accepted(page, parser):
    """Whole commands with their arguments; commands with parts that only a shell can fill in are skipped."""
    text = page.read_text(encoding="utf-8").replace("\\\n", "")
    for shown in SHOWN_COMMAND.findall(text):
        command = re.split(r"\s+(?:#|\||&$)", shown)[0]
        if "$" not in command:
            parser.parse_args(shlex.split(command))


def test_the_version_is_the_same_everywhere():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    released = re.findall(r"^## (\d\S*) - (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert (cited["version"], cited["date-released"]) == released[0]
    assert cited["version"] == crossfake.__version__


def test_the_readmes_make_commands_are_in_the_makefile():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    asked = set(re.findall(r"(?:^    |`)make (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test", "docs", "board"} <= asked <= targets


@pytest.mark.slow
def test_the_tutorial_runs_and_prints_what_it_shows(refresh, tmp_path, monkeypatch):
    """The words must match; the rendered world's numbers depend on the versions of the video codecs."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    notebook = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    shown = ["".join(line for output in cell["outputs"] for line in output["text"]) for cell in cells]
    printed = refresh.run_cells(refresh.list_code(notebook), tmp_path)
    assert printed[:2] == shown[:2], "scores of a table that is there"
    assert [hide_numbers(text) for text in printed] == [hide_numbers(text) for text in shown]
    assert (tmp_path / "tutorial_board" / "leaderboard.html").is_file()


def hide_numbers(text: str) -> list[str]:
    return re.sub(r"-?\d+\.\d+|NaN", "#", text).split()
