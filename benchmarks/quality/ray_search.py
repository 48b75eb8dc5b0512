"""Ray Tune's `OptunaSearch` with ASHA on real pictures, in a process of its own: for `real_search.py`.

As docs.ray.io ("Running Tune experiments with Optuna") has it: the conditional space as a define-by-run
function, Optuna's default sampler, ASHA as in `peers/ray_tune.py`, and a function that reports every epoch.
Pictures, networks and the training are ours, and so is how Ray is started, how many trials run at a time, on
how many threads, and that they reuse processes. What it tries is written as the records of a search.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import ray
from ray import tune
from ray.tune.execution import class_cache
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from rich.console import Console

from search.planning.pictures import ready_pictures
from search.settings.settings import Settings
from search.storage.scratch import scratch
from search.trials.records import FILE, RecordFile
from search.trials.trials import Epoch, Trial
from search.tune.cluster import Cluster, connect
from search.tune.resources import share
from search.tune.trial import in_ray
from spaces.recipe import Recipe
from spaces.space import Space
from spaces.space_files import load_space
from trainables.data import load
from trainables.loop import TrainData, train
from trainables.metrics import diverged
from trainables.runtime import Runtime

EPOCH = "training_iteration"


def search(settings: Settings, folder: Path) -> None:
    """Searches until Ctrl-C, and leaves the records in a new folder."""
    getattr(class_cache, "DEFAULT_ENV_VARS", {}).clear()  # as search/tune/driver.py: quicker first trials
    with scratch() as temporary:
        _search(settings, folder, connect(settings.ray, worker_groups=False, folder=temporary))
        ray.shutdown()


def _search(settings: Settings, folder: Path, cluster: Cluster) -> None:
    resources = share(cluster, settings)
    assert settings.space is not None
    space = load_space(settings.space)
    source, prepared = ready_pictures(settings, size_px=space.sizes_px()[0], console=Console(quiet=True))
    best = {"metric": settings.metric, "mode": "max"}
    folder.mkdir(parents=True)
    with contextlib.closing(RecordFile(folder / FILE)) as file, tempfile.TemporaryDirectory() as tuned:
        file.session()
        trainable = tune.with_parameters(
            trained,
            settings=settings,
            space=space,
            source=source,
            split=prepared.split,
            threads=int(resources.worker.cpus),
        )
        tune.Tuner(
            tune.with_resources(trainable, tune.PlacementGroupFactory([in_ray(resources.worker)])),
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(space=partial(draw, space), seed=settings.seed, **best),
                scheduler=ASHAScheduler(
                    **best,
                    time_attr=EPOCH,
                    max_t=settings.max_epochs,
                    grace_period=1,
                    reduction_factor=settings.reduction,
                ),
                num_samples=-1,
                max_concurrent_trials=resources.concurrency,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=tuned, verbose=0, callbacks=[Recorder(file, space, settings)]
            ),
        ).fit()
    ray.shutdown()


def draw(space: Space, trial: Any) -> None:
    """The space as a define-by-run function; what it would return, Ray would take for further parameters."""
    space.draw(trial)


def trained(
    config: dict[str, Any],
    *,
    settings: Settings,
    space: Space,
    source: Path,
    split: pd.DataFrame,
    threads: int,
) -> None:
    """A trial. One that diverges reports NaN, which Ray and Optuna take for the worst, and ends."""
    recipe = recipe_of(config, space, settings)
    data = load(source, split, size_px=recipe.geometry.size_px, cache_dir=Path(settings.cache_dir))
    train(
        recipe,
        TrainData(data.part("train"), data.part("validation")),
        lambda metrics, checkpoint: tune.report(
            {settings.metric: math.nan if diverged(metrics) else metrics[settings.metric]}
        ),
        runtime=Runtime(threads=threads),
        seed=settings.seed,
        epochs=settings.max_epochs,
    )


def recipe_of(config: dict[str, Any], space: Space, settings: Settings) -> Recipe:
    """What Ray calls a trial's config, as a recipe."""
    return space.recipe(config, epochs=settings.max_epochs)


class Recorder(tune.Callback):
    """Writes trials and epochs when the driver hears of them, as our own search does."""

    def __init__(self, file: RecordFile, space: Space, settings: Settings) -> None:
        self._file, self._space, self._settings = file, space, settings
        self._numbers: dict[str, int] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number = self._numbers.setdefault(trial.trial_id, len(self._numbers))
        recipe = recipe_of(trial.config, self._space, self._settings).to_dict()
        self._file.trial(Trial(number, recipe, trial.config, self._settings.seed, self._settings.max_epochs))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        epoch, name = result[EPOCH], self._settings.metric
        self._file.epoch(Epoch(self._numbers[trial.trial_id], epoch, float(epoch), {name: result[name]}))


if __name__ == "__main__":
    # Its new output cannot be silenced; its loggers and its state on disk only cost time.
    os.environ |= {
        "RAY_AIR_NEW_OUTPUT": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    }
    search(Settings.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
