"""docs/detectors.md matches the detectors' cards, and the cards of published detectors are complete."""

from __future__ import annotations

from pathlib import Path

import pytest
from crossfake.benchmark.cli.listing import FIELDS, format_page
from crossfake.benchmark.core.registry import detectors
from crossfake.benchmark.core.settings import CONFIGS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "detectors.md"
FIELD = [e for e in detectors.entries() if {"variant", "input_size"} <= e.card.get("defaults", {}).keys()]


def test_the_page_is_made_from_the_cards():
    assert PAGE.read_text(encoding="utf-8") == format_page(detectors.entries()) + "\n"


@pytest.mark.parametrize("entry", [e for e in FIELD if e.backend == "torch"], ids=lambda e: e.name)
def test_a_card_of_a_published_detector_is_complete_and_has_a_recipe(entry):
    assert FIELDS.keys() <= entry.card.keys()
    assert entry.card["defaults"] == {"variant": "paper", "input_size": entry.card["input_size"]}
    assert (CONFIGS / f"{entry.name}.yaml").is_file()
    assert f"\n  {entry.name}:" in (CONFIGS / "demo.yaml").read_text(encoding="utf-8")


OTHERS = [e for e in detectors.entries() if e.backend == "torch" and e not in FIELD and e.name != "timm"]


@pytest.mark.parametrize("entry", OTHERS, ids=lambda e: e.name)
def test_cards_of_the_first_detectors_and_of_plain_backbones_are_complete_too(entry):
    assert {field for field in FIELDS if not entry.card.get(field)} <= {"license"}


def test_ports_of_published_detectors_have_the_same_defaults():
    for entry in FIELD:
        assert entry.card["defaults"] == detectors.find(entry.name, "torch").card["defaults"]
