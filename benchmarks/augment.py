"""What does augmentation cost on a CPU? Ours beside kornia and torchvision, with the same strong policy.

    python benchmarks/augment.py [--rounds 20]        (about 2 minutes; needs `pip install kornia`)

One thread, batches of 64, 64 px, a draw of its own for every sample on all sides: kornia draws so on a batch,
torchvision's transforms run picture by picture, and for mixing timm's Mixup does. In the first table all
start from stored uint8 pictures of 74 px and end with float squares: each row is the resizing and one change,
the last one all of them. In the second table all start from float squares, and MixUp and CutMix are for every
sample. Magnitudes and chances are those of `spaces.augment.STRONG`, where the others have such a parameter.

Milliseconds a picture are processor time of the thread, which other programs disturb less than time by the
clock: medians of rounds in which all take turns, of ours the lower decile too. Ratios are to ours.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import kornia.augmentation as kornia
import numpy as np
import torch
from torch import Tensor, nn

import trainables.torch_setup  # noqa: F401  (before torchvision and timm)

from timm.data import Mixup  # isort: skip
from torchvision.transforms import v2 as torchvision  # isort: skip

from spaces.augment import STRONG, Augment
from trainables.augment.background import composite
from trainables.augment.draw import NOTHING, draw
from trainables.augment.mix import mixed
from trainables.augment.pipeline import augmented

BATCH, SIZE_PX, STORED_PX, CLASSES = 64, 64, 74, 10
BACKGROUND = 0.35  # chance, as in the recipe `resnet101_strong`

RNG = np.random.default_rng(0)
STORED = torch.from_numpy(RNG.integers(0, 256, (BATCH, STORED_PX, STORED_PX, 3), dtype=np.uint8))
EXTENTS = torch.full((BATCH, 2), STORED_PX)
SQUARES = torch.from_numpy(RNG.random((BATCH, 3, SIZE_PX, SIZE_PX), dtype=np.float32))
MEAN, STD = (
    torch.tensor([0.485, 0.456, 0.406])[:, None, None],
    torch.tensor([0.229, 0.224, 0.225])[:, None, None],
)
LABELS = torch.from_numpy(RNG.integers(0, CLASSES, BATCH))

AFFINE: dict[str, Any] = {
    "degrees": STRONG["rotate_deg"],
    "translate": (STRONG["shift"], STRONG["shift"]),
    "scale": (1 / (1 + STRONG["zoom"]), 1 + STRONG["zoom"]),
    "shear": (-STRONG["shear_deg"], STRONG["shear_deg"], -STRONG["shear_deg"], STRONG["shear_deg"]),
}
CROP = {"scale": (1 - STRONG["crop"], 1.0)}
JITTER = {name: STRONG[name] for name in ("brightness", "contrast", "saturation", "hue")}
SMOOTH_PX = 0.115 * SIZE_PX  # of the Gaussian that makes a field as smooth as ours
BLUR_PX = (0.1, 0.02 * SIZE_PX)
BOX: dict[str, Any] = {"scale": (0.02, 0.2), "ratio": (1 / 3.3, 3.3), "value": 0.5}

Run = Callable[[], Any]
CHANGES: list[tuple[str, tuple[str, ...], nn.Module, nn.Module]] = [
    (
        "crop",
        ("crop",),
        kornia.RandomResizedCrop((SIZE_PX, SIZE_PX), **CROP, cropping_mode="resample"),
        torchvision.RandomResizedCrop(SIZE_PX, **CROP, antialias=False),
    ),
    ("flip", ("flip",), kornia.RandomHorizontalFlip(p=0.5), torchvision.RandomHorizontalFlip(p=0.5)),
    (
        "rotate, shift, zoom, shear",
        ("rotate_deg", "shift", "zoom", "shear_deg"),
        kornia.RandomAffine(**AFFINE, p=1.0),
        torchvision.RandomAffine(**AFFINE, interpolation=torchvision.InterpolationMode.BILINEAR),
    ),
    (
        "perspective",
        ("perspective",),
        kornia.RandomPerspective(STRONG["perspective"], p=1.0),
        torchvision.RandomPerspective(STRONG["perspective"], p=1.0),
    ),
    (
        "elastic",
        ("elastic",),
        kornia.RandomElasticTransform((31, 31), (SMOOTH_PX, SMOOTH_PX), p=1.0),
        torchvision.ElasticTransform(sigma=SMOOTH_PX),
    ),
    ("colour jitter", tuple(JITTER), kornia.ColorJitter(**JITTER, p=1.0), torchvision.ColorJitter(**JITTER)),
    (
        "grayscale",
        ("grayscale",),
        kornia.RandomGrayscale(p=STRONG["grayscale"]),
        torchvision.RandomGrayscale(STRONG["grayscale"]),
    ),
    (
        "blur",
        ("blur",),
        kornia.RandomGaussianBlur((9, 9), BLUR_PX, p=STRONG["blur"]),
        torchvision.RandomApply([torchvision.GaussianBlur(9, BLUR_PX)], STRONG["blur"]),
    ),
    (
        "invert",
        ("invert",),
        kornia.RandomInvert(p=STRONG["invert"]),
        torchvision.RandomInvert(STRONG["invert"]),
    ),
    (
        "solarize",
        ("solarize",),
        kornia.RandomSolarize(thresholds=(0.5, 0.5), additions=(0.0, 0.0), p=STRONG["solarize"]),
        torchvision.RandomSolarize(0.5, STRONG["solarize"]),
    ),
    (
        "erase",
        ("erase",),
        kornia.RandomErasing(**BOX, p=STRONG["erase"]),
        torchvision.RandomErasing(STRONG["erase"], **BOX),
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)  # timm's Mixup draws from it
    # After this, glibc keeps the memory that smaller tensors give back, as it does in a training, where most
    # are larger than these. Else each side would spend much of its time on asking the system for it.
    torch.empty(30 << 20, dtype=torch.uint8)

    everything = {**STRONG, "flip": 0.5}
    rows: dict[str, list[Run]] = {"resizing alone": [ours({}), of_kornia([]), of_torchvision([])]}
    for name, fields, by_kornia, by_torchvision in CHANGES:
        mine = ours({name: everything[name] for name in fields})
        rows[name] = [mine, of_kornia([by_kornia]), of_torchvision([by_torchvision])]
    modules = list(zip(*CHANGES, strict=True))
    rows["the strong policy"] = [ours(everything), of_kornia(modules[2]), of_torchvision(modules[3])]
    show("stored pictures -> squares", ["ours", "kornia", "torchvision"], rows, options.rounds)

    mixup, cutmix = (
        Mixup(*alphas, mode="elem", num_classes=CLASSES, label_smoothing=0.0)
        for alphas in ((0.2,), (0.0, 1.0))
    )
    rows = {
        "MixUp": mixing(our_mix({"mixup": 1.0}), kornia.RandomMixUpV2(p=1.0), mixup),
        "CutMix": mixing(
            our_mix({"cutmix": 1.0}), kornia.RandomCutMixV2(p=1.0, use_correct_lambda=True), cutmix
        ),
        f"background, {BACKGROUND:.0%} of samples": [our_background],
        "normalising, channels last": [our_normalising],
    }
    show("squares -> squares", ["ours", "kornia", "timm"], rows, options.rounds)

    strong, mix = ours({**everything, "background": BACKGROUND}), our_mix({"mixup": 0.5, "cutmix": 0.5})
    rows = {"all of ours": [lambda: (strong(), mix(), our_normalising())]}
    show("stored pictures -> batches", ["ours"], rows, options.rounds)


def show(title: str, sides: Sequence[str], rows: dict[str, list[Run]], rounds: int) -> None:
    """Prints a table: milliseconds a picture of each side, and its ratio to the first one."""
    head = "".join(f"{side:>13} {'decile' if side == sides[0] else 'ratio':>7}" for side in sides)
    print(f"\n{title:<30}{head}", flush=True)
    spent = {name: np.zeros((rounds, len(runs))) for name, runs in rows.items()}
    for number in range(-2, rounds):  # the first two warm up
        for name, runs in rows.items():
            for side, run in enumerate(runs):
                began = time.thread_time()
                run()
                if number >= 0:
                    spent[name][number, side] = (time.thread_time() - began) * 1000 / BATCH
    for name, of_row in spent.items():
        mine, *others = np.median(of_row, axis=0)
        cells = [f"{mine:>13.3f} {np.quantile(of_row[:, 0], 0.1):>7.3f}"]
        cells += [f"{other:>13.3f} {other / mine:>7.1f}" for other in others]
        print(f"{name:<30}{''.join(cells)}")


def ours(fields: dict[str, float]) -> Run:
    """Our pipeline with these fields of a policy, its draw included."""
    augment = Augment(**NOTHING.model_copy(update=fields).model_dump())

    def run() -> Tensor:
        drawn = draw(BATCH, augment, SIZE_PX, RNG)
        return augmented(STORED, EXTENTS, drawn, size_px=SIZE_PX, fit="resize")

    return run


def floats() -> Tensor:
    """The stored pictures in [0, 1], float (B, 3, STORED_PX, STORED_PX)."""
    return STORED.permute(0, 3, 1, 2).float().div_(255)


def of_kornia(modules: Sequence[nn.Module]) -> Run:
    """kornia's modules on the batch, one after the other; a crop in front is the resizing too."""
    crops = bool(modules) and isinstance(modules[0], kornia.RandomResizedCrop)
    resize: list[nn.Module] = [] if crops else [nn.Upsample(SIZE_PX, mode="bilinear")]
    pipeline = nn.Sequential(*resize, *modules)
    return lambda: pipeline(floats())


