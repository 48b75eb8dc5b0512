"""Does a search pay? Its retrained winner beside the built-in default recipe, at equal epochs.

    python benchmarks/winner_vs_default.py --data DIR [--trials 16] [--max-epochs 9] [--seeds 2]

One search, then winner and default recipe are each retrained on the same parts with the same seeds; the
test part, a fifth of the pictures, is in nobody's hands before. Prints a table, whatever it says.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from rich.console import Console

from search import experiment
from search.final import choose, retrain
from search.planning.plan import make_plan
from search.run import settings_from
from search.storage.folder import SearchFolder
from search.trials.trials import Outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--space", default="scratch")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--max-epochs", type=int, default=9)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--name", default=f"winner-vs-default-{time.strftime('%Y%m%d-%H%M%S')}")
    options = parser.parse_args()

    given = {key: getattr(options, key) for key in ("data", "space", "trials", "max_epochs", "name")}
    plan = make_plan(settings_from(given, resume=False), Console())
    started = time.perf_counter()
    folder = SearchFolder(experiment.start(plan).folder)
    minutes = (time.perf_counter() - started) / 60
    records = folder.records().all()
    stopped = sum(record.outcome is Outcome.STOPPED for record in records)
    epochs = sorted(epoch.metrics["epoch_s"] for record in records for epoch in record.history)
    print(
        f"search: {len(records)} trials in {minutes:.1f} min, {stopped} stopped early, {len(epochs)} epochs "
        f"of {statistics.median(epochs):.1f} s (median) to {epochs[-1]:.1f} s (longest)"
    )
    print(f"{'recipe':<12} {'seed':>4} {'accuracy':>9} {'macro-F1':>9} {'log loss':>9} {'seconds':>8}")
    means = {}
    for name, config in (("winner", None), ("default", "default")):
        accuracies = []
        for seed in range(options.seeds):
            choice = choose(folder, config=config, epochs=options.max_epochs)
            out = Path(folder.path) / f"model-{name}-{seed}"
            metrics = folder.read_json(retrain(folder, choice, out=out, seed=seed) / "metrics.json")
            test = metrics["test"]
            accuracies.append(test["accuracy"])
            print(
                f"{name:<12} {seed:>4} {test['accuracy']:>9.4f} {test['macro_f1']:>9.4f} "
                f"{test['log_loss']:>9.4f} {metrics['seconds']:>8.0f}",
                flush=True,
            )
        means[name] = statistics.mean(accuracies)
    print(
        f"errors of the winner over errors of the default: "
        f"{(1 - means['winner']) / (1 - means['default']):.2f} ({test['n']} test pictures)"
    )


if __name__ == "__main__":
    main()
