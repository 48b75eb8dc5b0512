"""Do the intervals of a rematch cover what they are intervals of? Simulated searches whose truth is known.

    python benchmarks/coverage.py [--searches 1000] [--only accuracy]

In each search 16 trials are scored once on N validation pictures; the best three are trained again with n
fresh seeds and compared on N selection pictures (search/rematch). A run is right on a picture where its
recipe's ability, its seed's deviation from that, and what it makes of the picture add up to more than 0:
pictures are hard for all (0.6 of that variance), for a recipe (0.1), or for a single run (0.3). In groups of
four on average, 0.6 of what makes pictures hard for all is the group's. So a recipe's true score, the
expectation over seeds and pictures, is known in closed form (log loss and macro-F1: by quadrature).

Printed is how often 95% intervals hold the truth: of all contenders, of the winner (the highest mean), of how
far the others are behind it; how often the truly best contender is among the tied, and how many are; by how
many hundredths the winner's mean and the search's best score are too high on average, both being the highest
of several; and how often Wilson's interval around the latter, which is what people quote, holds that trial's
true score. Then how often the interval of one model on a test part holds its true score. Percentages, with
their standard errors in brackets.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri

sys.path.insert(0, str(Path(__file__).parents[1]))  # scripts are run from anywhere, and are not installed

from search.rematch.verdict import Contender, Verdict, verdict
from search.statistics.intervals import of_model, wilson
from search.statistics.resampling import score_of, summands
from search.trials.trials import METRICS

FOR_ALL, FOR_RECIPE, FOR_RUN = 0.6, 0.1, 0.3
"""Shares of the variance of what runs make of pictures."""
OF_GROUP = 0.6
"""Of what is hard for all."""
STEEPNESS = 3.0
"""Of the logits, over what decides on right and wrong."""
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(64)


@dataclass(frozen=True)
class Setting:
    """Searches of one kind."""

    metric: str = "val_accuracy"
    accuracy: float = 0.9
    """Of the very best recipes."""
    pictures: int = 800
    """N, of each part."""
    seeds: int = 3
    """n."""
    seed_sd: float = 0.005
    """Of a run's true accuracy."""
    uneven: bool = False
    """Whether that differs from recipe to recipe, from half to double."""
    grouped: bool = False
    classes: int = 2
    trials: int = 16
    contenders: int = 3
    gap: float = 0.25
    """By how much recipes are worse than the very best, in standard deviations over pictures."""


@dataclass(frozen=True)
class Part:
    """Pictures of one part."""

    labels: np.ndarray
    confused: np.ndarray
    """The class that is taken for the label where that is not seen."""
    hardness: np.ndarray
    groups: np.ndarray | None


