"""What does a search gain from starting recipes that are better than most, and lose to those that are worse?

    python benchmarks/starting_points.py [--seeds 0-9] [--good 70] [--bad 20]              (25 s a seed)

Our search on the simulated fine-tuning tasks (quality/finetuning.py), with four workers and the time of 40
whole trainings: by itself, and with one starting recipe in each family of networks, that at the 70th, or at
the 20th, percentile of 500 random ones of the family by their final scores without noise. They are trained
first. Prints the normalised regret (0: the best of 1,000 random configurations, 1: their median) after shares
of the time, and by how much the starts change it, with 95% intervals over the tasks. Tasks from 100 on are
for reporting, 0 to 9 for tuning.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # scripts are run from anywhere, and are not installed

from benchmarks.quality.finetuning import finetuning, start
from benchmarks.quality.finetuning_tasks import FAMILIES
from benchmarks.quality.in_pairs import WORKERS, compare, parser, regrets
from benchmarks.quality.ours import Ours


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--good", type=float, default=70, help="percentile of the better starts")
    options.add_argument("--bad", type=float, default=20, help="percentile of the worse starts")
    given = options.parse_args()

    def searched(task: int, percentile: float | None) -> np.ndarray:
        starts = [] if percentile is None else [start(task, percentile, family) for family in FAMILIES]
        return regrets(task, Ours(finetuning(task), seed=task, workers=WORKERS, starts=starts))

    def variants(task: int) -> dict[str, np.ndarray]:
        return {
            "by itself": searched(task, None),
            f"{given.good:g}th percentile": searched(task, given.good),
            f"{given.bad:g}th percentile": searched(task, given.bad),
        }

    compare(given.seeds, variants)


if __name__ == "__main__":
    main()
