"""The page for everybody: by keyboard, for screen readers (by axe-core), on a phone; all of its sections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from search.report import facts
from search.report.page import write_leaderboard
from search.report.style import time_unit
from search.trials.trials import Outcome
from tests.browser import Opened
from tests.finals import whole_view
from tests.report_views import ALONE, ODD

pytestmark = pytest.mark.slow

UNFOLD = "document.querySelectorAll('details').forEach((details) => { details.open = true; })"
FOCUS = """(() => {
    const at = document.activeElement;
    if (at === document.body) return null;
    const shown = at.type === 'radio' ? at.closest('label') : at;
    const { outlineStyle, outlineWidth } = getComputedStyle(shown);
    const { width, height } = shown.getBoundingClientRect();
    return {
        tag: at.tagName.toLowerCase(), name: at.name || '', words: at.ariaLabel || at.textContent.trim(),
        seen: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1 && width > 1 && height > 1,
    };
})()"""


def _unfolded(opened: Opened) -> None:
    """Opens all that can be opened, and the rows of the winner and of a trial that failed."""
    opened.page.locator("td.open button").first.press("Enter")
    opened.page.locator("#trial-6 td.open button").press("Enter")
    opened.page.evaluate(UNFOLD)
    opened.drawn()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_a_page_with_all_sections(
    tmp_path: Any, browser: Any, scheme: str, width: int
) -> None:
    opened = Opened(browser, write_leaderboard(tmp_path, whole_view(20)), width=width, color_scheme=scheme)
    _unfolded(opened)
    assert opened.faults() == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    assert opened.troubles == []
    assert opened.outside() == []


@pytest.mark.parametrize(
    "view", [ODD["nothing started"], ODD["still running"], *ALONE.values()], ids=["none", "running", *ALONE]
)
def test_axe_finds_nothing_on_the_page_of_an_odd_search(tmp_path: Any, browser: Any, view: Any) -> None:
    assert Opened(browser, write_leaderboard(tmp_path, view)).faults() == []


def test_every_section_fits_a_phone_and_wide_tables_scroll_within_themselves(
    tmp_path: Any, browser: Any
) -> None:
    path = write_leaderboard(tmp_path, whole_view())
    opened = Opened(browser, path, width=390, has_touch=True, is_mobile=True)
    _unfolded(opened)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    outside = """[...document.querySelectorAll('main table, main pre, main img, main .chart')]
        .filter((shown) => shown.checkVisibility() && shown.getBoundingClientRect().right > 390)
        .filter((shown) => !shown.closest('[tabindex="0"]')).map((shown) => shown.outerHTML.slice(0, 90))"""
    assert opened.page.evaluate(outside) == []


def test_the_tab_key_comes_to_everything_that_can_be_used_and_shows_where_it_is(
    tmp_path: Any, browser: Any
) -> None:
    opened = Opened(browser, write_leaderboard(tmp_path, whole_view(20)))
    page = opened.page
    stops = []
    for _ in range(500):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUS)
        if stop is None:
            break
        stops.append(stop)
    assert stop is None, "the focus is caught"
    assert [one for one in stops if not one["seen"]] == []
    words = [one["words"] for one in stops]
    for wanted in page.locator("#contents a, main a, main button, main summary").all():
        if wanted.is_visible() or wanted.evaluate("(found) => found.closest('.modebar') !== null"):
            name = wanted.evaluate("(found) => found.ariaLabel || found.textContent.trim()")
            assert name in words
    assert {one["name"] for one in stops} >= {"words", "outcome", "family", "curves"}


def test_a_trial_is_opened_copied_and_closed_without_a_mouse(tmp_path: Any, browser: Any) -> None:
    path = write_leaderboard(tmp_path, whole_view())
    opened = Opened(browser, path, permissions=["clipboard-read", "clipboard-write"])
    page = opened.page
    page.locator("[name=words]").focus()
    page.keyboard.type("resnet10t complete")
    left = opened.trials()
    assert 0 < len(left) < 40
    button = page.locator("td.open button").first
    while button.evaluate("(found) => document.activeElement !== found"):
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    recipe = page.locator("tr.detail:visible pre")
    assert recipe.count() == 1
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".recipe [role=status]:text('Copied')").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == recipe.text_content()
    page.keyboard.press("Escape")
    assert page.locator("tr.detail:visible").count() == 0
    assert button.get_attribute("aria-expanded") == "false"
    assert button.evaluate("(found) => document.activeElement === found")
    assert opened.troubles == []


def test_tabs_and_links_to_sections_are_worked_by_keys(tmp_path: Any, browser: Any) -> None:
    opened = Opened(browser, write_leaderboard(tmp_path, whole_view()))
    page = opened.page
    page.locator("#contents a", has_text="Time line").focus()
    page.keyboard.press("Enter")
    top = "document.getElementById('section-timeline').getBoundingClientRect().top"
    page.wait_for_function(f"Math.abs({top}) < 5")
    page.locator("input[name=curves]").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("input[name=curves]").nth(1).is_checked()
    opened.drawn()
    assert page.locator("#curves-val_loss").is_visible()
    assert not page.locator("#curves-val_accuracy").is_visible()


def test_every_figure_has_words_and_its_numbers_can_be_read(tmp_path: Any, browser: Any) -> None:
    view = whole_view()
    opened = Opened(browser, write_leaderboard(tmp_path, view))
    page = opened.page
    _unfolded(opened)
    labels = page.locator(".chart").evaluate_all("(charts) => charts.map((chart) => chart.ariaLabel)")
    assert all(len(label) > 20 for label in labels)
    assert len(set(labels)) == len(labels)

    def numbers(figure: str) -> list[list[str]]:
        rows: list[list[str]] = page.locator(f"details[data-of='{figure}'] tr").evaluate_all(
            "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
        )
        return rows

    head, *rows = numbers("curves-val_accuracy")
    assert head[:3] == ["trial", "passes over the training part", "validation accuracy"]
    known = {tuple(row[:3]) for row in rows}
    for record in view.records:
        for epoch in record.history[: -1 if record.outcome is Outcome.DIVERGED else None]:
            value = f"{100 * epoch.metrics['val_accuracy']:.1f}%"
            assert (str(record.number), str(epoch.epoch), value) in known
    head, *rows = numbers("pictures")
    assert head[:3] == ["pictures", "of", "mark"]
    counts = {(name, part): n for name, parts in view.data["counts"].items() for part, n in parts.items()}
    assert {(of, part): int(n) for n, of, part, *_ in rows} == counts
    head, *rows = numbers("timeline")
    stints = facts.stints(view)
    unit, size = time_unit(max(stint.end_s for stint in stints))
    assert head[:3] == ["trial", f"start, {unit} of searching", f"end, {unit} of searching"]
    np.testing.assert_allclose(
        sorted([float(cell) for cell in row[:3]] for row in rows),
        sorted([stint.trial, stint.start_s / size, stint.end_s / size] for stint in stints),
        rtol=1e-3,
        atol=1e-3,
    )
