"""Published numbers stand beside rows of the same detector, train set, test set and level, and nowhere else."""

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


def test_a_reported_frame_auc_is_compared_with_the_frame_auc_of_the_same_detector(make):
    (table,) = make_tables([make(auc=0.8, name="xception", detector="xception")])
    ours = [r for r in match_published(table) if r.ours]
    dfb = next(r for r in ours if r.source == "DeepfakeBench")
    assert (dfb.detector, dfb.train, dfb.test, dfb.level, dfb.value) == (
        "Xception",
        "ff++:c23",
        "celebdf",
        "frame",
        0.7365,
    )
    assert dfb.ours.value == pytest.approx(0.7)
    assert {r.detector.lower() for r in ours} == {"xception"}
    assert all(r.level in METRICS for r in match_published(table))
    text = render_markdown(make_tables([make(auc=0.8, name="xception", detector="xception")]))
    assert "- DeepfakeBench: SCLBD/DeepfakeBench@8a4a7bf README.md" in text
    assert "mean of top-3 test-time AUCs" in text
    (line,) = [x for x in text.splitlines() if x.startswith("| DeepfakeBench ") and "| Xception" in x]
    assert [c.strip() for c in line.strip("|").split("|")][2:] == [
        *("ff++:c23, celebdf", "0.737 (frame)", "0.700 [0.650, 0.750]; -0.036 by xception (rrr)"),
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
    ],
)
def test_nothing_is_compared_with_other_protocols(changes, make):
    card = make(changes.pop("test", "celebdf"), name="xception", detector="xception", **changes)
    assert match_published(make_tables([card])[0]) == []


def test_two_rows_of_one_detector_are_told_apart_beside_a_published_number(make):
    small = make(auc=0.7, name="xception.small", detector="xception", recipe_key="sss")
    (table,) = make_tables([make(auc=0.8, name="xception", detector="xception"), small])
    both = [r for r in match_published(table) if r.source == "DeepfakeBench" and r.ours]
    assert [(r.row, r.name, r.value) for r in both] == [("rrr", "xception", 0.7365), ("sss", "xception.small", 0.7365)]
    assert [format_reported(r)[-1] for r in both] == ["xception (rrr)", "xception.small (sss)"]
    alone = next(r for r in match_published(table) if not r.ours)
    assert (alone.row, alone.name, format_reported(alone)[-1]) == ("", "", "")
