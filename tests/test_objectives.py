"""More than one objective: the number that steers, where the costs come from, and the Pareto front."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from search import leaderboard, run
from search import list as listing
from search.costs import networks as networks_module
from search.costs.networks import Networks, load
from search.engine.engine import Engine
from search.final import choose
from search.report import facts, front, style
from search.report.facts import SearchView, pareto_front
from search.report.page import write_leaderboard
from search.results import write_results
from search.run import settings_from
from search.settings.objectives import COSTS, Objectives, weights
from search.settings.settings import Settings
from search.storage.folder import FolderError, SearchFolder, State
from search.trials.trials import METRICS, Epoch, Outcome, TrialRecord, ranked
from spaces.recipe import Recipe
from spaces.space import Space
from tests.simulated import Workers, engine, epoch, finish, record, search_folder, space, story, trial
from tests.synthetic import synthetic_search, synthetic_view

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

ACCURACY, LOSS = METRICS["val_accuracy"], METRICS["val_loss"]
SIZES = {
    "plain_cnn": {"latency_ms": 2.0, "parameters": 1_200_000},
    "mini_xception": {"latency_ms": 3.0, "parameters": 800_000},
    "resnet10t": {"latency_ms": 5.5, "parameters": 5_400_000},
    "vgg4_cnn": {"latency_ms": 80.0, "parameters": 12_300_000},
}
LATENCY = Objectives(ACCURACY, {"latency": 0.02})
ALL = Objectives(ACCURACY, {"latency": 0.02, "params": 0.01, "train-time": 0.03})


def with_costs(objectives: Objectives, records: list[TrialRecord]) -> list[TrialRecord]:
    """The same records, as a search with these objectives has them."""
    found = []
    for before in records:
        after = replace(before, history=[])
        for reported in before.history:
            after.history.append(objectives.scored(after, reported, of_network(after)))
        found.append(after)
    return found


def of_network(made: TrialRecord) -> Mapping[str, float]:
    return SIZES[made.trial.recipe["model"]["name"]]


def seen(objectives: Objectives, trials: int = 40) -> SearchView:
    records = with_costs(objectives, synthetic_search(trials))
    return synthetic_view(records, metric=objectives.scored_by, objectives=objectives)


# What is asked for.


def test_costs_are_asked_for_by_name_each_with_its_weight_or_the_default() -> None:
    asked = settings_from({"objectives": "latency:0.05, params,train-time:0"}, resume=False)
    assert asked.objectives == {"latency": 0.05, "params": 0.02, "train-time": 0.0}
    assert Settings.model_validate_json(asked.model_dump_json()) == asked
    assert settings_from({}, resume=False).scored_by is ACCURACY


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "beauty",
            "beauty is no cost: name some of latency, params, train-time, such as latency:0.02,params",
        ),
        ("", "nothing is no cost"),
        ("latency,", "nothing is no cost"),
        ("latency:", "the weight of latency must be a number from 0 on, such as latency:0.02"),
        ("latency:much", "the weight of latency must be a number from 0 on"),
        ("latency:-0.1", "the weight of latency must be a number from 0 on"),
        ("params:nan", "the weight of params must be a number from 0 on"),
        ("params:inf", "the weight of params must be a number from 0 on"),
        ("latency,params,latency:0.1", "latency is given twice"),
    ],
)
def test_what_is_no_cost_or_no_weight_is_refused_with_what_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run.main(["--objectives", given]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: --objectives {given!r}: {said}")
    assert error.count("\n") == 1


def test_a_stored_weight_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="the weight of latency must be a number from 0 on"):
        Settings(name="a", space="demo", cache_dir="c", objectives={"latency": -1})


def test_a_search_goes_on_with_the_objectives_that_it_had() -> None:
    names = [
        Settings(name="a", space="demo", cache_dir="c", objectives=given).what_matters()
        for given in (weights("latency"), weights("latency:0.02"), weights("latency:0.1"), {})
    ]
    assert names[0] == names[1]
    assert all(names[0] != other for other in names[2:])


# The one number.


def test_the_score_is_the_metric_less_the_weight_of_every_tenfold() -> None:
    made = TrialRecord(trial(epochs=9), started=0.0, history=[epoch(0, 1, 0.6, epoch_s=10.0)])
    found = ALL.scored(made, epoch(0, 2, 0.7, epoch_s=20.0), {"latency_ms": 50.0, "parameters": 4_000_000})
    seconds = 9 * np.mean([10.0, 20.0])  # of the full length, at the mean so far
    wanted = 0.7 - 0.02 * np.log10(50) - 0.01 * np.log10(4) - 0.03 * np.log10(seconds / 60)
    assert found.metrics["penalised_val_accuracy"] == pytest.approx(wanted, abs=1e-12)
    costs = {name: found.metrics[name] for name in ("latency_ms", "parameters", "train_time_s")}
    assert costs == {"latency_ms": 50.0, "parameters": 4_000_000, "train_time_s": seconds}
    assert found.metrics["val_accuracy"] == 0.7


def test_the_definition_says_what_is_computed() -> None:
    assert LATENCY.definition == (
        "penalised validation accuracy = validation accuracy - 0.02 * log10(latency in ms)"
    )
    worse = Objectives(LOSS, {"params": 0.1, "latency": 0.0})
    assert worse.definition == (
        "penalised validation loss = validation loss + 0.1 * log10(parameters in millions)"
    )


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("cost", COSTS.values(), ids=COSTS)
def test_a_tenfold_of_a_cost_makes_any_metric_worse_by_the_weight(metric: Any, cost: Any) -> None:
    objectives = Objectives(metric, {cost.name: 0.05})
    values = []
    for factor in (1.0, 10.0):
        sizes = {"latency_ms": 3.0 * factor, "parameters": 5e5 * factor}
        made = TrialRecord(trial(), started=0.0)
        reported = epoch(0, 1, 0.5, epoch_s=2.0 * factor, val_macro_f1=0.5)
        values.append(objectives.scored(made, reported, sizes).metrics[objectives.scored_by.name])
    gain = objectives.scored_by.gain
    assert gain(values[0]) - gain(values[1]) == pytest.approx(0.05)


def test_units_shift_all_scores_alike() -> None:
    records = with_costs(ALL, synthetic_search(30))
    scored = [values for made in records if (values := ALL.values(made)) is not None]
    plain = [
        values["val_accuracy"]
        - 0.02 * math.log10(values["latency_ms"])
        - 0.01 * math.log10(values["parameters"])
        - 0.03 * math.log10(values["train_time_s"])
        for values in scored
    ]
    shifts = np.array([values["penalised_val_accuracy"] for values in scored]) - plain
    assert len(scored) > 10
    np.testing.assert_allclose(shifts, shifts[0], atol=1e-12)


def test_with_weights_of_zero_the_metric_alone_ranks_and_costs_are_known() -> None:
    shown = Objectives(ACCURACY, {"latency": 0.0})
    assert shown.scored_by is ACCURACY
    before = synthetic_search(20)
    after = with_costs(shown, before)
    assert [made.number for made in ranked(after, shown.scored_by)] == [
        made.number for made in ranked(before, ACCURACY)
    ]
    assert all("latency_ms" in reported.metrics for made in after for reported in made.history)


def test_without_objectives_an_epoch_stays_as_it_is() -> None:
    reported = epoch(0, 1)
    assert Objectives(ACCURACY, {}).scored(TrialRecord(trial(), 0.0), reported, {}) is reported


def test_a_metric_that_is_not_finite_gives_no_score() -> None:
    made = TrialRecord(trial(), started=0.0, outcome=Outcome.STOPPED)
    made.history.append(LATENCY.scored(made, epoch(0, 1, math.nan), {"latency_ms": 1.0}))
    assert made.score(LATENCY.scored_by) is None
    assert LATENCY.values(made) is None


def test_a_cost_that_the_clock_did_not_see_has_a_score_all_the_same() -> None:
    objectives = Objectives(ACCURACY, {"train-time": 0.02})
    found = objectives.scored(TrialRecord(trial(), 0.0), epoch(0, 1, 0.5, epoch_s=0.0), {})
    assert math.isfinite(found.metrics["penalised_val_accuracy"])


def test_values_are_those_of_the_weights_that_are_kept() -> None:
    made = TrialRecord(trial(keep="best"), started=0.0, outcome=Outcome.COMPLETE)
    for number, score in enumerate((0.5, 0.8, 0.6), start=1):
        made.history.append(LATENCY.scored(made, epoch(0, number, score), {"latency_ms": 10.0}))
    assert LATENCY.values(made) == {
        "penalised_val_accuracy": pytest.approx(0.78),
        "val_accuracy": 0.8,
        "latency_ms": 10.0,
    }
    assert LATENCY.said(made) == "validation accuracy 80.0%, latency 10 ms"


# Networks, measured before the search.


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Networks take as many milliseconds as they are wide; the widths that were timed."""
    widths: list[int] = []

    def latency_ms(of: Recipe, classes: int, device: torch.device) -> float:
        widths.append(of.model.args["width"])
        return float(widths[-1])

    monkeypatch.setattr(networks_module, "latency_ms", latency_ms)
    return widths


