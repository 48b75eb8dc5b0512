"""The world behind `finetuning.py`: families of networks, and data sets on which each does well or badly.

A task is a data set: how many classes and pictures it has, how hard it is, how far it is from what the
networks were pretrained on. From these and from luck of its own follow how good each family becomes on it,
how fast, and which hyperparameters it likes. Levels and what changes them are in log-odds of the accuracy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Family:
    """What is known of a family of networks before a task is."""

    epoch_s: float
    """On 224 px pictures."""
    level: float
    """How good it becomes on the average task."""
    tau: float
    """How many epochs it takes to learn, trained well."""
    log_lr: float
    """AdamW's best, log10, at batch size 32. That of transformers and ConvNeXt is lower (Steiner et al. 2022,
    Liu et al. 2022)."""
    sgd: float
    """What SGD in place of AdamW changes in its level."""
    capacity: float
    """How much regularisation it wants."""
    pretrained: bool = True


# From cheap to dear. Costs as of one GPU and some thousand pictures, in the proportions that published
# throughputs have; levels after Kornblith et al. 2019 (what is better on ImageNet transfers better) and, for
# the newer families, timm's tables. Trained from nothing is far behind, on most tasks.
FAMILIES = {
    "small_cnn": Family(2.0, -0.75, 0.8, -2.9, 0.0, 0.3, pretrained=False),
    "mobilenetv3": Family(3.5, -0.35, 0.5, -3.5, -0.05, 0.4),
    "resnet18": Family(6.0, -0.3, 0.5, -3.6, 0.05, 0.5),
    "efficientnet_b0": Family(13.0, -0.05, 1.0, -3.5, -0.05, 0.5),
    "resnet50": Family(22.0, 0.05, 1.1, -3.7, 0.05, 0.7),
    "vit_small": Family(30.0, 0.1, 2.1, -4.5, -0.25, 0.9),
    "convnext_tiny": Family(45.0, 0.2, 1.9, -4.3, -0.25, 0.7),
    "resnet101": Family(50.0, 0.2, 2.0, -3.7, 0.05, 0.9),
    "convnext_base": Family(95.0, 0.35, 2.8, -4.4, -0.25, 1.0),
}


class Luck:
    """What a task decides for a family, where `Family` says what is usual."""

    def __init__(self, rng: np.random.Generator, family: Family) -> None:
        self.level = rng.normal(0, 0.22)
        self.tau = family.tau * math.exp(rng.normal(0, 0.4))
        # A power law's: at 1, half of what is left is learned while the epochs double; at 2, three quarters.
        self.alpha = rng.uniform(1.0, 2.0)
        # SGD's rates are about 60 times AdamW's.
        self.log_lr = {
            "adamw": family.log_lr + rng.normal(0, 0.25),
            "sgd": family.log_lr + 1.8 + rng.normal(0, 0.25),
        }
        # How many decades above the best rate training breaks down; SGD has less room.
        self.room = {"adamw": rng.normal(0.75, 0.15), "sgd": rng.normal(0.55, 0.15)}
        self.sgd = family.sgd + rng.normal(0, 0.08)
        self.head_alone = rng.normal(0, 0.2)
        self.capacity = family.capacity + rng.normal(0, 0.15)


class Start:
    """How slow a configuration is at the start, by a random smooth function (Rahimi & Recht 2007).

    Recorded curves differ in it and keep the order over seeds (a rank correlation of 0.86 after the first
    epoch), but it says little about the end (0.2 to 0.3 within a family, 0.7 after the third epoch).
    """

    WAVES = 32
    EPOCHS, SPREAD = 0.7, 1.0
    """A typical start's, and its logarithm's standard deviation."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._waves = rng.standard_normal((self.WAVES, 6)) * 2.5
        self._phases = rng.uniform(0, 2 * np.pi, self.WAVES)

    def epochs(self, traits: np.ndarray) -> float:
        """How many it takes, of a configuration with these traits, float (6,), each of a range of about 1."""
        height = math.sqrt(2 / self.WAVES) * float(np.cos(self._waves @ traits + self._phases).sum())
        return self.EPOCHS * math.exp(self.SPREAD * height)


class Task:
    """A data set, as far as training on it goes."""

    def __init__(self, number: int) -> None:
        rng = np.random.default_rng([2026, number])
        self.chance = 1 / round(math.exp(rng.uniform(math.log(5), math.log(50))))
        # Of a good network that is trained well: 69 to 98% of the way from chance to 1.
        self.level = float(np.clip(rng.normal(2.2, 0.6), 0.8, 3.7))
        self.plenty = rng.uniform()
        """Of pictures."""
        self.distance = rng.uniform()
        """From what the networks were pretrained on."""
        self.size_pays = rng.normal(0.15 * (self.plenty - 0.5), 0.12)
        """What ten times the cost brings, beside what it brings on the average task."""
        self.resolution_pays = abs(rng.normal(0.25, 0.15))
        """What pictures twice as wide bring."""
        self.seed_noise = rng.uniform(0.005, 0.01)
        """Of a trial's final accuracy where that is 0.9, as a standard deviation."""
        self.log_weight_decay = {"adamw": rng.normal(-1.6, 0.4), "sgd": rng.normal(-3.7, 0.5)}
        self.log_backbone_lr_mult = -0.9 + 0.7 * self.distance + rng.normal(0, 0.2)
        # Each is weak, and in some tasks as good as absent.
        effects = ("weight_decay", "smoothing", "drop", "layer_decay", "gamma", "backbone_lr_mult")
        self.effects = {name: abs(rng.normal(0, 0.06)) for name in effects}
        self.best_drop = rng.uniform(0, 0.6)
        self.focal = rng.normal(-0.04, 0.06)
        self.fits = dict(zip(("resize", "crop", "pad"), rng.normal(0, 0.03, 3), strict=True))
        self.schedules = dict(zip(("cosine", "one_cycle", "step"), rng.normal(0, 0.05, 3), strict=True))
        self.luck = {name: Luck(rng, family) for name, family in FAMILIES.items()}
        self.start = Start(np.random.default_rng([2031, number]))
