"""The page and the CSV: whole, equal, harmless, and the same for searches that went wrong."""

from __future__ import annotations

import copy
import csv
import html.parser
import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from search.report import facts
from search.report.page import csv_text, script_json, write_leaderboard
from search.report.rows import trial_yaml
from search.trials import METRICS, Outcome, Trial
from spaces.recipe import Recipe
from tests.synthetic import EPOCHS, HOSTILE, synthetic_search, synthetic_view


class _Reader(html.parser.HTMLParser):
    """Takes a page apart as a browser would: its tags, its cells and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "tr" and "trial" in (found.get("class") or ""):
            self.rows.append([])
        if tag == "td" and "data-value" in found:
            self.rows[-1].append(found["data-value"])

    def handle_data(self, data: str) -> None:
        self.text += data


def _read(path: Path) -> _Reader:
    return _Reader(path.read_text(encoding="utf-8"))


def _unfinished():
    records = copy.deepcopy(synthetic_search())
    for record in records[12:]:
        record.outcome, record.ended, record.error = None, None, None
    return records


def _without_reports():
    record = copy.deepcopy(synthetic_search(1)[0])
    record.outcome, record.ended, record.history = None, None, []
    return [record]


def _with_controls():
    records = copy.deepcopy(synthetic_search(24))
    for record in records[1::5]:
        record.control = 1.0 if record.history else None
    return records


def _alone_records(name):
    (record,) = copy.deepcopy(synthetic_search(1))
    if name == "diverged":
        record.outcome, record.error = Outcome.DIVERGED, "the loss was not finite"
    if name == "interrupted":
        record.outcome, record.ended, record.history = None, None, record.history[:1]
    return [record]


ODD = {
    "nothing started": synthetic_view([], settings={}, data={}, state="running"),
    "one trial": synthetic_view(synthetic_search(1)),
    "all failed": synthetic_view([synthetic_search()[6], synthetic_search()[12]], state="interrupted"),
    "still running": synthetic_view(_unfinished(), state="running"),
    "driver died before a report": synthetic_view(_without_reports(), state="cut off"),
    "with controls": synthetic_view(_with_controls(), settings={"max_epochs": EPOCHS, "reduction": 3}),
    "ranked by loss": synthetic_view(metric=METRICS["val_loss"]),
    "no settings": synthetic_view(settings={}, data={}),
    "only given trials": synthetic_view(
        [replace(record, trial=replace(record.trial, params={})) for record in synthetic_search()]
    ),
}


@pytest.mark.parametrize("view", ODD.values(), ids=ODD)
def test_the_page_of_an_odd_search_is_whole_and_has_every_trial(tmp_path, view):
    page = _read(write_leaderboard(tmp_path, view))
    assert len(page.rows) == len(view.records)
    assert f">{view.state}<" in (tmp_path / "leaderboard.html").read_text()
    assert [tag for tag, _ in page.tags].count("section") == 8


def test_the_table_of_the_page_equals_the_csv(tmp_path):
    page = _read(write_leaderboard(tmp_path, synthetic_view()))
    with (tmp_path / "leaderboard.csv").open(newline="") as file:
        _, *rows = csv.reader(file)
    assert page.rows == rows


def test_pandas_reads_the_csv_back_in_full_precision():
    view = synthetic_view()
    table = facts.ranked_table(view)
    read = pd.read_csv(io.StringIO(csv_text(table)), keep_default_na=False, na_values=[""])
    assert list(read.columns) == list(table.columns)
    assert list(read["trial"]) == list(table["trial"])
    scores = {record.number: record.score(view.metric) for record in view.records}
    for trial, score in zip(read["trial"], read["score"], strict=True):
        assert (None if pd.isna(score) else score) == scores[trial]


def test_hostile_names_stay_text(tmp_path):
    view = synthetic_view(name=f"a{HOSTILE}", settings={"data": HOSTILE, "space": f'"{HOSTILE}'})
    recipe = view.records[1].trial.recipe
    recipe["model"] = {**recipe["model"], "name": f"net{HOSTILE}"}
    page = _read(write_leaderboard(tmp_path, view))
    scripts = [found for tag, found in page.tags if tag == "script"]
    assert len(scripts) == 3
    assert not [tag for tag, _ in page.tags if tag in ("img", "iframe", "object", "embed")]
    assert not [name for _, found in page.tags for name in found if name.startswith("on")]
    assert f"net{HOSTILE}" in page.text


def test_figures_as_json_cannot_end_their_script_element():
    value = {"name": "</script><script>alert(1)</script>", "and": "<!--", "line": "\u2028"}
    dumped = script_json(value)
    assert "<" not in dumped
    assert json.loads(dumped) == value


def test_the_page_names_no_address_that_a_browser_would_load(tmp_path):
    page = _read(write_leaderboard(tmp_path, synthetic_view()))
    for _, found in page.tags:
        assert found.get("src") is None
        assert (found.get("href") or "#").startswith(("#", "data:"))
    (policy,) = [found["content"] or "" for _, found in page.tags if "http-equiv" in found]
    assert "default-src 'none'" in policy


def test_a_failed_trial_shows_its_traceback_once(tmp_path):
    page = _read(write_leaderboard(tmp_path, synthetic_view()))
    assert page.text.count('File "train.py", line 7, in fit') == 1


def test_the_recipe_on_the_page_is_the_trials_recipe():
    record = synthetic_search()[3]
    read = yaml.safe_load(trial_yaml(record, "a\nname"))
    assert Recipe.model_validate(read["recipe"]) == Recipe.model_validate(record.trial.recipe)
    assert (read["epochs"], read["seed"]) == (record.trial.epochs, record.trial.seed)


def test_the_same_search_gives_the_same_page(tmp_path):
    first = write_leaderboard(tmp_path, synthetic_view()).read_bytes()
    assert write_leaderboard(tmp_path, synthetic_view()).read_bytes() == first


def test_a_failed_write_leaves_the_old_page_and_no_litter(tmp_path, monkeypatch):
    path = write_leaderboard(tmp_path, synthetic_view(synthetic_search(2)))
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_leaderboard(tmp_path, synthetic_view())
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["leaderboard.csv", "leaderboard.html"]


def test_a_thousand_long_trials_make_a_page_well_under_15_mb(tmp_path):
    records = synthetic_search(1000)
    for record in records:
        record.history = [
            replace(epoch, epoch=i, passes=float(i))
            for i, epoch in enumerate((record.history * 25)[:25], start=1)
        ]
    path = write_leaderboard(tmp_path, synthetic_view(records))
    assert path.stat().st_size < 12_000_000


ALONE = {
    name: synthetic_view(_alone_records(name), settings={"data": "pictures", "space": None}, **fields)
    for name, fields in {
        "finished": {
            "model": {"trial": 0, "test": {"accuracy": 0.912, "macro_f1": 0.9, "log_loss": 0.31, "n": 600}},
            "test_readings": 2,
        },
        "interrupted": {"state": "interrupted"},
        "diverged": {},
    }.items()
}


def test_the_page_of_a_recipe_trained_alone_shows_test_score_curves_and_recipe(tmp_path):
    page = _read(write_leaderboard(tmp_path, ALONE["finished"]))
    headings = ["Ranked trials", "Learning curves", "Recipe", "Settings against score", "What mattered"]
    lines = [line.strip() for line in page.text.splitlines()]
    assert [line for line in lines if line in headings] == ["Learning curves", "Recipe"]
    assert [tag for tag, _ in page.tags].count("section") == 4
    assert "91.2%" in page.text
    assert "The test part has been read 2 times so far." in page.text
    assert trial_yaml(ALONE["finished"].records[0], "simpsons") in page.text
    assert "Winner" not in page.text
    charts = [found["id"] for tag, found in page.tags if found.get("class") == "chart"]
    assert charts == ["best-loss", "best-accuracy", "pictures"]


def test_the_page_of_a_recipe_that_diverged_says_so_and_why(tmp_path):
    page = _read(write_leaderboard(tmp_path, ALONE["diverged"]))
    assert "The training diverged" in page.text
    assert page.text.count("the loss was not finite") == 1
    assert "What to type next" not in page.text


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


class _Opened:
    """A page in a browser, with everything that went wrong in it."""

    def __init__(self, browser, path: Path, width: int = 1280, **options: object) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        self.troubles: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.troubles.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        for _ in range(300):
            if self.page.evaluate(
                "[...document.querySelectorAll('.chart')]"
                ".every(chart => chart.dataset.drawn || chart.closest('[hidden]'))"
            ):
                break
            self.page.wait_for_timeout(100)

    def outside(self) -> list[str]:
        """What was asked of a network."""
        return [url for url in self.requests if not url.startswith(("file:", "data:", "blob:"))]


@pytest.mark.slow
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
    opened = _Opened(browser, write_leaderboard(tmp_path, view), color_scheme=scheme)
    for tab in opened.page.locator("input[name=curves]").all():
        tab.check(force=True)
    opened.page.locator("tr.trial").first.click()
    assert opened.page.locator("tr.detail:visible").count() == 1
    assert opened.page.locator(".chart .main-svg").count() > 15
    shown = opened.page.evaluate(
        "[...document.querySelectorAll('tr.trial')].map(r => [...r.querySelectorAll('td[data-value]')]"
        ".map(c => c.dataset.value))"
    )
    with (tmp_path / "leaderboard.csv").open(newline="") as file:
        _, *rows = csv.reader(file)
    assert shown == rows
    assert opened.troubles == []
    assert opened.outside() == []


@pytest.mark.slow
@pytest.mark.parametrize("view", [*ODD.values(), *ALONE.values()], ids=[*ODD, *ALONE])
def test_a_browser_opens_the_page_of_an_odd_search_without_errors(tmp_path, browser, view):
    opened = _Opened(browser, write_leaderboard(tmp_path, view))
    assert opened.troubles == []
    assert opened.outside() == []


@pytest.mark.slow
@pytest.mark.parametrize("view", [synthetic_view(), *ODD.values()], ids=["ordinary", *ODD])
def test_a_phone_shows_the_page_without_scrolling_sideways(tmp_path, browser, view):
    view = replace(view, name="a_rather_long_name_of_a_search_without_any_blank_in_it")
    opened = _Opened(browser, write_leaderboard(tmp_path, view), width=390, has_touch=True, is_mobile=True)
    if view.records:
        opened.page.locator("td.open button").first.tap()
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.slow
def test_no_two_ticks_of_an_axis_say_the_same(tmp_path, browser):
    opened = _Opened(browser, write_leaderboard(tmp_path, synthetic_view(synthetic_search(1))))
    for axis in ("xtick", "ytick"):
        ticks = opened.page.locator(f"#best .{axis} text").all_text_contents()
        assert len(ticks) > 2
        assert len(set(ticks)) == len(ticks)


@pytest.mark.slow
def test_a_heading_sorts_the_rows_and_leaves_missing_values_last(tmp_path, browser):
    view = synthetic_view()
    page = _Opened(browser, write_leaderboard(tmp_path, view)).page
    place = list(facts.ranked_table(view).columns).index("images_per_s")
    heading = page.locator("thead th:not(.open) button").nth(place)
    for direction in (1, -1):
        heading.focus()
        page.keyboard.press("Enter")
        shown = page.evaluate(
            "[...document.querySelectorAll('tr.trial')]"
            f".map(row => row.querySelectorAll('td[data-value]')[{place}].dataset.value)"
        )
        numbers = [float(value) for value in shown if value]
        assert numbers == sorted(numbers, key=lambda number: direction * number)
        assert shown[len(numbers) :] == [""] * (len(shown) - len(numbers))


@pytest.mark.slow
def test_a_row_opens_by_keyboard_and_the_winner_by_its_link(tmp_path, browser):
    page = _Opened(browser, write_leaderboard(tmp_path, synthetic_view())).page
    button = page.locator("td.open button").nth(3)
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    page.locator("a[data-trial]").click()
    assert page.locator("tr.detail:visible").count() == 2
    assert "recipe:" in page.locator("tr.detail:visible").first.inner_text()
