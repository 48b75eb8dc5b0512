"""The training loop: what it learns, what it reports, what it decides."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from spaces.recipe import Recipe
from tests.toy_pictures import CPU, ToyPictures, tiny_recipe, toy_pictures
from trainables.checkpoint import Checkpoint
from trainables.evaluate import evaluate
from trainables.feed import Feed
from trainables.geometry import training_px
from trainables.loop import TrainData, train
from trainables.models.create import create_model, normalization

ALWAYS = {"epoch", "passes", "train_loss", "train_accuracy", "lr_scale"}
ALWAYS |= {"train_s", "epoch_s", "images_per_s", "data_wait_s", "at_once"}
OF_VALIDATION = {"val_s", "val_loss", "val_accuracy", "val_macro_f1"}

DATA = TrainData(toy_pictures(96, 1), toy_pictures(48, 2))
HARDER = TrainData(toy_pictures(48, 1), toy_pictures(48, 2, random_labels=True))
"""The validation loss rises while the training loss falls."""


def run(
    recipe: Recipe,
    data: TrainData = DATA,
    *,
    epochs: int = 3,
    seed: int = 0,
    replay: Sequence[float] | None = None,
) -> tuple[nn.Module, list[dict[str, float]], list[Checkpoint]]:
    """Trains: the network, and each epoch's metrics and state."""
    metrics: list[dict[str, float]] = []
    states: list[Checkpoint] = []

    def report(epoch_metrics: dict[str, float], checkpoint: Checkpoint) -> None:
        metrics.append(epoch_metrics)
        states.append(copy.deepcopy(checkpoint))

    model = train(recipe, data, report, runtime=CPU, seed=seed, epochs=epochs, replay=replay)
    return model, metrics, states


def column(metrics: list[dict[str, float]], name: str) -> list[float]:
    return [epoch[name] for epoch in metrics]


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_a_toy_problem_is_learned_far_beyond_chance() -> None:
    model, metrics, _ = run(tiny_recipe(), epochs=6)
    assert metrics[-1]["val_accuracy"] > 0.95
    assert metrics[-1]["train_loss"] < metrics[0]["train_loss"] / 3
    assert evaluate(model, tiny_recipe(), toy_pictures(60, 3), runtime=CPU)["accuracy"] > 0.95


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_it_is_learned_under_augmentation_too(strength: float) -> None:
    recipe = tiny_recipe(augment={"strength": strength, "flip": 0.0, "erase": 0.2, "grayscale": 0.1})
    assert run(recipe, epochs=12)[1][-1]["val_accuracy"] > 0.8


def test_each_epoch_reports_once_and_exactly_the_documented_metrics() -> None:
    _, metrics, states = run(tiny_recipe())
    assert column(metrics, "epoch") == [1, 2, 3]
    assert all(epoch.keys() == ALWAYS | OF_VALIDATION for epoch in metrics)
    assert all(state.metrics == epoch for state, epoch in zip(states, metrics, strict=True))


def test_without_validation_pictures_no_validation_is_reported() -> None:
    _, metrics, _ = run(tiny_recipe(schedule={"name": "plateau"}, patience_epochs=1), TrainData(DATA.train))
    assert all(epoch.keys() == ALWAYS for epoch in metrics)
    assert column(metrics, "lr_scale") == [1, 1, 1]


def test_what_is_reported_of_the_validation_is_what_evaluate_says() -> None:
    model, metrics, _ = run(tiny_recipe())
    scores = evaluate(model, tiny_recipe(), DATA.val, runtime=CPU)
    ours = [metrics[-1][name] for name in ("val_loss", "val_accuracy", "val_macro_f1")]
    assert ours == pytest.approx([scores["log_loss"], scores["accuracy"], scores["macro_f1"]], abs=1e-6)
    assert scores["n"] == len(DATA.val)


@pytest.mark.parametrize(("steps", "passes"), [(None, [1, 2]), (3, [0.5, 1]), (6, [1, 2]), (9, [1.5, 3])])
def test_passes_count_the_share_of_the_training_part_that_was_seen(
    steps: int | None, passes: list[float]
) -> None:
    data = TrainData(toy_pictures(96, 1), DATA.val)  # six batches of 16
    _, metrics, _ = run(tiny_recipe(steps_per_epoch=steps), data, epochs=2)
    assert column(metrics, "passes") == pytest.approx(passes)
    assert len(data.train.served) == 96 * passes[-1]


def test_a_pass_serves_every_picture_once_in_batches_of_nearly_one_size() -> None:
    data = TrainData(toy_pictures(37, 1))
    run(tiny_recipe(), data, epochs=1)
    assert sorted(data.train.served) == list(range(37))
    assert data.train.served != list(range(37))
    feed = Feed(data.train, tiny_recipe(), CPU, [0.0] * 3, [1.0] * 3)
    assert sorted(len(batch.labels) for batch in feed.training(3, 0, 1, 16)) == [12, 12, 13]


