"""The page of a comparison in a browser: no errors, no requests, nothing sideways, usable by keyboard."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from search.compare.__main__ import main
from search.storage.folder import State
from tests.browser import Opened
from tests.compared import made, pictures_split
from tests.synthetic import HOSTILE, synthetic_search

pytestmark = pytest.mark.slow
HOSTILE_FOLDER = "<img src=x onerror=alert(1)> $a$ %{x}"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of five searches in three blocks, with hostile names, one of them without a trial that has ended."""
    root = tmp_path_factory.mktemp("compared")
    split = pictures_split((HOSTILE, "b"))
    made(root / "results" / "good", seed=1, split=split, ability=2.5, readings=1, data=HOSTILE)
    os.rename(root / "results" / "good", root / "results" / HOSTILE_FOLDER)
    made(
        root / "results" / "a_rather_long_name_of_a_search_without_any_blank",
        seed=2,
        split=split,
        ability=1.2,
    )
    made(root / "results" / "begun", records=[], split=split, state=None)
    made(root / "results" / "other", seed=3, fingerprint="xyz", split=pictures_split(("a", "b", "c")))
    made(root / "results" / "by_loss", seed=4, split=split, metric="val_loss", state=State.INTERRUPTED)
    folders = sorted(str(path) for path in (root / "results").iterdir())
    assert main([*folders, "--out", str(root / "c.html")]) == 0
    return root / "c.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_opens_the_page_without_errors_or_requests(page: Path, browser: Any, scheme: str) -> None:
    opened = Opened(browser, page, color_scheme=scheme)
    for tab in opened.page.locator(".tabs input").all():
        tab.check(force=True)
    opened.drawn()
    assert opened.page.locator(".chart .main-svg").count() > 6
    assert opened.page.locator("tr.search").count() == 5
    assert opened.page.locator("img").count() == 0
    assert HOSTILE_FOLDER in opened.page.locator("#search-1").inner_text()
    assert opened.page.locator("#winners-1 .ytick").first.text_content() == f"1 {HOSTILE_FOLDER[:15]}…"
    assert opened.troubles == []
    assert opened.outside() == []


def test_a_phone_shows_the_page_without_scrolling_sideways(page: Path, browser: Any) -> None:
    opened = Opened(browser, page, width=390, has_touch=True, is_mobile=True)
    for folded in opened.page.locator("summary:visible").all():
        folded.tap()
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    assert opened.troubles == []


def test_twenty_searches_fit_on_a_phone_and_on_a_laptop(tmp_path: Path, browser: Any) -> None:
    for seed in range(20):
        made(
            tmp_path / f"s{seed:02}",
            records=synthetic_search(12, seed=seed),
            seed=seed,
            ability=1 + seed / 20,
        )
    assert main([*(str(path) for path in sorted(tmp_path.iterdir())), "--out", str(tmp_path / "c.html")]) == 0
    for width in (390, 1280):
        opened = Opened(browser, tmp_path / "c.html", width=width)
        assert opened.page.evaluate("document.documentElement.scrollWidth") == width
        assert opened.page.locator("#winners-1 .ytick").count() == 20
        assert opened.troubles == []


def test_tabs_tables_and_folds_work_by_keyboard(page: Path, browser: Any) -> None:
    opened = Opened(browser, page)
    tab = opened.page.locator("input[value=best-1-time]")
    tab.focus()
    opened.page.keyboard.press("ArrowRight")
    opened.drawn()
    assert opened.page.locator("#best-1-passes .main-svg").first.is_visible()
    assert not opened.page.locator("#best-1-time").is_visible()
    fold = opened.page.locator("#section-recipes summary")
    fold.focus()
    opened.page.keyboard.press("Enter")
    assert opened.page.locator("#section-recipes dl").is_visible()
    assert opened.page.locator("[role=region][tabindex='0']").count() == opened.page.locator(".box").count()
    assert opened.troubles == []


def test_the_numbers_of_every_figure_can_be_read(page: Path, browser: Any) -> None:
    opened = Opened(browser, page)
    figures = opened.page.locator(".chart").evaluate_all("(charts) => charts.map((chart) => chart.id)")
    for tab in opened.page.locator(".tabs input").all():
        tab.check(force=True)
        for folded in opened.page.locator("details.numbers:visible").all():
            folded.evaluate("(details) => { details.open = true; }")
    opened.page.locator("details.numbers table").nth(len(figures) - 1).wait_for(state="attached")

    def numbers(figure: str) -> list[list[str]]:
        rows: list[list[str]] = opened.page.locator(f"details[data-of='{figure}'] tr").evaluate_all(
            "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
        )
        return rows

    assert all(len(numbers(figure)) > 2 for figure in figures)
    shown = opened.page.evaluate("JSON.parse(document.getElementById('figures').textContent)")
    head, *rows = numbers("winners-1")
    assert head == ["search", "accuracy", "mark", "about"]
    traces = shown["winners-1"]["data"]
    assert [row[1] for row in rows] == [f"{100 * x:.1f}%" for trace in traces for x in trace["x"]]
    assert {row[0] for row in rows} == {"1", "2"}
    assert {row[3] for row in rows} == {"mean, and the ends of its interval", "a seed", "in the search"}
    head, *rows = numbers("scores-1")
    assert head == ["search", "validation accuracy", "mark", "about"]
    assert [row[1] for row in rows if row[3].startswith("trial ")] == [
        f"{100 * x:.1f}%" for trace in shown["scores-1"]["data"] if len(trace["x"]) > 2 for x in trace["x"]
    ]
    assert sum(row[3].startswith("median; the middle half is ") for row in rows) == 2
    head, *rows = numbers("best-1-passes")
    assert head[:2] == ["search", "passes over the training part, of all trials"]
    assert all(row[2].endswith("%") for row in rows)
    assert opened.troubles == []


def test_a_click_on_a_line_leads_to_the_row_of_its_search(page: Path, browser: Any) -> None:
    opened = Opened(browser, page)
    opened.page.evaluate(
        "document.getElementById('winners-1').emit('plotly_click', {points: [{customdata: 2}]})"
    )
    assert opened.page.evaluate("document.activeElement.id") == "search-2"
    assert opened.troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Path, browser: Any, scheme: str) -> None:
    opened = Opened(browser, page, color_scheme=scheme)
    for folded in opened.page.locator("summary:visible").all():
        folded.press("Enter")
    assert opened.faults() == []
    labels = opened.page.locator(".chart").evaluate_all("(charts) => charts.map((chart) => chart.ariaLabel)")
    assert all(len(label) > 20 for label in labels)
