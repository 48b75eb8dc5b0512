"""The facts of a search, compared with the records and with pandas."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from search import text
from search.report import facts
from search.trials.trials import METRICS, Epoch, Outcome, Trial, TrialRecord, ranked
from tests.synthetic import EPOCHS, HOSTILE, START, synthetic_data, synthetic_search, synthetic_view


def _sampled(number: int, score: float, **params: object) -> TrialRecord:
    trial = Trial(number, {"model": {"name": "net"}}, dict(params), seed=0, epochs=1)
    record = TrialRecord(trial, START + number, outcome=Outcome.COMPLETE, ended=START + number + 1)
    record.history.append(Epoch(number, 1, 1.0, {"val_accuracy": score, "epoch_s": 1.0}, time=START + number))
    return record


def test_the_table_has_a_row_a_trial_in_the_order_of_the_ranking():
    view = synthetic_view()
    table = facts.ranked_table(view)
    assert list(table["trial"]) == [record.number for record in ranked(view.records, view.metric)]
    assert list(table["rank"]) == list(range(1, len(view.records) + 1))


def test_the_table_is_sorted_as_pandas_sorts_the_scores():
    view = synthetic_view(synthetic_search(50))
    scores = pd.Series({record.number: record.score(view.metric) for record in view.records}, dtype=float)
    wanted = scores.dropna().sort_values(ascending=False, kind="stable")
    table = facts.ranked_table(view)
    assert list(table["trial"][: len(wanted)]) == list(wanted.index)
    assert table["score"][len(wanted) :].isna().all()


def test_a_loss_ranks_the_smallest_first():
    view = synthetic_view(metric=METRICS["val_loss"])
    table = facts.ranked_table(view)
    scores = table["score"].dropna().astype(float)
    assert scores.is_monotonic_increasing
    assert len(scores) > 2


def test_costs_are_sums_and_means_over_the_epochs():
    view = synthetic_view()
    table = facts.ranked_table(view).set_index("trial")
    for record in view.records:
        epochs = pd.DataFrame(
            [epoch.metrics for epoch in record.history], columns=["epoch_s", "images_per_s"]
        )
        assert table["seconds"][record.number] == pytest.approx(epochs["epoch_s"].sum())
        speed = table["images_per_s"][record.number]
        assert speed is None if epochs.empty else speed == pytest.approx(epochs["images_per_s"].mean())


def test_alternative_ranges_of_a_setting_share_its_column():
    table = facts.ranked_table(synthetic_view())
    assert "optim.lr" in table.columns
    assert not [name for name in table.columns if "@" in name]
    assert table["optim.lr"].notna().all()


def test_a_conditional_setting_is_absent_where_it_does_not_exist():
    table = facts.ranked_table(synthetic_view())
    has_width = table["model.args.width"].notna()
    assert set(table["family"][has_width]) == {"plain_cnn"}
    assert all(isinstance(width, int) for width in table["model.args.width"][has_width])


def test_a_null_setting_differs_from_an_absent_one():
    table = facts.ranked_table(synthetic_view())
    assert set(table["ema.decay"].astype(str)) == {"null", "0.999"}


def test_the_settings_of_a_given_trial_come_from_its_recipe():
    table = facts.ranked_table(synthetic_view()).set_index("trial")
    assert table["origin"][0] == "given"
    assert table["optim.lr"][0] == 1e-3
    assert table["optim.batch_size"][0] == 64
    assert table["model.args.width"][0] is None


def test_a_given_trial_is_shown_with_where_it_is_from():
    records = synthetic_search(2)
    records[0] = replace(records[0], trial=replace(records[0].trial, source="own.yaml"))
    table = facts.ranked_table(synthetic_view(records)).set_index("trial")
    assert table["origin"].to_dict() == {0: "own.yaml", 1: "sampled"}


def test_a_trial_without_an_outcome_runs_or_was_cut_off():
    record = copy.deepcopy(synthetic_search(1)[0])
    record.outcome, record.ended = None, None
    assert facts.outcome_name(record, "running") == "running"
    assert facts.outcome_name(record, "interrupted") == "cut off"


def test_curves_hold_every_reported_epoch_but_the_one_that_diverged():
    view = synthetic_view()
    curves = {curve.trial: curve for curve in facts.learning_curves(view, ["val_accuracy", "train_loss"])}
    assert set(curves) == {record.number for record in view.records if record.history}
    for record in view.records:
        if not record.history:
            continue
        values = curves[record.number].values["val_accuracy"]
        wanted = [epoch.metrics["val_accuracy"] for epoch in record.history]
        if record.outcome is Outcome.DIVERGED:
            wanted[-1] = math.nan
        np.testing.assert_array_equal(values, wanted)
        assert curves[record.number].passes == [epoch.passes for epoch in record.history]
        assert curves[record.number].outcome == str(record.outcome)


def test_a_metric_that_was_not_reported_is_nan():
    (curve,) = facts.learning_curves(synthetic_view([_sampled(0, 0.5)]), ["train_loss"])
    assert np.isnan(curve.values["train_loss"]).all()


def test_settings_against_score_pair_each_value_with_its_trial_and_leave_out_the_unscored():
    view = synthetic_view()
    by_number = {record.number: record for record in view.records}
    settings = {setting.path: setting for setting in facts.settings_against_score(view)}
    for setting in settings.values():
        for value, score, number in zip(setting.values, setting.scores, setting.trials, strict=True):
            record = by_number[number]
            assert record.score(view.metric) == score
            assert facts.setting_values(record, [setting.path]) == {setting.path: value}
    assert set(settings["model.args.width"].families) == {"plain_cnn"}
    assert settings["optim.lr"].log
    assert not settings["augment.strength"].log
    assert not settings["schedule.name"].numeric


def test_an_even_range_that_begins_near_zero_is_not_taken_for_a_log_scale():
    even = [_sampled(i, 0.5, strength=(i + 1) / 100) for i in range(100)]
    spread = [_sampled(i, 0.5, lr=10 ** -(i / 25)) for i in range(100)]
    assert not facts.settings_against_score(synthetic_view(even))[0].log
    assert facts.settings_against_score(synthetic_view(spread))[0].log


def test_the_setting_that_decides_the_score_is_the_most_important():
    rng = np.random.default_rng(0)
    records = []
    for number in range(60):
        lr, decay = 10 ** rng.uniform(-4, -1), 10 ** rng.uniform(-5, -2)
        score = 0.9 - 0.1 * (math.log10(lr) + 2.5) ** 2 + rng.normal(0, 0.005)
        records.append(_sampled(number, score, lr=lr, decay=decay, name=str(rng.choice(["a", "b"]))))
    found = facts.importances(synthetic_view(records))
    assert found[0].path == "lr"
    assert found[0].shown
    assert sum(item.share or 0 for item in found) == pytest.approx(1)


def test_settings_without_any_influence_stay_below_what_chance_reaches():
    rng = np.random.default_rng(1)
    records = [
        _sampled(i, float(rng.normal()), **{name: float(rng.uniform()) for name in "abcdef"})
        for i in range(80)
    ]
    shown = [item for item in facts.importances(synthetic_view(records)) if item.shown]
    assert len(shown) <= 2


def test_the_importance_of_a_conditional_setting_comes_from_the_trials_that_had_it():
    rng = np.random.default_rng(2)
    records = []
    for number in range(80):
        if number % 2:
            width = int(rng.integers(8, 128))
            records.append(_sampled(number, 0.5 + width / 300, **{"model.name": "a", "width": width}))
        else:
            drop = float(rng.uniform())
            records.append(_sampled(number, 0.3 + rng.normal(0, 0.01), **{"model.name": "b", "drop": drop}))
    found = {item.path: item for item in facts.importances(synthetic_view(records))}
    assert found["width"].trials == found["drop"].trials == 40
    assert found["width"].shown
    # Every good trial is of family a: nothing that only family b has can have helped.
    assert found["drop"].share == pytest.approx(0, abs=0.02)


def test_too_few_trials_have_no_importance():
    assert facts.importances(synthetic_view(synthetic_search(14))) == []


def test_a_setting_that_few_trials_had_is_named_without_a_number():
    records = [_sampled(i, i / 40, lr=1 / (i + 1), **({"rare": i / 3} if i < 3 else {})) for i in range(40)]
    found = {item.path: item for item in facts.importances(synthetic_view(records))}
    assert (found["rare"].trials, found["rare"].share) == (3, None)
    assert found["lr"].share is not None


def test_choices_of_several_types_and_null_can_be_judged():
    choices = [None, True, 3, 0.5, "x"]
    records = [_sampled(i, i / 40, mixed=choices[i % 5], **{f"lr@{i % 2}": 0.1 * i + 1}) for i in range(40)]
    found = {item.path: item for item in facts.importances(synthetic_view(records))}
    assert set(found) == {"mixed", "lr"}
    assert found["lr"].trials == 40


@pytest.mark.parametrize(("metric", "running_best"), [("val_accuracy", "cummax"), ("val_loss", "cummin")])
def test_the_best_so_far_is_the_running_best_of_pandas(metric, running_best):
    view = synthetic_view(synthetic_search(40), metric=METRICS[metric])
    frame = pd.DataFrame(facts.best_over_time(view))
    assert frame["seconds"].is_monotonic_increasing
    np.testing.assert_array_equal(frame["best"], getattr(frame["score"], running_best)())


def test_time_between_two_sessions_does_not_count():
    records = [_sampled(0, 0.5), _sampled(1000, 0.6)]
    sessions = [(START, START + 10), (START + 990, START + 1010)]
    seconds = [point.seconds for point in facts.best_over_time(synthetic_view(records, sessions=sessions))]
    assert seconds == [1, 10 + 11]


def test_the_summary_names_the_winner_and_what_to_type_next():
    view = synthetic_view()
    summary = facts.summary(view)
    best = ranked(view.records, view.metric)[0]
    assert summary.leader is not None
    assert (summary.leader.trial, summary.leader.score) == (best.number, best.score(view.metric))
    assert sum(summary.outcomes.values()) == len(view.records)
    assert summary.headline.startswith("mini_xception wins with")
    assert [command.line for command in summary.commands] == [
        "python -m search.retrain results/simpsons",
        "python -m search.predict results/simpsons/model PICTURE-OR-FOLDER",
        "python -m search.run --name simpsons --resume --trials 32",
    ]
    assert any(f"up to {EPOCHS} epochs" in sentence for sentence in summary.sentences)


@pytest.mark.parametrize("state", ["interrupted", "cut off"])
def test_an_unfinished_search_is_told_how_to_go_on(state):
    summary = facts.summary(synthetic_view(state=state))
    assert summary.commands[0].line == "python -m search.run --name simpsons --resume"


def test_a_search_that_ended_early_says_why_and_suggests_higher_limits():
    plain = synthetic_view()
    assert not plain.cut_short
    limits = {"trials": 20, "max_params": 25_000_000, "max_latency_ms": 1.5}
    view = synthetic_view(settings={**plain.settings, **limits})
    assert view.cut_short
    summary = facts.summary(view)
    assert summary.sentences[0].startswith("16 of 20 trials")
    assert summary.sentences[2].endswith(
        "It ended early: hardly any other recipe of the space is new and within the limits."
    )
    assert summary.commands[-1].line == (
        "python -m search.run --name simpsons --resume --max-params 50000000 --max-latency-ms 3"
    )
    assert not synthetic_view(settings={**plain.settings, **limits}, state="interrupted").cut_short


def test_a_leader_that_was_stopped_is_said_to_be():
    records = [record for record in synthetic_search() if record.outcome is Outcome.STOPPED]
    summary = facts.summary(synthetic_view(records))
    assert summary.leader is not None
    assert f"The best trial ran 3 of its {EPOCHS} epochs." in summary.leader.caveat


def test_a_search_without_a_score_has_no_leader_and_nothing_to_retrain():
    records = [record for record in synthetic_search() if record.outcome is Outcome.FAILED]
    summary = facts.summary(synthetic_view(records))
    assert summary.leader is None
    assert summary.headline == "No trial has a score"
    assert not [command for command in summary.commands if "retrain" in command.line]


def test_a_recipe_trained_alone_is_told_what_it_can_do():
    settings = {**synthetic_view().settings, "space": None, "trials": 1}
    records = synthetic_search(1)
    finished = facts.summary(synthetic_view(records, settings=settings))
    assert [command.line for command in finished.commands] == [
        "python -m search.predict results/simpsons/model PICTURE-OR-FOLDER",
        "python -m search.retrain results/simpsons",
    ]
    assert finished.leader is not None
    assert finished.leader.caveat.endswith("the number to trust is the test score.")
    assert finished.sentences[0].startswith(f"plain_cnn trained for {EPOCHS} of {EPOCHS} epochs, seed ")
    for state in ("interrupted", "cut off"):
        (command,) = facts.summary(synthetic_view(records, settings=settings, state=state)).commands
        assert command.line == "python -m search.train --name simpsons --resume"
    records[0].outcome, records[0].history = Outcome.DIVERGED, []
    assert facts.summary(synthetic_view(records, settings=settings)).commands == []


MODEL = {
    "trial": 4,
    "test": {"accuracy": 0.912, "accuracy_95": [0.887, 0.932], "macro_f1": 0.9, "log_loss": 0.31, "n": 600},
}


def test_a_model_metrics_is_told_with_the_readings_of_the_test_part():
    assert facts.summary(synthetic_view()).test is None
    summary = facts.summary(synthetic_view(model=MODEL, test_readings=3))
    assert summary.test == facts.Tested(
        0.912,
        (0.887, 0.932),
        600,
        "macro-F1 90.0%, log loss 0.31. It is trial 4, retrained. "
        "The test part has been read 3 times so far.",
    )
    # Its place is taken: training it again would be refused.
    assert not [command for command in summary.commands if "search.retrain" in command.line]
    alone = {**synthetic_view().settings, "space": None}
    told = facts.summary(synthetic_view(synthetic_search(1), settings=alone, model=MODEL, test_readings=1))
    assert told.test is not None
    assert "retrained" not in told.test.about
    assert "read 1 time so far" in told.test.about


def test_commands_survive_a_shell():
    summary = facts.summary(synthetic_view(name="my search; rm x"))
    assert "results/my search; rm x'" in summary.commands[0].line


def test_the_time_that_devices_waited_for_data_is_a_share_of_all_training():
    records = synthetic_search(4)
    assert not [told for told in facts.summary(synthetic_view(records)).sentences if "waited" in told]
    for number, record in enumerate(records):
        for epoch in record.history:
            epoch.metrics.update(train_s=10.0 * (number + 1), data_wait_s=0.5 * number)
    epochs = [epoch.metrics for record in records for epoch in record.history]
    share = sum(metrics["data_wait_s"] for metrics in epochs) / sum(metrics["train_s"] for metrics in epochs)
    assert (
        f"While training, devices waited for data {share:.1%} of the time."
        in facts.summary(synthetic_view(records)).sentences
    )


def test_the_data_facts_add_up_to_the_counts():
    data = facts.data_facts(synthetic_view())
    assert data is not None
    frame = pd.DataFrame.from_dict(synthetic_data()["counts"], orient="index")
    assert data.totals == frame.sum().to_dict()
    assert next(iter(data.counts)) == frame.sum(axis=1).idxmax()
    assert data.skipped[1] == (f"moe/{HOSTILE}.png", "not a picture")
    assert (data.groups, data.grouped) == (41, 97)
    assert data.left_out[0] == ("disco_stu", 7, "fewer than 10 pictures")


def test_a_search_without_a_data_report_has_no_data_facts():
    assert facts.data_facts(synthetic_view(data={})) is None


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0.000213, "0.000213"),
        (64, "64"),
        (1234.5, "1,230"),
        (0.99951, "1"),
        (0.0, "0"),
        (1e-7, "1e-07"),
        (99.96, "100"),
    ],
)
def test_numbers_have_three_significant_digits(number, shown):
    assert text.number(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (8.44, "8.4 s"),
        (59.7, "1 min"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations_have_two_units(seconds, shown):
    assert text.duration(seconds).replace("\u00a0", " ") == shown


def test_scores_are_percent_only_for_shares():
    assert text.score(0.9374, "val_accuracy") == "93.7%"
    assert text.score(0.9374, "val_loss") == "0.937"