@pytest.mark.parametrize(
    ("pictures", "batch_size", "sizes"), [(9, 2, [3, 2, 2, 2]), (9, 8, [5, 4]), (3, 2, [3])]
)
def test_a_batch_never_holds_a_single_picture(pictures: int, batch_size: int, sizes: list[int]) -> None:
    recipe = tiny_recipe(optim={"batch_size": batch_size})
    feed = Feed(toy_pictures(pictures, 1), recipe, CPU, [0.0] * 3, [1.0] * 3)
    batches = feed.training(feed.steps_per_pass, seed=0, epoch=1, size_px=16)
    assert [len(batch.labels) for batch in batches] == sizes


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    recipe = tiny_recipe(model={"drop_rate": 0.3}, augment={"strength": 1.0, "erase": 0.3})
    one, metrics, _ = run(recipe, seed=5)
    again, metrics_again, _ = run(recipe, seed=5)
    other, metrics_of_other, _ = run(recipe, seed=6)
    assert same_weights(one, again)
    assert column(metrics, "train_loss") == column(metrics_again, "train_loss")
    assert not same_weights(one, other)
    assert column(metrics, "train_loss") != column(metrics_of_other, "train_loss")


def test_the_training_loss_is_cross_entropy_with_the_labels_whatever_is_minimised() -> None:
    recipe = tiny_recipe(
        augment={"strength": 1.0, "mixup": 0.5, "cutmix": 0.5},
        optim={"lr": 1e-30},  # the weights stay where they are
        loss={"label_smoothing": 0.2, "balance": "logit_adjustment"},
    )
    model, metrics, _ = run(recipe, epochs=1)
    feed = Feed(DATA.train, recipe, CPU, *normalization(model))
    batches = list(feed.training(feed.steps_per_pass, 0, 1, 16))
    assert all(batch.targets is not None for batch in batches)
    with torch.no_grad():
        logits = torch.cat([model(batch.images) for batch in batches])
    labels = torch.cat([batch.labels for batch in batches])
    assert metrics[0]["train_loss"] == pytest.approx(float(F.cross_entropy(logits, labels)), abs=1e-6)
    assert metrics[0]["train_accuracy"] == pytest.approx(float((logits.argmax(1) == labels).float().mean()))


@pytest.mark.parametrize("steps", [None, 1])
def test_a_loss_that_is_not_finite_is_reported_and_ends_the_training(steps: int | None) -> None:
    # With one step an epoch the training loss is still that of the first weights: only validation shows it.
    _, metrics, _ = run(tiny_recipe(optim={"lr": 1e30}, steps_per_epoch=steps))
    assert len(metrics) == 1
    assert not math.isfinite(metrics[0]["val_loss"])
    assert math.isfinite(metrics[0]["train_loss"]) == (steps == 1)


def test_a_loss_that_is_not_finite_ends_a_training_without_validation() -> None:
    _, metrics, _ = run(tiny_recipe(optim={"lr": 1e30}), TrainData(DATA.train))
    assert len(metrics) == 1


@pytest.mark.parametrize("patience", [1, 2])
def test_the_training_ends_when_the_validation_loss_has_not_improved_for_its_patience(patience: int) -> None:
    _, metrics, _ = run(tiny_recipe(patience_epochs=patience), HARDER, epochs=12)
    losses = column(metrics, "val_loss")
    assert len(losses) < 12
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + patience


@pytest.mark.parametrize("patience", [0, 2])
def test_plateau_drops_the_rate_where_torch_does_on_the_same_losses(patience: int) -> None:
    schedule = {"name": "plateau", "factor": 0.4, "patience_epochs": patience}
    _, metrics, _ = run(tiny_recipe(schedule=schedule), HARDER, epochs=9)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = ReduceLROnPlateau(optimizer, factor=0.4, patience=patience)
    expected = []
    for loss in column(metrics, "val_loss"):
        expected.append(optimizer.param_groups[0]["lr"])
        reference.step(loss)
    assert column(metrics, "lr_scale") == pytest.approx(expected)
    assert expected[-1] < 0.5


def test_plateau_drops_the_smallest_rates_too() -> None:
    recipe = tiny_recipe(
        schedule={"name": "plateau", "factor": 0.1, "patience_epochs": 0},
        optim={"lr": 1e-4, "backbone_lr_mult": 1e-5},
    )
    _, metrics, states = run(recipe, HARDER, epochs=4)
    rates = [[group["lr"] for group in state.optimizer["param_groups"]] for state in states]
    scales = [*column(metrics, "lr_scale")[1:], None]
    for of_epoch, scale in zip(rates, scales, strict=True):
        if scale is not None:
            assert of_epoch == pytest.approx([1e-9 * scale] * 2 + [1e-4 * scale] * 2)


