"""The page in a browser: no errors, no requests; its table sorts, filters and opens, also without a mouse."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from search.report import facts
from search.report.opened import trial_yaml
from search.report.page import write_leaderboard
from search.trials.trials import Trial
from tests.browser import Opened
from tests.report_views import ALONE, ODD
from tests.synthetic import HOSTILE, synthetic_search, synthetic_view

pytestmark = pytest.mark.slow
WIDTH = "document.documentElement.scrollWidth"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_opens_the_page_without_errors_or_requests_and_sees_the_table_of_the_csv(
    tmp_path, browser, scheme
):
    view = synthetic_view(synthetic_search(40), name=f"a{HOSTILE}")
    for number, record in enumerate(view.records[1:], start=1):
        record.trial = Trial(
            **{
                **vars(record.trial),
                "params": {**record.trial.params, "hostile": f"%{{x}} $a$ {HOSTILE}{number % 3}"},
            }
        )
    opened = Opened(browser, write_leaderboard(tmp_path, view), color_scheme=scheme)
    for tab in opened.page.locator("input[name=curves]").all():
        tab.check(force=True)
    opened.page.locator("tr.trial").first.click()
    opened.drawn()
    assert opened.page.locator("tr.detail:visible").count() == 1
    assert opened.page.locator(".chart .main-svg").count() > 15
    with (tmp_path / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    shown = opened.table()
    assert [row[1] for row in shown] == [row["trial"] for row in rows]
    assert [row[2] for row in shown] == [
        f"{100 * float(row['score']):.1f}%" if row["score"] else "" for row in rows
    ]
    assert [row[-1] for row in shown] == [row["error"] for row in rows]
    assert opened.troubles == []
    assert opened.outside() == []


def test_no_button_of_a_figure_sends_it_anywhere(tmp_path, browser):
    opened = Opened(browser, write_leaderboard(tmp_path, synthetic_view()))
    opened.drawn()
    titles = opened.page.locator(".modebar-btn").evaluate_all(
        "buttons => buttons.map((button) => button.dataset.title)"
    )
    assert set(titles) == {"Download plot as a PNG", "Reset axes"}


@pytest.mark.parametrize("view", [*ODD.values(), *ALONE.values()], ids=[*ODD, *ALONE])
def test_a_browser_opens_the_page_of_an_odd_search_without_errors(tmp_path, browser, view):
    opened = Opened(browser, write_leaderboard(tmp_path, view))
    assert len(opened.table()) == (0 if view.alone else len(view.records))
    assert opened.troubles == []
    assert opened.outside() == []


@pytest.mark.parametrize("view", [synthetic_view(), *ODD.values()], ids=["ordinary", *ODD])
def test_a_phone_shows_the_page_without_scrolling_sideways(tmp_path, browser, view):
    view = replace(view, name="a_rather_long_name_of_a_search_without_any_blank_in_it")
    opened = Opened(browser, write_leaderboard(tmp_path, view), width=390, has_touch=True, is_mobile=True)
    if view.records:
        opened.page.locator("td.open button").first.tap()
        opened.drawn()
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    assert opened.troubles == []


def test_figures_fit_a_window_that_is_made_narrow_while_they_are_drawn(tmp_path, browser):
    path = write_leaderboard(tmp_path, synthetic_view(synthetic_search(40)))
    opened = Opened(browser, path, narrowed_to=700)
    assert opened.page.evaluate(WIDTH) == 700
    assert opened.troubles == []


def test_figures_fit_a_narrower_window_those_near_the_reader_first(tmp_path, browser):
    opened = Opened(browser, write_leaderboard(tmp_path, synthetic_view()))
    page = opened.page
    page.evaluate("Plotly.relayout('best', {'xaxis.range[0]': 3, 'xaxis.range[1]': 5})")
    page.locator("#pictures").scroll_into_view_if_needed()
    page.evaluate(
        """() => {
            const relayout = Plotly.relayout;
            window.fitted = []; // how far outside of the window each figure was when its turn came
            Plotly.relayout = (place, changes) => {
                const { top, bottom } = place.getBoundingClientRect();
                fitted.push(Math.max(0, top - innerHeight, -bottom));
                return relayout(place, changes);
            };
        }"""
    )
    for width in (700, 390, 1280):
        page.evaluate("fitted.length = 0")
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(WIDTH) == width  # at once: what is still too wide is cut off
        opened.drawn()
        fitted = page.evaluate("fitted")
        assert fitted[0] == 0
        assert max(fitted) > 900
    assert page.evaluate("document.getElementById('best').layout.xaxis.range") == [3, 5]
    assert opened.troubles == []


def test_a_figure_that_was_hidden_while_the_window_was_made_narrow_fits_when_it_is_shown(tmp_path, browser):
    opened = Opened(browser, write_leaderboard(tmp_path, synthetic_view()))
    other = opened.page.locator("input[name=curves]").nth(1)
    other.check(force=True)
    opened.drawn()
    opened.page.locator("input[name=curves]").first.check(force=True)
    opened.page.set_viewport_size({"width": 700, "height": 900})
    opened.drawn()
    other.check(force=True)
    opened.drawn()
    assert opened.page.locator(f"#{other.get_attribute('value')}:visible").count() == 1


def test_no_two_ticks_of_an_axis_say_the_same(tmp_path, browser):
    opened = Opened(browser, write_leaderboard(tmp_path, synthetic_view(synthetic_search(1))))
    for axis in ("xtick", "ytick"):
        ticks = opened.page.locator(f"#best .{axis} text").all_text_contents()
        assert len(ticks) > 2
        assert len(set(ticks)) == len(ticks)


def test_a_heading_sorts_the_rows_and_leaves_missing_values_last(tmp_path, browser):
    view = synthetic_view()
    opened = Opened(browser, write_leaderboard(tmp_path, view))
    table = facts.ranked_table(view).set_index("trial")["images_per_s"]
    heading = opened.page.locator("th[data-key=images_per_s]")
    for direction, said in ((True, "ascending"), (False, "descending")):
        heading.locator("button").focus()
        opened.page.keyboard.press("Enter")
        wanted = table.astype(float).sort_values(ascending=direction, na_position="last", kind="stable")
        assert opened.trials() == list(wanted.index)
        assert heading.get_attribute("aria-sort") == said
        assert opened.page.locator("th[aria-sort]").count() == 1


def test_filters_leave_the_rows_that_have_what_is_asked_for_and_say_how_many(tmp_path, browser):
    view = synthetic_view(synthetic_search(40))
    opened = Opened(browser, write_leaderboard(tmp_path, view))
    table = facts.ranked_table(view)
    status, words = opened.page.locator("#shown"), opened.page.locator("[name=words]")
    assert status.inner_text() == "40 trials"
    words.fill("VGG cosine")
    found = table[(table["family"] == "vgg4_cnn") & (table["schedule.name"] == "cosine")]
    assert opened.trials() == list(found["trial"])
    assert status.inner_text() == f"{len(found)} of 40 trials"
    opened.page.locator("[name=outcome]").select_option("stopped")
    found = found[found["outcome"] == "stopped"]
    assert 0 < len(found) < 10
    assert opened.trials() == list(found["trial"])
    opened.page.locator("#clear").click()
    opened.page.locator("[name=family]").select_option("plain_cnn")
    assert opened.trials() == list(table["trial"][table["family"] == "plain_cnn"])
    words.fill("nothing has this")
    assert opened.trials() == []
    assert status.inner_text() == "0 of 40 trials"
    assert opened.troubles == []


def test_many_trials_are_shown_a_hundred_at_a_time_and_a_link_leads_to_any(tmp_path, browser):
    view = synthetic_view(synthetic_search(250))
    opened = Opened(browser, write_leaderboard(tmp_path, view))
    ranking = list(facts.ranked_table(view)["trial"])
    assert opened.trials() == ranking[:100]
    assert opened.page.locator("#shown").inner_text() == "250 trials, the first 100 shown"
    more = opened.page.locator("#more")
    more.click()
    assert opened.trials() == ranking[:200]
    assert more.inner_text() == "Show 50 more"
    opened.page.locator("th[data-key=rank] button").click()
    assert opened.trials() == ranking[:49:-1]
    opened.page.locator("[name=words]").fill(f"{view.records[0].trial.recipe['model']['name']} stopped")
    opened.page.locator("a[data-trial]").first.click()
    assert opened.trials() == ranking[::-1]
    assert opened.page.locator("tr.detail:visible").count() == 1
    assert (
        opened.page.evaluate("document.activeElement.getAttribute('aria-controls')") == f"opened-{ranking[0]}"
    )


def test_a_row_opens_by_keyboard_with_its_recipe_which_can_be_copied(tmp_path, browser):
    view = synthetic_view()
    opened = Opened(
        browser, write_leaderboard(tmp_path, view), permissions=["clipboard-read", "clipboard-write"]
    )
    page = opened.page
    button = page.locator("td.open button").nth(3)
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    record = view.records[opened.trials()[3]]
    assert page.locator("tr.detail:visible pre").text_content() == trial_yaml(record, view.name)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".recipe [role=status]:text('Copied')").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == trial_yaml(record, view.name)
    opened.drawn()
    assert page.locator("tr.detail:visible .chart .main-svg").count() >= 2
    assert opened.troubles == []


def test_a_failed_trial_shows_what_went_wrong_when_it_is_opened(tmp_path, browser):
    view = synthetic_view()
    opened = Opened(browser, write_leaderboard(tmp_path, view))
    opened.page.locator("#trial-6 td.open button").click()
    failed = view.records[6]
    assert opened.page.locator("#trial-6 pre.trouble").text_content() == f"{failed.error}\n{failed.traceback}"
    assert opened.page.locator("#trial-6 .chart").count() == 0  # it has not reported
    assert opened.troubles == []
