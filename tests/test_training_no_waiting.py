"""Within an epoch nobody waits for the device to learn a value: the meta device has none to tell."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.toy_pictures import tiny_recipe, toy_pictures
from trainables.ahead import Ahead
from trainables.feed import Feed
from trainables.loss import TrainingLoss
from trainables.metrics import Tally
from trainables.models.create import create_model, normalization
from trainables.models.optimizer import create_optimizer
from trainables.runtime import Runtime
from trainables.step import Step

META = torch.device("meta")
EVERYTHING = {"strength": 1.0, "strong_share": 0.7, "background": 0.35, "mixup": 0.3, "cutmix": 0.3}
TRIVIAL = {"strength": 1.0, "strong_share": 1.0, "strong_by": "trivial"}


@pytest.mark.parametrize("augment", [EVERYTHING, TRIVIAL])
@pytest.mark.parametrize("at_once", [None, 20])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_batches_are_made_and_learned_without_a_value_from_the_device(
    augment: dict[str, Any], at_once: int | None, optimizer: str
) -> None:
    recipe = tiny_recipe(
        model={"drop_rate": 0.1, "args": {"width": 8, "blocks": 2, "dense": 16, "batch_norm": True}},
        geometry={"size_px": 32, "fit": "pad"},
        augment=augment,
        optim={"name": optimizer, "clip_norm": 1.0, "batch_size": 64},
        loss={"name": "focal", "label_smoothing": 0.1, "balance": "class_weights"},
    )
    pictures, runtime = toy_pictures(512, 0, size_px=20), Runtime(device="meta", at_once=at_once)
    model = create_model(recipe, 3).to(META)
    loss = TrainingLoss(recipe.loss, pictures.labels, 3, META)
    step = Step(model, loss, create_optimizer(model, recipe.optim), runtime, clip_norm=1.0)
    feed, tally = Feed(pictures, recipe, runtime, *normalization(model)), Tally(3, META)
    for batch in Ahead(feed.training(8, seed=0, epoch=1, size_px=32), META):
        assert batch.images.device == META
        tally.add(step(model, batch), batch.labels)
    for images, labels in feed.evaluation():
        tally.add(model.eval()(images), labels)
    with pytest.raises(RuntimeError, match="meta"):
        tally.loss  # noqa: B018  (the end of an epoch waits)
