"""Simulated learning curves of fine-tuning: nine families of networks, on as many tasks as there are numbers.

Tasks 0 to 9 are for tuning searchers, 100 to 119 for reporting; all are of one world (`finetuning_tasks.py`).
The space is finetuning.yaml. `calibration.py` shows the curves beside recorded ones. What is simulated, and
where it is from:

- Accuracy nears a final level by a power law in the epochs, (1 + t / tau) ** -alpha, one of the shapes that
  Domhan et al. 2015 fit to learning curves over epochs, and the usual one over pictures (Viering & Loog
  2021). Cheap families learn faster and end lower on average; each task has exceptions, so curves cross.
- Learning rates: the best one depends on the family, the optimizer, the batch size (linear for SGD, Goyal et
  al. 2017; its root for Adam, Malladi et al. 2022) and on what the backbone gets of it. Below it training is
  slow; above it accuracy is held down until the schedule anneals, and ends lower; higher still it diverges.
- A frozen backbone: the head alone learns fast and stays lower, the more so the farther the task is from the
  pretraining; what follows a head that is warm distorts less of the backbone (Kumar et al. 2022).
- Regularisation has to match what the family's size wants and the pictures give. Too much of it slows and
  ends lower, too little ends lower and turns down late.
- A score is a share of 1,000 pictures, the same ones in all epochs of a trial: this noise stays as long as
  the network hardly changes, which is where the learning rate has come down. Where the rate is high, scores
  also wobble with the weights. The seed moves all of a trial by 0.5 to 1% of accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.finetuning_tasks import FAMILIES, Task
from benchmarks.quality.interface import Config, Objective
from benchmarks.quality.objective_files import load_tree
from benchmarks.quality.random_params import random_params
from spaces.tree import Tree

MAX_EPOCHS = 27
PICTURES = 1_000
"""That a score is measured on."""
EDGE = 0.08
"""Decades of learning rate by which seeds differ in where they diverge, as a standard deviation."""
_EPOCHS = np.arange(1.0, MAX_EPOCHS + 1)


def _rates(schedule: str) -> np.ndarray:
    """The learning rate by epoch as a share of its peak, float (MAX_EPOCHS,)."""
    done = (_EPOCHS - 0.5) / MAX_EPOCHS
    if schedule == "step":
        return np.select([done < 0.6, done < 0.85], [1.0, 0.1], 0.01)
    peak = 0.3 if schedule == "one_cycle" else 0.04
    rising = np.clip(done / peak, 0.04, 1)
    return rising * 0.5 * (1 + np.cos(np.pi * np.clip((done - peak) / (1 - peak), 0, 1)))


def _memory(rates: np.ndarray) -> np.ndarray:
    """Makes independent normal noise by epoch such as remembers the epochs before: float (E, E).

    At the peak of the learning rate neighbouring epochs correlate by a half, without any they are alike. In
    recorded trainings, too, scores move by 1 to 4% an epoch at the peak and by 0.1% at the end.
    """
    kept = 1 - 0.5 * rates**0.7
    mix = np.eye(MAX_EPOCHS)
    for epoch in range(1, MAX_EPOCHS):
        mix[epoch] = kept[epoch] * mix[epoch - 1]
        mix[epoch, epoch] = math.sqrt(1 - kept[epoch] ** 2)
    return mix


RATES = {name: _rates(name) for name in ("cosine", "one_cycle", "step")}
MEMORY = {name: _memory(rates) for name, rates in RATES.items()}


def _decades_above(task: Task, config: Config) -> float:
    """How far the learning rate is above the best, as a power of ten."""
    luck, optimizer = task.luck[config["model.name"]], config["optim.name"]
    batch = (1.0 if optimizer == "sgd" else 0.5) * math.log10(config["optim.batch_size"] / 32)
    # Head and backbone count alike: the backbone's own rate would have the multiplier in full.
    backbone = 0.5 * math.log10(config.get("optim.backbone_lr_mult", 1.0))
    layers = 0.8 * (config.get("optim.layer_decay", 1.0) - 1)
    return math.log10(config["optim.lr"]) + backbone + layers - batch - luck.log_lr[optimizer]


def _level(task: Task, config: Config, above: float, decay: float, spare: float) -> float:
    """Where a training ends that is long enough, in log-odds."""
    family, luck = FAMILIES[config["model.name"]], task.luck[config["model.name"]]
    level = task.level + family.level + luck.level + task.size_pays * math.log10(family.epoch_s / 20)
    level += task.resolution_pays * math.log2(config["geometry.size_px"] / 224)
    level += task.fits[config["geometry.fit"]] + task.schedules[config["schedule.name"]]
    level -= (0.9 if above > 0 else 0.25) * above**2 + (0.25 if spare > 0 else 0.35) * spare**2
    level -= 0.03 * max(math.log2(config["optim.batch_size"] / 32), 0)  # Masters & Luschi 2018
    level -= task.effects["weight_decay"] * decay**2
    level -= task.effects["drop"] * (_drop(config) - task.best_drop) ** 2
    if config["optim.name"] == "sgd":
        level += luck.sgd
    if config["loss.name"] == "focal":
        level += task.focal - task.effects["gamma"] * (config["loss.gamma"] - 1.5) ** 2
    else:  # 0.1 is the usual amount (Szegedy et al. 2016)
        level -= task.effects["smoothing"] * (config["loss.label_smoothing"] / 0.1 - 1) ** 2
    if not family.pretrained:  # is less behind where pretraining helps less
        return level + 0.9 * (task.distance - 0.5) + 0.15 * math.log2(config["model.width"] / 32)
    mult = math.log10(config["optim.backbone_lr_mult"])
    level -= task.effects["backbone_lr_mult"] * (mult - task.log_backbone_lr_mult) ** 2
    if "optim.layer_decay" in config:
        level -= task.effects["layer_decay"] * ((config["optim.layer_decay"] - 0.8) / 0.2) ** 2
    return level + (0.1 * (1 - task.distance) if _frozen(config) else 0.0)


def _drop(config: Config) -> float:
    """Dropout or stochastic depth, as a share of the most that the space has."""
    drop_path = config.get("model.drop_path_rate")
    return config["model.drop_rate"] / 0.5 if drop_path is None else drop_path / 0.4


def _frozen(config: Config) -> int:
    """How many epochs the backbone is."""
    return round(config.get("freeze.epoch", 0.0) * MAX_EPOCHS)


def _sigmoid(log_odds: Any) -> Any:
    return 1 / (1 + np.exp(-log_odds))


@dataclass(frozen=True)
class _Curve:
    """What a configuration comes to, each float (MAX_EPOCHS,)."""

    scores: np.ndarray
    """As if it did not diverge."""
    wobble: np.ndarray
    """By how much scores differ between epochs while the learning rate is high, as a standard deviation."""
    margin: np.ndarray
    """How far the learning rate is above what training stands, as a power of ten."""


def _curve(task: Task, config: Config) -> _Curve:
    luck, optimizer = task.luck[config["model.name"]], config["optim.name"]
    rate, frozen = RATES[config["schedule.name"]], _frozen(config)
    whole = frozen < _EPOCHS
    above = _decades_above(task, config)
    # Regularisation that is there beyond what is wanted; a high rate regularises too.
    decay = math.log10(config["optim.weight_decay"]) - task.log_weight_decay[optimizer] + 0.3 * above
    augmented = config["augment.strength"] + 0.5 * config.get("augment.mixup", 0.0)
    regular = augmented + config.get("loss.label_smoothing", 0.0) + 0.2 * _drop(config) + 0.1 * decay
    spare = regular - luck.capacity - 0.7 * (0.5 - task.plenty)
    level = _level(task, config, above, decay, spare)

    # A rate that is still high holds accuracy down; it and too little regularisation turn it down late.
    held_down = 0.25 * min(10 ** (0.5 * above), 4.0) * rate
    late = np.clip((_EPOCHS - frozen) / MAX_EPOCHS - 0.3, 0, None)
    overfit = (2.0 * max(-spare - 0.5, 0.0) + max(above - 0.3, 0.0)) * late
    slowed = 10 ** ((-0.15 if above > 0 else -0.55) * above)
    slowed *= (1 + 0.7 * augmented) * (config["optim.batch_size"] / 32) ** 0.25

    # Until the optimizer's averages and the head have settled, hardly anything is learned.
    traits = [above / 2, decay / 3, config["augment.strength"], _drop(config), level / 2]
    started = task.start.epochs(np.array([*traits, math.log10(config["optim.batch_size"]) / 0.9]))
    speed = np.sqrt(rate) * (1 - np.exp(-((_EPOCHS / started) ** 2)))
    unlearned = (1 + np.cumsum(speed * whole) / (luck.tau * slowed)) ** -luck.alpha
    learned = _sigmoid(level - held_down - overfit) * (1 - unlearned)
    if frozen:
        # It has little to learn, and the rate in full.
        head_tau = 0.5 * luck.tau * slowed * config["optim.backbone_lr_mult"] ** 0.3
        by_head = 1 - (1 + np.cumsum(speed) / head_tau) ** -luck.alpha
        by_head *= _sigmoid(level - 0.5 - 1.5 * task.distance - luck.head_alone)
        learned = np.where(whole, learned + by_head[frozen - 1] * unlearned, by_head)
    scores = task.chance + (1 - task.chance) * learned
    wobble = np.where(whole, 0.35, 0.1) * held_down * scores * (1 - scores)
    margin = np.where(whole, above - luck.room[optimizer] + np.log10(rate), -np.inf)
    return _Curve(scores, wobble, margin)


@lru_cache(maxsize=1)
def space() -> Tree:
    """Of all tasks."""
    return load_tree(Path(__file__).with_suffix(".yaml"), "finetuning")


@lru_cache(maxsize=64)
def finetuning(task: int) -> Objective:
    """The curves of one task. Those without noise are the expectation over seeds; where a training diverges
    depends a little on the seed, and they are NaN from there on too."""
    world = Task(task)

    def evaluate(config: Config, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
        rng = np.random.default_rng([task, seed])
        of_seed, edge, wait = rng.standard_normal(3)
        of_pictures, wobble = rng.standard_normal((2, MAX_EPOCHS))
        curve = _curve(world, config)
        noiseless = curve.scores
        by_pictures = MEMORY[config["schedule.name"]] @ of_pictures / math.sqrt(PICTURES)
        by_seed = world.seed_noise / 0.3 * of_seed  # where accuracy is 0.9, `spread` is 0.3
        spread = np.sqrt(noiseless * (1 - noiseless))
        noisy = noiseless + spread * (by_seed + by_pictures) + curve.wobble * wobble
        observed = np.clip(np.rint(noisy * PICTURES) / PICTURES, 0, 1)
        broken = np.flatnonzero(curve.margin + EDGE * edge > 0)
        if len(broken):
            diverged = broken[0] + int(1.5 * abs(wait))  # some epochs pass before it shows
            noiseless[diverged:] = observed[diverged:] = np.nan
        epoch_s = FAMILIES[config["model.name"]].epoch_s * (config["geometry.size_px"] / 224) ** 2
        return observed, noiseless, epoch_s * config.get("model.width", 32) / 32

    return Objective(f"finetuning-{task}", space(), MAX_EPOCHS, evaluate)


def start(task: int, percentile: float, family: str, *, drawn: int = 500) -> Mapping[str, Any]:
    """Parameters for a search to start from: of so many random ones of a family, those at a percentile by
    their final score without noise, where 100 is the best and those that diverge are the worst."""
    rng = np.random.default_rng([2027, task, list(FAMILIES).index(family)])
    objective, found = finetuning(task), []
    for number in range(drawn):
        params = random_params(space(), rng, **{"model.name": family})
        final = objective.evaluate(space().drawn(params), 0)[1][-1]
        found.append((-np.inf if np.isnan(final) else final, number, params))
    return sorted(found)[round(percentile / 100 * (drawn - 1))][2]
