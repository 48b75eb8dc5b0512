"""What trainings are expected to cost, by arithmetic and by what has run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from search.costs import cost_model as module
from search.costs.cost_model import CostModel
from search.costs.pace import BEND, NOISE, OFFSET, Pace
from search.run import parser
from search.settings.settings import Settings
from search.trials.records import Records
from search.trials.trials import Trial, TrialRecord
from spaces.recipe import Recipe
from spaces.space import Space
from tests.simulated import epoch, space
from trainables.models import size
from trainables.models.create import create_model, create_shapes
from trainables.models.dry_run import skip_batch_norms
from trainables.models.size import multiply_adds

from timm.models import register_model  # isort: skip  (after our networks: see trainables.torch_setup)

TWO = """
description: a small network in three widths, and one that may be frozen
base:
  geometry: {size_px: 32}
parameters:
  model.name: {choice: [plain_cnn, test_resnet]}
  optim.name: {choice: [adamw, sgd]}
  # A condition on what decides on no network.
  model.args.width:
    - {choice: [8, 16, 32], when: {model.name: plain_cnn, optim.name: adamw}}
    - {fixed: 64, when: {model.name: plain_cnn, optim.name: sgd}}
  optim.lr: {log: [1.0e-4, 1.0e-2]}
  freeze.epoch: {share: [0.0, 0.5], when: {model.name: test_resnet}}
"""
WIDTH = "model.args.width@1"
PASSES, PICTURES, CLASSES = 10, 1000, 3


def recipe(name: str = "plain_cnn", size_px: int = 32, **sections: Any) -> Recipe:
    model = {"name": name, **sections.pop("model", {})}
    return Recipe.model_validate({"model": model, "geometry": {"size_px": size_px}, **sections})


def small(width: int) -> Recipe:
    return recipe(model={"args": {"width": width}})


def records(*ran: tuple[Recipe, list[float]]) -> Records:
    """Trials of `PASSES` epochs, each with the seconds of those that have run."""
    found = Records()
    for tried, seconds in ran:
        add(found, tried, seconds)
    return found


def add(found: Records, tried: Recipe, seconds: list[float], *, passes: float = 1.0) -> None:
    """A further trial, whose epochs are so many passes."""
    number = len(found.trials)
    found.trials[number] = TrialRecord(Trial(number, tried.to_dict(), {}, 0, PASSES), started=0.0)
    for place, epoch_s in enumerate(seconds, start=1):
        made = epoch(number, place, epoch_s=epoch_s)
        found.order.append(type(made)(**{**vars(made), "passes": place * passes}))


@pytest.fixture
def searched(tmp_path: Path) -> Space:
    return space(tmp_path, TWO)


def costs(searched: Space, mode: Any = "measured", known: Records | None = None) -> CostModel:
    return CostModel(mode, known or Records(), searched, classes=CLASSES, passes=PASSES, pictures=PICTURES)


def nominal_s(of: Recipe) -> float:
    """A pass of the nominal machine, forth and back."""
    return 3 * multiply_adds(of, CLASSES) * PICTURES / 1e12


class Layers(nn.Module):
    """A convolution in groups, a batch norm and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 5, stride=2, groups=3)
        self.norm = nn.BatchNorm2d(12)
        self.last = nn.Linear(12 * 14 * 14, 7)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(self.conv(images)).flatten(1))


# --- multiply-adds


def test_multiply_adds_are_those_counted_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size, "create_shapes", lambda *_: Layers().to("meta"))
    # 32 px, 5x5 kernels at a stride of 2: 14 px. Each of 12 maps looks at one channel of three.
    assert multiply_adds(recipe(), CLASSES) == 14 * 14 * 12 * 5 * 5 * 1 + 12 * 14 * 14 * 7


@pytest.mark.parametrize(
    ("name", "published"),
    # He et al. 2016 for ResNets, Tan & Le 2019, Touvron et al. 2021 for the transformer, at 224 px.
    [
        ("resnet18", 1.82e9),
        ("resnet50", 4.1e9),
        ("efficientnet_b0", 0.39e9),
        ("vit_small_patch16_224", 4.6e9),
    ],
)
def test_multiply_adds_of_known_networks_are_the_published_ones(name: str, published: float) -> None:
    assert multiply_adds(recipe(name, 224), 1000) == pytest.approx(published, rel=0.02)


def test_arithmetic_grows_with_the_pictures_and_with_the_stem() -> None:
    once = multiply_adds(recipe("resnet18", 64), 10)
    assert multiply_adds(recipe("resnet18", 128), 10) == pytest.approx(4 * once, rel=0.01)
    assert multiply_adds(recipe("resnet18", 64, model={"stem": "small"}), 10) > 10 * once


