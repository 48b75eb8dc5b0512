"""Our search beside others, with simulated workers on a simulated clock: how far from the best, and when?

    python benchmarks/search_quality.py [--objective finetuning curves hartmann FILE.py]
        [--methods ours ...] [--seeds 20] [--workers 4] [--startup-s 2] [--time-s S]
        [--out results/search_quality.json] [--plot FILE.svg]

A run is one search: an objective, a method and a seed, which all methods share. finetuning has a task for
each seed (100 to 119 by default; 0 to 9 are for tuning our searcher), the others have other noise; curves
are of simpsons-mnist for even seeds and of cifar10 for odd ones, and curves-trees is the same with another
surrogate, not run unless asked for. FILE.py holds an objective of yours: SPACE, a search space as in our YAML
(as text, or a mapping; parameters may have any names); MAX_EPOCHS; and evaluate(config, seed) -> (observed,
noiseless, epoch_s). config maps the dotted names of the parameters that apply, and those of `base`, to their
values; seed says which run's noise it is. The first two are float arrays of MAX_EPOCHS scores, one an epoch,
higher is better, NaN from where it diverges: as a search sees them, and without noise; the third is the
seconds that an epoch costs. The peers need, in an environment of their own, pip install -c
benchmarks/constraints.txt -e '.[bench]'.

Printed: normalised regret (0: the best known, 1: a typical random configuration) of the trial whose latest
score is the highest, without noise, at shares of the time and averaged over it, with 95% intervals over runs;
then ours beside each peer in pairs. Runs that --out holds are not run again.
Cost: 30 minutes for everything on 2 cores.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # scripts are run from anywhere, and are not installed

from benchmarks.quality.command import main

if __name__ == "__main__":
    main(__doc__)
