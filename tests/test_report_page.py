"""The page and the CSV: whole, equal, harmless, and the same for searches that went wrong."""

from __future__ import annotations

import copy
import csv
import html.parser
import io
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from search.report import facts
from search.report.opened import trial_yaml
from search.report.page import csv_text, page_text, script_json, write_leaderboard
from search.report.rows import in_full
from search.trials.trials import Outcome
from spaces.yaml_files import dump_yaml, parse_yaml
from tests.report_views import ALONE, ODD
from tests.synthetic import HOSTILE, synthetic_search, synthetic_view


class _Reader(html.parser.HTMLParser):
    """Takes a page apart as a browser would: its tags, its text and its data."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.data: dict[str, Any] = {}
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside != "script":
            self.text += data
        elif name := self.tags[-1][1].get("id"):
            self.data[name] = json.loads(data)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The full cells of the table."""
        return list(zip(*(column["full"] for column in self.data["rows"]["columns"]), strict=True))

    def lines(self, kind: str, trial: int) -> list[str]:
        """The recipe of a trial, or its trouble, as the page puts it together."""
        opened = self.data["opened"]
        return [opened["lines"][place] for place in opened[kind][str(trial)]]


def _read(path: Path) -> _Reader:
    return _Reader(path.read_text(encoding="utf-8"))


ODD_TEXT = f"{HOSTILE}: 'a' # b\n\ttab\x85\u2028 \u202e right to left, yes, 1e3"


@pytest.mark.parametrize("view", ODD.values(), ids=ODD)
def test_the_page_of_an_odd_search_is_whole_and_has_every_trial(tmp_path, view):
    page = _read(write_leaderboard(tmp_path, view))
    assert len(page.rows) == len(view.records)
    assert f">{view.state}<" in (tmp_path / "leaderboard.html").read_text()
    headings = ["Ranked trials", "Learning curves", "Settings against score", "Best against time"]
    headings += ["Time line", "Who was stopped where", "What stopping cost", "Pictures"]
    lines = [line.strip() for line in page.text.splitlines()]
    assert [line for line in lines if line in headings] == headings


def test_the_table_of_the_page_equals_the_csv(tmp_path):
    page = _read(write_leaderboard(tmp_path, synthetic_view()))
    with (tmp_path / "leaderboard.csv").open(newline="") as file:
        _, *rows = csv.reader(file)
    assert [[in_full(cell) for cell in row] for row in page.rows] == rows


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
    assert [found.get("id") for found in scripts] == ["figures", "rows", "opened", None, None]
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


def test_a_failed_trial_comes_with_its_whole_traceback(tmp_path):
    view = synthetic_view()
    page = _read(write_leaderboard(tmp_path, view))
    failed = view.records[6]
    assert page.lines("troubles", 6) == f"{failed.error}\n{failed.traceback}".split("\n")
    assert set(page.data["opened"]["troubles"]) == {str(r.number) for r in view.records if r.error}


def test_the_recipes_on_the_page_are_the_trials_recipes(tmp_path):
    records = copy.deepcopy(synthetic_search())
    records[3].trial.recipe["model"]["args"] = {
        "deep": {"list": [1, 2.0, None], "text": ODD_TEXT},
        "empty": {},
    }
    page = _read(write_leaderboard(tmp_path, synthetic_view(records, name="a\nname")))
    for record in records:
        text = "\n".join(page.lines("recipes", record.number)) + "\n"
        read = parse_yaml(text, "recipe.yaml").data
        assert read == {
            "epochs": record.trial.epochs,
            "seed": record.trial.seed,
            "recipe": record.trial.recipe,
        }


def test_the_recipe_of_a_trial_is_written_as_all_recipes_are():
    for record in synthetic_search(40):
        about, text = trial_yaml(record, "x").split("\n", 1)
        assert about == f"# trial {record.number} of x"
        trial = record.trial
        assert text == dump_yaml({"epochs": trial.epochs, "seed": trial.seed, "recipe": trial.recipe})


def test_the_curves_that_open_under_a_row_are_the_epochs_of_its_trial(tmp_path):
    view = synthetic_view()
    page = _read(write_leaderboard(tmp_path, view))
    opened = page.data["opened"]
    assert set(opened["curves"]) == {str(record.number) for record in view.records if record.history}
    for record in view.records:
        if not record.history:
            continue
        wanted = pd.DataFrame([epoch.metrics for epoch in record.history])[opened["metrics"]]
        if record.outcome is Outcome.DIVERGED:
            wanted.iloc[-1] = math.nan
        passes, *values = opened["curves"][str(record.number)]
        assert passes == [epoch.passes for epoch in record.history]
        found = pd.DataFrame(dict(zip(opened["metrics"], values, strict=True)), dtype=float)
        pd.testing.assert_frame_equal(found, wanted, rtol=1e-4)


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
    assert sorted(os.listdir(tmp_path)) == ["leaderboard.csv", "leaderboard.html", "leaderboard.parquet"]


def test_a_thousand_long_trials_make_a_page_well_under_15_mb(tmp_path):
    records = synthetic_search(1000)
    for record in records:
        record.history = [
            replace(epoch, epoch=i, passes=float(i))
            for i, epoch in enumerate((record.history * 25)[:25], start=1)
        ]
    path = write_leaderboard(tmp_path, synthetic_view(records))
    assert path.stat().st_size < 12_000_000


def test_the_page_of_a_recipe_trained_alone_shows_test_score_curves_and_recipe(tmp_path):
    page = _read(write_leaderboard(tmp_path, ALONE["finished"]))
    headings = ["Ranked trials", "Learning curves", "Recipe", "Settings against score", "What mattered"]
    lines = [line.strip() for line in page.text.splitlines()]
    assert [line for line in lines if line in headings] == ["Learning curves", "Recipe"]
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


def test_how_far_to_trust_the_winners_score_is_said_beside_it() -> None:
    view = synthetic_view()
    page = page_text(view, facts.ranked_table(view))
    card = page.split('class="leader card"')[1].split('class="card story"')[0]
    assert (
        card.index('class="score"') < card.index("the number to trust is the test score") < card.index("<dl")
    )
    assert page.count("number to trust") == 1
