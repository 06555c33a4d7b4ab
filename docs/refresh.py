"""Makes again what pages show of results: README's example and lines of the board, and what the tutorial prints.

python docs/refresh.py    # or: make readme, which also takes the picture of the board
"""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
from collections.abc import Sequence
from contextlib import chdir, redirect_stdout
from itertools import takewhile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BOARD, END = "<!-- from leaderboards/demo.md -->\n", "<!-- end -->"
EXAMPLE = re.compile(r"(?P<fence>```python\n(?P<code>[^`]*)```\n\n```text\n)(?P<printed>[^`]*)```")
ROWS = 5  # of the board, the best ones
Notebook = dict[str, Any]
"""A notebook's JSON."""


def run_cells(sources: Sequence[str], folder: Path) -> list[str]:
    """Run pieces of code one after the other in a folder, as one module; return what each prints."""
    space: dict[str, object] = {"__name__": "notebook"}
    printed = []
    for i, source in enumerate(sources):
        out = io.StringIO()
        with redirect_stdout(out), chdir(folder):
            exec(compile(source, f"cell {i}", "exec"), space)
        printed.append(out.getvalue())
    return printed


def list_code(notebook: Notebook) -> list[str]:
    """Return the code of a notebook's cells."""
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def store_outputs(notebook: Notebook, printed: Sequence[str]) -> None:
    """Put what its cells have printed into a notebook."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for i, (cell, text) in enumerate(zip(cells, printed, strict=True)):
        lines = text.splitlines(keepends=True)
        cell["execution_count"] = i + 1
        cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": lines}] if lines else []


def refresh_tutorial(path: Path, folder: Path) -> None:
    """Run the notebook in a folder that holds all it leaves behind, and store what it prints."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    store_outputs(notebook, run_cells(list_code(notebook), folder))
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def refresh_readme(readme: str, board: str, folder: Path) -> str:
    """Return the README with its example's output, and with the first rows of the board's first table."""
    example = EXAMPLE.search(readme)
    assert example, "README has an example and what it prints"
    (printed,) = run_cells([example["code"]], folder)
    readme = readme.replace(example[0], f"{example['fence']}{printed}```")
    before, rest = readme.split(BOARD)
    return f"{before}{BOARD}{take_rows(board)}{END}{rest.split(END, 1)[1]}"


def take_rows(board: str) -> str:
    """Return the head of the first table of a page of markdown, with its first rows."""
    lines = board.splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    table = takewhile(lambda line: line.startswith("|"), lines[start:])
    return "".join(list(table)[: ROWS + 2])


if __name__ == "__main__":
    page = ROOT / "README.md"
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["BENCH_CACHE"] = f"{temporary}/cache"
        board = (ROOT / "leaderboards" / "demo.md").read_text(encoding="utf-8")
        page.write_text(refresh_readme(page.read_text(encoding="utf-8"), board, Path(temporary)), encoding="utf-8")
        refresh_tutorial(ROOT / "docs" / "tutorial.ipynb", Path(temporary))
