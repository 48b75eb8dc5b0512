"""The training loop: plain torch, one recipe, one device or one worker of several."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from spaces.recipe import Recipe
from trainables.ahead import Ahead
from trainables.best import BestEpoch
from trainables.checkpoint import Checkpoint
from trainables.compiled import compiled, pays
from trainables.distributed import require_share, share_buffers, shared
from trainables.evaluate import evaluated
from trainables.feed import Feed, Pictures
from trainables.geometry import training_px
from trainables.loss import TrainingLoss
from trainables.metrics import Tally, diverged
from trainables.models import freeze
from trainables.models.create import create_model, normalization
from trainables.models.ema import averaged
from trainables.models.norms import synchronized
from trainables.models.optimizer import create_optimizer, restore
from trainables.portions import Portions
from trainables.process import set_up
from trainables.runtime import Runtime
from trainables.schedule import LearningRate
from trainables.step import Step

Report = Callable[[dict[str, float], Checkpoint], None]
"""Called once an epoch with its metrics and the state after it. The state's tensors are those of the training
and change when it goes on: the caller saves it at once, if it wants to."""


@dataclass(frozen=True)
class TrainData:
    """What a training learns from, and what it is watched on."""

    train: Pictures
    val: Pictures | None = None
    """None: nothing is held back, and no decision is taken on the way (a final retrain)."""


def train(
    recipe: Recipe,
    data: TrainData,
    report: Report,
    *,
    runtime: Runtime | None = None,
    seed: int = 0,
    epochs: int,
    resume: Checkpoint | None = None,
    replay: Sequence[float] | None = None,
) -> nn.Module:
    """Trains a recipe.

    Each epoch reports: `epoch` (from 1), `passes` over the training part, `train_loss` and
    `train_accuracy` (plain cross-entropy with the labels, in nats, on the augmented pictures, while the
    weights move), `val_loss`, `val_accuracy`, `val_macro_f1` (of the averaged weights when the recipe has
    them), `lr_scale` in force at its first step, `train_s`, `val_s`, `epoch_s`, `images_per_s` while
    training, `data_wait_s`, how long of `train_s` the device stood idle for want of a batch, and `at_once`,
    how many pictures of a batch went through the network together at its end. A loss that is not finite is
    reported as it is, and ends the training.

    Args:
        epochs: Full length, which the schedule spans.
        resume: State of the same training, which goes on with the numbers it would have had.
        replay: `lr_scale` of each epoch of an earlier training of this recipe: its drops and its number
            of epochs are repeated, and the validation loss decides nothing.

    Returns:
        The trained network on the CPU, in evaluation mode: the averaged weights when the recipe has them,
        of the epoch with the lowest validation loss when it keeps the best and there was validation to
        decide by, else of the last.

    Raises:
        ModelError: The network cannot be made.
        CheckpointError: `resume` is of another training.
    """
    return _Training(
        recipe, data, runtime or Runtime(), seed=seed, epochs=epochs, resume=resume, replay=replay
    ).run(report)


class _Training:
    def __init__(
        self,
        recipe: Recipe,
        data: TrainData,
        runtime: Runtime,
        *,
        seed: int,
        epochs: int,
        resume: Checkpoint | None,
        replay: Sequence[float] | None,
    ) -> None:
        self.recipe, self.runtime, self.seed, self.epochs = recipe, runtime, seed, epochs
        self.last_epoch = epochs if replay is None else len(replay)
        self.decides = replay is None and data.val is not None
        self.device = runtime.resolved_device()
        set_up(runtime)
        torch.manual_seed(seed)
        self.classes = len(data.train.classes)
        self.model = synchronized(create_model(recipe, self.classes, weights=resume is None), runtime)
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        mean, std = normalization(self.model)
        self.train_feed = Feed(data.train, recipe, runtime, mean, std)
        self.val_feed = Feed(data.val, recipe, runtime, mean, std) if data.val is not None else None
        require_share(len(data.train), self.train_feed.steps_per_pass, runtime)
        self.steps = recipe.steps_per_epoch or self.train_feed.steps_per_pass
        loss = TrainingLoss(recipe.loss, data.train.labels, self.classes, self.device)
        self.optimizer = create_optimizer(self.model, recipe.optim)
        self.step = Step(self.model, loss, self.optimizer, runtime, clip_norm=recipe.optim.clip_norm)
        self.rate = LearningRate(
            self.optimizer, recipe.schedule, epochs=epochs, steps_per_epoch=self.steps, replay=replay
        )
        self.ema = averaged(self.model, recipe.ema.decay)
        self.evaluation_portions = Portions()
        self.best = BestEpoch(recipe)
        self.history: list[dict[str, float]] = []
        self.first_epoch = 1
        self.module: nn.Module | None = None
        self.compiled = False
        if resume is not None:
            self._restore(resume)

    def run(self, report: Report) -> nn.Module:
        for epoch in range(self.first_epoch, self.last_epoch + 1):
            metrics = self._epoch(epoch)
            if not diverged(metrics):
                self.rate.after_epoch(epoch, metrics.get("val_loss"))
                if self.decides:
                    self.best.after_epoch(metrics["val_loss"], self._kept_network())
            report(metrics, self._checkpoint(metrics))
            if self._is_over(metrics):
                break
            rest_s = metrics["train_s"] * (self.last_epoch - epoch)
            # Not by the first epoch, which also looks for the quickest algorithms.
            if not self.compiled and epoch > self.first_epoch and pays(self.recipe, self.runtime, rest_s):
                self.compiled, self.module = True, None
        self.best.put_back(self._kept_network())
        return self._own_layers(self._kept_network().cpu()).eval()

    def _own_layers(self, network: nn.Module) -> nn.Module:
        """The network of the recipe, without the layers that `synchronized` put in."""
        if self.runtime.world_size == 1:
            return network
        found = create_model(self.recipe, self.classes, weights=False)
        found.load_state_dict(network.state_dict())
        return found

    def _epoch(self, epoch: int) -> dict[str, float]:
        """Trains and validates an epoch: what it reports."""
        self.model.train()
        changed = freeze.apply(self.model, self.recipe.freeze, epoch)
        if self.module is None or changed:
            module = shared(self.model, self.runtime)
            self.module = compiled(module) if self.compiled else module
        # For dropout; workers that drew alike would drop the same units.
        entropy = [self.seed, epoch, self.runtime.rank]
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

        metrics = {
            "epoch": epoch,
            "passes": epoch * self.steps / self.train_feed.steps_per_pass,
            "lr_scale": self.rate.scale,
            **self._train_epoch(self.module, epoch),
        }
        if self.val_feed is not None:
            metrics |= self._validate(self.val_feed)
        return metrics | {"epoch_s": metrics["train_s"] + metrics.get("val_s", 0.0)}

    def _train_epoch(self, module: nn.Module, epoch: int) -> dict[str, float]:
        """One epoch of optimizer steps: its metrics. No step waits for the device."""
        started = time.perf_counter()
        tally, pictures = Tally(self.classes, self.device), 0
        size_px = training_px(self.recipe.geometry, epoch, self.epochs)
        step = (epoch - 1) * self.steps
        batches = Ahead(self.train_feed.training(self.steps, self.seed, epoch, size_px), self.device)
        for batch in batches:
            logits = self.step(module, batch)
            self.rate.after_step()
            step += 1
            if self.ema is not None:
                self.ema.update(self.model, step)
            tally.add(logits, batch.labels)
            pictures += batch.pictures
        if self.runtime.world_size > 1:
            tally.reduce()
            share_buffers(self.model, self.ema)
        metrics = {"train_loss": tally.loss, "train_accuracy": tally.accuracy}  # waits for the device
        train_s = time.perf_counter() - started
        rate = pictures / train_s
        costs = {"train_s": train_s, "images_per_s": rate, "data_wait_s": batches.wait_s}
        return metrics | costs | {"at_once": self.step.at_once}

    def _validate(self, feed: Feed) -> dict[str, float]:
        """The metrics of the validation part."""
        started = time.perf_counter()
        network = self._kept_network()
        tally = evaluated(network, feed, self.runtime, self.classes, portions=self.evaluation_portions)
        if self.runtime.world_size > 1:
            tally.reduce()
        metrics = {"val_loss": tally.loss, "val_accuracy": tally.accuracy, "val_macro_f1": tally.macro_f1}
        return metrics | {"val_s": time.perf_counter() - started}

    def _kept_network(self) -> nn.Module:
        """The weights that are evaluated and returned: the average, where there is one."""
        return self.model if self.ema is None else self.ema.module

    def _is_over(self, metrics: dict[str, float]) -> bool:
        """Whether the training ends after an epoch with these metrics: it diverged, or lost patience."""
        return diverged(metrics) or self.best.out_of_patience

    def _identity(self) -> dict[str, Any]:
        return {"recipe": self.recipe.to_dict(), "seed": self.seed, "epochs": self.epochs}

    def _checkpoint(self, metrics: dict[str, float]) -> Checkpoint:
        self.history.append(metrics)
        return Checkpoint(
            **self._identity(),
            history=list(self.history),
            model=self.model.state_dict(),
            ema=self.ema.module.state_dict() if self.ema is not None else None,
            optimizer=self.optimizer.state_dict(),
            schedule=self.rate.state_dict(),
            scaler=self.step.scaler.state_dict(),
            best=self.best.state_dict(),
        )

    def _restore(self, checkpoint: Checkpoint) -> None:
        checkpoint.require(**self._identity())
        self.model.load_state_dict(checkpoint.model)
        if self.ema is not None and checkpoint.ema is not None:
            self.ema.module.load_state_dict(checkpoint.ema)
        restore(self.optimizer, checkpoint.optimizer)
        self.rate.load_state_dict(checkpoint.schedule)
        self.step.scaler.load_state_dict(checkpoint.scaler)
        self.best.load_state_dict(checkpoint.best)
        self.history = list(checkpoint.history)
        # A training that was over has nothing left to do.
        over = self._is_over(checkpoint.metrics)
        self.first_epoch = self.last_epoch + 1 if over else checkpoint.epoch + 1