@pytest.mark.parametrize("name", ["plain_cnn", "test_resnet", "test_vit", "pit_ti_224"])
def test_nothing_is_computed_or_downloaded_to_count(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = set()

    def watched(*args: Any) -> nn.Module:
        made = create_shapes(*args)
        devices.update(entry.device.type for entry in [*made.parameters(), *made.buffers()])
        made.register_forward_pre_hook(lambda _, inputs: devices.add(inputs[0].device.type))
        return made

    monkeypatch.setattr(size, "create_shapes", watched)
    monkeypatch.setattr(size, "create_model", lambda *_, **__: pytest.fail("made for real"))
    side_px = 224 if name.endswith("224") else 32
    assert multiply_adds(recipe(name, side_px, model={"pretrained": True}), CLASSES) > 0
    assert devices == {"meta"}


def test_a_network_that_looks_at_values_is_counted_all_the_same() -> None:
    class Picky(Layers):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images + images.mean().item())

    @register_model
    def picky_to_count(pretrained: bool = False, **_: Any) -> nn.Module:
        made: Any = Picky()
        made.pretrained_cfg, made.num_classes, made.num_features = {}, 7, 12
        made.get_classifier = lambda: made.last
        return made

    assert multiply_adds(recipe("picky_to_count"), CLASSES) == 58800 + 16464


def test_skipping_batch_norms_changes_no_shape_and_nothing_else() -> None:
    model = create_model(recipe("test_resnet"), CLASSES)
    kept = {name for name, _ in model.named_parameters()}
    skipped = skip_batch_norms(model)
    assert skipped(torch.zeros(2, 3, 32, 32)).shape == (2, CLASSES)
    assert {name for name, _ in skipped.named_parameters()} == kept


# --- static


def test_static_costs_are_three_times_the_way_forward_for_each_picture(searched: Space) -> None:
    params = {"model.name": "plain_cnn", "optim.name": "adamw", WIDTH: 16, "optim.lr": 1e-3}
    model = costs(searched, "static")
    assert model.of(params) == pytest.approx(PASSES * nominal_s(small(16)))
    assert model.pass_s(small(16), epochs=PASSES) == pytest.approx(nominal_s(small(16)))


def test_static_costs_are_the_same_whatever_has_run(searched: Space) -> None:
    known = records((small(8), [100.0, 100.0]), (recipe("test_resnet"), [0.1]))
    params = {"model.name": "test_resnet", "optim.name": "sgd", "optim.lr": 1e-3, "freeze.epoch": 0.2}
    assert costs(searched, "static", known).of(params) == costs(searched, "static").of(params)


def test_families_are_ordered_from_cheap_to_dear(searched: Space) -> None:
    model = costs(searched, "static")
    known = ["mobilenetv3_large_100", "efficientnet_b0", "resnet18", "resnet50", "resnet101"]
    found = {name: model.pass_s(recipe(name, 96), epochs=PASSES) for name in reversed(known)}
    assert sorted(found, key=found.__getitem__) == known


def test_while_the_backbone_is_frozen_it_only_goes_forward(searched: Space) -> None:
    model = costs(searched, "static")
    params = {"model.name": "test_resnet", "optim.name": "sgd", "optim.lr": 1e-3}
    free, half = (model.of({**params, "freeze.epoch": share}) for share in (0.0, 0.5))
    assert half == pytest.approx(free * (0.5 * 3 + 0.5 * 1) / 3)
    for frozen, expected in ((5, half), (0, free), (PASSES, free / 3)):
        tried = recipe("test_resnet", freeze={"epoch": frozen})
        assert PASSES * model.pass_s(tried, epochs=PASSES) == pytest.approx(expected)


