"""The kernels that are shown are those of the layers that they are said to be of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import trainables.models  # noqa: F401  (timm comes after: see trainables.torch_setup)

import timm  # isort: skip

from trainables.explain.kernels import MOST, kernels


def layers(
    name: str, side_px: int = 64, **args: Any
) -> dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Name, shape of all weights and of those taken, by kind."""
    model = timm.create_model(name, num_classes=4, **args)
    found = kernels(model, torch.zeros(1, 3, side_px, side_px))
    return {entry.which: (entry.layer, entry.shape, entry.weights.shape) for entry in found}


def test_a_resnet_has_all_three() -> None:
    assert layers("resnet26") == {
        "first": ("conv1", (64, 3, 7, 7), (64, 3, 7, 7)),
        "last_spatial": ("layer4.1.conv2", (512, 512, 3, 3), (MOST, 3, 3)),
        "last_pointwise": ("layer4.1.conv3", (2048, 512, 1, 1), (MOST, MOST)),
    }


def test_dense_layers_that_are_written_as_convolutions_do_not_count() -> None:
    """Neither squeeze-and-excitation nor what is behind the pooling."""
    found = layers("mobilenetv3_small_050")
    assert found["last_spatial"] == ("blocks.4.2.conv_dw", (288, 1, 5, 5), (MOST, 5, 5))
    assert found["last_pointwise"] == ("blocks.5.0.conv", (288, 48, 1, 1), (MOST, 48))


@pytest.mark.parametrize(
    ("name", "args"), [("test_vit", {"img_size": 64}), ("mixer_s32_224", {"img_size": 64})]
)
def test_patches_are_the_only_convolution_of_some(name: str, args: dict[str, Any]) -> None:
    found = layers(name, **args)
    assert list(found) == ["first"]
    side = 16 if name == "test_vit" else 32
    assert found["first"][2] == (MOST, 3, side, side)


def test_a_layer_that_sees_no_colours_as_such_gives_kernels_from_one_input_each() -> None:
    found = layers("mini_xception", img_size=64)
    assert found["first"] == ("blocks.0.0.0", (3, 1, 3, 3), (3, 3, 3))
    assert found["last_spatial"] == ("blocks.4.1.0", (256, 1, 3, 3), (MOST, 3, 3))
    assert found["last_pointwise"] == ("blocks.4.1.1", (256, 256, 1, 1), (MOST, MOST))


def test_layers_count_by_when_they_are_computed_not_by_when_they_are_written() -> None:
    class Crossed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.b = nn.Conv2d(4, 5, 3, padding=1)
            self.a = nn.Conv2d(3, 4, 3, padding=1)
            self.unused = nn.Conv2d(3, 4, 3)

        def forward(self, images: Tensor) -> Tensor:
            return self.b(self.a(images)).mean((2, 3))

    found = kernels(Crossed(), torch.zeros(1, 3, 8, 8))
    assert [(entry.which, entry.layer) for entry in found] == [("first", "a"), ("last_spatial", "b")]


def test_without_convolutions_there_are_none() -> None:
    assert kernels(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), torch.zeros(1, 3, 8, 8)) == []


def test_the_strongest_are_taken() -> None:
    model = nn.Sequential(nn.Conv2d(3, 80, 3), nn.Conv2d(80, 90, 3), nn.Conv2d(90, 100, 1))
    first, spatial, pointwise = kernels(model, torch.zeros(1, 3, 16, 16))
    weights = [layer.weight.detach().numpy() for layer in model]
    norms = np.linalg.norm(weights[0].reshape(80, -1), axis=1)
    np.testing.assert_array_equal(first.weights, weights[0][np.argsort(-norms)[:MOST]])
    each = weights[1].reshape(-1, 3, 3)
    norms = np.linalg.norm(each.reshape(-1, 9), axis=1)
    np.testing.assert_array_equal(spatial.weights, each[np.argsort(-norms)[:MOST]])
    matrix = weights[2][:, :, 0, 0]
    rows = np.sort(np.argsort(-np.linalg.norm(matrix, axis=1))[:MOST])
    columns = np.sort(np.argsort(-np.linalg.norm(matrix[rows], axis=0))[:MOST])
    np.testing.assert_array_equal(pointwise.weights, matrix[np.ix_(rows, columns)])
