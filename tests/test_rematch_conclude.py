"""What is made of a rematch's runs: who is compared, by which pictures, and who wins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from search.final import choose
from search.rematch import conclude as concluding
from search.rematch.conclude import conclude
from search.rematch.conclusion import concluded
from search.rematch.shown import outcome
from search.results import winner_of, write_results
from search.storage.folder import FolderError, SearchFolder, State
from search.trials.records import RecordFile
from search.trials.trials import Outcome, TrialRecord
from tests.simulated import record, search_folder, trial, write_records
from tests.toy_pictures import tiny_recipe
from trainables.answers import AnswersError, answers_file, load_answers, save_answers
from trainables.data import write_split
from trainables.models.size import parameters

CLASSES, PICTURES = ("ann", "bob", "cy"), 400
LABELS = np.random.default_rng(0).integers(len(CLASSES), size=PICTURES)
HARDNESS = np.random.default_rng(1).random(PICTURES)


def answers(accuracy: float, seed: int) -> np.ndarray:
    """Of a network that mostly errs on the hard pictures."""
    rng = np.random.default_rng([seed, 7])
    right = HARDNESS + 0.15 * rng.standard_normal(PICTURES) < accuracy
    said = np.where(right, LABELS, (LABELS + 1) % len(CLASSES))
    found = np.full((PICTURES, len(CLASSES)), np.log(0.05), np.float32)
    found[np.arange(PICTURES), said] = np.log(0.9)
    return found


def split(groups: bool = False) -> pd.DataFrame:
    """The selection part between pictures of others."""
    rows = [
        (f"{place:04d}.png", CLASSES[label], f"scene {place // 4}" if groups else "", "selection")
        for place, label in enumerate(LABELS)
    ]
    rows += [(f"x{place}.png", name, "", "train") for place, name in enumerate(CLASSES)]
    return pd.DataFrame(rows, columns=["file", "class", "group", "part"]).sort_values(
        "file", ignore_index=True
    )


def searched(path: Path, scores: dict[int, float], *, groups: bool = False, **asked: Any) -> SearchFolder:
    """A finished search whose trials have these scores."""
    folder = search_folder(path, max_epochs=3, **asked)
    trials = [
        record(replace(trial(number, epochs=3), recipe=tiny_recipe().to_dict()), [0.1, 0.2, score])
        for number, score in scores.items()
    ]
    write_records(folder.records_file, *trials)
    write_split(split(groups), folder.split_file)
    return folder


def rematch(folder: SearchFolder, *runs: tuple[int, float | Outcome]) -> None:
    """Runs of these trials with what they truly are worth, or how else they ended."""
    entries: list[TrialRecord] = []
    for number, (contender, came_to) in enumerate(runs):
        made = replace(trial(number, epochs=3), origin="rematch", source=str(contender))
        failed = isinstance(came_to, Outcome)
        entries.append(record(made, [0.3] * 3, came_to if failed else Outcome.COMPLETE))
        if not failed:
            save_answers(answers_file(folder.rematch, number), answers(came_to, number))
    write_records(folder.rematch_records_file, *entries)


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    """Trial 2 was lucky: trials 0 and 4 are as good as each other, and better."""
    folder = searched(tmp_path / "mine", {0: 0.84, 1: 0.5, 2: 0.9, 4: 0.83})
    rematch(folder, *[(2, 0.6), (0, 0.81), (4, 0.795)] * 3)
    return folder


def test_the_winner_is_the_one_of_the_rematch_wherever_a_winner_is_named(folder: SearchFolder) -> None:
    best = winner_of(folder)
    assert best is not None
    assert best.number == 2
    found = conclude(folder)
    assert found is not None
    assert [standing.trial for standing in found.verdict.standings] == [0, 4, 2]
    assert found.verdict.winner == 0
    assert [standing.tied for standing in found.verdict.standings] == [True, True, False]
    assert found.verdict.standings[2].flattered == pytest.approx(0.9 - found.verdict.standings[2].mean)
    assert found.verdict.standings[2].mean == pytest.approx(0.6, abs=0.03)
    assert concluded(folder) == found
    best = winner_of(folder)
    assert best is not None
    assert best.number == 0
    assert choose(folder).trial == best
    assert write_results(folder, State.FINISHED) == best
    assert folder.read_json(folder.manifest_file)["best_trial"] == 0
    assert "trial 0" in folder.best_file.read_text()


def test_the_scores_are_those_of_the_answers_against_the_part_in_its_order(folder: SearchFolder) -> None:
    found = conclude(folder)
    assert found is not None
    for standing in found.verdict.standings:
        runs = [place for place in range(9) if [2, 0, 4][place % 3] == standing.trial]
        said = [load_answers(answers_file(folder.rematch, run)).argmax(axis=1) for run in runs]
        assert standing.scores == pytest.approx([(one == LABELS).mean() for one in said])
    assert (found.verdict.pictures, found.verdict.units) == (PICTURES, PICTURES)


def test_a_contender_that_no_time_was_left_for_is_not_said_to_have_failed(tmp_path: Path) -> None:
    """Its first run was cut off, and the resume had time for two contenders alone."""
    folder = searched(tmp_path / "mine", {0: 0.84, 2: 0.9, 4: 0.83})
    rematch(folder, *[(2, 0.6), (0, 0.81)] * 2)
    file = RecordFile(folder.rematch_records_file)
    file.trial(replace(trial(4, epochs=3), origin="rematch", source="4"))
    file.close()
    found = conclude(folder)
    assert found is not None
    assert found.left_out == {4: "no time was left for it"}


def test_pictures_of_a_scene_count_together(tmp_path: Path, folder: SearchFolder) -> None:
    scenes = searched(tmp_path / "scenes", {0: 0.84, 2: 0.9, 4: 0.83}, groups=True)
    rematch(scenes, *[(2, 0.6), (0, 0.81), (4, 0.795)] * 3)
    found = conclude(scenes)
    assert found is not None
    assert (found.verdict.pictures, found.verdict.units) == (PICTURES, PICTURES / 4)


@pytest.mark.parametrize("prefer", ["cost", "latency"])
def test_among_the_tied_the_cheapest_wins_where_that_is_preferred(
    tmp_path: Path, prefer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = searched(tmp_path / "mine", {0: 0.84, 2: 0.9, 4: 0.83}, prefer=prefer)
    runs: list[TrialRecord] = []
    for number in range(9):
        contender, truth, epoch_s = [(2, 0.6, 1.0), (0, 0.81, 3.0), (4, 0.795, 2.0)][number % 3]
        run = record(replace(trial(number, epochs=3), source=str(contender)), [0.3] * 3)
        run.history = [replace(epoch, metrics={**epoch.metrics, "epoch_s": epoch_s}) for epoch in run.history]
        runs.append(run)
        save_answers(answers_file(folder.rematch, number), answers(truth, number))
    write_records(folder.rematch_records_file, *runs)
    latencies = iter([1.0, 9.0, 5.0])  # of trials 2, 0 and 4, by their scores in the search
    monkeypatch.setattr(concluding, "latency_ms", lambda recipe, classes, device: next(latencies))
    found = conclude(folder)
    assert found is not None
    assert (found.verdict.winner, found.verdict.won_by, found.prefer) == (4, "cost", prefer)
    assert {number: costs.epoch_s for number, costs in found.costs.items()} == {2: 1.0, 0: 3.0, 4: 2.0}
    assert {costs.parameters for costs in found.costs.values()} == {parameters(tiny_recipe(), 3)}


def test_who_diverged_is_not_compared_and_a_run_that_crashed_is_left_out(tmp_path: Path) -> None:
    folder = searched(tmp_path / "mine", {0: 0.84, 2: 0.9, 4: 0.83})
    runs: list[tuple[int, float | Outcome]] = [(2, 0.9), (0, 0.8), (4, Outcome.FAILED)]
    rematch(folder, *runs, (2, Outcome.DIVERGED), (0, 0.8), (4, 0.5), (2, 0.9), (0, 0.8), (4, 0.5))
    found = conclude(folder)
    assert found is not None
    assert found.left_out == {2: "diverged in 1 of 3 runs"}
    assert [(one.trial, len(one.scores)) for one in found.verdict.standings] == [(0, 3), (4, 2)]
    assert list(outcome(found))[-1] == "trial   2 is not compared: diverged in 1 of 3 runs"


def test_without_runs_there_is_no_verdict_and_the_search_s_best_wins(tmp_path: Path) -> None:
    folder = searched(tmp_path / "mine", {0: 0.84, 2: 0.9})
    assert conclude(folder) is None
    rematch(folder, (2, Outcome.FAILED), (0, Outcome.FAILED))
    assert conclude(folder) is None
    assert concluded(folder) is None
    best = winner_of(folder)
    assert best is not None
    assert best.number == 2


def test_penalties_count_in_the_rematch_as_in_the_search(tmp_path: Path) -> None:
    """A contender that is a little better, and whose penalty is larger by more, comes second."""
    folder = search_folder(tmp_path / "mine", max_epochs=3, objectives={"params": 0.1})
    trials = []
    for number, penalty in [(0, 0.2), (1, 0.05)]:
        run = record(replace(trial(number, epochs=3), recipe=tiny_recipe().to_dict()), [0.1, 0.2, 0.8])
        run.history = [
            replace(epoch, metrics=epoch.metrics | {"penalised_val_accuracy": 0.8 - penalty})
            for epoch in run.history
        ]
        trials.append(run)
    write_records(folder.records_file, *trials)
    write_split(split(), folder.split_file)
    rematch(folder, *[(0, 0.85), (1, 0.8)] * 3)
    found = conclude(folder)
    assert found is not None
    first, second = found.verdict.standings
    assert (first.trial, second.trial, found.verdict.winner) == (1, 0, 1)
    assert first.mean < second.mean


def test_damaged_files_are_told(folder: SearchFolder) -> None:
    answers_file(folder.rematch, 3).write_bytes(b"PK nothing")
    with pytest.raises(AnswersError, match=r"run-3\.npz does not hold a network's answers"):
        conclude(folder)
    folder.rematch_file.write_text("{}")
    with pytest.raises(FolderError, match=r"rematch\.json does not hold what a rematch came to"):
        concluded(folder)


def test_answers_come_back_as_they_were_and_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    given = answers(0.8, 1)
    file = answers_file(tmp_path / "rematch", 12)
    save_answers(file, given)
    np.testing.assert_array_equal(load_answers(file), given)
    assert list(file.parent.iterdir()) == [file]
    np.savez(file, log_probabilities=given.astype(np.float64))
    with pytest.raises(AnswersError, match=r"holds float64 \(400, 3\) in place of float32"):
        load_answers(file)
    np.savez(file, log_probabilities=np.array([{}], dtype=object))
    with pytest.raises(AnswersError, match="does not hold"):  # a pickle, which is not read
        load_answers(file)
    with pytest.raises(AnswersError, match=r"run-13\.npz does not hold"):
        load_answers(answers_file(tmp_path, 13))
