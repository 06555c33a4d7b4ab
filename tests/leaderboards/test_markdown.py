"""The board as Markdown: failed and missing cells look different, gaps show their n, rows have commands."""

from __future__ import annotations

import pytest
from crossfake.benchmark.core.types import Estimate
from crossfake.benchmark.stats.seed_pooling import GroupSummary
from crossfake.leaderboards import markdown as md
from crossfake.leaderboards.formats import format_auc, format_cost, format_estimate, format_gap, format_worst_group
from crossfake.leaderboards.rows import make_tables

FEW = "too few videos for an interval"


def number(value, lo=None, hi=None, n=20, note=""):
    return Estimate(value, lo, hi, n, note)


def cells(text: str, start: str, heading: str = "## ") -> list[str]:
    """Return the cells of the first table row below a heading that starts with a word."""
    lines = text[text.index(heading) :].splitlines()
    line = next(line for line in lines if line.startswith(f"| {start}"))
    return [c.strip() for c in line.strip("|").split("|")]


def test_every_table_has_the_five_columns_a_choice_depends_on(make, make_speed):
    text = md.render_markdown(make_tables([make(), make("ff++:c23", 0.9)], [make_speed()]))
    assert cells(text, "detector") == [
        *(
            "detector",
            "rank",
            "mean AUC elsewhere [95 % CI]",
            "worst group on celebdf (n; 2 of 3 groups)",
            "img/s",
        ),
    ]
    assert cells(text, "meso4") == [
        *("meso4", "", "0.677 (no interval: no predictions on celebdf)"),
        *("f-a 0.700 [0.600, 0.800] (n 9)", "100"),
    ]
    assert cells(text, "detector", "### celebdf") == md.BRIEF
    assert cells(text, "meso4", "### celebdf") == [
        *("meso4", "0.750 [0.700, 0.800] (scored: 19/20, AUC of all 0.677 to 0.774)", "0.150 [0.079, 0.221]"),
        *("f-a 0.700 [0.600, 0.800] (n 9; 2 of 3 groups)", "0.120 [0.000, 0.300] (n 9)"),
    ]
    assert "selected on source val; speed on AMD EPYC, fp32, 2 threads." in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {6}
    assert "[page](leaderboard.html), [CSV](leaderboard.csv), [JSON](leaderboard.json)" in text


def test_the_page_has_a_test_sets_further_numbers(make):
    (table,) = make_tables([make(), make("ff++:c23", 0.9)])
    header, (row,) = md.make_details(table, "celebdf")
    assert header == md.DETAILS
    assert row == [
        *("meso4", "torch", "ff++:c23", "0.750 [0.700, 0.800]", "0.150 [0.079, 0.221]", "0.650 [0.600, 0.700]"),
        *("unknown", "unknown", "unknown", "f-a 0.700 [0.600, 0.800] (n 9; 2 of 3 groups)"),
        *("0.120 [0.000, 0.300] (n 9)", "19/20, AUC of all 0.677 to 0.774"),
    ]


def test_failed_skipped_and_not_run_look_different(make, make_failed):
    cards = [make(), make_failed("dfd"), make_failed("dfdc", "skipped"), make("dfdcp", recipe_key="s", name="b")]
    (table,) = make_tables(cards)
    text = md.render_markdown([table])
    assert cells(text, "meso4", "### dfd\n")[1:] == ["ERR"] * 4
    assert cells(text, "meso4", "### dfdc\n")[1:] == ["skipped"] * 4
    assert "| meso4" not in text.split("### dfdcp\n")[1].split("\n#")[0]
    meso, other = table.rows if table.rows[0].name == "meso4" else table.rows[::-1]
    assert [format_auc(table, meso, t) for t in ("dfd", "dfdc", "dfdcp")] == ["ERR", "skipped", ""]
    assert [format_auc(table, other, t) for t in ("dfd", "dfdc", "celebdf")] == [""] * 3