def _networks(*counted: str, **more: Any) -> Networks:
    return Networks(None, None, classes=3, device=torch.device("cpu"), counted=counted, **more)


def _wide(width: int) -> Recipe:
    return Recipe.model_validate({"model": {"name": "plain_cnn", "args": {"width": width, "dense": 16}}})


def test_what_counts_of_a_network_is_measured_once_and_kept_for_a_resume(
    timed: list[int], tmp_path: Path
) -> None:
    measured = _networks("latency_ms", "parameters")
    assert measured.fits(_wide(8))  # there are no limits, and it is known from now on
    measured.keep_in(tmp_path / "networks.json")
    first = [measured.costs(_wide(width)) for width in (8, 12, 8)]
    again = _networks("latency_ms", "parameters", known=load(tmp_path / "networks.json"))
    assert [again.costs(_wide(width)) for width in (8, 12, 8)] == first
    assert [costs["latency_ms"] for costs in first] == [8.0, 12.0, 8.0]
    assert first[1]["parameters"] > first[0]["parameters"]
    assert timed == [8, 12]


def test_networks_are_timed_only_where_their_latency_counts(timed: list[int]) -> None:
    assert set(_networks("parameters").costs(_wide(8))) == {"parameters"}
    assert _networks().costs(_wide(8)) == {}
    assert Objectives(ACCURACY, {"train-time": 0.1}).of_networks == []
    assert timed == []


