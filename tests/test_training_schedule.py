"""The learning rate, step by step, beside torch's own schedulers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adagrad, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from spaces.recipe import Schedule
from trainables.schedule import LearningRate

EPOCHS, STEPS = 5, 8
TOTAL = EPOCHS * STEPS


@pytest.fixture(autouse=True)
def _no_steps_of_the_optimizer() -> Iterator[None]:
    """Only rates are looked at here: torch warns that the optimizer never steps."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        yield


def optimizer(*rates: float, kind: Callable[..., Optimizer] = SGD) -> Optimizer:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates or (1.0,)]
    return kind(groups, momentum=0.9) if kind is SGD else kind(groups)


def rates(
    schedule: dict[str, Any],
    *,
    epochs: int = EPOCHS,
    steps: int = STEPS,
    losses: Sequence[float | None] = (),
    replay: Sequence[float] | None = None,
    over: Optimizer | None = None,
) -> list[float]:
    """The scale at every step of a whole training."""
    rate = LearningRate(
        over or optimizer(),
        Schedule.model_validate(schedule),
        epochs=epochs,
        steps_per_epoch=steps,
        replay=replay,
    )
    found = []
    for epoch in range(1, epochs + 1):
        for _ in range(steps):
            found.append(rate.scale)
            rate.after_step()
        rate.after_epoch(epoch, losses[epoch - 1] if losses else None)
    return found


def of_torch(make: Callable[[Optimizer], LRScheduler], total: int = TOTAL) -> list[float]:
    reference = optimizer()
    scheduler = make(reference)
    found = []
    for _ in range(total):
        found.append(reference.param_groups[0]["lr"])
        scheduler.step()
    return found


def warm(reference: Optimizer, steps: int) -> LinearLR:
    return LinearLR(reference, start_factor=1 / (steps + 1), total_iters=steps)


def test_a_constant_rate_is_constant_after_its_warm_up() -> None:
    assert rates({"name": "constant"}) == [1.0] * TOTAL
    assert rates({"name": "constant", "warmup_share": 0.2}) == pytest.approx(
        of_torch(lambda reference: warm(reference, 8))
    )


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_cosine_is_torchs_after_a_linear_warm_up(share: float) -> None:
    steps = round(share * TOTAL)

    def reference(over: Optimizer) -> LRScheduler:
        cosine = CosineAnnealingLR(over, T_max=max(1, TOTAL - steps), eta_min=0.03)
        return SequentialLR(over, [warm(over, steps), cosine], [steps]) if steps else cosine

    ours = rates({"name": "cosine", "final_share": 0.03, "warmup_share": share})
    assert ours == pytest.approx(of_torch(reference))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_step_is_torchs_times_the_warm_up(share: float) -> None:
    def reference(over: Optimizer) -> LRScheduler:
        steps = StepLR(over, step_size=12, gamma=0.3)
        return ChainedScheduler([warm(over, round(share * TOTAL)), steps]) if share else steps

    ours = rates({"name": "step", "step_share": 0.3, "factor": 0.3, "warmup_share": share})
    assert ours == pytest.approx(of_torch(reference))
    assert ours[-1] == pytest.approx(0.3**3)


@pytest.mark.parametrize(("share", "rise"), [(0.0, 0.3), (0.1, 0.1), (0.6, 0.6)])
def test_one_cycle_is_torchs(share: float, rise: float) -> None:
    ours = rates({"name": "one_cycle", "warmup_share": share})
    theirs = of_torch(lambda over: OneCycleLR(over, max_lr=1.0, total_steps=TOTAL, pct_start=rise))
    assert ours == pytest.approx(theirs)
    assert max(ours) == pytest.approx(1, abs=0.01)
    assert ours.index(max(ours)) == round(rise * TOTAL) - 1
    assert ours[-1] < 1e-5


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_one_cycle_moves_the_momentum_the_other_way_round(kind: Callable[..., Optimizer]) -> None:
    over = optimizer(kind=kind)
    schedule = Schedule(name="one_cycle", warmup_share=0.25)
    rate = LearningRate(over, schedule, epochs=EPOCHS, steps_per_epoch=STEPS)
    momenta = []
    for _ in range(TOTAL):
        group = over.param_groups[0]
        momenta.append(group["betas"][0] if kind is AdamW else group["momentum"])
        rate.after_step()
    assert [momenta[0], min(momenta), momenta[-1]] == pytest.approx([0.95, 0.85, 0.95])
    assert momenta.index(min(momenta)) == 9  # at the highest rate


def test_one_cycle_does_without_momentum_where_there_is_none() -> None:
    ours = rates({"name": "one_cycle"}, over=optimizer(kind=Adagrad))
    assert ours == pytest.approx(rates({"name": "one_cycle"}))