def test_a_replay_repeats_the_drops_and_the_number_of_epochs_and_decides_nothing() -> None:
    recipe = tiny_recipe(schedule={"name": "plateau", "factor": 0.5, "patience_epochs": 0}, patience_epochs=3)
    recorded = column(run(recipe, HARDER, epochs=12)[1], "lr_scale")
    assert len(recorded) < 12
    assert recorded[-1] < 1
    assert column(run(recipe, TrainData(DATA.train), epochs=12, replay=recorded)[1], "lr_scale") == recorded
    others = [1.0, 1.0, 1.0, 1.0, 0.2, 0.2, 0.2, 0.1]  # not what these losses ask for
    assert column(run(recipe, HARDER, epochs=12, replay=others)[1], "lr_scale") == pytest.approx(others)


def test_a_replay_of_a_cosine_follows_the_long_schedule_to_where_it_was_ended() -> None:
    recipe = tiny_recipe(schedule={"name": "cosine"})
    _, whole, _ = run(recipe, epochs=6)
    _, replayed, _ = run(recipe, epochs=6, replay=column(whole, "lr_scale")[:4])
    assert column(replayed, "train_loss") == column(whole, "train_loss")[:4]


def by_hand(recipe: Recipe, *, epochs: int, seed: int) -> nn.Module:
    """The same training written with torch's own optimizer, loss and schedule."""
    torch.manual_seed(seed)
    model = create_model(recipe, len(DATA.train.classes)).to(memory_format=torch.channels_last)
    feed = Feed(DATA.train, recipe, CPU, *normalization(model))
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    vectors = [weight for weight in model.parameters() if weight.ndim == 1]
    decay, lr = recipe.optim.weight_decay, recipe.optim.lr
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=decay)
    total, low = epochs * feed.steps_per_pass, lr * recipe.schedule.final_share
    schedule = CosineAnnealingLR(optimizer, T_max=total, eta_min=low)
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.loss.label_smoothing)
    for epoch in range(1, epochs + 1):
        for batch in feed.training(feed.steps_per_pass, seed, epoch, recipe.geometry.size_px):
            optimizer.zero_grad()
            loss_of(model(batch.images), batch.labels).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def test_adamw_label_smoothing_and_cosine_are_those_of_torch() -> None:
    recipe = tiny_recipe(
        optim={"weight_decay": 0.3},
        loss={"label_smoothing": 0.2},
        schedule={"name": "cosine", "final_share": 0.05},
    )
    model, metrics, _ = run(recipe, epochs=3, seed=4)
    expected = by_hand(recipe, epochs=3, seed=4)
    for ours, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    falls = [0.05 + 0.95 * (1 + math.cos(math.pi * epoch / 3)) / 2 for epoch in range(3)]
    assert column(metrics, "lr_scale") == pytest.approx(falls)


def test_the_averaged_weights_are_what_is_evaluated_and_returned() -> None:
    recipe = tiny_recipe(ema={"decay": 0.99}, optim={"lr": 1e-2})
    model, metrics, states = run(recipe, epochs=2)
    plain, plain_metrics, _ = run(tiny_recipe(optim={"lr": 1e-2}), epochs=2)
    assert column(metrics, "train_loss") == column(plain_metrics, "train_loss")
    assert column(metrics, "val_loss") != column(plain_metrics, "val_loss")
    assert metrics[-1]["val_loss"] == pytest.approx(
        evaluate(model, recipe, DATA.val, runtime=CPU)["log_loss"], abs=1e-6
    )
    assert states[-1].ema is not None
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, states[-1].ema[name])
        assert torch.equal(plain.state_dict()[name], states[-1].model[name])


def test_the_average_follows_its_formula() -> None:
    recipe = tiny_recipe(ema={"decay": 0.6}, steps_per_epoch=1)  # a step an epoch: every state is seen
    _, _, states = run(recipe, epochs=6)
    average = states[0].model["head.weight"]
    for step, state in enumerate(states):
        kept = min(0.6, 1 - (1 + step) ** (-2 / 3))
        average = kept * average + (1 - kept) * state.model["head.weight"]
        assert state.ema is not None
        torch.testing.assert_close(state.ema["head.weight"], average)


def test_the_network_comes_back_in_evaluation_mode_on_the_cpu() -> None:
    model, _, _ = run(tiny_recipe(), epochs=1)
    assert not any(module.training for module in model.modules())
    assert {weight.device.type for weight in model.parameters()} == {"cpu"}


