"""The training loop: plain torch, one recipe, one device or one worker of several."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from spaces.recipe import Recipe
from trainables.checkpoint import Checkpoint
from trainables.feed import Feed, Pictures
from trainables.metrics import Tally
from trainables.models import freeze
from trainables.models.create import create_model, normalization
from trainables.models.ema import averaged
from trainables.runtime import Runtime
from trainables.schedule import LearningRate

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
    `train_accuracy` (plain cross-entropy in nats, on the augmented pictures, while the weights move),
    `val_loss`, `val_accuracy`, `val_macro_f1` (of the averaged weights when the recipe has them),
    `lr_scale` in force, `train_s`, `val_s`, `epoch_s`, and `images_per_s` while training. A loss that is
    not finite is reported as it is, and ends the training.

    Args:
        epochs: Full length, which the schedule spans.
        resume: State of the same training, which goes on with the numbers it would have had.
        replay: `lr_scale` of each epoch of an earlier training of this recipe: its drops and its number
            of epochs are repeated, and the validation loss decides nothing.

    Returns:
        The trained network on the CPU, in evaluation mode: the averaged weights when the recipe has them.

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
        if runtime.threads:
            torch.set_num_threads(runtime.threads)
        torch.manual_seed(seed)
        self.model = create_model(recipe, len(data.train.classes), weights=resume is None)
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        mean, std = normalization(self.model)
        self.train_feed = Feed(data.train, recipe, runtime, mean, std)
        self.val_feed = Feed(data.val, recipe, runtime, mean, std) if data.val is not None else None
        self.steps = recipe.steps_per_epoch or self.train_feed.steps_per_pass
        self.optimizer = torch.optim.AdamW(freeze.parameter_groups(self.model, recipe.optim))
        self.rate = LearningRate(
            self.optimizer, recipe.schedule, epochs=epochs, steps_per_epoch=self.steps, replay=replay
        )
        self.ema = averaged(self.model, recipe.ema.decay)
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=runtime.autocast_dtype() == torch.float16
        )
        self.classes = len(data.train.classes)
        self.best_loss, self.epochs_since_best = math.inf, 0
        self.history: list[dict[str, float]] = []
        self.first_epoch = 1
        if resume is not None:
            self._restore(resume)

    def run(self, report: Report) -> nn.Module:
        module: nn.Module | None = None
        for epoch in range(self.first_epoch, self.last_epoch + 1):
            self.model.train()
            changed = freeze.apply(self.model, self.recipe.freeze, epoch)
            if module is None or changed:
                module = self._distributed()
            scale = self.rate.scale
            # For dropout; workers that drew alike would drop the same units.
            entropy = [self.seed, epoch, self.runtime.rank]
            torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

            started = time.perf_counter()
            tally, pictures = self._train_epoch(module, epoch)
            train_loss = tally.loss  # waits for the device
            trained = time.perf_counter()
            metrics = {
                "epoch": epoch,
                "passes": epoch * self.steps / self.train_feed.steps_per_pass,
                "train_loss": train_loss,
                "train_accuracy": tally.accuracy,
                "lr_scale": scale,
            }
            val_loss = None
            if self.val_feed is not None:
                validation = self._evaluate(self.val_feed)
                val_loss = validation.loss
                metrics |= {
                    "val_loss": val_loss,
                    "val_accuracy": validation.accuracy,
                    "val_macro_f1": validation.macro_f1,
                }
            ended = time.perf_counter()
            metrics |= {
                "train_s": trained - started,
                "val_s": ended - trained,
                "epoch_s": ended - started,
                "images_per_s": pictures / (trained - started),
            }
            if not math.isfinite(train_loss + (val_loss or 0.0)):
                report(metrics, self._checkpoint(metrics))
                break
            self.rate.after_epoch(val_loss)
            out_of_patience = self._out_of_patience(val_loss)
            report(metrics, self._checkpoint(metrics))
            if out_of_patience:
                break
        return self._best_weights().cpu().eval()

    def _train_epoch(self, module: nn.Module, epoch: int) -> tuple[Tally, int]:
        """One epoch of optimizer steps. Nothing in here waits for the device."""
        tally, pictures = Tally(self.classes, self.device), 0
        smoothing = self.recipe.loss.label_smoothing
        step = (epoch - 1) * self.steps
        for images, targets, batch in self.train_feed.training(self.steps, self.seed, epoch):
            with self.runtime.autocast():
                logits = module(images)
            # A sum over this worker's share over the whole batch: the workers' gradients, which are
            # averaged, then add up to the gradient of the batch's mean, however uneven the shares.
            loss = F.cross_entropy(logits.float(), targets, label_smoothing=smoothing, reduction="sum")
            loss = loss * (self.runtime.world_size / batch)
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.rate.after_step()
            step += 1
            if self.ema is not None:
                self.ema.update(self.model, step)
            tally.add(logits.detach(), targets)
            pictures += batch
        if self.runtime.world_size > 1:
            tally.reduce()
            self._share_buffers()
        return tally, pictures

    @torch.no_grad()
    def _evaluate(self, feed: Feed) -> Tally:
        model, tally = self._best_weights().eval(), Tally(self.classes, self.device)
        for images, targets in feed.evaluation():
            with self.runtime.autocast():
                logits: Tensor = model(images)
            tally.add(logits, targets)
        if self.runtime.world_size > 1:
            tally.reduce()
        return tally

    def _distributed(self) -> nn.Module:
        """The network, wrapped where several workers share the batch; anew whenever what trains changed."""
        return DistributedDataParallel(self.model) if self.runtime.world_size > 1 else self.model

    def _share_buffers(self) -> None:
        """Gives all workers the first one's buffers: each has batch norm statistics of its own pictures."""
        for model in filter(None, (self.model, self.ema)):
            for buffer in model.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def _best_weights(self) -> nn.Module:
        return self.model if self.ema is None else self.ema.module

    def _out_of_patience(self, val_loss: float | None) -> bool:
        if val_loss is None or not self.decides or self.recipe.patience_epochs is None:
            return False
        if val_loss < self.best_loss:
            self.best_loss, self.epochs_since_best = val_loss, 0
        else:
            self.epochs_since_best += 1
        return self.epochs_since_best >= self.recipe.patience_epochs

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
            scaler=self.scaler.state_dict(),
            patience={"best_loss": self.best_loss, "epochs_since_best": self.epochs_since_best},
        )

    def _restore(self, checkpoint: Checkpoint) -> None:
        checkpoint.require(**self._identity())
        self.model.load_state_dict(checkpoint.model)
        if self.ema is not None and checkpoint.ema is not None:
            self.ema.module.load_state_dict(checkpoint.ema)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.rate.load_state_dict(checkpoint.schedule)
        self.scaler.load_state_dict(checkpoint.scaler)
        self.history = list(checkpoint.history)
        self.best_loss = checkpoint.patience["best_loss"]
        self.epochs_since_best = checkpoint.patience["epochs_since_best"]
        # A training that had ended, by its patience or by diverging, has nothing left to do.
        ended = self._ended(checkpoint)
        self.first_epoch = self.last_epoch + 1 if ended else checkpoint.epoch + 1

    def _ended(self, checkpoint: Checkpoint) -> bool:
        losses = checkpoint.metrics["train_loss"] + checkpoint.metrics.get("val_loss", 0.0)
        patience = self.recipe.patience_epochs
        return not math.isfinite(losses) or (patience is not None and self.epochs_since_best >= patience)
