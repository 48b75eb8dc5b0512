"""How much better than its winner is an ensemble that a rematch lets through? Simulated, with known truth.

    python benchmarks/ensemble_gain.py [--searches 400]

Three contenders have three runs each on N selection pictures of four classes. What a run makes of a picture's
classes is its recipe's ability, its seed's deviation from that, what is hard for all (0.6 of the variance),
for a recipe (0.1), and for a single run (0.3). As `search.retrain --ensemble` does, those that are tied with
the winner join it where that is better on these pictures. Then eight fresh runs of each are asked about
10,000 fresh pictures: the true gain.

Printed are the share of rematches in which somebody is tied with the winner, and of these: how often the
ensemble is kept; by how many points it is better, as told and in truth, where it is kept; what it would truly
have gained where it is not; how often the 95% interval holds the true gain; and what is truly gained on
average, over always the winner alone, by this rule, and by always keeping the ensemble.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # scripts are run from anywhere, and are not installed

from search.rematch.ensemble import averaged, gain
from search.rematch.verdict import Contender, verdict
from search.trials.trials import METRICS

ACCURACY = METRICS["val_accuracy"]
FOR_ALL, FOR_RECIPE, FOR_RUN = 0.6, 0.1, 0.3
CLASSES, CONTENDERS, RUNS = 4, 3, 3
FRESH_RUNS, FRESH = 8, 10_000
STEEPNESS = 3.0
"""Of the logits."""
HEAD = """\
| N | winner's accuracy | apart | seeds apart | somebody is tied | kept | gain told | true gain | true gain where not kept | interval holds | by the rule | always kept |
|---|---|---|---|---|---|---|---|---|---|---|---|"""  # noqa: E501


@dataclass(frozen=True)
class Setting:
    """Rematches of one kind; abilities are in standard deviations of what runs make of a class."""

    pictures: int = 300
    ability: float = 2.5
    """Of the very best recipe."""
    apart: float = 0.1
    """Standard deviation of recipes, all towards the worse."""
    seeds_apart: float = 0.05
    """Standard deviation of a recipe's runs."""


@dataclass(frozen=True)
class Rematch:
    """What became of one in which somebody is tied with the winner."""

    alone: float
    """True accuracy of the winner."""
    told: float
    true: float
    kept: bool
    held: bool


def runs(
    setting: Setting, abilities: np.ndarray, pictures: int, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    """Labels, and of each recipe its runs' log-probabilities, float32 (N, C) each."""
    labels = rng.integers(CLASSES, size=pictures)
    shape, truth = (pictures, CLASSES), np.eye(CLASSES)[labels]
    for_all = FOR_ALL**0.5 * rng.standard_normal(shape)
    found = []
    for ability in abilities:
        for_recipe = for_all + FOR_RECIPE**0.5 * rng.standard_normal(shape)
        of_one = []
        for of_run in ability + setting.seeds_apart * rng.standard_normal(count):
            logits = STEEPNESS * (of_run * truth + for_recipe + FOR_RUN**0.5 * rng.standard_normal(shape))
            of_one.append((logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32))
        found.append(of_one)
    return labels, found


def rematch(setting: Setting, rng: np.random.Generator) -> Rematch | None:
    """None where nobody is tied with the winner."""
    abilities = setting.ability - np.abs(setting.apart * rng.standard_normal(CONTENDERS))
    labels, said = runs(setting, abilities, setting.pictures, RUNS, rng)
    found = verdict(ACCURACY, [Contender(trial, 0.0, of_one) for trial, of_one in enumerate(said)], labels)
    tied = [one.trial for one in found.standings if one.tied and one.trial != found.winner]
    if not tied:
        return None
    members = [found.winner, *tied]
    told = gain(ACCURACY, [said[trial] for trial in members], labels)
    fresh_labels, fresh = runs(setting, abilities[members], FRESH, FRESH_RUNS, rng)
    together, alone = (
        np.mean([(run.argmax(axis=1) == fresh_labels).mean() for run in of_one])
        for of_one in (averaged(fresh), fresh[0])
    )
    true = float(together - alone)
    low, high = told.gain_95 or (0.0, 0.0)
    return Rematch(float(alone), told.gain, true, told.gain > 0, low <= true <= high)


def row(setting: Setting, played: list[Rematch | None]) -> str:
    known = [one for one in played if one is not None]
    kept, not_kept = ([one for one in known if one.kept == which] for which in (True, False))

    def points(values: list[float]) -> str:
        if len(values) < 10:
            return "-"
        return f"{100 * np.mean(values):+.2f} ({100 * np.std(values) / len(values) ** 0.5:.2f})"

    cells = [
        str(setting.pictures),
        f"{np.mean([one.alone for one in known]):.1%}",
        f"{setting.apart:g}",
        f"{setting.seeds_apart:g}",
        f"{len(known) / len(played):.0%}",
        f"{len(kept) / len(known):.0%}",
        points([one.told for one in kept]),
        points([one.true for one in kept]),
        points([one.true for one in not_kept]),
        f"{np.mean([one.held for one in known]):.1%}",
        points([one.true * one.kept for one in known]),
        points([one.true for one in known]),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--searches", type=int, default=400, help="of each setting")
    options = parser.parse_args()
    settings = [Setting(pictures, ability) for pictures in (100, 300, 1000) for ability in (2.5, 4.0)]
    settings += [Setting(apart=0.5), Setting(seeds_apart=0.3)]
    print(HEAD)
    for number, setting in enumerate(settings):
        rngs = (np.random.default_rng((number, search)) for search in range(options.searches))
        print(row(setting, [rematch(setting, rng) for rng in rngs]), flush=True)


if __name__ == "__main__":
    main()
