import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Plant = Callable[[Mapping[str, object]], Path]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Write files under a root: text as it is, JSON of lists and dicts, empty files for None."""

    def write(files: Mapping[str, object]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else "" if content is None else json.dumps(content)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write
