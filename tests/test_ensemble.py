"""Which trials become an ensemble, and whether: from what a rematch left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.model.calibrated import calibration_of_ensemble
from search.model.ensemble import candidate
from search.rematch.conclude import conclude
from search.report.facts.ensemble import CHOSEN_BY, ensemble
from search.results import winner_of
from search.storage.folder import FolderError, SearchFolder
from search.trials.trials import Outcome
from tests.predictions import runs
from tests.simulated import record, search_folder, trial, write_records
from tests.test_rematch_conclude import CLASSES, LABELS, rematch, split
from tests.toy_pictures import tiny_recipe
from trainables.answers import AnswersError, answers_file, save_answers
from trainables.calibration import fitted
from trainables.data import write_split

TIED = {0: 0.84, 4: 0.83, 2: 0.82}


def searched(path: Path, *, fits: dict[int, str] | None = None, **asked: Any) -> SearchFolder:
    """A search of the trials in `TIED`."""
    folder = search_folder(path, max_epochs=3, **asked)
    made = []
    for number, score in TIED.items():
        recipe = tiny_recipe(geometry={"size_px": 16, "fit": (fits or {}).get(number, "resize")})
        made.append(record(replace(trial(number, epochs=3), recipe=recipe.to_dict()), [0.1, 0.2, score]))
    write_records(folder.records_file, *sorted(made, key=lambda entry: entry.number))
    write_split(split(), folder.split_file)
    return folder


def answered(
    folder: SearchFolder,
    abilities: dict[int, float],
    *,
    luck: int = 0,
    runs_each: int = 3,
    conclusion: bool = True,
) -> None:
    """A rematch of trials that err on different pictures, but for those of the same `luck`."""
    entries = []
    for trial_number, ability in abilities.items():
        for said in runs(LABELS, len(CLASSES), luck + trial_number, ability, runs_each):
            made = replace(trial(len(entries), epochs=3), origin="rematch", source=str(trial_number))
            save_answers(answers_file(folder.rematch, len(entries)), said)
            entries.append(record(made, [0.3] * 3, Outcome.COMPLETE))
    write_records(folder.rematch_records_file, *entries)
    if conclusion:
        assert conclude(folder) is not None


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    """Three trials that are tied, and err on different pictures."""
    made = searched(tmp_path / "mine")
    answered(made, dict.fromkeys(TIED, 2.0))
    return made


def test_the_tied_are_joined_the_winner_first_where_that_is_better(folder: SearchFolder) -> None:
    found = candidate(folder)
    winner = winner_of(folder)
    assert winner is not None
    assert found.members[0].number == winner.number
    assert sorted(member.number for member in found.members) == sorted(TIED)
    assert found.selection is not None
    assert found.selection.gain > 0
    assert found.kept
    (said,) = ensemble(found.facts())
    first, second, third = (member.number for member in found.members)
    together, alone = (
        f"{scores['val_accuracy']:.1%} accuracy (0.{1000 * scores['val_loss']:.0f} loss)"
        for scores in (found.selection.together, found.selection.alone)
    )
    assert found.selection.gain_95 is not None
    low, high = (f"{100 * end:.1f}" for end in found.selection.gain_95)
    assert said == (
        f"An ensemble, the mean of the probabilities of trials {first}, {second} and {third}, kept for "
        "what it gains on average: on the "
        f"selection part it has {together}, and trial {first} alone {alone}, on average over 3 runs of the "
        f"rematch: a gain of {100 * found.selection.gain:.1f} points (95% interval {low} to {high}). "
        f"{CHOSEN_BY}"
    )


def test_who_says_the_same_is_no_gain_and_the_winner_stays_alone(tmp_path: Path) -> None:
    folder = searched(tmp_path / "mine")
    rematch(folder, *[(0, 0.81), (4, 0.795), (2, 0.2)] * 3)
    conclude(folder)
    for number in range(0, 9, 3):  # trial 4 answers as trial 0 does
        answers_file(folder.rematch, number + 1).write_bytes(
            answers_file(folder.rematch, number).read_bytes()
        )
    conclude(folder)
    found = candidate(folder)
    assert [member.number for member in found.members] == [0, 4]
    assert found.selection is not None
    assert (found.selection.gain, found.kept) == (0.0, False)
    (said,) = ensemble(found.facts())
    assert said.startswith("No ensemble of trials 0 and 4, for it gains nothing on average: on the ")
    assert said.endswith(": a gain of 0.0 points (95% interval -0.5 to 0.5).")


def test_a_tied_trial_that_makes_the_mean_worse_is_not_joined(tmp_path: Path) -> None:
    """It is surely wrong where it is wrong, and outvotes the winner."""
    folder = searched(tmp_path / "mine")
    rematch(folder, *[(0, 0.81), (4, 0.80), (2, 0.1)] * 3)
    for number in range(1, 9, 3):
        file = answers_file(folder.rematch, number)
        said = np.load(file)["log_probabilities"]
        best = said.argmax(axis=1)
        sure = np.full_like(said, np.log(1e-4))
        sure[np.arange(len(best)), best] = np.log(1 - 2e-4)
        # Where it is right it is only just so: there the winner decides.
        right = best == LABELS
        sure[right] = np.log([0.34, 0.33, 0.33])[np.argsort(np.argsort(-said[right], axis=1), axis=1)]
        save_answers(file, sure)
    conclude(folder)
    found = candidate(folder)
    assert [member.number for member in found.members] == [0, 4]
    assert found.selection is not None
    assert found.selection.gain < 0
    assert not found.kept
    low, high = found.selection.gain_95 or (0.0, 0.0)
    assert low < found.selection.gain < high
    # All of one sign: a loss is a gain below 0, as the ends of its interval are.
    gain, *ends = (f"{100 * value:.1f}" for value in (found.selection.gain, low, high))
    assert gain.startswith("-")
    assert ensemble(found.facts())[0].endswith(
        f": a gain of {gain} points (95% interval {' to '.join(ends)})."
    )


def test_costs_count_where_the_search_has_objectives(tmp_path: Path) -> None:
    """Three networks have three times the parameters of one: that is 0.48 weights."""
    for weight, kept in ((0.01, True), (0.3, False)):
        folder = search_folder(tmp_path / f"weight-{weight}", max_epochs=3, objectives={"params": weight})
        made = []
        for number, score in TIED.items():
            entry = record(
                replace(trial(number, epochs=3), recipe=tiny_recipe().to_dict()), [0.1, 0.2, score]
            )
            costs = {"penalised_val_accuracy": score, "parameters": 1e6}
            entry.history = [replace(epoch, metrics=epoch.metrics | costs) for epoch in entry.history]
            made.append(entry)
        write_records(folder.records_file, *sorted(made, key=lambda entry: entry.number))
        write_split(split(), folder.split_file)
        answered(folder, dict.fromkeys(TIED, 2.0))
        found = candidate(folder)
        assert found.surcharge == pytest.approx(weight * np.log10(3))
        assert found.selection is not None
        assert found.selection.gain > 0
        assert found.kept == kept
        assert f", less {100 * found.surcharge:.1f} points for what it costs" in ensemble(found.facts())[0]


def test_who_makes_squares_in_another_way_than_the_winner_is_left_out_and_named(
    folder: SearchFolder, tmp_path: Path
) -> None:
    winner, second, third = (member.number for member in candidate(folder).members)
    other = searched(tmp_path / "other", fits={second: "pad"})
    answered(other, dict.fromkeys(TIED, 2.0))
    found = candidate(other)
    assert [member.number for member in found.members] == [winner, third]
    assert found.selection is not None
    assert ensemble(found.facts())[-1] == (
        f"Trial {second} is tied with trial {winner} and was left out: it makes pictures square by pad, the "
        "winner by resize, and one model gets one square."
    )
    alone = searched(tmp_path / "alone", fits={second: "pad", third: "crop"})
    answered(alone, dict.fromkeys(TIED, 2.0))
    found = candidate(alone)
    assert ([member.number for member in found.members], found.selection, found.kept) == (
        [winner],
        None,
        False,
    )
    assert set(found.left_out) == {second, third}
    assert ensemble(found.facts())[0] == (
        f"No ensemble: nothing that could join trial {winner} is known to be tied with it."
    )


def test_a_clear_winner_stays_alone(tmp_path: Path) -> None:
    folder = searched(tmp_path / "mine")
    answered(folder, {0: 3.0, 4: 0.1, 2: 0.1})
    found = candidate(folder)
    assert ([member.number for member in found.members], found.kept, found.left_out) == ([0], False, {})
    assert found.facts() == {
        "kept": False,
        "trials": [0],
        "left_out": {},
        "selection": None,
        "surcharge": 0.0,
    }


def test_without_a_rematch_there_is_nothing_to_join_and_that_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        FolderError,
        match=r"there was no rematch\. Leave --ensemble out, or have a rematch first: "
        r"python -m search\.run --name mine --resume --rematch 3",
    ):
        candidate(searched(tmp_path / "mine"))
    alone = search_folder(tmp_path / "alone", space=None)
    with pytest.raises(FolderError, match=r"there was no rematch\. Leave --ensemble out$"):
        candidate(alone)


def test_a_damaged_answer_is_named(folder: SearchFolder) -> None:
    answers_file(folder.rematch, 4).write_bytes(b"PK nothing")
    with pytest.raises(AnswersError, match=r"run-4\.npz does not hold"):
        candidate(folder)


def test_the_calibration_is_that_of_the_averaged_answers(folder: SearchFolder) -> None:
    said = [
        [np.load(answers_file(folder.rematch, 3 * member + run))["log_probabilities"] for member in range(3)]
        for run in range(3)
    ]
    means = [np.log(np.mean([np.exp(one.astype(float)) for one in of_run], axis=0)) for of_run in said]
    found, reason = calibration_of_ensemble(folder, list(TIED), false_alarm_rate=0.1)
    expected = fitted(LABELS, means, false_alarm_rate=0.1)
    assert reason is None
    assert found.temperature == pytest.approx(expected.temperature)
    assert found.unknown_below == pytest.approx(expected.unknown_below)
    assert found.fitted_on == expected.fitted_on
    assert found.fitted_on is not None
    assert (found.fitted_on.runs, found.fitted_on.pictures) == (3, len(LABELS))
    # Averages are less sure than their members: theirs is another temperature.
    single = fitted(LABELS, [of_run[0] for of_run in said])
    assert found.temperature < single.temperature
