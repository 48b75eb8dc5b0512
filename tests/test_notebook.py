"""The notebook runs as it is on a search's folder, and draws what the records say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from search.report.page import write_leaderboard
from tests.commands import ROOT
from tests.synthetic import EPOCHS, synthetic_search, synthetic_view
from tests.tracked import events, told_folder

NOTEBOOK = json.loads((ROOT / "docs" / "results.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that its cells define, over a finished search."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "results").mkdir()
    folder = told_folder(tmp_path / "results" / "mine", events(synthetic_search()), max_epochs=EPOCHS)
    write_leaderboard(folder.path, synthetic_view())
    monkeypatch.chdir(tmp_path / "docs")
    names: dict[str, Any] = {}
    for cell in CODE:
        exec(compile(cell, "results.ipynb", "exec"), names)
    return names


def test_its_figure_has_every_trial_with_a_score_where_the_records_put_it(drawn: dict[str, Any]) -> None:
    shown = {
        trial: (score, gap)
        for trace in drawn["figure"].data
        for trial, score, gap in zip(trace.hovertext, trace.x, trace.y, strict=True)
    }
    expected = {}
    for record in synthetic_search():
        score = record.score(synthetic_view().metric)
        if score is not None:
            metrics = record.history[-1].metrics
            expected[record.number] = (score, metrics["train_accuracy"] - metrics["val_accuracy"])
    assert set(shown) == set(expected)
    for trial, place in expected.items():
        assert shown[trial] == pytest.approx(place)


def test_it_is_kept_without_outputs() -> None:
    for cell in NOTEBOOK["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
