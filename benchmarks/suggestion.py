"""What do a suggestion and a decision cost as a search grows? Every sampler by name, and the stopping rule.

    python benchmarks/suggestion.py [--trials 100 1000 10000] [--samplers tpe qmc]        (about a minute)

The space has 21 parameters: a family, and four of each of four families or of all, so a trial has 9. Of the
trials before, drawn at random, one in nine ran its full length, one in five diverged and the others were
stopped; four more are running. A suggestion is what `Sampler.ask` takes for one trial, a decision what the
rule takes for an epoch that enters the first rung: medians, in milliseconds of processor time. Each time that
there is a quarter more to learn from, a forecast takes some tenths of a second more: "learning anew".
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from search.policy.history import History, Turn
from search.policy.optuna_samplers import suggest
from search.policy.policy import Policy, make_policy
from search.policy.sampler_names import SAMPLERS
from search.trials import Epoch, Metric, Outcome, Trial, TrialRecord
from spaces.domains import Choice, Range
from spaces.parameters import Parameter
from spaces.tree import Tree

SCORE = Metric("score", "score", "max")
EPOCHS, RUNNING = 27, 4
FAMILIES = ("a", "b", "c", "d")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--samplers", choices=SAMPLERS, nargs="+", default=list(SAMPLERS))
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)  # for the Gaussian process
    print(f"{'ms, after trials':<20}" + "".join(f"{count:>10,}" for count in options.trials))
    before = {count: records(count) for count in options.trials}
    for name in options.samplers:
        row(name, [suggestion_ms(name, before[count], options.repeats) for count in options.trials])
    row("learning anew", [learning_ms(before[count]) for count in options.trials])
    row("a decision", [decision_ms(before[count], options.repeats) for count in options.trials])


def row(name: str, times_ms: list[float]) -> None:
    print(f"{name:<20}" + "".join(f"{ms:>10.2f}" for ms in times_ms), flush=True)


def conditional() -> Tree:
    """A space of a family, four parameters of each of four families, and four of all of them."""
    parameters = [Parameter("family", "family", Choice(FAMILIES), {}, ())]
    for owner in (*FAMILIES, "all"):
        when = {} if owner == "all" else {"family": (owner,)}
        domains = (
            Range("log", 1e-5, 1e-1),
            Range("float", 0.0, 1.0),
            Range("int", 1, 8),
            Choice(("x", "y", "z")),
        )
        for place, domain in enumerate(domains):
            name = f"{owner}.{place}"
            parameters.append(Parameter(name, name, domain, when, ()))
    return Tree("conditional", "for time only", tuple(parameters), {})


def records(count: int) -> list[TrialRecord]:
    """What became of so many trials and `RUNNING` more that still run."""
    tree, rng, made = conditional(), np.random.default_rng(0), []
    for number in range(count + RUNNING):
        params = suggest("random", History(tree, [], "max"), Turn(0, number))
        record = TrialRecord(Trial(number, {}, params, number, EPOCHS), started=0.0)
        made.append(record)
        if number >= count:
            continue
        luck = rng.random()
        ended = int(rng.choice([1, 3, 9])) if luck > 1 / 9 else EPOCHS
        best = 1 - abs(math.log10(params["all.0"]) + 3) / 4 - 0.1 * FAMILIES.index(params["family"])
        record.history = [
            Epoch(number, epoch, epoch, {"score": best - 1 / (epoch + 1) + 0.02 * float(rng.normal())})
            for epoch in range(1, ended + 1)
        ]
        record.outcome = (
            Outcome.COMPLETE if ended == EPOCHS else Outcome.DIVERGED if luck > 0.8 else Outcome.STOPPED
        )
    return made


def policy(name: str, before: list[TrialRecord]) -> Policy:
    """One that knows these trials."""
    made = make_policy(conditional(), SCORE, name=name, seed=0, max_passes=EPOCHS)
    for record in before:
        made.sampler.restore(record)
    for record in before:
        for epoch in record.history:
            diverged = record.outcome is Outcome.DIVERGED and epoch is record.history[-1]
            made.rule.enter(record.number, epoch.passes, math.nan if diverged else epoch.metrics["score"])
        if record.outcome is not None:
            made.sampler.tell(record)
    return made


def suggestion_ms(name: str, before: list[TrialRecord], repeats: int) -> float:
    known = policy(name, before)
    return median_ms(lambda turn: known.sampler.ask(len(before) + turn), repeats)


def learning_ms(before: list[TrialRecord]) -> float:
    """The first forecast, which learns the model's parameters."""
    known = policy("forecast", before)
    began = time.process_time()
    known.sampler.ask(len(before))
    return 1000 * (time.process_time() - began)


def decision_ms(before: list[TrialRecord], repeats: int) -> float:
    known = policy("random", before)
    for turn in range(repeats + 1):
        known.sampler.ask(len(before) + turn)

    def decide(turn: int) -> None:
        known.rule.enter(len(before) + turn, 1, 0.5)
        known.rule.decide(len(before) + turn)

    return median_ms(decide, repeats)


def median_ms(action: Callable[[int], object], repeats: int) -> float:
    """After a first one, which imports."""
    times = []
    for turn in range(repeats + 1):
        began = time.process_time()
        action(turn)
        times.append(1000 * (time.process_time() - began))
    return statistics.median(times[1:])


if __name__ == "__main__":
    main()
