"""Plugins are known without being imported, found by name, and refused with a hint."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from crossfake.benchmark.errors import BenchError
from crossfake.benchmark.registry import Registry, detectors

PLUGIN = """
from crossfake.benchmark.registry import detectors
raise RuntimeError("imported")

@detectors.register("one", aliases=("uno",), backend="torch", title="One", options={"size": 3})
class One: ...

@detectors.register("one", backend="jax")
class OneJax: ...
"""


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.py").write_text(PLUGIN)
    return Registry("detectors", tmp_path, "nowhere")


def test_names_and_cards_come_from_the_source_without_importing_it(registry):
    entry = registry.find("one")
    assert (entry.name, entry.backend, entry.aliases) == ("one", "torch", ("uno",))
    assert entry.card == {"title": "One", "options": {"size": 3}}
    assert entry.target == "nowhere.sub.one:One"
    assert registry.names() == ["one"]


def test_alias_case_and_backend(registry):
    assert registry.find("UNO").name == "one"
    assert registry.find("one", "jax").target.endswith(":OneJax")
    with pytest.raises(BenchError, match="has no backend 'tpu'; it has: jax, torch"):
        registry.find("one", "tpu")


def test_unknown_names_get_a_suggestion(registry):
    with pytest.raises(BenchError, match=r"no detector named 'onee'\. Did you mean 'one'\? See: bench list detectors"):
        registry.find("onee")


def test_two_plugins_of_one_name_are_refused_with_both_places(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text('@detectors.register("same", backend="torch")\nclass X: ...\n')
    with pytest.raises(BenchError, match=r"two detectors are named 'same': .*a\.py:2 and .*b\.py:2"):
        Registry("detectors", tmp_path, "nowhere").names()


def test_a_file_that_does_not_parse_takes_nobody_down(tmp_path, capsys):
    (tmp_path / "broken.py").write_text("@detectors.register('x')\nclass X(:\n")
    (tmp_path / "fine.py").write_text('@detectors.register("fine")\nclass X: ...\n')
    assert Registry("detectors", tmp_path, "nowhere").names() == ["fine"]
    assert "broken.py does not parse" in capsys.readouterr().err


def test_the_scanned_cards_equal_the_live_ones():
    pytest.importorskip("torch")
    for entry in detectors.entries():
        card = dict(entry.load().cards[entry.name])
        card.pop("aliases", None)
        card.pop("backend", None)
        assert card == entry.card, entry.name


def test_listing_imports_no_backend():
    code = (
        "import sys; from crossfake.benchmark.cli.main import main; main(['list']); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'jax', 'pandas', 'cv2')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere.py:X", "no file nowhere.py"),
        ("cadm", "no detector named 'cadm'. Did you mean 'caddm'?"),
        ("xeption", "Did you mean 'xception'?"),
    ],
)
def test_wrong_names_on_the_real_registry(name, message):
    with pytest.raises(BenchError) as error:
        detectors.find(name)
    assert message in str(error.value)
