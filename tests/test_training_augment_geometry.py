"""Random geometry is that of torchvision, where torchvision sees the picture and no filling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import trainables.torch_setup  # noqa: F401  (before torchvision)

from torchvision.transforms import InterpolationMode  # isort: skip
from torchvision.transforms.v2 import functional as reference  # isort: skip

from tests.augmentation import SIDE, as_images, extents_of, extreme, only, smooth, some
from trainables.augment import homography
from trainables.augment.draw import Draw
from trainables.augment.gaussian import elastic_field
from trainables.geometry import to_square

BILINEAR = InterpolationMode.BILINEAR
ENDS = pytest.mark.parametrize("end", [-1, 1])


def seen(pixels: Tensor, matrix: Tensor | np.ndarray | None = None, elastic: Tensor | None = None) -> Tensor:
    matrix = None if matrix is None else torch.as_tensor(matrix, dtype=torch.float32)
    return to_square(
        pixels, extents_of(pixels), size_px=SIDE, fit="resize", homography=matrix, elastic=elastic
    )


def affine(images: Tensor, **parameters: Any) -> Tensor:
    neutral: dict[str, Any] = {"angle": 0.0, "translate": [0.0, 0.0], "scale": 1.0, "shear": [0.0, 0.0]}
    return reference.affine(images, **{**neutral, **parameters}, interpolation=BILINEAR)


def assert_alike(ours: Tensor, theirs: Tensor, inside: Tensor) -> None:
    """Equal where the picture is seen, which is no small part."""
    inside = (inside > 1 - 1e-5).expand_as(ours)
    assert inside.float().mean() > 0.4
    torch.testing.assert_close(ours[inside], theirs[inside], rtol=0, atol=1e-4)


@ENDS
@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize(
    ("fields", "parameters"),
    [
        ({"rotate_deg": 20.0}, lambda m: {"angle": 20.0 * m}),
        ({"shift": 0.1}, lambda m: {"translate": [0.1 * SIDE * m] * 2}),
        ({"shear_deg": 15.0}, lambda m: {"shear": [15.0 * m] * 2}),
    ],
    ids=["rotation", "shift", "shear"],
)
def test_the_largest_change_is_that_of_torchvision(
    fields: dict[str, float], parameters: Any, end: int, strength: float
) -> None:
    images, ones = as_images(smooth()), torch.ones(1, 1, SIDE, SIDE)
    theirs = parameters(end * strength)
    ours = seen(smooth(), extreme(end, strength=strength, **fields).homography)
    assert_alike(ours, affine(images, **theirs), affine(ones, **theirs))
    assert (ours - images).abs().mean() > 0.02


@ENDS
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_zoom_enlarges_by_one_plus_its_magnitude_and_shrinks_by_as_much(end: int, strength: float) -> None:
    factor = (1 + 0.25 * strength) ** end
    images, ones = as_images(smooth()), torch.ones(1, 1, SIDE, SIDE)
    ours = seen(smooth(), extreme(end, zoom=0.25, strength=strength).homography)
    assert_alike(ours, affine(images, scale=factor), affine(ones, scale=factor))


def test_all_affine_changes_together_are_that_of_torchvision() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        angle, shear_x, shear_y = rng.uniform(-25, 25, 3)
        x, y = rng.uniform(-0.2, 0.2, 2)
        scale = rng.uniform(0.8, 1.25)
        turn, lean_x, lean_y = np.radians([[angle], [shear_x], [shear_y]])
        matrix = (
            homography.zoom(np.array([scale]))
            @ homography.shear(lean_x, lean_y)
            @ homography.rotation(turn)
            @ homography.shift(np.array([2 * x]), np.array([2 * y]))
        )
        parameters = {"angle": angle, "translate": [x * SIDE, y * SIDE], "scale": scale}
        parameters["shear"] = [shear_x, shear_y]
        images, ones = as_images(smooth()), torch.ones(1, 1, SIDE, SIDE)
        assert_alike(seen(smooth(), matrix), affine(images, **parameters), affine(ones, **parameters))


def test_a_flip_is_the_very_mirror_image_whatever_the_strength() -> None:
    flipped = seen(smooth(), extreme(1, flip=0.1, strength=0.01).homography)
    expected = reference.horizontal_flip(as_images(smooth()))
    torch.testing.assert_close(flipped, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("box", [(4, 6, 20, 16), (0, 0, 32, 24), (10, 3, 12, 29)])
def test_a_window_is_a_resized_crop(box: tuple[int, int, int, int]) -> None:
    left, top, width, height = (np.array([value / SIDE]) for value in box)
    x, y = 2 * left + width - 1, 2 * top + height - 1
    ours = seen(smooth(), homography.window(x, y, width, height))
    theirs = reference.resized_crop(
        as_images(smooth()), box[1], box[0], box[3], box[2], [SIDE, SIDE], BILINEAR, antialias=False
    )
    # At the window's border torchvision repeats its last pixels; ours sees what lies behind them.
    torch.testing.assert_close(ours[..., 2:-2, 2:-2], theirs[..., 2:-2, 2:-2], rtol=0, atol=1e-4)


def test_random_crops_leave_out_up_to_their_share_and_have_sides_of_three_to_four_at_most() -> None:
    crops = some(4000, only(crop=0.6, strength=0.5)).homography
    width, height = crops[:, 0, 0], crops[:, 1, 1]
    area, ratio = width * height, width / height
    assert area.min() == pytest.approx(0.7, abs=0.01)
    assert area.max() == pytest.approx(1.0, abs=0.01)
    assert area.mean() == pytest.approx(0.85, abs=0.01)
    assert ratio.min() == pytest.approx(3 / 4, abs=0.01)
    assert ratio.max() == pytest.approx(4 / 3, abs=0.01)
    # They lie within the picture, and reach its borders.
    for centre, side in ((crops[:, 0, 2], width), (crops[:, 1, 2], height)):
        assert (centre.abs() + side).max() == pytest.approx(1, abs=1e-3)


def test_perspective_is_that_of_torchvision() -> None:
    rng = np.random.default_rng(0)
    start = (homography.CORNERS + 1) / 2 * SIDE
    for _ in range(10):
        corners = homography.CORNERS * (1 - rng.uniform(0, 0.5, (1, 4, 2)))
        end = (corners[0] + 1) / 2 * SIDE

        def theirs(images: Tensor, end: np.ndarray = end) -> Tensor:
            return reference.perspective(images, start.tolist(), end.tolist(), interpolation=BILINEAR)

        ours = seen(smooth(), homography.perspective(corners))
        assert_alike(ours, theirs(as_images(smooth())), theirs(torch.ones(1, 1, SIDE, SIDE)))


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_perspective_moves_each_corner_inwards_by_up_to_its_share_of_half_the_side(strength: float) -> None:
    matrices = some(2000, only(perspective=0.6, strength=strength)).homography.double()
    square = torch.cat([torch.tensor(homography.CORNERS), torch.ones(4, 1).double()], 1).T
    corners = torch.linalg.inv(matrices) @ square
    inwards = 1 - corners[:, :2] / corners[:, 2:] / square[:2]
    assert inwards.min() == pytest.approx(0, abs=0.01)
    assert inwards.max() == pytest.approx(0.6 * strength, abs=0.01)
    assert inwards.mean((0, 2)).tolist() == pytest.approx([0.3 * strength] * 2, abs=0.01)


def test_elastic_is_that_of_torchvision_with_the_same_field() -> None:
    nodes = some(1, only(elastic=0.06)).elastic
    assert nodes is not None
    field = elastic_field(nodes, SIDE).permute(0, 2, 3, 1)
    images, ones = as_images(smooth()), torch.ones(1, 1, SIDE, SIDE)
    theirs, inside = (reference.elastic(each, field, interpolation=BILINEAR) for each in (images, ones))
    ours = seen(smooth(), elastic=nodes)
    assert_alike(ours, theirs, inside)
    assert (ours - images).abs().mean() > 0.02


def test_an_elastic_field_is_smooth_and_stays_within_its_magnitude() -> None:
    drawn = some(200, only(elastic=0.1, strength=0.5)).elastic
    assert drawn is not None
    assert drawn.abs().max() == pytest.approx(0.1, abs=0.001)  # half sides: twice the share of the side
    field = elastic_field(drawn, 64)
    assert field.abs().max() <= drawn.abs().max()
    assert field.std() > 0.3 * drawn.std()
    assert field.diff(dim=-1).abs().max() < 0.02
    assert field.mean() == pytest.approx(0, abs=0.002)


def test_geometry_is_composed_elastic_first_then_perspective_then_the_rest() -> None:
    # The coordinates of the square go through the elastic field, then through the homography.
    nodes = some(1, only(elastic=0.05)).elastic
    corners = homography.CORNERS * np.linspace(0.8, 1.0, 8).reshape(1, 4, 2)
    matrix = homography.rotation(np.array([0.3])) @ homography.perspective(corners)
    assert nodes is not None
    ramp = torch.arange(SIDE) * 255 // (SIDE - 1)  # a picture whose values tell where they were read
    pixels = torch.stack(torch.meshgrid(ramp, ramp, indexing="ij"), -1)[..., [1, 0, 0]].to(torch.uint8)[None]
    centres = (torch.arange(SIDE) + 0.5) * 2 / SIDE - 1
    x, y = torch.meshgrid(centres, centres, indexing="xy")
    shifts = elastic_field(nodes, SIDE)[0]
    points = torch.tensor(matrix[0]).float() @ torch.stack([x + shifts[0], y + shifts[1], x * 0 + 1]).flatten(
        1
    )
    expected = (points[:2] / points[2]).view(2, SIDE, SIDE)
    ours = seen(pixels, matrix, nodes)[0, :2] * (1 - 1 / SIDE) * 2 - (1 - 1 / SIDE)
    inside = (expected.abs() < 0.9).all(0)
    assert inside.float().mean() > 0.4
    torch.testing.assert_close(ours[:, inside], expected[:, inside], rtol=0, atol=0.01)


def test_the_wildest_perspective_shows_nothing_that_is_not_finite() -> None:
    rng = np.random.default_rng(0)
    corners = homography.CORNERS * (1 - rng.uniform(0, 1, (500, 4, 2)))
    squares = seen(smooth().expand(500, -1, -1, -1), homography.perspective(corners))
    assert squares.isfinite().all()
    assert squares.min() >= 0
    assert squares.max() <= 1


def test_draws_stay_within_their_magnitudes_and_reach_near_both_ends() -> None:
    drawn = some(5000, only(strength=0.5, zoom=0.5, rotate_deg=90.0, flip=0.5))
    linear = drawn.homography[:, :2, :2].double()
    scale = torch.linalg.det(linear).abs().sqrt()
    assert scale.min() == pytest.approx(1 / 1.25, abs=0.01)
    assert scale.max() == pytest.approx(1.25, abs=0.01)
    assert scale.log().mean() == pytest.approx(0, abs=0.01)  # larger as often as smaller
    angle = torch.atan2(-linear[:, 1, 0], linear[:, 1, 1]).rad2deg()
    assert angle.min() == pytest.approx(-45, abs=1)
    assert angle.max() == pytest.approx(45, abs=1)
    assert (torch.linalg.det(linear) < 0).float().mean() == pytest.approx(0.5, abs=0.05)


def composed(drawn: Draw) -> Tensor:
    """What a draw does to the square's coordinates, as one tensor a sample."""
    nodes = torch.zeros(len(drawn.homography), 1) if drawn.elastic is None else drawn.elastic.flatten(1)
    return torch.cat([drawn.homography.flatten(1), nodes], 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"rotate_deg": 10.0},
        {"shift": 0.1},
        {"zoom": 0.1},
        {"crop": 0.1},
        {"shear_deg": 10.0},
        {"perspective": 0.1},
        {"elastic": 0.1},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_two_samples_of_a_batch_never_have_the_same_geometry(fields: dict[str, float]) -> None:
    assert torch.pdist(composed(some(16, only(**fields)))).min() > 1e-5


def test_a_draw_without_geometry_reads_every_pixel_where_it_lies() -> None:
    drawn = some(4, only(brightness=0.5))
    assert torch.equal(drawn.homography, torch.eye(3).expand(4, -1, -1))
    assert drawn.elastic is None
    assert math.isclose(float(drawn.erase.sum()), 0)