def test_a_row_of_only_failures_has_neither_speed_nor_size(make_failed):
    (table,) = make_tables([make_failed()])
    assert format_cost(table.rows[0]) == ["unknown"] * 2
    assert cells(md.render_markdown([table]), "meso4") == ["meso4", "", "", "", "unknown"]


def test_seeds_that_failed_are_counted(make, make_failed):
    text = md.render_markdown(make_tables([make(), make_failed(seed=1, train_key="ccc")]))
    assert cells(text, "meso4", "### celebdf")[1].startswith("0.750 [0.700, 0.800] (1 of 2 seeds)")
    assert "seeds 0, 1" in text


@pytest.mark.parametrize(
    ("gap", "text"),
    [
        (number(0.12, 0.04, 0.31, 9), "0.120 [0.040, 0.310] (n 9)"),
        (number(0.12, n=5), "0.120 (no interval) (n 5)"),
        (number(0.12, n=5, note=f"{FEW}; f-a"), f"0.120 ({FEW}) (n 5)"),
    ],
)
def test_a_gap_never_comes_without_its_n(gap, text):
    assert format_gap(GroupSummary("intersection", 2, 8, "f-a", number(0.7, 0.5, 0.8), gap)) == text


def test_a_worst_group_says_how_many_groups_and_which_attribute():
    whole = GroupSummary("intersection", 2, 8, "f-a", number(0.7, 0.5, 0.8, 7), number(0.12, n=5))
    assert format_worst_group(whole) == "f-a 0.700 [0.500, 0.800] (n 7; 2 of 8 groups)"
    alone = whole._replace(attribute="gender", groups=2, group="f")
    assert format_worst_group(alone) == "f 0.700 [0.500, 0.800] (n 7; 2 of 2 groups of gender alone)"
    assert format_gap(alone) == "0.120 (no interval) (n 5; gender alone)"
    none = GroupSummary("intersection", 1, 8)
    assert (format_worst_group(none), format_gap(none)) == ("too few (1 of 8 groups)",) * 2
    assert (format_worst_group(None), format_gap(None)) == ("not annotated",) * 2


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (number(0.9312, 0.89, 0.965), "0.931 [0.890, 0.965]"),
        (number(0.5), "0.500 (no interval)"),
        (number(0.5, note=FEW), f"0.500 ({FEW})"),
        (number(0.5, note=f"{FEW}; female; left out: male (real 2, fake 3)"), f"0.500 ({FEW})"),
        (number(0.5, note="female; left out: male (real 2, fake 3)"), "0.500 (no interval)"),
        (number(0.9312, 0.89, 0.965, note="female"), "0.931 [0.890, 0.965]"),
        (number(0.0, 0.0, 0.0), "0.000 (no interval)"),
        (number(0.99961, 0.99958, 0.99963), "0.99961 [0.99958, 0.99963]"),
        (number(None, note="undefined (one class)"), "undefined (one class)"),
        (number(None), "undefined"),
    ],
)
def test_an_estimate_comes_with_its_interval_or_says_why_not(estimate, text):
    assert format_estimate(estimate) == text


def test_every_command_is_listed_once_and_the_tables_explain_themselves(make, make_failed):
    other = make(recipe_key="sss", provenance={"command": "bench run --test dfd --seed 0"})
    text = md.render_markdown(make_tables([make(), make("dfdc"), other, make_failed("dfd")]))
    commands = [line for line in text.split("## Commands")[1].splitlines() if line]
    assert commands == ["- meso4 (rrr): `bench run --detector meso4`", "- meso4 (sss): `bench run --test dfd --seed 0`"]
    for word in (
        "## real; 32 frames per video",
        "95 % interval",
        "n is the smallest cell",
        "ERR, skipped, empty**: the",
    ):
        assert word in text


def test_given_weights_are_marked(make):
    ((row,),) = [t.rows for t in make_tables([make(weights="given checkpoint")])]
    assert row.name == "meso4 (given checkpoint)"


def test_a_pipe_or_a_tag_in_a_name_does_not_break_the_table(make):
    text = md.render_markdown(make_tables([make(name="a|b <script>")]))
    row = next(line for line in text.splitlines() if "script" in line and line.startswith("|"))
    assert row.count("|") - row.count("\\|") == 6
    assert "<script>" not in row


