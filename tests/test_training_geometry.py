"""Pictures become squares as torch's own functions would make them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from spaces.recipe import Augment, Geometry
from trainables.augment.draw import draw
from trainables.augment.pipeline import augmented
from trainables.geometry import BAR, Fit, to_square, training_px

LOUD = (255, 0, 255)
FITS: tuple[Fit, ...] = ("resize", "crop", "pad")


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    """uint8 (1, H, W, 3)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8, generator=generator)


def square(pixels: Tensor, size_px: int, fit: Fit) -> Tensor:
    extents = torch.tensor([pixels.shape[1:3]] * len(pixels))
    return to_square(pixels, extents, size_px=size_px, fit=fit)


def as_images(pixels: Tensor) -> Tensor:
    return pixels.permute(0, 3, 1, 2).float() / 255


def resized(images: Tensor, size_px: int) -> Tensor:
    return F.interpolate(images, (size_px, size_px), mode="bilinear", align_corners=False)


@pytest.mark.parametrize("fit", FITS)
def test_a_square_picture_of_the_right_size_stays_as_it_is(fit: Fit) -> None:
    pixels = noise(16, 16)
    assert torch.equal(square(pixels, 16, fit), as_images(pixels))


@pytest.mark.parametrize("shape", [(16, 16), (20, 20), (11, 30), (30, 11), (1, 40)])
def test_resize_is_bilinear_resizing_of_the_whole(shape: tuple[int, int]) -> None:
    pixels = noise(*shape)
    torch.testing.assert_close(
        square(pixels, 16, "resize"), resized(as_images(pixels), 16), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("shape", [(20, 32), (32, 20), (16, 28)])
def test_crop_takes_the_largest_centred_square(shape: tuple[int, int]) -> None:
    pixels, side = noise(*shape), min(shape)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    cut = as_images(pixels)[:, :, top : top + side, left : left + side]
    torch.testing.assert_close(square(pixels, 16, "crop"), resized(cut, 16), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 32), (32, 16), (8, 16)])
def test_pad_shows_the_whole_between_grey_bars(shape: tuple[int, int]) -> None:
    pixels, side = noise(*shape), max(shape)
    top, left = (side - shape[0]) // 2, (side - shape[1]) // 2
    padded = F.pad(as_images(pixels), (left, left, top, top), value=BAR)
    torch.testing.assert_close(square(pixels, 16, "pad"), resized(padded, 16), rtol=0, atol=1e-5)


@pytest.mark.parametrize("fit", FITS)
def test_a_picture_looks_the_same_whatever_else_is_in_its_batch(fit: Fit) -> None:
    small, large = noise(20, 13), noise(30, 40, seed=1)
    canvas = torch.zeros(2, 30, 40, 3, dtype=torch.uint8)
    canvas[0, :20, :13], canvas[1] = small[0], large[0]
    together = to_square(canvas, torch.tensor([[20, 13], [30, 40]]), size_px=16, fit=fit)
    alone = torch.cat([square(small, 16, fit), square(large, 16, fit)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("fit", "wild"), list(itertools.product(FITS, (False, True))))
def test_the_rest_of_a_canvas_is_never_seen(fit: Fit, wild: bool) -> None:
    # Pictures of one dark colour on a loud canvas: whatever is loud in a square came from the canvas.
    dark, count = torch.tensor([20, 40, 60], dtype=torch.uint8), 64
    rng = np.random.default_rng(0)
    extents = torch.from_numpy(rng.integers(1, 41, (count, 2)))
    extents[0] = torch.tensor([40, 40])
    canvas = torch.tensor(LOUD, dtype=torch.uint8).repeat(count, 40, 40, 1)
    for picture, (height, width) in zip(canvas, extents.tolist(), strict=True):
        picture[:height, :width] = dark
    augment = Augment(
        **{
            "rotate_deg": 180.0,
            "shift": 0.5,
            "zoom": 0.9,
            "shear_deg": 40.0,
            "perspective": 0.5,
            "elastic": 0.2,
        },
        **dict.fromkeys(["brightness", "contrast", "saturation"], 0.0),
    )
    drawn = draw(count, augment, 24, rng) if wild else None
    squares = augmented(canvas, extents, drawn, size_px=24, fit=fit)
    off_dark = (squares - dark.float().view(1, 3, 1, 1) / 255).abs().amax(1)
    off_bar = (squares - BAR).abs().amax(1)
    distance = torch.minimum(off_dark, off_bar) if fit == "pad" else off_dark
    assert distance.max() < 1e-3


def test_what_lies_outside_of_the_picture_is_its_mirror_image() -> None:
    pixels = noise(16, 16)
    shifted = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])  # by half the side
    seen = to_square(pixels, torch.tensor([[16, 16]]), size_px=16, fit="resize", homography=shifted)
    images = as_images(pixels)
    expected = torch.cat([images[..., 8:], images[..., 8:].flip(-1)], dim=-1)
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shift", [3.0, -5.0, 8.5, 1000.25])
def test_mirror_images_go_on_for_ever(shift: float) -> None:
    pixels = noise(16, 16)
    matrix = torch.eye(3)[None].repeat(1, 1, 1)
    matrix[0, 0, 2] = shift
    seen = to_square(pixels, torch.tensor([[16, 16]]), size_px=16, fit="resize", homography=matrix)
    period = torch.cat([as_images(pixels), as_images(pixels).flip(-1)], dim=-1)
    expected = period.roll(-round(shift * 8), dims=-1)[..., :16]
    torch.testing.assert_close(seen, expected, rtol=0, atol=0.02 if shift > 100 else 1e-4)


def test_a_training_starts_small_and_grows_evenly_until_its_share_is_over() -> None:
    geometry = Geometry(size_px=64, start_px=32, grow_share=0.5)
    sides = [training_px(geometry, epoch, 16) for epoch in range(1, 17)]
    assert sides == [32, 32, 40, 40, 48, 48, 56, 56, *[64] * 8]


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 30])
@pytest.mark.parametrize("grow_share", [0.0, 0.3, 1.0])
def test_sides_never_shrink_and_lie_between_the_first_and_the_last(epochs: int, grow_share: float) -> None:
    geometry = Geometry(size_px=75, start_px=27, grow_share=grow_share)
    sides = [training_px(geometry, epoch, epochs) for epoch in range(1, epochs + 1)]
    assert sides == sorted(sides)
    assert sides[0] == (27 if grow_share else 75)
    assert all(side in (27, 75) or side % 8 == 0 for side in sides)
    assert all(side == 75 for epoch, side in enumerate(sides) if epoch >= grow_share * epochs)


def test_without_a_first_side_all_epochs_have_the_same() -> None:
    assert {training_px(Geometry(size_px=48), epoch, 5) for epoch in range(1, 6)} == {48}