def of_torchvision(modules: Sequence[nn.Module]) -> Run:
    """torchvision's modules, picture by picture; a crop in front is the resizing too."""
    crops = bool(modules) and isinstance(modules[0], torchvision.RandomResizedCrop)
    resize: list[nn.Module] = [] if crops else [torchvision.Resize((SIZE_PX, SIZE_PX), antialias=False)]
    pipeline = nn.Sequential(*resize, *modules)
    return lambda: torch.stack([pipeline(image) for image in floats()])


def our_mix(fields: dict[str, float]) -> Run:
    """Our MixUp and CutMix, with the draw of a policy of nothing else."""
    augment = Augment(**NOTHING.model_dump(), **fields)

    def run() -> tuple[Tensor, Tensor]:
        drawn = draw(BATCH, augment, SIZE_PX, RNG)
        assert drawn is not None
        return mixed(SQUARES.clone(), LABELS, CLASSES, drawn.blend, drawn.blend_box)

    return run


def mixing(mine: Run, by_kornia: nn.Module, by_timm: Mixup) -> list[Run]:
    """The three sides, each with a copy of the squares."""
    return [mine, lambda: by_kornia(SQUARES.clone(), LABELS), lambda: by_timm(SQUARES.clone(), LABELS)]


def our_background() -> Tensor:
    """Our background mixing."""
    return composite(SQUARES, torch.from_numpy(RNG.random(BATCH) < BACKGROUND))


def our_normalising() -> Tensor:
    """What the feed does last."""
    return SQUARES.clone().sub_(MEAN).div_(STD).contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    main()