def test_headings_and_cells_stay_intact_whatever_they_contain(make):
    text = md.render_markdown(make_tables([make("folder:<b>", protocol="mine <i>", name="two\nlines")]))
    assert "## mine &lt;i>; 32 frames per video" in text
    assert "### folder:&lt;b>" in text
    assert cells(text, "two lines")[-1] == "unknown"


def test_failures_are_listed_below_their_test_set_one_per_line(make, make_failed):
    lost = make_failed(seed=1, train_key="ccc", error="no\r\nfaces: *a* <b> ![i](http://x)")
    other = make_failed("dfd", "skipped", recipe_key="sss", name="b|c")
    text = md.render_markdown(make_tables([make(), make("dfd"), lost, other]))
    celebdf, dfd = text.split("## How to read it")[0].split("### celebdf\n")[1].split("### dfd\n")
    listed = [
        [x for x in part.splitlines() if x.startswith("- ") and "seed" in x]
        for part in (celebdf, dfd.split("\n## ")[0])
    ]
    assert listed == [
        [r"- meso4 (rrr), seed 1 failed: no faces: \*a\* &lt;b> ![i\](http://x)"],
        [r"- b\|c (sss), seed 0 skipped: out of luck"],
    ]


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("two\rlines\n and\u2028a\ttab", "two lines and a tab"),
        ("![i](url) [a](b)", r"![i\](url) [a\](b)"),
        ("*a* `b` a\\b ~~c~~", r"\*a\* \`b\` a\\b \~\~c\~\~"),
        ("_a_ __b__ pgfdd_fixed", r"\_a\_ \_\_b\_\_ pgfdd_fixed"),
        ("a|b <i>", r"a\|b &lt;i>"),
        ("female-asian 0.810 [0.700, 0.930] ¹ (2 of 3 seeds) (n 24)",) * 2,
    ],
)
def test_a_cell_stays_one_line_of_plain_text(content, shown):
    assert md.escape_markdown(content) == shown


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("bench run --data a|b", "`bench run --data a|b`"),
        ("run `x`", "`` run `x` ``"),
        ("``a` b", "``` ``a` b ```"),
        ("two\r\nlines", "`two lines`"),
    ],
)
def test_a_command_is_code_whatever_it_contains(command, shown):
    assert md.format_code(command) == shown


def test_a_carriage_return_splits_no_row_and_a_backtick_no_command(make):
    text = md.render_markdown(make_tables([make(name="a\rb", provenance={"command": "bench run --data 'a`b'"})]))
    assert cells(text, "a b")[-1] == "unknown"
    assert "- a b (rrr): `` bench run --data 'a`b' ``" in text
    assert "\r" not in text


def test_a_demo_board_says_synthetic_in_its_title_and_next_to_each_table(make):
    demo = make(protocol="demo tiny, seed 0", world="demo")
    alone, mixed = (md.render_markdown(make_tables(cards)) for cards in ([demo], [demo, make()]))
    assert alone.splitlines()[0] == "# Leaderboard (synthetic)"
    assert mixed.splitlines()[0] == "# Leaderboard"
    for text in (alone, mixed):
        assert f"## Synthetic: demo tiny, seed 0; 32 frames per video\n\n> {md.SYNTHETIC}" in text
    assert "ynthetic" not in md.render_markdown(make_tables([make()]))
    assert "\n" not in md.SYNTHETIC


def test_training_data_and_left_out_videos_are_listed(make):
    text = md.render_markdown(make_tables([make(contaminated=3), make("dfdc", contaminated=0, excluded=["a", "b"])]))
    assert "0.750 [0.700, 0.800] (contaminated: trained on 3 of 20 videos)" in text
    dfdc = cells(text, "meso4", "### dfdc")[1]
    assert dfdc.startswith("0.750 [0.700, 0.800] (scored: 19/20, 2 excluded on request")
