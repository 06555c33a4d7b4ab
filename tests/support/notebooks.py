"""Notebooks without Jupyter: runs the cells one after the other and keeps what they print.

python tests/support/notebooks.py docs/tutorial.ipynb    # runs it in a temporary folder and stores its outputs
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from contextlib import chdir, redirect_stdout
from pathlib import Path


def run_cells(notebook: dict, folder: Path) -> list[str]:
    """Run a notebook's code in a folder, as one module; return what each cell of code prints."""
    space: dict = {"__name__": "notebook"}
    printed = []
    for i, cell in enumerate(c for c in notebook["cells"] if c["cell_type"] == "code"):
        out = io.StringIO()
        with redirect_stdout(out), chdir(folder):
            exec(compile("".join(cell["source"]), f"cell {i}", "exec"), space)
        printed.append(out.getvalue())
    return printed


def store_outputs(notebook: dict, printed: list[str]) -> dict:
    """Return the notebook with what its cells have printed."""
    texts = iter(printed)
    for i, cell in enumerate(c for c in notebook["cells"] if c["cell_type"] == "code"):
        lines = next(texts).splitlines(keepends=True)
        cell["execution_count"] = i + 1
        cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": lines}] if lines else []
    return notebook


if __name__ == "__main__":
    path = Path(sys.argv[1]).resolve()
    content = json.loads(path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_CACHE"] = f"{folder}/cache"
        content = store_outputs(content, run_cells(content, Path(folder)))
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