@dataclass(frozen=True)
class Searched:
    """One search and its rematch, and the truth."""

    found: Verdict
    truth: dict[int, float]
    """By trial, of the contenders."""
    first: int
    """The search's best trial, which is one of them."""
    first_interval: tuple[float, float] | None
    """Wilson's around its validation accuracy; None for other metrics."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--searches", type=int, default=1000, help="of each setting")
    options.add_argument("--only", choices=("accuracy", "macro_f1", "loss"), help="one metric")
    given = options.parse_args()
    print(HEAD)
    for number, setting in enumerate(settings()):
        if given.only is None or setting.metric == f"val_{given.only}":
            rngs = (np.random.default_rng((number, search)) for search in range(given.searches))
            print(row(setting, [searched(setting, rng) for rng in rngs]), flush=True)
    print(f"\n{HEAD_TESTED}")
    for number, setting in enumerate(tested_settings()):
        if given.only is None or setting.metric == f"val_{given.only}":
            rngs = (np.random.default_rng((number, search)) for search in range(given.searches))
            held = percent([tested(setting, rng) for rng in rngs])
            print(f"| {' | '.join([*of_pictures(setting), held])} |", flush=True)


def settings() -> Iterator[Setting]:
    for accuracy in (0.6, 0.9, 0.98):
        for pictures in (200, 800, 3000):
            for seed_sd in (0.0, 0.005, 0.02):
                yield Setting(accuracy=accuracy, pictures=pictures, seed_sd=seed_sd)
        yield from (Setting(accuracy=accuracy, seeds=seeds) for seeds in (2, 5))
    yield from (Setting(accuracy=accuracy, uneven=True) for accuracy in (0.9, 0.98))
    for accuracy in (0.9, 0.98):
        for pictures in (200, 800, 3000):
            yield Setting(accuracy=accuracy, pictures=pictures, grouped=True)
    for metric, classes in (("val_macro_f1", 10), ("val_loss", 2)):
        for accuracy in (0.6, 0.9, 0.98):
            for pictures in (200, 800):
                yield Setting(metric, accuracy, pictures, classes=classes)
        yield Setting(metric, grouped=True, classes=classes)
    for contenders in (5, 10):
        yield from (Setting(accuracy=accuracy, contenders=contenders) for accuracy in (0.9, 0.98))


def tested_settings() -> Iterator[Setting]:
    for metric, classes in (("val_accuracy", 2), ("val_macro_f1", 10)):
        for accuracy in (0.9, 0.98):
            for pictures in (200, 800, 3000):
                for grouped in (False, True):
                    yield Setting(metric, accuracy, pictures, grouped=grouped, classes=classes)


HEAD = """\
| metric | accuracy | N | n | seed sd | all | winner | differences | best is tied | tied | winner's mean, points too high | search's best, points too high | search, Wilson |
|---|---|---|---|---|---|---|---|---|---|---|---|---|"""  # noqa: E501
HEAD_TESTED = """\
| metric | accuracy | N | one model |
|---|---|---|---|"""


def row(setting: Setting, runs: list[Searched]) -> str:
    """Of the table: percentages, with their standard errors over searches."""
    gain = METRICS[setting.metric].gain
    inside, winner, differences, best, naive = [], [], [], [], []
    tied, won, found_best = [], [], []
    for run in runs:
        standings = {one.trial: one for one in run.found.standings}
        truth = {trial: gain(true) for trial, true in run.truth.items()}
        held = {trial: holds(one.interval, run.truth[trial]) for trial, one in standings.items()}
        inside.append(float(np.mean(list(held.values()))))
        winner.append(float(held[run.found.winner]))
        leader, *others = standings
        shown = [holds(standings[one].behind_interval, truth[leader] - truth[one]) for one in others]
        differences.append(float(np.mean(shown)))
        may_be_best = [trial for trial, one in standings.items() if one.tied]
        best.append(float(max(truth, key=lambda trial: truth[trial]) in may_be_best))
        tied.append(len(may_be_best))
        won.append(gain(standings[run.found.winner].mean) - truth[run.found.winner])
        found_best.append(gain(standings[run.first].search_score) - truth[run.first])
        if run.first_interval is not None:
            naive.append(float(holds(run.first_interval, run.truth[run.first])))
    spread = f"{setting.seed_sd:g}" + (", uneven" if setting.uneven else "")
    spread += f", {setting.contenders} contenders" if setting.contenders != Setting.contenders else ""
    shares = [percent(values) for values in (inside, winner, differences, best)]
    cells = [*of_pictures(setting), f"{setting.seeds}", spread, *shares, f"{np.mean(tied):.1f}"]
    cells += [f"{100 * np.mean(values):.1f}" for values in (won, found_best)]
    return f"| {' | '.join([*cells, percent(naive) if naive else ''])} |"


def of_pictures(setting: Setting) -> list[str]:
    """The cells of a row that say what is measured on what."""
    pictures = f"{setting.pictures:,}" + (", groups" if setting.grouped else "")
    return [METRICS[setting.metric].title.removeprefix("validation "), f"{setting.accuracy:g}", pictures]


def holds(interval: tuple[float, float] | None, truth: float) -> bool:
    assert interval is not None
    return interval[0] <= truth <= interval[1]


def percent(values: Sequence[float]) -> str:
    return f"{100 * np.mean(values):.1f} ({100 * np.std(values) / np.sqrt(len(values)):.1f})"


def searched(setting: Setting, rng: np.random.Generator) -> Searched:
    """One search and its rematch."""
    metric = METRICS[setting.metric]
    centre = float(ndtri(setting.accuracy))
    abilities = centre - setting.gap * np.abs(rng.normal(size=setting.trials))
    factors = 2 ** rng.uniform(-1, 1, setting.trials) if setting.uneven else np.ones(setting.trials)
    # By the density, from deviations of the accuracy to those of the ability.
    deviations = factors * setting.seed_sd / (np.exp(-(centre**2) / 2) / np.sqrt(2 * np.pi))
    validation = draw_part(setting, rng)
    scores = [
        score_of(summands(metric, validation.labels, run))
        for (run,) in outputs(setting, validation, abilities, deviations, 1, rng)
    ]
    ranked = np.argsort([-metric.gain(score) for score in scores], kind="stable")
    top, first = ranked[: setting.contenders], int(ranked[0])
    selection = draw_part(setting, rng)
    trained = outputs(setting, selection, abilities[top], deviations[top], setting.seeds, rng)
    contenders = [
        Contender(int(trial), scores[trial], runs) for trial, runs in zip(top, trained, strict=True)
    ]
    found = verdict(metric, contenders, selection.labels, selection.groups)
    truth = {int(trial): true_score(setting, abilities[trial], deviations[trial]) for trial in top}
    interval = None
    if metric.name == "val_accuracy":
        interval = wilson(round(scores[first] * setting.pictures), setting.pictures)
    return Searched(found, truth, first, interval)


def tested(setting: Setting, rng: np.random.Generator) -> bool:
    """Whether the interval of one model, as good as the very best, holds its true score."""
    part, ability = draw_part(setting, rng), np.array([ndtri(setting.accuracy)])
    ((log_probs,),) = outputs(setting, part, ability, np.zeros(1), 1, rng)
    interval = of_model(METRICS[setting.metric], part.labels, log_probs, part.groups)
    return holds(interval, true_score(setting, ability.item(), 0.0))


def draw_part(setting: Setting, rng: np.random.Generator) -> Part:
    count, groups = setting.pictures, None
    hardness, which = rng.normal(size=count), np.arange(count)
    if setting.grouped:
        groups = which = rng.integers(count // 4, size=count)
        hardness = np.sqrt(OF_GROUP) * rng.normal(size=count)[which] + np.sqrt(1 - OF_GROUP) * hardness
    units = int(which.max()) + 1
    ends = np.cumsum(frequencies(setting.classes)) * units
    labels = rng.permutation(np.searchsorted(ends, np.arange(units) + 0.5))[which]  # stratified, as parts are
    confused = (labels + rng.integers(1, setting.classes, size=count)) % setting.classes
    return Part(labels, confused, hardness, groups)


def outputs(
    setting: Setting,
    part: Part,
    abilities: np.ndarray,
    deviations: np.ndarray,
    seeds: int,
    rng: np.random.Generator,
) -> list[list[np.ndarray]]:
    """Log-probabilities by recipe and seed, (N, C)."""
    recipes, count = len(abilities), len(part.labels)
    margins = abilities[:, None, None] + deviations[:, None, None] * rng.normal(size=(recipes, seeds, 1))
    margins = margins - np.sqrt(FOR_ALL) * part.hardness
    margins -= np.sqrt(FOR_RECIPE) * rng.normal(size=(recipes, 1, count))
    margins -= np.sqrt(FOR_RUN) * rng.normal(size=(recipes, seeds, count))
    found = np.full((recipes, seeds, count, setting.classes), -30.0, np.float32)
    rows = np.arange(count)
    found[:, :, rows, part.labels] = -np.logaddexp(0, -STEEPNESS * margins)
    found[:, :, rows, part.confused] = -np.logaddexp(0, STEEPNESS * margins)
    return [list(of_recipe) for of_recipe in found]


def frequencies(classes: int) -> np.ndarray:
    """Of classes: the last is three times as rare as the first."""
    falling = np.geomspace(3, 1, classes)
    return falling / falling.sum()


def true_score(setting: Setting, ability: float, deviation: float) -> float:
    """A recipe's expected score over seeds and pictures."""
    if setting.metric == "val_accuracy":
        return float(ndtr(ability / np.sqrt(1 + deviation**2)))
    if setting.metric == "val_loss":
        margins = ability + np.sqrt(1 + deviation**2) * NODES
        return expectation(np.logaddexp(0, -STEEPNESS * margins))
    share, recall = frequencies(setting.classes)[:, None], ndtr(ability + deviation * NODES)
    predicted = share * recall + (1 - share) * (1 - recall) / (setting.classes - 1)
    return expectation((2 * share * recall / (share + predicted)).mean(axis=0))


def expectation(values: np.ndarray) -> float:
    """Over a standard normal variable, of values at `NODES`."""
    return float(values @ WEIGHTS / WEIGHTS.sum())


if __name__ == "__main__":
    main()
