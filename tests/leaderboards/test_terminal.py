"""Scorecards on the terminal: every number with its interval and n, and what is missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossfake.benchmark.core.cell_description import CellDescription
from crossfake.benchmark.core.scorecard import Coverage, Dropped, Throughput
from crossfake.benchmark.stats import calibration
from crossfake.benchmark.stats.scoring import make_scorecard
from crossfake.leaderboards.markdown import format_grid
from crossfake.leaderboards.terminal import format_card, format_footnote, summarise_cells

AT_THE_END = "at the end of its range: scores separate the classes of the validation split, or carry no information"


def format_summary(cards):
    return "\n\n".join(p if isinstance(p, str) else format_grid(*p) for p in summarise_cells(cards))


@pytest.fixture
def card(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {
            "video": f"{v}.mp4",
            "frame": f,
            "label": v % 2,
            "method": "Swap" if v % 2 else "real",
            "score": rng.uniform() * 0.5 + 0.4 * (v % 2),
            "gender": "fm"[v // 2 % 2],
        }
        for v in range(24)
        for f in range(2)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "p.csv", index=False)
    cell = {
        "name": "meso4",
        "train": "ff++:c23",
        "test": "celebdf",
        "seed": 0,
        "protocol": "real",
        "frames": 2,
        "limit": None,
        "weights": "trained here",
        "train_key": "aaa",
    }
    told = {"cell": CellDescription.model_validate(cell), "throughput": Throughput(score_images_per_s=12.6)}
    return make_scorecard(tmp_path / "p.csv", 0.5, draws=50).model_copy(update=told)


def changed_cell(card, **changes):
    return card.model_copy(update={"cell": card.cell.model_copy(update=changes)})


def cells(text: str, start: str) -> list[str]:
    """Return the cells of the first table row that starts with this word."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [c.strip() for c in line.strip("|").split("|")]


def test_a_card_shows_every_metric_with_interval_and_n(card):
    text = format_card(card)
    for name, e in card.metrics.items():
        assert cells(text, f"{name} ")[-1] == str(e.n)
    auc = card.video.auc
    assert cells(text, "video.auc")[1] == f"{auc.value:.3f} [{auc.lo:.3f}, {auc.hi:.3f}]"
    assert cells(text, "Swap")[-1] == "12"
    assert cells(text, "f ")[1:3] == ["6", "6"]
    assert "threshold 0.5000 (largest TPR - FPR on the source val split); scored 24 of 24 videos" in text


def test_a_card_names_what_was_not_scored_and_what_is_left_out(card):
    coverage = Coverage(official=26, scored=24, dropped=[Dropped(video="x.mp4", reason="no_face")])
    cell = card.groups["gender"]["f"]
    few = cell.video.model_copy(update={"left_out": "fewer than 5 videos of a class (real 3, fake 6)"})
    groups = {"gender": {"f": cell.model_copy(update={"video": few})}}
    text = format_card(card.model_copy(update={"coverage": coverage, "groups": groups}))
    assert "scored 24 of 26 videos" in text
    several = card.model_copy(update={"coverage": coverage.model_copy(update={"several_people": 3})})
    assert "scored 24 of 26 videos, 3 of them with several people" in format_card(several)
    assert "24/26, 3 with several people" in format_summary([several])
    assert "not scored: x.mp4 (no_face)" in text
    assert cells(text, "f ")[-1] == "fewer than 5 videos of a class (real 3, fake 6)"


@pytest.mark.parametrize(
    ("temperature", "shown"),
    [
        (None, "split); scored"),
        (1.0483, "split); temperature 1.05; scored"),
        (19.9999, f"split); temperature 20 ({AT_THE_END}); scored"),
        (0.0500003, f"split); temperature 0.05 ({AT_THE_END}); scored"),
        (0.0661, "split); temperature 0.0661; scored"),
    ],
)
def test_the_footnote_gives_the_temperature_and_where_it_means_little(card, temperature, shown):
    assert shown in format_footnote(card.model_copy(update={"temperature": temperature}))


def test_a_temperature_that_was_not_found_is_reported(card):
    parted, nothing = ([0.2, 0.4, 0.7, 0.9], [0, 0, 1, 1]), ([0.2, 0.2, 0.9, 0.9], [0, 1, 0, 1])
    for score, label in (parted, nothing):
        found = calibration.fit_temperature(label, score)
        assert AT_THE_END in format_footnote(card.model_copy(update={"temperature": found}))


def test_the_summary_of_one_cell_is_its_row(card):
    text = format_summary([card])
    assert text.startswith("world: real; 2 frames per video\n")
    row = cells(text, "meso4")
    assert row[:4] == ["meso4", "ff++:c23", "celebdf", "0"]
    assert row[6:] == ["0.000 [0.000, 0.328] (n 6; gender alone)", "24/24"]
    assert text.count("| meso4") == 1


def test_the_summary_of_several_begins_with_the_matrix(card, make_failed):
    other = changed_cell(card, test="dfd", seed=1)
    lost = make_failed("dfd", error="no faces", protocol="real", frames=2)
    text = format_summary([card, other, lost])
    matrix = text.split("\n\n")[1]
    assert cells(matrix, "video AUC") == ["video AUC", "train", "seed", "celebdf", "dfd"]
    first, second = (line.split("|")[1:-1] for line in matrix.splitlines()[2:])
    assert [c.strip() for c in first][:3] == ["meso4", "ff++:c23", "0"]
    assert first[-1].strip() == "FAILED"
    assert second[-2].strip() == ""
    assert text.split("\n\n")[-1] == "FAILED meso4 -> dfd, seed 0: no faces"


def test_the_pace_of_scoring_is_not_shown_as_speed(card):
    assert card.throughput.score_images_per_s == 12.6
    assert not {"img/s", "12.6", "13"} & set(
        cells(format_summary([card]), "detector") + cells(format_summary([card]), "meso4")
    )


def test_rows_of_the_same_name_stay_apart_in_the_matrix(card):
    other = changed_cell(card, train_key="bbb")
    assert format_summary([card, other]).split("\n\n")[1].count("| meso4") == 2


def test_a_limited_run_is_marked(card):
    limited = changed_cell(card, limit=2)
    assert "PARTIAL: at most 2 real and 2 fake videos per split" in format_summary([limited])