# The search.


@pytest.fixture
def searched(tmp_path: Path) -> Space:
    return space(tmp_path)


@pytest.fixture
def driven(
    searched: Space, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path, Objectives, Workers | None], Engine]:
    """Drives a simulated search with objectives; mini_xception takes 100 times as long over a picture."""

    def drive(path: Path, objectives: Objectives, workers: Workers | None = None) -> Engine:
        monkeypatch.setitem(METRICS, objectives.scored_by.name, objectives.scored_by)

        def scored(made: TrialRecord, reported: Epoch) -> Epoch:
            slow = made.trial.recipe["model"]["name"] == "mini_xception"
            return objectives.scored(made, reported, {"latency_ms": 100.0 if slow else 1.0})

        made = engine(path, searched, metric=objectives.scored_by.name, scored=scored, trials=20)
        return finish(made, workers)

    return drive


def test_records_hold_the_score_from_the_first_epoch_on(tmp_path: Path, driven: Any) -> None:
    driven(tmp_path / "records.jsonl", LATENCY)
    lines = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    epochs = [line["metrics"] for line in lines if line["event"] == "epoch"]
    assert len(epochs) > 25
    for metrics in epochs:
        penalty = 0.02 * math.log10(metrics["latency_ms"])
        assert metrics["penalised_val_accuracy"] == pytest.approx(metrics["val_accuracy"] - penalty)


