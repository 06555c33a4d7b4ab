"""Plugins are listed without being imported and found by name; unknown names give an error with a hint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.registry import Registry, detectors

PLUGIN = """
from crossfake.benchmark.core.registry import detectors
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


def test_hyphens_and_underscores_are_the_same():
    assert detectors.find("pgfdd-fixed").name == "pgfdd_fixed"
    assert detectors.find("efficientnet_b4").name == "efficientnet-b4"


def test_unknown_names_get_a_suggestion(registry):
    with pytest.raises(BenchError, match=r"no detector named 'onee'\. Did you mean 'one'\? See: bench list detectors"):
        registry.find("onee")


def test_two_plugins_of_one_name_are_refused_with_both_places(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text('@detectors.register("same", backend="torch")\nclass X: ...\n')
    with pytest.raises(BenchError, match=r"two detectors are named 'same': .*a\.py:2 and .*b\.py:2"):
        Registry("detectors", tmp_path, "nowhere").names()


def test_a_file_that_does_not_parse_breaks_no_other(tmp_path, capsys):
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


INSTALLED = {
    "mypack/__init__.py": "raise RuntimeError('imported')",
    "mypack/models/__init__.py": "raise RuntimeError('imported')",
    "mypack/models/deep.py": PLUGIN,
    "flat.py": "from crossfake.plugin import detectors\nclass Plain:\n    def score(self, frames): ...\n",
    "mypack-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: mypack\nVersion: 1.0\n",
    "mypack-1.0.dist-info/entry_points.txt": "[crossfake.detectors]\nmine = mypack.models.deep:One\n"
    "plain = flat:Plain\ngone = nowhere_at_all.deep:One\n",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in INSTALLED.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_installed_plugins_keep_their_cards_without_being_imported(site):
    registry = Registry("detectors", site / "none", "nowhere")
    assert registry.names() == ["gone", "mine", "plain"]
    mine = registry.find("mine")
    assert (mine.backend, mine.aliases, mine.target) == ("torch", ("uno",), "mypack.models.deep:One")
    assert mine.card == {"title": "One", "options": {"size": 3}}
    assert registry.find("plain").card == registry.find("gone").card == {}
    assert registry.find("plain").load().__name__ == "Plain"


def test_a_class_of_a_module_without_dots_is_found(site):
    assert detectors.find("flat:Plain").name == "local/flat.plain"


def write_scorer(path: Path, value: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"made = []\nclass Mine:\n    value = {value}\n    def score(self, frames): ...\n")
    return f"{path}:Mine"


def test_files_of_the_same_name_are_two_plugins(tmp_path):
    one, two = (write_scorer(tmp_path / folder / "own.py", folder[1]) for folder in ("a1", "b2"))
    assert (detectors.find(one).load().value, detectors.find(two).load().value) == (1, 2)
    assert detectors.find(one).load().__module__ != detectors.find(two).load().__module__


def test_classes_of_the_same_name_in_two_files_have_two_names(tmp_path):
    names = [detectors.find(write_scorer(tmp_path / f"{stem}.py", "1")).name for stem in ("first", "second", "mine")]
    assert names == ["local/first.mine", "local/second.mine", "local/mine"]


def test_a_file_is_executed_once_until_it_changes(tmp_path):
    target = write_scorer(tmp_path / "own.py", "1")
    first = detectors.find(target).load()
    assert detectors.find(target).load() is first
    write_scorer(tmp_path / "own.py", "2")
    os.utime(tmp_path / "own.py", ns=(1, 1))
    assert detectors.find(target).load().value == 2


def test_a_file_that_failed_is_tried_again(tmp_path):
    (tmp_path / "own.py").write_text("raise RuntimeError('not yet')")
    for _ in range(2):
        with pytest.raises(BenchError, match=r"own\.py can't be imported: RuntimeError: not yet"):
            detectors.find(f"{tmp_path}/own.py:Mine")