@pytest.mark.parametrize("name", ["constant", "cosine", "one_cycle", "step", "plateau"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.34, 0.5, 0.99])
def test_every_schedule_fits_any_length(name: str, share: float) -> None:
    for epochs in range(1, 12):
        found = rates({"name": name, "warmup_share": share}, epochs=epochs, steps=1, losses=[1.0] * epochs)
        assert all(math.isfinite(scale) and 0 <= scale <= 1 for scale in found)


@pytest.mark.parametrize("name", ["constant", "cosine", "one_cycle", "step", "plateau"])
def test_the_groups_keep_their_proportions(name: str) -> None:
    over = optimizer(1.0, 0.1, 1e-9)
    rate = LearningRate(
        over, Schedule(name=name, warmup_share=0.2, patience_epochs=0), epochs=EPOCHS, steps_per_epoch=STEPS
    )
    for epoch in range(1, EPOCHS + 1):
        for _ in range(STEPS):
            scaled = [group["lr"] / rate.scale for group in over.param_groups]
            assert scaled == pytest.approx([1.0, 0.1, 1e-9])
            rate.after_step()
        rate.after_epoch(epoch, 1.0)
    if name != "constant":
        assert rate.scale < 1


@pytest.mark.parametrize(("share", "first"), [(0.0, 1), (0.2, 2), (0.3, 3)])
def test_plateau_is_torchs_on_the_epochs_that_begin_after_the_warm_up(share: float, first: int) -> None:
    losses = [1.0, 2.0, 2.1, 1.9, 2.2, 2.3, 2.4, 1.0, 3.0, 3.0]
    schedule = {"name": "plateau", "factor": 0.5, "patience_epochs": 1, "warmup_share": share}
    ours = rates(schedule, epochs=10, losses=losses)
    over = optimizer()
    reference = ReduceLROnPlateau(over, factor=0.5, patience=1)
    expected = []
    for epoch, loss in enumerate(losses, start=1):
        expected += [over.param_groups[0]["lr"]] * STEPS
        if epoch >= first:
            reference.step(loss)
    steps = round(share * 10 * STEPS)
    assert ours[steps:] == pytest.approx(expected[steps:])
    assert ours[:steps] == pytest.approx([(step + 1) / (steps + 1) for step in range(steps)])
    assert ours[-1] < 1


@pytest.mark.parametrize("share", [0.0, 0.07, 0.2, 0.33])
def test_a_replay_repeats_a_plateaus_drops_whatever_the_steps_an_epoch(share: float) -> None:
    epochs, losses = 9, [1.0] * 9  # drops wherever it may
    schedule = {"name": "plateau", "factor": 0.5, "patience_epochs": 1, "warmup_share": share}
    recorded = rates(schedule, epochs=epochs, losses=losses)[::STEPS]
    assert recorded[-1] < 0.5
    for steps in (1, STEPS, 11, 30):
        # The losses, where there are any, decide nothing.
        replayed = rates(schedule, epochs=epochs, steps=steps, replay=recorded, losses=range(9, 0, -1))
        warmup = round(share * epochs * steps)
        assert replayed[:warmup] == pytest.approx([(step + 1) / (warmup + 1) for step in range(warmup)])
        for epoch in range(math.ceil(share * epochs), epochs):
            assert replayed[epoch * steps : (epoch + 1) * steps] == [recorded[epoch]] * steps


@pytest.mark.parametrize("name", ["constant", "cosine", "one_cycle", "step"])
def test_a_replay_of_a_formula_follows_the_formula(name: str) -> None:
    schedule = {"name": name, "warmup_share": 0.2}
    assert rates(schedule, replay=[0.5] * EPOCHS) == rates(schedule)


@pytest.mark.parametrize("name", ["constant", "cosine", "one_cycle", "step", "plateau"])
@pytest.mark.parametrize("ended", [1, 2, 4])
def test_it_goes_on_exactly_where_its_state_was_taken(name: str, ended: int) -> None:
    schedule = Schedule(name=name, warmup_share=0.3, patience_epochs=0)

    def run(rate: LearningRate, epochs: range) -> list[float]:
        found = []
        for epoch in epochs:
            for _ in range(STEPS):
                found.append(rate.scale)
                rate.after_step()
            rate.after_epoch(epoch, 1.0)
        return found

    def fresh() -> tuple[Optimizer, LearningRate]:
        over = optimizer(0.1, 0.01)
        return over, LearningRate(over, schedule, epochs=EPOCHS, steps_per_epoch=STEPS)

    over, rate = fresh()
    run(rate, range(1, ended + 1))
    states = over.state_dict(), rate.state_dict()
    resumed_over, resumed = fresh()
    resumed_over.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    later = range(ended + 1, EPOCHS + 1)
    assert run(resumed, later) == run(rate, later)
    for ours, theirs in zip(resumed_over.param_groups, over.param_groups, strict=True):
        assert {**ours, "params": None} == {**theirs, "params": None}