def test_a_price_on_latency_moves_the_search_to_the_fast_family(tmp_path: Path, driven: Any) -> None:
    def slow(objectives: Objectives) -> tuple[int, str]:
        records = driven(tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl", objectives).records
        names = [made.trial.recipe["model"]["name"] for made in records]
        complete = [made.outcome is Outcome.COMPLETE for made in records]
        best = ranked(records, objectives.scored_by)[0].trial.recipe["model"]["name"]
        return sum(name == "mini_xception" and done for name, done in zip(names, complete, strict=True)), best

    free, priced = slow(Objectives(ACCURACY, {"latency": 0.0})), slow(Objectives(ACCURACY, {"latency": 0.5}))
    assert priced == (0, "plain_cnn")
    assert free[0] > 0


def test_a_resumed_search_needs_no_measuring_for_what_it_has_recorded(
    tmp_path: Path, searched: Space, driven: Any
) -> None:
    path = tmp_path / "records.jsonl"
    whole = story(driven(path, LATENCY).records)

    def refuses(made: TrialRecord, reported: Epoch) -> Epoch:
        raise AssertionError("all epochs are known")

    again = engine(path, searched, metric=LATENCY.scored_by.name, scored=refuses, trials=20)
    assert again.finished
    assert story(again.records) == whole
    last = again.records[-1].history[-1]
    again.report(replace(last, metrics={"val_accuracy": 0.0}))  # a checkpoint's epoch, reported once more
    assert story(again.records) == whole


# The Pareto front.


def _brute_force(points: list[tuple[int, ...]]) -> list[bool]:
    def dominates(other: tuple[int, ...], point: tuple[int, ...]) -> bool:
        return all(o >= p for o, p in zip(other, point, strict=True)) and other != point

    return [not any(dominates(other, point) for other in points) for point in points]


@given(
    st.integers(1, 4).flatmap(
        lambda count: st.lists(st.tuples(*[st.integers(0, 4)] * count), min_size=1, max_size=25)
    )
)
def test_the_front_is_that_of_all_pairs_compared(points: list[tuple[int, ...]]) -> None:
    assert pareto_front(points) == _brute_force(points)


def test_a_front_of_nothing_is_empty() -> None:
    assert pareto_front([]) == []


@pytest.mark.parametrize("metric", [ACCURACY, LOSS], ids=["accuracy", "loss"])
def test_a_searchs_front_is_computed_from_its_records(metric: Any) -> None:
    objectives = Objectives(metric, {"latency": 0.02, "train-time": 0.0})
    view = seen(objectives)
    found = {candidate.trial: candidate for candidate in facts.candidates(view)}
    points = {}
    for made in view.records:
        value, metrics = made.score(metric), made.history[-1].metrics if made.history else {}
        if value is not None:
            points[made.number] = (metric.gain(value), -metrics["latency_ms"], -metrics["train_time_s"])
    on_front = dict(zip(points, _brute_force(list(points.values())), strict=True))
    assert {number: candidate.on_front for number, candidate in found.items()} == on_front
    assert 0 < sum(on_front.values()) < len(on_front)
    assert list(found) == [made.number for made in ranked(view.records, view.metric) if made.number in found]


@pytest.mark.parametrize("seed", range(5))
def test_the_winner_is_on_the_front(seed: int) -> None:
    records = with_costs(ALL, synthetic_search(30, seed))
    winner, *_ = facts.candidates(synthetic_view(records, metric=ALL.scored_by, objectives=ALL))
    assert winner.on_front


def test_without_objectives_the_front_is_over_the_time_of_a_whole_training() -> None:
    view = synthetic_view()
    found = {candidate.trial: candidate for candidate in facts.candidates(view)}
    points = {}
    for made in view.records:
        if made.score(view.metric) is None:
            continue
        seconds = np.mean([epoch.metrics["epoch_s"] for epoch in made.history]) * made.trial.epochs
        assert found[made.number].costs == {"train_time_s": pytest.approx(seconds)}
        points[made.number] = (made.score(view.metric), -seconds)
    on_front = dict(zip(points, _brute_force(list(points.values())), strict=True))
    assert {number: candidate.on_front for number, candidate in found.items()} == on_front


def test_a_training_whose_time_is_not_known_has_no_place_on_the_front() -> None:
    view = synthetic_view()
    for reported in view.records[1].history:
        del reported.metrics["epoch_s"]
    assert {0, 1} & {candidate.trial for candidate in facts.candidates(view)} == {0}


# The page.


def test_the_figure_rings_the_front_and_the_staircase_runs_along_it() -> None:
    view = seen(LATENCY)
    found = facts.candidates(view)
    palette = style.colours(facts.families(view.records))
    figure = front.front(found, COSTS["latency"], LATENCY, palette, found[0].trial)
    traces = {trace.name: trace for trace in figure.data if trace.name}
    on_front = {candidate.trial for candidate in found if candidate.on_front}
    assert set(traces["on the Pareto front"].customdata) == on_front
    assert list(traces["best score"].customdata) == [found[0].trial]
    points = [trace for trace in figure.data if trace.mode == "markers" and "," in trace.name]
    assert sorted(itertools.chain(*(trace.customdata for trace in points))) == sorted(
        candidate.trial for candidate in found
    )
    (stairs,) = [trace for trace in figure.data if trace.line.shape == "hv"]
    corners = {(c.costs["latency_ms"], c.metric) for c in found if c.on_front}
    assert set(zip(stairs.x[:-1], stairs.y[:-1], strict=True)) == corners
    (curve,) = [trace for trace in figure.data if trace.line.dash == "dot"]
    scores = [y - 0.02 * math.log10(x) for x, y in zip(curve.x, curve.y, strict=True)]
    own = LATENCY.values(next(made for made in view.records if made.number == found[0].trial))
    assert own is not None
    np.testing.assert_allclose(scores, own["penalised_val_accuracy"], atol=1e-4)


def test_the_page_shows_definition_front_and_how_to_retrain_one_of_it(tmp_path: Path) -> None:
    view = seen(ALL)
    page = write_leaderboard(tmp_path, view).read_text(encoding="utf-8")
    assert f"Steered and ranked by {ALL.definition}." in page
    found = facts.candidates(view)
    other = next(c.trial for c in found[1:] if c.on_front)
    assert f"<code>python -m search.retrain results/simpsons --trial {other}</code>" in page
    table = page[page.index('<table class="front">') :]
    table = table[: table.index("</table>")]
    assert [f'data-trial="{c.trial}"' in table for c in found] == [c.on_front for c in found]
    for name in ("latency", "params", "train-time"):
        assert f'<div class="chart" id="front-{name}"' in page
    figures = json.loads(page.split('id="figures">')[1].split("</script>")[0])
    assert {"front-latency", "front-params", "front-train-time"} < set(figures)
    assert {"curves-penalised_val_accuracy", "curves-val_accuracy"} < set(figures)


def test_the_table_has_metric_costs_and_front_beside_the_score(tmp_path: Path) -> None:
    view = seen(ALL)
    write_leaderboard(tmp_path, view)
    with (tmp_path / "leaderboard.csv").open(newline="") as file:
        rows = {int(row["trial"]): row for row in csv.DictReader(file)}
    found = {candidate.trial: candidate for candidate in facts.candidates(view)}
    for number, row in rows.items():
        if number not in found:
            assert (row["score"], row["val_accuracy"], row["latency_ms"], row["on_front"]) == ("", "", "", "")
            continue
        assert float(row["val_accuracy"]) == found[number].metric
        assert {name: float(row[name]) for name in found[number].costs} == found[number].costs
        assert row["on_front"] == ("yes" if found[number].on_front else "no")
    assert 0 < len(found) < len(rows)


@pytest.mark.parametrize(
    "view",
    [
        synthetic_view([]),
        synthetic_view([], metric=ALL.scored_by, objectives=ALL, state="running"),
        synthetic_view([synthetic_search()[6]], metric=ALL.scored_by, objectives=ALL),
    ],
    ids=["no objectives, nothing started", "nothing started", "all failed"],
)
def test_without_a_front_the_page_has_no_section_for_it(tmp_path: Path, view: SearchView) -> None:
    assert "Pareto front</h3>" not in write_leaderboard(tmp_path, view).read_text(encoding="utf-8")


def test_a_penalised_loss_below_zero_can_be_drawn(tmp_path: Path) -> None:
    objectives = Objectives(LOSS, {"latency": 5.0})
    records = [replace(made, history=[]) for made in synthetic_search(20)]
    for made, before in zip(records, synthetic_search(20), strict=True):
        for reported in before.history:
            made.history.append(objectives.scored(made, reported, {"latency_ms": 0.01}))
    view = synthetic_view(records, metric=objectives.scored_by, objectives=objectives)
    page = write_leaderboard(tmp_path, view).read_text(encoding="utf-8")
    figures = json.loads(page.split('id="figures">')[1].split("</script>")[0])
    assert figures["best"]["layout"]["yaxis"].get("type") != "log"
    assert figures["front-latency"]["layout"]["yaxis"]["type"] == "log"  # the loss itself


# What is left behind.


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    """A search of two trials: the second has a little more accuracy, and takes ten times as long."""
    folder = search_folder(tmp_path / "results" / "mine", objectives="latency:0.02", trials=2)
    lines: list[dict[str, Any]] = [{"event": "session", "time": 0.0}]
    for number, (score, latency) in enumerate([(0.90, 10.0), (0.91, 100.0)]):
        made = record(trial(number, epochs=1), [])
        reported = LATENCY.scored(made, epoch(number, 1, score), {"latency_ms": latency})
        lines += [
            {"event": "trial", "time": 1.0, "trial": vars(made.trial)},
            {"event": "epoch", **vars(reported), "time": 2.0},
            {"event": "end", "time": 3.0, "trial": number, "outcome": "complete", "error": None},
        ]
        lines[-1]["traceback"] = None
    folder.records_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_the_winner_is_the_best_by_score_and_its_metric_is_told_too(folder: SearchFolder) -> None:
    best = write_results(folder, State.FINISHED)
    assert best is not None
    assert best.number == 0
    manifest = folder.read_json(folder.manifest_file)
    assert (manifest["metric"], manifest["best_score"]) == ("penalised_val_accuracy", pytest.approx(0.88))
    opening = folder.best_file.read_text(encoding="utf-8").splitlines()[0]
    assert "penalised validation accuracy 0.8800" in opening
    assert "It has validation accuracy 90.0%, latency 10 ms." in opening
    assert choose(folder).out == "model"
    assert choose(folder).trial == best
    other = choose(folder, trial=1)
    assert (other.out, other.trial and other.trial.number) == ("model-trial-1", 1)


def test_the_page_is_built_anew_from_the_folder_alone(folder: SearchFolder) -> None:
    write_results(folder, State.FINISHED)
    folder.page_file.unlink()
    assert leaderboard.main([str(folder.path)]) == 0
    page = folder.page_file.read_text(encoding="utf-8")
    assert LATENCY.definition in page
    assert "--trial 1</code>" in page


def test_the_list_names_what_the_best_score_is_of(
    folder: SearchFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(folder, State.FINISHED)
    monkeypatch.chdir(folder.path.parents[1])
    monkeypatch.setenv("COLUMNS", "200")
    assert listing.main([]) == 0
    assert "0.8800 (penalised_val_accuracy)" in capsys.readouterr().out


def test_a_resume_asks_for_no_other_objectives(folder: SearchFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.path.parents[1])
    assert settings_from({"name": "mine"}, resume=True).objectives == {"latency": 0.02}
    other = settings_from({"name": "mine", "objectives": "params"}, resume=True)
    assert other.what_matters() != folder.settings().what_matters()
    with pytest.raises(FolderError, match="has no trial 7"):
        choose(folder, trial=7)
