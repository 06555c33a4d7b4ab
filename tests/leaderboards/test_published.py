"""Published numbers appear only next to rows with the same detector, training set, test set and level."""

from __future__ import annotations

import pytest
from crossfake.leaderboards.markdown import format_reported, render_markdown
from crossfake.leaderboards.published import METRICS, match_published, read_published
from crossfake.leaderboards.rows import make_tables


def test_every_published_number_has_its_source_and_level():
    lines = read_published()
    assert len(lines) > 500
    assert all(line["source"] and line["citation"] and line["level"] and line["train"] for line in lines)
    aucs = [float(line["value"]) for line in lines if line["metric"] == "AUC"]
    assert all(0 <= v <= 1 for v in aucs)


FOUR = {"name": "xception", "detector": "xception", "train": "ff++:c23:4m"}


def test_a_reported_frame_auc_is_compared_with_the_frame_auc_of_the_same_detector(make):
    (table,) = make_tables([make(auc=0.8, **FOUR)])
    ours = [r for r in match_published(table) if r.ours]
    dfb = next(r for r in ours if r.source == "DeepfakeBench")
    assert (dfb.detector, dfb.train, dfb.test, dfb.level, dfb.value) == (
        "Xception",
        "ff++:c23:4m",
        "celebdf",
        "frame",
        0.7365,
    )
    assert dfb.ours.value == pytest.approx(0.7)
    assert {r.detector.lower() for r in ours} == {"xception"}
    assert all(r.level in METRICS for r in match_published(table))
    text = render_markdown(make_tables([make(auc=0.8, **FOUR)]))
    assert "- DeepfakeBench: SCLBD/DeepfakeBench@8a4a7bf README.md" in text
    assert "mean of top-3 test-time AUCs" in text
    (line,) = [x for x in text.splitlines() if x.startswith("| DeepfakeBench ") and "| Xception" in x]
    assert [c.strip() for c in line.strip("|").split("|")][2:] == [
        *("ff++:c23:4m, celebdf", "0.737 (frame)", "0.700 [0.650, 0.750]; -0.036 by xception (rrr)"),
    ]


def test_a_backbone_must_be_the_same(make):
    def compared(backbone):
        card = make(name="caddm", detector="caddm", train="ff++:raw", options={"backbone": backbone})
        return [r for r in match_published(make_tables([card])[0]) if r.ours]

    (r34,) = compared("resnet34")
    assert (r34.source, r34.backbone, r34.level, r34.value) == ("CADDM", "ResNet-34", "video", 0.9115)
    (b4,) = compared("efficientnet-b4")
    assert b4.value == 0.9388
    assert compared("timm:resnet10t") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": "demo default, seed 0", "world": "demo"},
        {"limit": 5},
        {"selection": "test-oracle"},
        {"train": "celebdf", "test": "ff++:c23"},
        {"train": "dfdc"},
    ],
)
def test_nothing_is_compared_with_other_protocols(changes, make):
    card = make(changes.pop("test", "celebdf"), name="xception", detector="xception", **changes)
    assert match_published(make_tables([card])[0]) == []


def compare(card):
    return match_published(make_tables([card])[0])


@pytest.mark.parametrize(("train", "ours"), [("ff++:c23:4m", 0.7), ("ff++:c23", None), ("ff++:c40:4m", None)])
def test_four_methods_are_compared_with_four(train, ours, make):
    (dfb,) = [r for r in compare(make(auc=0.8, **FOUR | {"train": train})) if r.source == "DeepfakeBench" and r.row]
    assert (dfb.train, dfb.ours and dfb.ours.value, dfb.row) == ("ff++:c23:4m", ours and pytest.approx(ours), "rrr")
    told = "" if ours else f"trained on ff++:c23:4m, ours on {train}"
    assert (dfb.differs, format_reported(dfb)[6]) == (told, f"not the same: {told}" if told else "0.700 [0.650, 0.750]")


def test_test_sets_of_four_methods_are_compared_with_four(make):
    def find(test):
        return [r for r in compare(make(test, **FOUR)) if r.source == "DeepfakeBench" and r.row]

    assert [(r.test, r.ours is None, r.value) for r in find("ff++:c23:4m")] == [("ff++:c23:4m", False, 0.9637)]
    assert [r.differs for r in find("ff++:c23")] == ["tested on ff++:c23:4m, ours on ff++:c23"]


def test_a_number_on_raw_is_shown_next_to_a_row_on_c23_with_the_difference(make):
    card = make(name="caddm", detector="caddm", options={"backbone": "efficientnet-b4"})
    (paper,) = compare(card)
    assert (paper.value, paper.ours, paper.differs) == (0.9388, None, "trained on ff++:raw, ours on ff++:c23")
    line = next(x for x in render_markdown(make_tables([card])).splitlines() if x.startswith("| CADDM "))
    assert "not the same: trained on ff++:raw, ours on ff++:c23; by caddm (rrr)" in line


def test_a_source_that_does_not_say_how_many_methods_is_compared_with_nothing(make):
    card = make("ff++:c23", name="pgfdd", detector="pgfdd", options={"backbone": "xception"})
    told = [r for r in compare(card) if r.row]
    assert {(r.train, r.ours) for r in told} == {("ff++:c23 (methods not stated)", None)}


def test_two_rows_of_one_detector_are_distinguished_next_to_a_published_number(make):
    small = make(auc=0.7, **FOUR | {"name": "xception.small"}, recipe_key="sss")
    (table,) = make_tables([make(auc=0.8, **FOUR), small])
    both = [r for r in match_published(table) if r.source == "DeepfakeBench" and r.ours]
    assert [(r.row, r.name, r.value) for r in both] == [("rrr", "xception", 0.7365), ("sss", "xception.small", 0.7365)]
    assert [format_reported(r)[-1] for r in both] == ["xception (rrr)", "xception.small (sss)"]
    alone = next(r for r in match_published(table) if not r.ours)
    assert (alone.row, alone.name, format_reported(alone)[-1]) == ("", "", "")
