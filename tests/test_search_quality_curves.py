"""The surrogate of the recorded learning curves is like them."""

from __future__ import annotations

import gzip
import json
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import record_curves
from benchmarks.quality.bests import APART, best_not_recorded, bests
from benchmarks.quality.calibration import rank_correlation, statistics
from benchmarks.quality.cross_validation import compared, held_out
from benchmarks.quality.curves import Process, curves, encoded, learned, log_odds, surrogate
from benchmarks.quality.objectives import BUILT_IN
from benchmarks.quality.random_params import random_params
from benchmarks.quality.recorded import CHANCE, KINDS, MAX_EPOCHS, Kind, Recorded, load_recorded, space
from spaces.errors import InputError


@lru_cache
def everything() -> list[Recorded]:
    return load_recorded()


def recorded(kind: Kind) -> list[Recorded]:
    """Of random recipes."""
    return [one for one in everything() if one.pictures == kind and one.source == "random"]


def random_configs(number: int, **fixed: Any) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [space().drawn(random_params(space(), rng, **fixed)) for _ in range(number)]


@lru_cache
def random_curves(kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Of random configurations: observed and noiseless, float (N, E)."""
    found = [curves(kind).evaluate(config, seed)[:2] for seed, config in enumerate(random_configs(500))]
    return np.array([one for one, _ in found]), np.array([other for _, other in found])


def a_good_config() -> dict[str, Any]:
    return {
        **{"geometry.size_px": 28, "model.name": "plain_cnn", "model.args.width": 16, "model.args.convs": 2},
        **{"model.args.dense": 128, "model.args.batch_norm": True, "model.drop_rate": 0.2},
        **{"optim.name": "sgd", "optim.lr": 0.05, "optim.weight_decay": 1e-4, "optim.batch_size": 64},
        **{"schedule.name": "cosine", "augment.strength": 0.3, "augment.mixup": 0.0, "augment.erase": 0.0},
        **{"loss.label_smoothing": 0.05, "ema.decay": None},
    }


def test_finals_of_recipes_that_were_left_out_are_predicted_within_the_stated_error() -> None:
    found = compared(everything(), held_out(everything(), Process, folds=3))
    for kind, error, correlation in (("simpsons", 0.14, 0.5), ("cifar10", 0.08, 0.7)):
        assert found[f"{kind}, random"]["mean absolute error"] < error
        assert found[f"{kind}, random"]["rank correlation"] > correlation
        assert 0.6 < found[f"{kind}, random"]["spread"] < 1.25
        assert found[f"{kind}, surrogate"]["mean absolute error"] < 0.06


@pytest.mark.parametrize("kind", KINDS)
def test_recorded_curves_are_reproduced(kind: Kind) -> None:
    whole = [one for one in everything() if one.pictures == kind and np.isfinite(one.scores).all()]
    noiseless = np.array([curves(kind).evaluate(one.config, 0)[1] for one in whole])
    wanted = np.array([one.scores for one in whole])
    assert np.isfinite(noiseless).all()
    assert np.abs(noiseless - wanted).mean() < 0.04
    assert rank_correlation(noiseless[:, -1], wanted[:, -1]) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_random_configurations_are_spread_as_recorded_ones_are(kind: Kind) -> None:
    finals = random_curves(kind)[1][:, -1]
    wanted = np.array([one.scores[-1] for one in recorded(kind)])
    assert 0.7 < np.nanstd(finals) / np.nanstd(wanted) < 1.2
    assert np.nanmedian(finals) == pytest.approx(np.nanmedian(wanted), abs=0.08)
    # As many as are recorded, so that the best have had as many chances.
    bests_of_as_many = [np.nanmax(part) for part in np.array_split(finals, len(finals) // len(wanted))]
    assert np.mean(bests_of_as_many) == pytest.approx(np.nanmax(wanted), abs=0.06)
    fails = [np.mean(~(scores > 1.5 * CHANCE)) for scores in (finals, wanted)]
    assert fails[0] == pytest.approx(fails[1], abs=0.08)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", [None, "plain_cnn", "mini_xception", "binary_cnn"])
def test_the_best_of_thousands_comes_to_what_the_best_recorded_one_did(
    kind: Kind, family: str | None
) -> None:
    finals = bests(surrogate(), kind, np.random.default_rng(0), family=family)[1]
    there = [one for one in everything() if one.pictures == kind]
    best = max(one.scores[-1] for one in there if family in (None, one.config["model.name"]))
    assert finals[0] == pytest.approx(best, abs=0.06)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_chosen_last_came_to_what_was_predicted_when_it_was_chosen(kind: Kind) -> None:
    last = [one for one in everything() if one.pictures == kind and one.source == "surrogate"][-10:]
    assert len(last) == 10
    assert np.mean([one.scores[-1] - one.predicted for one in last]) == pytest.approx(0, abs=0.04)


def test_trees_promise_no_more_than_was_recorded() -> None:
    for kind in KINDS:
        finals = bests(surrogate("trees"), kind, np.random.default_rng(0))[1]
        best = np.nanmax([one.scores[-1] for one in everything() if one.pictures == kind])
        assert best - 0.06 < finals[0] <= best


@pytest.mark.parametrize("kind", KINDS)
def test_early_epochs_tell_as_much_of_the_end_as_in_recorded_curves(kind: Kind) -> None:
    for epoch in (3, 9):
        told = [
            statistics(scores, chance=CHANCE, families=["any"] * len(scores))[
                f"rank correlation of epoch {epoch} with the end"
            ]
            for scores in (random_curves(kind)[0], np.array([one.scores for one in recorded(kind)]))
        ]
        assert told[0] == pytest.approx(told[1], abs=0.2)


def test_seeds_move_a_curve_as_far_as_recorded_pairs_are_apart() -> None:
    pairs: dict[tuple[str, int], list[Recorded]] = {}
    for one in (one for kind in KINDS for one in recorded(kind)):
        if one.scores[-1] > 1.5 * CHANCE:
            pairs.setdefault((one.pictures, one.number), []).append(one)
    both = [pair for pair in pairs.values() if len(pair) == 2]
    apart = [abs(np.subtract(*(log_odds(one.scores)[-9:].mean() for one in pair))) for pair in both]
    evaluate = curves("simpsons").evaluate
    late = np.array([log_odds(evaluate(a_good_config(), seed)[0])[-9:].mean() for seed in range(400)])
    found = np.median(np.abs(late[::2] - late[1::2]))
    # The median of 200 draws is known to 8%, of which twice.
    assert len(both) >= 10
    assert found == pytest.approx(np.median(apart), rel=0.2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epochs", ["middle", "late"])
def test_epochs_wobble_as_recorded_ones_do(kind: Kind, epochs: str) -> None:
    wobble = [
        statistics(scores, chance=CHANCE, families=["any"] * len(scores))[f"noise between {epochs} epochs"]
        for scores in (random_curves(kind)[0], np.array([one.scores for one in recorded(kind)]))
    ]
    assert wobble[0] == pytest.approx(wobble[1], rel=0.4)


def test_without_noise_a_curve_is_the_median_over_seeds() -> None:
    found = [curves("cifar10").evaluate(a_good_config(), seed) for seed in range(800)]
    observed, noiseless = np.array([one[0] for one in found]), found[0][1]
    # The error of a median of 800 is 1.25 / sqrt(800) deviations: four of them.
    assert (np.abs(np.median(observed, axis=0) - noiseless) < 0.18 * observed.std(axis=0)).all()


def test_scores_are_whole_pictures_of_a_thousand_and_curves_have_all_epochs() -> None:
    for kind in KINDS:
        observed, noiseless = random_curves(kind)
        assert observed.shape == noiseless.shape == (500, MAX_EPOCHS)
        assert (np.isnan(observed) == np.isnan(noiseless)).all()
        shown = observed[np.isfinite(observed)]
        np.testing.assert_allclose(shown * 1000, np.rint(shown * 1000), atol=1e-9)
        assert shown.min() >= 0
        assert shown.max() <= 1


def test_recipes_that_learn_are_not_equal_within_steps() -> None:
    finals = random_curves("cifar10")[1][:, -1]
    finals = finals[finals > 1.5 * CHANCE]
    assert len(np.unique(finals)) == len(finals)


def test_a_training_diverges_where_the_recorded_one_did_and_few_others_do() -> None:
    lost = [one for one in everything() if np.isnan(one.scores).any()]
    assert lost
    for one in lost:
        observed = curves(one.pictures).evaluate(one.config, 0)[0]
        np.testing.assert_array_equal(np.isnan(observed), np.isnan(one.scores))
    share = np.mean([np.isnan(random_curves(kind)[1][:, -1]).mean() for kind in KINDS])
    assert share < 5 * len(lost) / len(everything())


def test_which_recorded_trainings_learn_is_told_right() -> None:
    recipes = np.array([encoded(one.config, one.pictures) for one in everything()])
    finals = surrogate().predict(recipes)[:, -1]
    assert ((finals > 1.5 * CHANCE) == learned(everything())).mean() > 0.98


def test_an_epoch_costs_no_more_than_any_recorded_one_of_its_network_nor_than_a_larger_one() -> None:
    costs = np.array([surrogate().epoch_s(one.config) for one in everything()])
    taken = np.array([one.epoch_s for one in everything()])
    assert (costs <= taken).all()
    assert (costs == taken).any()
    assert rank_correlation(costs, taken) > 0.5
    for config in random_configs(50, **{"model.name": "plain_cnn"}):
        smallest = {"model.args.width": 8, "model.args.convs": 1, "model.args.dense": 32}
        assert surrogate().epoch_s({**config, **smallest}) <= surrogate().epoch_s(config)


def test_the_same_arguments_give_the_same_curve_when_all_is_fitted_anew() -> None:
    config = a_good_config()
    before = curves("simpsons").evaluate(config, 7)
    curves.cache_clear()
    surrogate.cache_clear()
    after = curves("simpsons").evaluate(config, 7)
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2] == after[2]


def test_seeds_and_pictures_have_curves_of_their_own() -> None:
    one, other = (curves("simpsons").evaluate(a_good_config(), seed) for seed in (1, 2))
    np.testing.assert_array_equal(one[1], other[1])
    assert (one[0] != other[0]).any()
    assert (curves("cifar10").evaluate(a_good_config(), 1)[1] != one[1]).all()


@pytest.mark.parametrize(("optimizer", "power"), [("sgd", 1.0), ("adamw", 0.5)])
def test_a_learning_rate_is_encoded_as_that_of_one_batch_size(optimizer: str, power: float) -> None:
    config = {**a_good_config(), "optim.name": optimizer, "optim.lr": 0.01, "optim.weight_decay": 1e-3}
    small, large = (
        encoded({**config, "optim.batch_size": size, "optim.lr": 0.01 * (size / 32) ** power}, "simpsons")
        for size in (32, 128)
    )
    assert (np.abs(small - large) > 1e-9).sum() == 1, "the batch size itself"


def test_runs_take_the_pictures_in_turn() -> None:
    for name in ("curves", "curves-trees"):
        assert [BUILT_IN[name](seed).name for seed in (100, 101)] == [f"{name}-simpsons", f"{name}-cifar10"]


def test_where_nothing_is_recorded_the_error_says_how_to(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"curves.json.gz must be there.*record_curves\.py .*--pack"):
        load_recorded(tmp_path / "curves.json.gz")


@pytest.mark.parametrize("family", [None, "mini_xception"])
def test_what_is_recorded_next_is_the_best_that_is_not_near_a_recorded_one(family: str | None) -> None:
    params, predicted = best_not_recorded(surrogate(), "cifar10", np.random.default_rng(3), family=family)
    config = space().drawn(params)
    recipe = encoded(config, "cifar10")
    known = np.array([encoded(one.config, one.pictures) for one in everything()])
    assert family in (None, config["model.name"])
    assert np.linalg.norm(known - recipe, axis=1).min() >= APART
    assert surrogate().predict(recipe[None])[0, -1] == pytest.approx(predicted, abs=1e-9)
    assert predicted > np.nanquantile(random_curves("cifar10")[1][:, -1], 0.9 if family is None else 0.5)


def test_the_recorder_goes_on_where_it_stopped_and_says_where_recipes_are_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[dict[str, Any]] = []
    seen: list[int] = []

    def recorded_quickly(space: Any, params: dict[str, Any], data: Any, seed: int) -> dict[str, Any]:
        trained.append(params)
        if len(trained) == 6:
            raise KeyboardInterrupt
        return {"scores": [0.5] * MAX_EPOCHS, "epoch_s": 1.0}

    def chosen_quickly(done: list[Any], pictures: Kind, number: int) -> tuple[dict[str, Any], float]:
        seen.append(sum("scores" in line for line in done))
        return {"optim.name": "sgd"}, 0.7

    out, packed = tmp_path / "curves.jsonl", tmp_path / "curves.json.gz"
    monkeypatch.setattr(record_curves, "recorded", recorded_quickly)
    monkeypatch.setattr(record_curves, "chosen", chosen_quickly)
    monkeypatch.setattr(record_curves, "parts", lambda source, size_px: (None, None))
    monkeypatch.setattr(record_curves, "PACKED", packed)
    command = ["record_curves.py", "--simpsons", "a", "--cifar10", "b", "--out", str(out), "--curves", "4"]
    monkeypatch.setattr(sys, "argv", [*command, "--chosen", "3"])
    with pytest.raises(KeyboardInterrupt):
        record_curves.main()
    # Another process: what this one had begun is begun anew, as its number is no longer that of a live one.
    out.write_text(out.read_text().replace(f'"by": {os.getpid()}', '"by": 0'))
    record_curves.main()
    monkeypatch.setattr(sys, "argv", [*command, "--pack"])
    record_curves.main()
    before = packed.read_bytes()
    out.unlink()
    record_curves.main()
    assert packed.read_bytes() == before, "without its file it goes on from what is packed"
    lines = json.loads(gzip.decompress(packed.read_bytes()))["curves"]
    assert [(line["source"], line["pictures"], line["number"], line["seed"]) for line in lines] == [
        ("random", "cifar10", 0, 0),
        ("surrogate", "cifar10", 0, 0),
        ("random", "simpsons", 0, 0),
        ("random", "simpsons", 0, 1),
        ("random", "simpsons", 1, 0),
        ("surrogate", "simpsons", 0, 0),
        ("surrogate", "simpsons", 1, 0),
    ]
    assert len(trained) == 8
    assert seen == [4, 5, 5, 6], "each is chosen after all that are finished"
    assert [line.get("predicted") for line in lines if line["source"] == "surrogate"] == [0.7] * 3