def test_each_network_is_counted_once(searched: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []

    def counting(of: Recipe, classes: int) -> int:
        counted.append(of.model.args["width"])
        return counted[-1]

    monkeypatch.setattr(module, "multiply_adds", counting)
    model = costs(searched, "static")
    params = {"model.name": "plain_cnn", "optim.name": "adamw"}
    for width in (8, 32, 8):
        for rate in (1e-3, 2e-3):
            model.of({**params, WIDTH: width, "optim.lr": rate})
    model.pass_s(small(8), epochs=PASSES)
    assert counted == [8, 32]
    # What a network's width depends on tells it apart, though it decides on none itself.
    assert model.of({**params, "optim.name": "sgd", "optim.lr": 1e-3}) == 2 * model.of(
        {**params, WIDTH: 32, "optim.lr": 1e-3}
    )
    assert counted == [8, 32, 64]


def test_another_head_is_the_same_network_and_hardly_costs_more(searched: Space) -> None:
    own, other = recipe("resnet18"), recipe("resnet18", model={"head_dense": 1024, "pool": "avgmax"})
    assert multiply_adds(other, CLASSES) == pytest.approx(multiply_adds(own, CLASSES), rel=0.02)
    model = costs(searched, "static")
    assert model.pass_s(other, epochs=PASSES) == model.pass_s(own, epochs=PASSES)


# --- measured


def test_before_anything_has_run_measured_is_static(searched: Space) -> None:
    for tried in (small(8), recipe("test_resnet", freeze={"epoch": 3})):
        static, measured = (
            costs(searched, mode).pass_s(tried, epochs=PASSES) for mode in ("static", "measured")
        )
        assert measured == pytest.approx(static)


def test_what_was_measured_takes_over_and_scales_what_was_not(searched: Space) -> None:
    known = records(
        (small(8), [4.0] * PASSES), (small(32), [4 * nominal_s(small(32)) / nominal_s(small(8))] * PASSES)
    )
    model = costs(searched, known=known)
    slower = 4.0 / nominal_s(small(8))
    assert model.pass_s(small(8), epochs=PASSES) == pytest.approx(4.0, rel=0.01)
    # Of another kind nothing is known but that all is so many times slower than the nominal machine.
    other = recipe("test_resnet")
    assert model.pass_s(other, epochs=PASSES) == pytest.approx(slower * nominal_s(other), rel=0.01)


def test_a_kind_that_is_slower_than_its_arithmetic_says_is_known_for_it(searched: Space) -> None:
    slow = recipe("test_resnet")
    known = records((small(16), [1.0] * 5), (slow, [8.0] * 5))
    model = costs(searched, known=known)
    assert model.pass_s(small(16), epochs=PASSES) == pytest.approx(1.0, rel=0.05)
    assert model.pass_s(slow, epochs=PASSES) == pytest.approx(8.0, rel=0.05)


def test_epochs_count_from_when_they_are_recorded(searched: Space) -> None:
    known = records((small(8), [2.0] * 4))
    model = costs(searched, known=known)
    params = {"model.name": "plain_cnn", "optim.name": "adamw", WIDTH: 8, "optim.lr": 1e-3}
    assert model.of(params) == pytest.approx(2.0 * PASSES)
    add(known, small(8), [8.0] * 4)
    assert model.of(params) == pytest.approx(4.0 * PASSES)  # the geometric mean
    assert costs(searched, known=known).of(params) == model.of(params)  # as after a resume


def test_seconds_are_those_of_a_pass_however_long_an_epoch_is(searched: Space) -> None:
    known = Records()
    add(known, small(8), [1.0, 1.0], passes=0.25)
    assert costs(searched, known=known).pass_s(small(8), epochs=PASSES) == pytest.approx(4.0)


def test_epochs_with_a_frozen_backbone_say_what_one_that_trains_takes(searched: Space) -> None:
    frozen = recipe("test_resnet", freeze={"epoch": 4})
    model = costs(searched, known=records((frozen, [1.0] * 4 + [3.0] * 4)))
    assert model.pass_s(recipe("test_resnet"), epochs=PASSES) == pytest.approx(3.0)
    assert model.pass_s(frozen, epochs=PASSES) == pytest.approx(0.4 * 1.0 + 0.6 * 3.0)


# --- pace


def test_the_fit_is_the_maximum_of_the_mixed_models_posterior() -> None:
    rng = np.random.default_rng(0)
    epochs = [
        (name, float(np.exp(work)), float(np.exp(1 + 0.6 * work + offset + 0.2 * rng.normal())))
        for name, offset in (("a", 0.5), ("b", -0.5), ("c", 0.0))
        for work in rng.normal(size=4)
        for _ in range(rng.integers(1, 4))
    ]
    pace = Pace()
    for each in epochs:
        pace.add(*each)

    names = ["a", "b", "c"]
    known = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([known], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        total = (known[1] / BEND) ** 2 + ((known[2:] / OFFSET) ** 2).sum()
        for name, work, seconds in epochs:
            expected = known[0] + known[1] * math.log(work) + known[2 + names.index(name)]
            total = total + ((math.log(seconds / work) - expected) / NOISE) ** 2
        total.backward()
        return total

    optimizer.step(loss)
    level, bend, *offsets = known.tolist()
    for name, offset in [*zip(names, offsets, strict=True), ("never seen", 0.0)]:
        expected = 2.5 * math.exp(level + bend * math.log(2.5) + offset)
        assert pace.seconds(name, 2.5) == pytest.approx(expected, rel=1e-5)


def test_seconds_that_hardly_grow_with_work_are_learnt_as_such() -> None:
    pace = Pace()
    for name in ("a", "b"):
        for work in (0.001, 0.01, 0.1):
            for _ in range(3):
                pace.add(name, work, 1 + work)
    assert pace.seconds("c", 0.03) == pytest.approx(1, rel=0.1)


def test_the_order_of_epochs_does_not_matter_and_their_unit_does_not() -> None:
    epochs = [("a", 1.0, 3.0), ("b", 4.0, 5.0), ("a", 1.0, 2.0), ("c", 9.0, 30.0)]
    one, other, larger = Pace(), Pace(), Pace()
    for name, work, seconds in epochs:
        one.add(name, work, seconds)
        larger.add(name, work * 1e6, seconds)
    for each in reversed(epochs):
        other.add(*each)
    assert one.seconds("b", 2.0) == pytest.approx(other.seconds("b", 2.0))
    assert one.seconds("b", 2.0) == pytest.approx(larger.seconds("b", 2e6))


# --- the setting


def test_the_cost_model_is_a_setting_that_a_resume_keeps() -> None:
    asked = {"name": "a", "space": "demo", "cache_dir": "c"}
    given = vars(parser().parse_args(["--cost-model", "static"]))
    assert Settings(**asked).cost_model == "measured"
    assert Settings(**asked, cost_model=given["cost_model"]).what_matters()["cost_model"] == "static"
