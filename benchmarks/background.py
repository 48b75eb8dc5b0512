"""Does the mask of background mixing keep the character? Measured on the demo, where the true mask is known.

    python benchmarks/background.py [--frames 300]        (half a minute)

Frames of scenes drawn from two seeds: the thresholds of the mask, and the radius of the centre prior beside
it, were chosen on those of the seed "tune"; the seed "report" shows what they do elsewhere. For each mask,
means over the frames: intersection over union with the true mask; the share of the character that is lost;
the share of the surroundings that is replaced. Then the time of background mixing itself.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from trainables.augment.background import composite, keep_mask
from trainables.data.demo.characters import CAST
from trainables.data.demo.frames import draw_frame, new_pose, new_scene

SEEDS = {"tune": 1000, "report": 2000}
SIZES_PX = (32, 48, 64)
RADIUS = 1.04
"""Of the centre prior, as a share of half the side: it loses as much on "tune" as the mask does."""
CHANCE = 0.35
"""Share of the samples that are mixed when the time is taken."""


def frames(seed: int, count: int, size_px: int) -> tuple[Tensor, Tensor]:
    """Demo pictures, a scene each, float (N, 3, S, S) in [0, 1], and their true masks, bool (N, 1, S, S)."""
    pictures, masks = [], []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        scene = new_scene(CAST[number % len(CAST)], rng)
        across, down = rng.uniform(-0.4, 0.4, 2).tolist()
        picture, mask = draw_frame(scene, new_pose(scene, rng), size_px=size_px, pan=(across, down))
        pictures.append(picture)
        masks.append(mask)
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return images.contiguous(memory_format=torch.channels_last), torch.from_numpy(np.stack(masks))[:, None]


def measured(kept: Tensor, true: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each frame: intersection over union, share of the character lost, share of the rest replaced."""

    def area(mask: Tensor) -> Tensor:
        return mask.sum((1, 2, 3))

    true = true.float()
    common = area(torch.minimum(kept, true))
    union = area(torch.maximum(kept, true))
    return common / union, 1 - common / area(true), area((1 - kept) * (1 - true)) / area(1 - true)


def centre_prior(images: Tensor) -> Tensor:
    """A disc in the middle, whatever is in the picture."""
    size = images.shape[-1]
    centres = (torch.arange(size) + 0.5) * 2 / size - 1
    disc = centres[:, None] ** 2 + centres**2 < RADIUS**2
    return disc.float().expand(len(images), 1, -1, -1)


def nothing(images: Tensor) -> Tensor:
    """Keeps nothing: the picture becomes its partner."""
    return torch.zeros_like(images[:, :1])


MASKS: dict[str, Callable[[Tensor], Tensor]] = {
    "geodesic (ours)": keep_mask,
    "centre prior": centre_prior,
    "nothing kept": nothing,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=300, help="of each seed and size")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'seed':<14} {'size':>5}  {'mask':<16} {'IoU':>6} {'lost':>6} {'worst 5%':>9} {'replaced':>9}")
    for name, seed in SEEDS.items():
        for size_px in SIZES_PX:
            images, true = frames(seed, options.frames, size_px)
            for title, mask in MASKS.items():
                iou, lost, replaced = measured(mask(images), true)
                print(
                    f"{f'{name} ({seed})':<14} {size_px:>5}  {title:<16} {iou.mean():>6.3f} "
                    f"{lost.mean():>6.3f} {lost.quantile(0.95):>9.3f} {replaced.mean():>9.3f}",
                    flush=True,
                )
    images, _ = frames(SEEDS["report"], 64, 64)
    chosen = torch.arange(64) < CHANCE * 64
    print(f"{milliseconds(images, chosen):.3f} ms a picture: a batch of 64 at 64x64, {CHANCE:.0%} mixed")


def milliseconds(images: Tensor, chosen: Tensor, runs: int = 50) -> float:
    """Median time of background mixing a picture of the batch."""
    spans = []
    for _ in range(runs):
        began = time.perf_counter()
        composite(images, chosen)
        spans.append(time.perf_counter() - began)
    return 1000 * float(np.median(spans)) / len(images)


if __name__ == "__main__":
    main()
