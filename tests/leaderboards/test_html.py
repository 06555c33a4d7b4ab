"""The page as a file: complete in itself, everything escaped, readable without JavaScript."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from crossfake.leaderboards.html import mark_up_number, render_page
from crossfake.leaderboards.load import load_cards
from crossfake.leaderboards.rows import make_tables

VOID = {"meta", "link", "img", "input", "br"}


class Reader(HTMLParser):
    """Collects tags, ids, links and text; notices what isn't closed."""

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
            assert value.startswith(("#", "data:")) or not value, (tag, name, value)
    assert not re.search(r"url\((?!['\"]?data:)|@import|fetch\(|XMLHttpRequest", html)


def test_links_lead_somewhere(read):
    ids = {a["id"] for _, a in read.tags if "id" in a}
    links = [a["href"] for tag, a in read.tags if tag == "a"]
    assert len(links) > 5
    assert {link.removeprefix("#") for link in links} <= ids


def test_a_detector_named_script_is_shown_and_not_run(read, html):
    assert [tag for tag, _ in read.tags].count("script") == 1
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


def test_every_promised_chart_is_there(read):
    titles = {a["aria-label"] for tag, a in read.tags if tag == "svg"}
    assert titles == {
        "Video AUC by detector and test set",
        "Mean video AUC against images a second: AMD EPYC, fp32, 2 threads",
        "Mean video AUC against milliseconds an image: AMD EPYC, fp32, 2 threads",
        *(
            f"{what} {test}"
            for test in ("ff++:c23", "celebdf")
            for what in (
                "ROC on",
                "DET on",
                "False and true positive rate by group,",
                "Scores of fakes and reals,",
                "Calibration,",
            )
        ),
        *(f"Video AUC on {test} with 95 % intervals" for test in ("ff++:c23", "celebdf")),
    }


def test_faces_of_mistakes_are_small_pictures_in_the_file(read):
    images = [a for tag, a in read.tags if tag == "img"]
    assert images
    assert all(a["src"].startswith("data:image/jpeg;base64,") and len(a["src"]) < 8000 and a["alt"] for a in images)


def test_an_interval_is_set_small_and_its_text_escaped():
    assert mark_up_number("0.9 [0.8, 1.0] (n 5) ¹") == (
        '0.9 <span class="ci">[0.8, 1.0]</span> <span class="ci">(n 5)</span>'
        '<sup title="can’t be told from the best">1</sup>'
    )
    assert mark_up_number("<b>") == "&lt;b&gt;"


def test_regions_have_labels_of_their_own(read):
    labels = [a["aria-label"] for _, a in read.tags if a.get("role") == "region"]
    assert len(labels) == len(set(labels)) > 10
    assert "demo tiny, seed 0; 32 frames a video, celebdf: video AUC by detector" in labels


def test_seeds_that_failed_say_why_beside_the_one_that_did_not(make, make_failed):
    lost = [make_failed(seed=s, train_key=f"t{s}", error=f"no <b> faces {s}") for s in (1, 2)]
    text = render_page(make_tables([make(), *lost]))
    assert "seed 1 failed: no &lt;b&gt; faces 1" in text
    assert "seed 2 failed: no &lt;b&gt; faces 2" in text
    text = render_page(make_tables([*lost]))
    assert "seed 1 failed: no &lt;b&gt; faces 1" in text
    assert "seed 2 failed: no &lt;b&gt; faces 2" in text


def test_reported_numbers_name_the_row_and_are_filtered_too(make):
    text = render_page(make_tables([make(name="xception", detector="xception")]))
    part = text.split("Reported by papers")[1]
    assert "xception (rrr)" in part
    assert '<table class="sortable board">' in part.split("<ul")[0]


def test_a_missing_interval_is_set_small_too():
    assert mark_up_number("0.5 (too few videos for an interval) (n 5)") == (
        '0.5 <span class="ci why">(too few videos for an interval)</span> <span class="ci">(n 5)</span>'
    )


def test_a_page_of_many_rows_charts_the_best_and_tells_that_of_each_training_set(make, monkeypatch):
    monkeypatch.setattr("crossfake.leaderboards.html.TOP", 4)
    cards = [
        make(auc=0.5 + i / 100, name=f"d{i}", recipe_key=f"r{i}", train_key=f"t{i}", train=train)
        for i, train in enumerate(["ff++:c23"] * 5 + ["celebdf"] * 2)
    ]
    page = render_page(make_tables(cards))
    assert "Charts and runs are of the first 4 of 7 rows; of any other: bench show RUN." in page
    assert re.findall(r'<details class="run" id="run-0-(r\d)"', page) == ["r6", "r5", "r4", "r3"]
    assert {f'href="#run-0-r{i}"' in page for i in (3, 4, 5, 6)} == {True}
    assert 'href="#run-0-r0"' not in page
    assert all(page.count(f"d{i}</th>") == 2 for i in range(3))  # In the matrix and in the test set's table.
