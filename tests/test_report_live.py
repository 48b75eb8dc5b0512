"""The page of a running search, in a browser: it loads itself anew, and the reader keeps the place."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Error

from search.report.page import write_leaderboard
from tests.browser import Opened
from tests.synthetic import synthetic_search, synthetic_view

pytestmark = pytest.mark.slow


def _write(folder: Path, trials: int, **changes: Any) -> Path:
    view = synthetic_view(synthetic_search(trials), **({"state": "running", "every_s": 10.0} | changes))
    return write_leaderboard(folder, replace(view, read=time.time()))


class _Followed(Opened):
    """A page that is watched while it loads itself anew."""

    def __init__(self, browser: Any, path: Path) -> None:
        super().__init__(browser, path, clock=True)

    def later(self) -> None:
        """Lets the time pass after which the page is loaded anew."""
        self.page.evaluate("window.old = true")
        self.page.clock.fast_forward(40_000)

    def reloaded(self) -> None:
        """Lets that time pass, and waits until the page has been loaded anew."""
        self.later()
        for _ in range(600):
            with contextlib.suppress(Error):  # in between there is no page
                if self.page.evaluate("!window.old && document.readyState === 'complete'"):
                    return self.drawn()
            time.sleep(0.1)
        raise AssertionError("the page was not loaded anew")

    def stays(self) -> bool:
        """Whether the page is still the same after that time."""
        self.later()
        self.page.wait_for_timeout(500)
        return bool(self.page.evaluate("window.old === true"))


def test_new_results_appear_and_everything_that_the_reader_chose_stays(tmp_path, browser):
    opened = _Followed(browser, _write(tmp_path, 60))
    page = opened.page
    page.locator("[name=words]").fill("vgg")
    page.locator("[name=outcome]").select_option("complete")
    page.locator("th[data-key=seconds] button").click()
    first = opened.trials()[2]
    page.locator(f"#trial-{first} td.open button").click()
    page.locator("input[value=curves-val_loss]").check(force=True)
    page.locator("details").first.evaluate("(details) => { details.open = true; }")
    opened.drawn()
    page.evaluate("Plotly.relayout('best', {'xaxis.range[0]': 3, 'xaxis.range[1]': 5})")
    page.evaluate("document.getElementById('best').scrollIntoView()")
    page.locator(f"#trial-{first} td.open button").evaluate("(button) => button.focus({preventScroll: true})")
    place = page.evaluate("document.getElementById('best').getBoundingClientRect().top")
    trials = opened.trials()
    _write(tmp_path, 90)
    opened.reloaded()
    assert len(opened.trials()) > len(trials)
    assert set(trials) < set(opened.trials())
    assert page.locator("[name=words]").input_value() == "vgg"
    assert page.locator("[name=outcome]").input_value() == "complete"
    assert page.locator("th[aria-sort]").get_attribute("data-key") == "seconds"
    assert page.locator(f"#trial-{first} tr.detail").is_visible()
    assert page.locator("tr.detail:visible").count() == 1
    assert page.locator("input[value=curves-val_loss]").is_checked()
    assert page.locator("#curves-val_loss").is_visible()
    assert page.locator("details").first.get_attribute("open") is not None
    assert page.evaluate("document.getElementById('best').layout.xaxis.range") == [3, 5]
    focus = page.evaluate("document.activeElement.getAttribute('aria-controls')")
    assert focus == f"opened-{first}"
    assert page.evaluate("document.getElementById('best').getBoundingClientRect().top") == pytest.approx(
        place, abs=2
    )
    assert opened.troubles == []
    assert opened.outside() == []


def test_it_says_when_it_was_updated_and_waits_while_it_is_paused(tmp_path, browser):
    opened = _Followed(browser, _write(tmp_path, 6))
    told, button = opened.page.locator("#live [role=status]"), opened.page.locator("#live button")
    assert "refreshes every 30 s" in told.inner_text()
    assert button.inner_text() == "Pause"
    button.focus()
    opened.page.keyboard.press("Enter")
    assert "paused" in told.inner_text()
    assert opened.stays()
    button.click()
    opened.reloaded()
    assert "refreshes" in told.inner_text()
    button.click()
    opened.page.reload()
    opened.drawn()
    assert "paused" in told.inner_text()


def test_it_waits_while_text_is_marked(tmp_path, browser):
    opened = _Followed(browser, _write(tmp_path, 6))
    opened.page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
    assert opened.stays()
    opened.page.evaluate("getSelection().removeAllRanges()")
    opened.reloaded()


def test_when_the_search_has_ended_it_says_so_and_stays(tmp_path, browser):
    opened = _Followed(browser, _write(tmp_path, 6))
    _write(tmp_path, 6, state="finished")
    opened.reloaded()
    assert opened.page.locator("#ended").inner_text() == "The search has ended: this page stays as it is now."
    assert opened.page.locator("#live").count() == 0
    assert opened.stays()
    assert opened.troubles == []


def test_a_page_that_is_opened_anew_begins_at_its_top_without_filters(tmp_path, browser):
    path = _write(tmp_path, 60, every_s=1000.0)
    opened = _Followed(browser, path)
    opened.page.locator("[name=words]").fill("vgg")
    opened.page.goto("about:blank")
    opened.page.goto(path.as_uri())
    opened.drawn()
    assert opened.page.locator("[name=words]").input_value() == ""
    assert len(opened.trials()) == 60
