"""The page as a file: self-contained, escaped, and readable without JavaScript."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from crossfake.leaderboards.html import mark_up_name, mark_up_number, render_page
from crossfake.leaderboards.load import load_cards
from crossfake.leaderboards.rows import make_tables

VOID = {"meta", "link", "img", "input", "br", "wbr"}


class Reader(HTMLParser):
    """Collects tags, ids, links and text, and finds unclosed tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


@pytest.fixture(scope="module")
def html(runs, make_speed) -> str:
    return render_page(make_tables(load_cards(runs), [make_speed()]))


@pytest.fixture(scope="module")
def read(html) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def test_every_tag_is_closed_and_every_id_is_used_once(read):
    assert read.open == []
    ids = [a["id"] for _, a in read.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_a_demo_page_says_synthetic_in_its_title_and_in_a_banner(html, make):
    assert "<title>crossfake leaderboard (synthetic)</title>" in html
    assert html.count('class="banner"') == 1
    assert "Synthetic: demo tiny, seed 0" in html
    real = render_page(make_tables([make()]))
    assert "<title>crossfake leaderboard</title>" in real
    assert 'class="banner"' not in real


def test_nothing_is_fetched(read, html):
    for tag, attributes in read.tags:
        for name in ("src", "href", "action", "poster", "data", "srcset"):
            value = attributes.get(name) or ""
            beside = tag == "a" and value in ("leaderboard.csv", "leaderboard.json", "leaderboard.md")
            assert value.startswith(("#", "data:")) or not value or beside, (tag, name, value)
    assert not re.search(r"url\((?!['\"]?data:)|@import|fetch\(|XMLHttpRequest", html)


def test_links_lead_somewhere(read):
    ids = {a["id"] for _, a in read.tags if "id" in a}
    links = [a["href"] for tag, a in read.tags if tag in ("a", "use") and "leaderboard." not in a["href"]]
    assert len(links) > 5
    assert {link.removeprefix("#") for link in links} <= ids


def test_a_detector_named_script_is_shown_and_not_run(read, html):
    assert [tag for tag, _ in read.tags].count("script") == 2  # One for the theme, before drawing.
    assert "<script>alert(1)" not in html
    assert "<script>alert(1)</script>" in "".join(read.text)


def test_numbers_are_there_without_javascript(read, runs):
    text = "".join(read.text)
    for card in load_cards(runs):
        if card.status == "done":
            assert f"{card.video.auc.value:.3f}" in text
    assert "ERR" in text
    assert "out of luck" in text
    assert "bench run --detector meso4" in text
    assert "fewer than 5 videos" not in text or "left out of gaps" in text


def test_every_promised_chart_is_there(html):
    captions = re.findall(r"<figcaption><b>(.*?)</b>", html)
    first = captions[: captions.index("False and true positive rate by group, ff++:c23")]
    rows = ["meso4", "&lt;script&gt;alert(1)&lt;/script&gt;"]
    assert re.fullmatch(r"Leaving ff\+\+:c23 costs .* AUC|AUC on ff\+\+:c23 and elsewhere", first[0])
    speeds = ["Mean AUC by images per second", "Mean AUC by milliseconds per image"]
    assert first[1:4] == ["Real videos flagged at the home threshold, %", *speeds]
    assert sorted(first[4:8]) == sorted([*rows, *rows])  # The groups of two test sets.
    assert first[8:] == ["ROC on celebdf", "DET on celebdf", "ROC on ff++:c23", "DET on ff++:c23"]
    for test in ("ff++:c23", "celebdf"):
        for what in ("False and true positive rate by group", "Scores of fakes and reals", "Calibration"):
            assert captions.count(f"{what}, {test}") == 2


def test_a_calibration_has_no_bin_of_few_videos(make):
    curves = {"roc": [[0, 0], [1, 1]], "reliability": [[0.1, 0.0], [0.9, 0.8]], "reliability_n": [9, 40]}
    page = render_page(make_tables([make(curves=curves)]))
    assert "1 of 2 bins have at least 10 videos." in page
    assert "mean score 0.90: share of fakes 0.800 [0.6" in page
    assert "mean score 0.10" not in page


def test_groups_that_are_left_out_are_grey_and_not_the_worst(make):
    page = render_page(make_tables([make()]))
    panel = page.split("For whom it fails")[1].split("</figure>")[0]
    lines = re.findall(r'<li class="([^"]*)"><span>(.*?)</span>', panel)
    found = [(kind.split(), group.replace("<wbr>", "")) for kind, group in lines]
    assert found == [(["worst"], "f-a"), (["out"], "f-b"), ([], "m-a")]
    assert "f-b (2 real, 3 fake) 0.500 [0.400, 0.600], n 5" in panel


def test_faces_of_mistakes_are_small_pictures_in_the_file(read):
    images = [a for tag, a in read.tags if tag == "img"]
    assert images
    assert all(a["src"].startswith("data:image/jpeg;base64,") and len(a["src"]) < 8000 and a["alt"] for a in images)


def test_an_interval_is_set_small_and_its_text_escaped():
    assert mark_up_number("0.9 [0.8, 1.0] (n 5) ¹") == (
        '0.9 <span class="ci">[0.8, 1.0]</span> <span class="ci">(n 5)</span>'
        '<sup title="not significantly worse than the best">1</sup>'
    )
    assert mark_up_number("<b>") == "&lt;b&gt;"


def test_regions_have_their_own_labels(read):
    labels = [a["aria-label"] for _, a in read.tags if a.get("role") == "region"]
    assert len(labels) == len(set(labels)) > 10
    assert "demo tiny, seed 0; 32 frames per video, celebdf: video AUC by detector" in labels
    assert "demo tiny, seed 0; 32 frames per video: detectors trained on ff++:c23" in labels


def test_failed_seeds_say_why_next_to_the_one_that_succeeded(make, make_failed):
    lost = [make_failed(seed=s, train_key=f"t{s}", error=f"no <b> faces {s}") for s in (1, 2)]
    text = render_page(make_tables([make(), *lost]))
    assert "seed 1 failed: no &lt;b&gt; faces 1" in text
    assert "seed 2 failed: no &lt;b&gt; faces 2" in text
    text = render_page(make_tables([*lost]))
    assert "seed 1 failed: no &lt;b&gt; faces 1" in text
    assert "seed 2 failed: no &lt;b&gt; faces 2" in text


def test_reported_numbers_name_the_row_and_are_filtered_too(make):
    text = render_page(make_tables([make(name="xception", detector="xception")]))
    part = text.split("Published results")[1]
    assert "xception (rrr)" in part
    assert '<table class="sortable reported">' in part.split("<ul")[0]


def test_a_long_name_may_break_after_its_parts():
    assert mark_up_name("a-b.c_<d>") == "a-<wbr>b.<wbr>c_&lt;d&gt;"


def test_a_missing_interval_is_set_small_too():
    assert mark_up_number("0.5 (too few videos for an interval) (n 5)") == (
        '0.5 <span class="ci why">(too few videos for an interval)</span> <span class="ci">(n 5)</span>'
    )


def test_a_page_of_many_rows_charts_the_best_of_each_training_set_and_says_so(make, monkeypatch):
    monkeypatch.setattr("crossfake.leaderboards.html.TOP", 4)
    cards = [
        make(auc=0.5 + i / 100, name=f"d{i}", recipe_key=f"r{i}", train_key=f"t{i}", train=train)
        for i, train in enumerate(["ff++:c23"] * 5 + ["celebdf"] * 2)
    ]
    page = render_page(make_tables(cards))
    assert "Charts and details cover the first 4 of 7 rows; for any other: bench show RUN." in page
    told = re.findall(r'<details class="run" id="row-(r\d)-(\w{4})"', page)
    assert [key for key, _ in told] == ["r6", "r5", "r4", "r3"]
    assert all(f'<a href="#row-{key}-{end}">d{key[1]}</a>' in page for key, end in told)
    assert 'href="#row-r0' not in page
    assert all(page.count(f"d{i}</th>") == 2 for i in range(3))  # In the main table and in the test set's.


def test_a_page_lists_no_more_cells_than_fit(make, monkeypatch):
    monkeypatch.setattr("crossfake.leaderboards.html.CELLS", 12)
    cards = [make(t, recipe_key=f"r{i}", protocol=p) for i in range(5) for t in ("a", "b") for p in ("x", "y")]
    page = render_page(make_tables(cards))
    assert page.count("Charts and details cover the first 3 of 5 rows") == 2
    assert page.count('<section class="cell">') == 12


def test_a_mark_is_hollow_only_where_another_row_is_better(make, runs):
    assert 'class="hollow"' not in render_page(make_tables([make(), make("ff++:c23")])).split("</table>")[0]
    (table,) = make_tables(load_cards(runs))
    marked = Counter(test for _, test in table.best)
    page = render_page([table]).split("</table>")[0]
    for test in ("celebdf", "ff++:c23"):
        cells = re.findall(rf'data-label="{re.escape(test)}">(.*?)</td>', page)
        assert sum("hollow" in cell for cell in cells) == len(table.rows) - marked[test]


def test_a_row_keeps_its_address_whatever_is_next_to_it(make):
    def find_address(*cards) -> str:
        return re.search(r'id="(row-mine-\w+)"', render_page(make_tables(cards)))[1]

    mine = make(recipe_key="mine", protocol="z")
    assert find_address(mine) == find_address(make(recipe_key="a"), mine, make(recipe_key="b", protocol="z"))
    pages = render_page(make_tables([mine, make(recipe_key="mine")]))
    assert len(set(re.findall(r'id="(row-mine-\w+)"', pages))) == 2  # The tables differ, so the ids do.


def test_facts_shared_by_all_rows_are_above_the_table_and_others_are_columns(make, make_speed):
    def head(*cards) -> tuple[str, list[str]]:
        page = render_page(make_tables(cards, [make_speed()]))
        table = page.split('<table class="board')[1].split("</thead>")[0]
        return re.search(r'class="shared">(.*?)</p>', page)[1], re.findall(r'class="name">(.*?)<', table)

    shared, names = head(make(), make(recipe_key="b", name="b"))
    assert shared.endswith(
        "Trained on ff++:c23; backend torch; seeds 0; selected on source val; speed on AMD EPYC, fp32, 2 threads."
    )
    assert names == ["Mean", "celebdf", "Worst group", "Gap", "Speed", "Params"]
    shared, names = head(make(), make(recipe_key="b", name="b", backend="jax"))
    assert "Trained on ff++:c23; seeds 0; selected on source val;" in shared
    assert names[-1] == "Backend"


def test_the_page_shows_its_date_version_and_files(make):
    from importlib.metadata import version

    told = {"command": "bench run", "time": "2026-03-07T10:00:00+0000"}
    page = render_page(make_tables([make(provenance=told)]), "my board")
    assert f"7 March 2026, version {version('crossfake')}" in page
    assert all(f'href="my%20board.{kind}"' in page for kind in ("csv", "json", "md"))


def test_numbers_of_fewer_than_all_videos_say_so_in_the_table(make):
    page = render_page(make_tables([make()]))
    cell = re.search(r'<td role="cell" class="auc set" data-label="celebdf">(.*?)</td>', page)[1]
    assert "(scored: 19/20, AUC of all 0.677 to 0.774)" in re.sub(r"<[^>]*>", "", cell)
