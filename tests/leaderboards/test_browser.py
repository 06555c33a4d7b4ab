"""The page in a real browser: errors, sorting, filtering, links, keyboard, widths, light and dark, printing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from crossfake.leaderboards import board

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
SLOW = pytest.mark.slow  # For most tests, as opening a page takes half a second.


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as p:
        found = shutil.which("chromium") or shutil.which("google-chrome") or p.chromium.executable_path
        if not os.path.exists(found):
            pytest.skip("no Chromium here; playwright install chromium")
        made = p.chromium.launch(executable_path=found)
        yield made
        made.close()


@pytest.fixture(scope="module")
def address(runs, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("page")
    return board.write(board.load_cards(runs), folder)[3].as_uri()


@pytest.fixture
def visit(chromium, address) -> Iterator[Any]:
    """Open the page at a width; afterwards, check that there were no errors and that nothing was fetched."""
    opened, trouble = [], []

    def go(width: int = 1280, fragment: str = "", **options: Any) -> Any:
        page = chromium.new_page(viewport={"width": width, "height": 900}, **options)
        opened.append(page)
        page.on("console", lambda m: trouble.append(m.text))
        page.on("pageerror", lambda e: trouble.append(str(e)))
        page.on("dialog", lambda d: trouble.append(d.message))
        page.on("request", lambda r: None if r.url.startswith((address, "data:")) else trouble.append(r.url))
        page.goto(address + fragment)
        return page

    yield go
    for page in opened:
        page.close()
    assert trouble == []


def column(page: Any, name: str) -> list[str]:
    return page.evaluate(
        """name => { const t = document.querySelector("table.board");
        const told = cell => (cell.querySelector(".name") ?? cell).textContent.trim();
        const i = [...t.tHead.rows[0].cells].findIndex(c => told(c) === name);
        return [...t.tBodies[0].rows].filter(r => r.offsetParent).map(r => r.cells[i].textContent.trim()); }""",
        name,
    )


@pytest.mark.parametrize(
    ("width", "scheme"),
    [(390, "dark"), *(pytest.param(*p, marks=SLOW) for p in ((390, "light"), (1280, "dark"), (1280, "light")))],
)
def test_the_page_opens_and_fits(visit, width, scheme):
    page = visit(width, color_scheme=scheme)
    assert page.title() == "crossfake leaderboard (synthetic)"
    assert page.evaluate("document.documentElement.scrollWidth") == width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) > 384) == (scheme == "light")
    sizes = page.evaluate(
        "[...document.querySelectorAll('figure svg')].map(s => s.getBoundingClientRect()).map(r => [r.left, r.right])"
    )
    assert len(sizes) > 10
    assert all(0 <= left <= right <= width for left, right in sizes)


@SLOW
def test_a_phone_shows_an_auc_on_its_first_screen(visit):
    page = visit(390)
    places = page.evaluate(
        "[...document.querySelectorAll('.board td.mean, .board td.set')].map(c => c.getBoundingClientRect())"
        ".map(r => [r.left, r.right, r.top, r.bottom])"
    )
    left, right, top, bottom = places[0]
    assert 0 < top < bottom < 844
    assert 0 <= left < right <= 390
    assert page.locator("table.board td.mean").first.is_visible()


@SLOW
def test_charts_fill_the_width(visit):
    page = visit()
    grids = page.evaluate(
        """[...document.querySelectorAll(".charts .grid:first-of-type")].map(g => [...g.children].map(c =>
        c.getBoundingClientRect()).map(r => [r.left, r.right, r.top]))"""
    )
    first = [(left, right) for left, right, top in grids[0] if top == grids[0][0][2]]
    assert first[0][0] == 24
    assert first[-1][1] == pytest.approx(1256, abs=1)


def test_a_click_on_a_column_sorts_by_number_and_back(visit):
    page = visit()
    head = page.locator("table.board").first.get_by_role("button", name="ff++:c23")
    head.click()
    down = [float(text.split()[0]) for text in column(page, "ff++:c23")]
    assert down == sorted(down, reverse=True)
    head.click()
    assert [float(text.split()[0]) for text in column(page, "ff++:c23")] == down[::-1]
    assert page.locator("table.board th.home").first.get_attribute("aria-sort") == "ascending"


@SLOW
def test_cells_without_a_number_are_sorted_last_in_both_directions(visit):
    page = visit()
    head = page.locator("table.board").first.get_by_role("button", name="dfdc")
    for _ in range(2):
        head.click()
        assert column(page, "dfdc") in (["ERR", ""], ["", "ERR"])


@SLOW
def test_the_filter_leaves_the_rows_that_match_in_tables_and_charts_and_counts_them(visit):
    page = visit()
    assert len(column(page, "Detector")) == 2
    marks = page.locator("section.charts [data-row]:visible")
    all_marks = marks.count()
    page.get_by_label("Filter").fill("meso4 torch")  # The backend is only in the heading.
    assert column(page, "Detector") == ["meso4"]
    assert page.locator("#shown").text_content() == "1 of 2 rows"
    assert page.locator("details.run:visible").count() == 1
    kept = {mark.get_attribute("data-row") for mark in marks.all()}
    assert len(kept) == 1
    assert kept.pop().startswith("row-row0-")
    assert 2 * marks.count() == all_marks
    page.get_by_label("Filter").fill("")
    assert len(column(page, "Detector")) == 2
    assert marks.count() == all_marks


@SLOW
def test_a_rows_link_opens_its_run(visit):
    page = visit()
    run = page.locator("details.run").first
    assert run.get_attribute("open") is None
    page.locator("table.board").first.get_by_role("link").first.click()
    page.wait_for_function("document.querySelector('details.run[open]')")
    opened = page.locator("details.run[open]")
    assert opened.count() == 1
    assert page.locator("table.board").first.get_by_role("link").first.text_content() in opened.text_content()
    assert opened.get_by_text("To reproduce it").is_visible()


@SLOW
def test_a_url_with_a_run_opens_it(visit):
    address = visit().locator("details.run").last.get_attribute("id")
    assert visit(390, f"#{address}").locator("details.run[open]").get_attribute("id") == address


@SLOW
def test_filter_sorting_and_runs_are_reachable_by_keyboard(visit):
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the tables"
    for _ in range(9):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "filter":
            break
    assert page.evaluate("document.activeElement.id") == "filter"
    page.locator("table.board thead button", has_text="ff++:c23").focus()
    page.keyboard.press("Enter")
    assert page.locator("table.board th[aria-sort=descending] .name").first.text_content() == "ff++:c23"
    page.locator("details.run summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details.run[open]").count() == 1


@SLOW
def test_the_button_switches_to_dark_mode_and_a_reload_keeps_it(visit):
    page = visit(color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(background) == "rgb(18, 20, 23)"
    page.reload()
    assert page.evaluate(background) == "rgb(18, 20, 23)"
    page.get_by_role("button", name="Light").click()
    assert page.evaluate(background) == "rgb(255, 255, 255)"


@SLOW
def test_the_copy_button_copies_the_rows_own_command(visit):
    page = visit()
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.locator("details.run summary").first.click()
    page.locator("details.run button.copy").first.click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("window.copied") == "bench run --detector meso4"


@SLOW
@pytest.mark.parametrize(("width", "height"), [(1047, 718), (718, 1047)])  # A4 less its margins.
def test_printing_cuts_nothing_off(visit, width, height):
    page = visit()
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = page.evaluate(
        """width => [...document.querySelectorAll("td, th, figure, pre, p, dd")].filter(e => e.offsetParent)
        .filter(e => { const r = e.getBoundingClientRect(); return r.left < 0 || r.right > width + 1; })
        .map(e => e.textContent)""",
        width,
    )
    assert outside == []
    assert page.locator("section.tests table").first.is_visible()  # It is collapsed on the screen.


@SLOW
def test_everything_is_readable_without_javascript(visit):
    page = visit(java_script_enabled=False)
    assert not page.get_by_label("Filter").is_visible()
    assert page.locator("table.board").first.get_by_role("link", name="<script>alert(1)</script>").is_visible()
    page.locator("details.run summary").first.click()
    assert page.locator("details.run").first.get_by_text("To reproduce it").is_visible()


@SLOW
def test_a_column_of_names_and_numbers_is_sorted_by_the_numbers(visit):
    page = visit()
    page.locator("section.tests summary").first.click()
    table = page.locator("section.tests table").first
    at = [h.strip() for h in table.locator("thead th").all_text_contents()].index("worst group (n)")
    table.locator("thead th").nth(at).get_by_role("button").click()
    shown = table.locator(f"tbody tr td:nth-child({at + 1})").all_text_contents()
    numbers = [float(text.split()[1]) for text in shown]
    assert len(numbers) == 2
    assert numbers == sorted(numbers, reverse=True)


@SLOW
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["m-a 0.81 [0.1, 0.9] (n 4)", "f-b 0.9 [0.2, 1] (n 4)", "too few"], [1, 0, 2]),
        (["efficientnet-b4", "meso4", "caddm2"], [1, 0, 2]),
        (["ff++:c23", "ff++:c40", "celebdf"], [1, 0, 2]),
        (["1.2e+03", "900", "unknown"], [0, 1, 2]),
        (["-0.1 [-0.2, 0.1]", "0.02 [0.1, 0.2]", ""], [1, 0, 2]),
        (["0.5 (too few videos for an interval)", "0.6", "undefined (one class)"], [1, 0, 2]),
        (["1234567890", "a1c526b004", "037f24de2f"], [1, 0, 2]),
        (["9/12", "100/100", "ERR"], [1, 0, 2]),
    ],
)
def test_what_counts_as_a_number(visit, cells, expected):
    """The third column gets these three cells; one click sorts them in descending order."""
    page = visit()
    page.evaluate(
        """cells => { const body = document.querySelector("table.board").tBodies[0];
        body.replaceChildren(...cells.map((text, i) => { const row = document.createElement("tr");
        row.append(...["td", "th", "td"].map((kind) => document.createElement(kind)));
        row.cells[1].textContent = i; row.cells[2].textContent = text; return row; })); }""",
        cells,
    )
    page.locator("table.board thead button").nth(2).click()
    assert [int(i) for i in page.locator("table.board").first.locator("tbody th").all_text_contents()] == expected


@SLOW
def test_rules_and_the_filters_hint_are_fully_visible(visit):
    page = visit()
    assert page.evaluate("getComputedStyle(document.querySelector('table.board')).borderCollapse") == "separate"
    wide, place = page.evaluate(
        """() => { const input = document.getElementById("filter"), style = getComputedStyle(input);
        const pen = document.createElement("canvas").getContext("2d");
        pen.font = style.font;
        return [pen.measureText(input.placeholder).width,
                input.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight)]; }"""
    )
    assert wide < place - 20  # A search field needs room for its button.


@SLOW
def test_the_filter_leaves_the_reported_numbers_that_match(visit, make, tmp_path):
    page = visit()
    card = make(name="xception", detector="xception", train="ff++:c23:4m")
    page.set_content(board.write([card], tmp_path)[3].read_text(encoding="utf-8"))
    lines = page.locator("section:has(> h3:text('Published results')) tbody tr")
    assert lines.count() > 20
    page.get_by_label("Filter").fill("xception")
    shown = lines.locator("visible=true").all_text_contents()
    assert 0 < len(shown) < lines.count()
    assert all("xception" in text.lower() for text in shown)


AXE = os.environ.get("AXE", "/usr/share/javascript/axe-core/axe.min.js")
"""The file axe.min.js of the npm package axe-core."""


@SLOW
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_axe_finds_no_serious_fault(visit, width, scheme):
    if not os.path.exists(AXE):
        pytest.skip(f"no {AXE}; npm install axe-core, and AXE=node_modules/axe-core/axe.min.js")
    page = visit(width, color_scheme=scheme)
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    page.add_script_tag(path=AXE)
    found = page.evaluate(
        """axe.run(document, {resultTypes: ["violations"], preload: false}).then(({violations, testEngine}) =>
        [testEngine.name, violations.map(v => [v.impact, v.id, v.nodes[0].html, v.nodes[0].failureSummary])])"""
    )
    assert found[0] == "axe-core"
    assert [fault for fault in found[1] if fault[0] in ("serious", "critical")] == []
