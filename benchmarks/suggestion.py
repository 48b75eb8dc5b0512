"""What do a suggestion and a decision cost as a search grows? Every sampler by name, and the stopping rule.

    python benchmarks/suggestion.py [--trials 100 1000 10000] [--samplers tpe qmc]        (about a minute)

The space has 21 parameters: a family, and four of each of four families or of all, so a trial has 9. Of the
trials before, drawn at random, one in nine ran its full length, one in five diverged and the others were
stopped; four more are running. A suggestion is what `Sampler.ask` takes for one trial, a decision what the
rule takes for an epoch that enters the first rung: medians, in milliseconds of processor time. Each time that
there is a quarter more to learn from, a forecast takes up to some seconds more: "learning anew". With a
warm start the policy also learns from a former search of 200 trials.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from search.policy.former import Former, former_search
from search.policy.history import History, Turn
from search.policy.optuna_samplers import suggest
from search.policy.policy import Policy, make_policy
from search.policy.sampler_names import SAMPLERS
from search.trials.trials import Epoch, Metric, Outcome, Trial, TrialRecord
from spaces.domains import Choice, Range
from spaces.parameters import Parameter
from spaces.tree import Tree

SCORE = Metric("score", "score", "max")
EPOCHS, RUNNING = 27, 4
OF_FORMER = 200
"""Trials of a former search."""
FAMILIES = ("a", "b", "c", "d")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--samplers", choices=SAMPLERS, nargs="+", default=list(SAMPLERS))
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)  # for the Gaussian process
    print(f"{'ms, after trials':<28}" + "".join(f"{count:>10,}" for count in options.trials))
    before = {count: records(count) for count in options.trials}
    for name in options.samplers:
        row(name, [suggestion_ms(name, before[count], options.repeats) for count in options.trials])
    for start, former in (("", []), (", warm start", [former_records()])):
        if former and "forecast" in options.samplers:
            times = [suggestion_ms("forecast", before[count], options.repeats, former) for count in before]
            row(f"forecast{start}", times)
        row(f"learning anew{start}", [learning_ms(before[count], former) for count in before])
        row(f"a decision{start}", [decision_ms(before[count], options.repeats, former) for count in before])


def row(name: str, times_ms: list[float]) -> None:
    print(f"{name:<28}" + "".join(f"{ms:>10.2f}" for ms in times_ms), flush=True)


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


def records(count: int, seed: int = 0) -> list[TrialRecord]:
    """What became of so many trials and `RUNNING` more that still run."""
    tree, rng, made = conditional(), np.random.default_rng(seed), []
    for number in range(count + RUNNING):
        params = suggest("random", History(tree, [], "max"), Turn(seed, number))
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


def former_records() -> Former:
    """A search before this one."""
    known = {record.number: record for record in records(OF_FORMER, seed=1) if record.history}
    return former_search(
        "former",
        {number: record.trial.params for number, record in known.items()},
        known,
        [epoch for record in known.values() for epoch in record.history],
        SCORE,
        of=len(known),
        max_passes=EPOCHS,
        reduction=3,
    )


def policy(name: str, before: list[TrialRecord], former: Sequence[Former] = ()) -> Policy:
    """One that knows these trials."""
    made = make_policy(conditional(), SCORE, name=name, seed=0, max_passes=EPOCHS, former=former)
    for record in before:
        made.sampler.restore(record)
    for record in before:
        for epoch in record.history:
            diverged = record.outcome is Outcome.DIVERGED and epoch is record.history[-1]
            made.rule.enter(record.number, epoch.passes, math.nan if diverged else epoch.metrics["score"])
        if record.outcome is not None:
            made.sampler.tell(record)
    return made


def suggestion_ms(name: str, before: list[TrialRecord], repeats: int, former: Sequence[Former] = ()) -> float:
    known = policy(name, before, former)
    return median_ms(lambda turn: known.sampler.ask(len(before) + turn), repeats)


def learning_ms(before: list[TrialRecord], former: Sequence[Former]) -> float:
    """The first forecast, which learns the model's parameters."""
    known = policy("forecast", before, former)
    began = time.process_time()
    known.sampler.ask(len(before))
    return 1000 * (time.process_time() - began)


def decision_ms(before: list[TrialRecord], repeats: int, former: Sequence[Former]) -> float:
    known = policy("random", before, former)
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
