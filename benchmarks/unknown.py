"""Are pictures of classes that a network never saw told from others? Measured by leaving classes out.

    python benchmarks/unknown.py --data DIR [--choices 5] [--left-out 2] [--runs 3] [--epochs 12]

For each choice of left-out classes: as after a search, some runs are trained on the train part, and say what
they hold of the selection part; from that come the temperature and, for each score, the threshold with 5%
false alarms. Then one network is trained on all but the test part, and asked about that and about the
left-out classes. What it says is kept in --out, so that a second start only prints the tables. Then come
other rates of false alarms, and calibrations on few pictures of the selection part.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from spaces.recipe_files import load_recipe
from trainables.cache_dir import default_cache_dir
from trainables.calibration import best_temperature, tempered, threshold
from trainables.data import Dataset, load, prepare, read_listing
from trainables.evaluate import all_logits
from trainables.loop import TrainData, train
from trainables.quality import quality
from trainables.runtime import Runtime

RATE = 0.05
RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
FEW = (25, 50, 100, 200, 400)
DRAWS = 40
HEATS = np.geomspace(0.5, 4, 60)
CALIBRATED = "largest probability, calibrated"
Said = dict[str, np.ndarray]
"""Logits of `runs` (R, N, C), `known` and `unknown`, (N, C) each, with `run_labels` and `known_labels`."""


def most_probable(logits: np.ndarray, heat: float) -> np.ndarray:
    return tempered(logits, heat).max(axis=1)


def certain(logits: np.ndarray, heat: float) -> np.ndarray:
    logs = tempered(logits, heat)
    return (np.exp(logs) * logs).sum(axis=1)


SCORES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    CALIBRATED: most_probable,
    "largest probability, T = 1": lambda logits, heat: most_probable(logits, 1.0),
    "entropy, calibrated": certain,
    "largest logit": lambda logits, heat: logits.max(axis=1),
    "energy": lambda logits, heat: np.logaddexp.reduce(logits.astype(np.float64), axis=1),
}
"""(N, C) logits and a temperature to what is higher for known pictures, (N,)."""


def opened(source: Path, classes: list[str], size_px: int) -> Dataset:
    cache_dir = default_cache_dir()
    split = prepare(source, size_px=size_px, classes=classes, cache_dir=cache_dir).split
    return load(source, split, size_px=size_px, cache_dir=cache_dir)


def asked(options: argparse.Namespace, left_out: list[str], known: list[str]) -> Said:
    recipe, runtime = load_recipe(options.recipe), Runtime(threads=1)
    source, size_px = Path(options.data), recipe.geometry.size_px
    data, others = opened(source, known, size_px), opened(source, left_out, size_px)

    def trained(seed: int, *parts: str) -> torch.nn.Module:
        pictures = TrainData(data.part(*parts))
        return train(recipe, pictures, lambda *_: None, runtime=runtime, seed=seed, epochs=options.epochs)

    selection, test = data.part("selection"), data.part("test")
    unknown = others.part("train", "validation", "selection", "test")
    runs = [
        all_logits(trained(seed, "train"), recipe, selection, runtime=runtime).numpy()
        for seed in range(1, options.runs + 1)
    ]
    final = trained(0, "train", "validation", "selection")
    return {
        "runs": np.stack(runs),
        "run_labels": selection.labels,
        "known": all_logits(final, recipe, test, runtime=runtime).numpy(),
        "known_labels": test.labels,
        "unknown": all_logits(final, recipe, unknown, runtime=runtime).numpy(),
    }


def heat_of(said: Said) -> float:
    runs = said["runs"]
    return best_temperature(np.tile(said["run_labels"], len(runs)), np.concatenate(runs))


def log_loss(logits: np.ndarray, labels: np.ndarray, heat: float) -> float:
    return float(-tempered(logits, heat)[np.arange(len(labels)), labels].mean())


def measured(
    said: Said, score: Callable[[np.ndarray, float], np.ndarray], rate: float = RATE
) -> tuple[float, ...]:
    """AUROC of known against left-out pictures; shares of the known and of the others called unknown; and
    that of the others, had the threshold exactly the wanted share of the known below it.
    """
    heat = heat_of(said)
    known, unknown = score(said["known"], heat), score(said["unknown"], heat)
    below = threshold([score(run, heat) for run in said["runs"]], rate)
    auroc = roc_auc_score(np.repeat([1, 0], [len(known), len(unknown)]), np.concatenate([known, unknown]))
    exact = np.quantile(known, rate)
    return auroc, (known < below).mean(), (unknown < below).mean(), (unknown < exact).mean()


def with_few(said: Said, count: int, sharper: float, rng: np.random.Generator) -> tuple[float, ...]:
    """A calibration on few pictures, of logits that are `sharper` times as large: the log loss that it adds
    to that of none, and to that of the best temperature; and its share of false alarms.
    """
    chosen = rng.choice(len(said["run_labels"]), count, replace=False)
    runs, known, labels = sharper * said["runs"][:, chosen], sharper * said["known"], said["known_labels"]
    heat = best_temperature(np.tile(said["run_labels"][chosen], len(runs)), np.concatenate(runs))
    below = threshold([most_probable(run, heat) for run in runs], RATE)
    loss, least = log_loss(known, labels, heat), min(log_loss(known, labels, at) for at in HEATS)
    return loss - log_loss(known, labels, 1.0), loss - least, (most_probable(known, heat) < below).mean()


def print_choice(left_out: list[str], said: Said) -> None:
    heat, labels = heat_of(said), said["known_labels"]
    names = [str(place) for place in range(said["known"].shape[1])]
    before, after = (quality(labels, tempered(said["known"], at), names) for at in (1.0, heat))
    auroc, alarms, share, _ = measured(said, SCORES[CALIBRATED])
    print(
        f"left out {', '.join(left_out)}: accuracy {after['accuracy']:.4f}, temperature {heat:.2f}, log loss "
        f"{before['log_loss']:.4f} -> {after['log_loss']:.4f}, ECE {before['ece']:.4f} -> "
        f"{after['ece']:.4f}; {CALIBRATED}: AUROC {auroc:.3f}, false alarms {alarms:.3f}, found {share:.3f}",
        flush=True,
    )


def print_scores(found: list[Said]) -> None:
    print(
        f"\n{'score':<34} {'AUROC':>6} {'least':>6} {'most':>6} {'false alarms':>13} {'found':>6} "
        f"{f'at {RATE:.0%}':>6}"
    )
    for name, score in SCORES.items():
        aurocs, *shares = np.array([measured(said, score) for said in found]).T
        alarms, share, exact = (rates.mean() for rates in shares)
        print(
            f"{name:<34} {aurocs.mean():>6.3f} {aurocs.min():>6.3f} {aurocs.max():>6.3f} {alarms:>13.3f} "
            f"{share:>6.3f} {exact:>6.3f}"
        )


def print_rates(found: list[Said]) -> None:
    print(f"\n{CALIBRATED}\n{'asked for':>9} {'false alarms':>13} {'found':>6}")
    for rate in RATES:
        rows = np.array([measured(said, SCORES[CALIBRATED], rate) for said in found])
        _, alarms, share, _ = rows.mean(axis=0)
        print(f"{rate:>9.2f} {alarms:>13.3f} {share:>6.3f}")


def print_few(found: list[Said]) -> None:
    print(
        f"\n{'pictures':>8} {'logits':>7} {'to none':>8} {'to the best':>12} {'false alarms':>13} {'+-':>6}"
    )
    for sharper in (1.0, 2.0):
        for count in FEW:
            rng = np.random.default_rng(count)
            rows = [with_few(said, count, sharper, rng) for said in found for _ in range(DRAWS)]
            none, best, alarms = np.array(rows).T
            print(
                f"{count:>8} {f'x {sharper:g}':>7} {none.mean():>8.4f} {best.mean():>12.4f} "
                f"{alarms.mean():>13.3f} {alarms.std(ddof=1):>6.3f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--choices", type=int, default=5, help="of left-out classes, no class twice")
    parser.add_argument("--left-out", type=int, default=2, help="classes")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("results/unknown"))
    options = parser.parse_args()
    classes = read_listing(Path(options.data)).classes
    order = np.random.default_rng(0).permutation(classes).tolist()
    options.out.mkdir(parents=True, exist_ok=True)
    found: list[Said] = []
    for start in range(0, options.choices * options.left_out, options.left_out):
        left_out = sorted(order[start : start + options.left_out])
        file = options.out / f"{'+'.join(left_out)}.npz"
        if not file.exists():
            np.savez(file, **asked(options, left_out, [name for name in classes if name not in left_out]))
        found.append(dict(np.load(file)))
        print_choice(left_out, found[-1])
    print_scores(found)
    print_rates(found)
    print_few(found)


if __name__ == "__main__":
    main()
