"""What is drawn: who gets which policy, how strength scales it, and what does not depend on anything else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spaces.augment import Augment, Policy
from tests.augmentation import SIDE, only, some
from trainables.augment.draw import NOTHING, draw

EVERYTHING = Augment(
    strong_share=0.5, elastic=0.1, background=0.5, mixup=0.3, cutmix=0.3, strong_by="trivial"
)


def test_at_strength_0_there_is_no_draw() -> None:
    assert draw(4, EVERYTHING.model_copy(update={"strength": 0.0}), SIDE, np.random.default_rng(0)) is None


def test_nothing_is_everything_of_a_policy_at_0() -> None:
    assert {name for name, value in NOTHING if value != 0} == {"blur_sigma"}


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_a_share_of_the_samples_gets_the_strong_policy_whatever_the_strength(strength: float) -> None:
    strong = Policy(**{**NOTHING.model_dump(), "hue": 0.2})
    drawn = some(4000, only(strong_share=0.3, strong=strong.model_dump(), brightness=0.5, strength=strength))
    is_strong, is_weak = drawn.hue != 0, drawn.brightness != 1
    assert is_strong.float().mean() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(is_strong, ~is_weak)
    assert drawn.hue.abs().max() == pytest.approx(0.2 * strength, abs=0.01)


def test_background_is_as_frequent_as_the_recipe_says() -> None:
    drawn = some(4000, only(background=0.6, strength=0.5)).background
    assert drawn.float().mean() == pytest.approx(0.3, abs=0.03)


def test_the_same_generator_gives_the_same_draw_and_another_one_another() -> None:
    one, same, other = some(8, EVERYTHING), some(8, EVERYTHING), some(8, EVERYTHING, seed=1)
    for name, value in vars(one).items():
        assert torch.equal(value, getattr(same, name))
    assert not torch.equal(one.homography, other.homography)


def test_some_rows_of_a_draw_are_these_samples_parameters() -> None:
    drawn = some(9, EVERYTHING)
    part = drawn.rows(slice(1, None, 3))
    assert vars(part).keys() == vars(drawn).keys()
    for name, value in vars(part).items():
        assert torch.equal(value, getattr(drawn, name)[1::3])
    assert some(9, only(hue=0.1)).rows(slice(2)).elastic is None


def test_a_draw_is_of_single_precision_and_on_the_cpu() -> None:
    for value in vars(some(3, EVERYTHING)).values():
        assert len(value) == 3
        assert value.device.type == "cpu"
        assert value.dtype in (torch.float32, torch.int64, torch.bool)