@pytest.mark.parametrize("ema", [None, 0.9])
def test_keeping_the_best_returns_the_weights_of_the_epoch_with_the_lowest_loss(ema: float | None) -> None:
    recipe = tiny_recipe(keep="best", ema={"decay": ema})
    model, metrics, states = run(recipe, HARDER, epochs=8)
    losses = column(metrics, "val_loss")
    best = losses.index(min(losses))
    assert best < 7
    evaluated = states[best].model if ema is None else states[best].ema
    assert evaluated is not None
    assert all(torch.equal(weight, evaluated[name]) for name, weight in model.state_dict().items())
    assert evaluate(model, recipe, HARDER.val, runtime=CPU)["log_loss"] == pytest.approx(losses[best])
    # The training itself goes on as if nothing were kept.
    last, plain_metrics, plain_states = run(tiny_recipe(ema={"decay": ema}), HARDER, epochs=8)
    assert column(plain_metrics, "val_loss") == losses
    assert not same_weights(model, last)
    # A second copy of the weights is there only where it is asked for.
    assert [state.best["weights"] is None for state in (states[0], plain_states[-1])] == [False, True]


def test_keeping_the_best_keeps_the_last_where_there_is_nothing_to_decide_by() -> None:
    recipe = tiny_recipe(keep="best")
    last, metrics, _ = run(tiny_recipe(), HARDER, epochs=6)
    without, _, _ = run(recipe, TrainData(HARDER.train), epochs=6)
    replayed, _, _ = run(recipe, HARDER, epochs=6, replay=column(metrics, "lr_scale"))
    assert same_weights(without, last)
    assert same_weights(replayed, last)


def test_a_training_that_diverges_ends_with_the_best_it_had() -> None:
    # The head alone, at no rate to speak of; then the backbone, at far too high a one.
    recipe = tiny_recipe(keep="best", optim={"lr": 1e30, "head_lr_mult": 1e-33}, freeze={"epoch": 1})
    model, metrics, states = run(recipe, epochs=4)
    assert [math.isfinite(loss) for loss in column(metrics, "val_loss")] == [True, False]
    assert all(torch.equal(weight, states[0].model[name]) for name, weight in model.state_dict().items())


def test_pictures_grow_evenly_and_are_evaluated_at_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[bool, int]] = []

    def listening(*args: Any, **kwargs: Any) -> nn.Module:
        model = create_model(*args, **kwargs)
        model.register_forward_pre_hook(
            lambda module, inputs: sizes.append((module.training, inputs[0].shape[-1]))
        )
        return model

    monkeypatch.setattr("trainables.loop.create_model", listening)
    recipe = tiny_recipe(
        model={"name": "test_resnet", "args": {}},
        geometry={"size_px": 48, "start_px": 16, "grow_share": 0.5},
        steps_per_epoch=1,
    )
    run(recipe, TrainData(toy_pictures(16, 1), toy_pictures(4, 2)), epochs=6)
    grown = [size for training, size in sizes if training]
    assert grown == [training_px(recipe.geometry, epoch, 6) for epoch in range(1, 7)]
    assert grown[0] == 16
    assert grown[3:] == [48, 48, 48]
    assert {size for training, size in sizes if not training} == {48}


def test_balanced_sampling_serves_every_class_equally_often() -> None:
    whole = toy_pictures(96, 1)
    kept = (whole.labels > 0) | (np.arange(96) % 8 == 0)
    data = TrainData(ToyPictures(whole.pixels[kept], whole.labels[kept], whole.classes))
    run(tiny_recipe(loss={"balance": "sampling"}), data, epochs=3)
    served = np.bincount(data.train.labels[data.train.served])
    assert np.bincount(data.train.labels).min() < len(data.train) / 10
    assert served.sum() == 3 * len(data.train)
    assert served.max() - served.min() <= 3  # one an epoch


@pytest.mark.parametrize(
    "sections",
    [
        {"optim": {"name": "sgd", "lr": 0.05, "clip_norm": 1.0}, "schedule": {"name": "one_cycle"}},
        {"optim": {"name": "lamb"}, "schedule": {"name": "cosine", "warmup_share": 0.2}},
        {"optim": {"name": "lion", "lr": 3e-3, "layer_decay": 0.8}, "schedule": {"name": "step"}},
        {"freeze": {"epoch": 2, "then": "gradual"}, "optim": {"lr": 2e-2}},
        {"augment": {"strength": 0.2, "mixup": 0.5, "cutmix": 0.5}, "ema": {"decay": 0.9}},
    ],
    ids=str,
)
def test_the_toy_problem_is_learned_in_many_ways(sections: dict[str, Any]) -> None:
    assert run(tiny_recipe(**sections), epochs=10)[1][-1]["val_accuracy"] > 0.85
