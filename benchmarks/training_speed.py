"""Does the network wait for its pictures? Training speed with the strong policy, ours beside the others.

    python benchmarks/training_speed.py [--only resnet18@64]        (9 minutes on a CPU; needs kornia)

Every side takes the same optimizer steps (`trainables.step.Step`: ResNets from random weights, ten
classes, SGD, bfloat16 on a GPU) and differs in where its batches come from:

- *one batch*: the same one each time, on the device already: what the step itself can do.
- *ours*: `trainables.feed.Feed`, from a cache folder on disk, the strong policy for every sample. A GPU
  has the pictures from the start where they fit; *ours, sent* has them sent batch by batch.
- *torchvision*: v2 transforms a sample in a DataLoader with a worker a core.
- *timm*: its own loader with a worker a core: crop, RandAugment, grayscale, blur and erasing at our
  chances; it has neither perspective nor elastic, and normalises and erases on the device.
- *kornia*: the batch sent as ours is, then its modules on the device, made ahead as ours are.

The others start from decoded pictures in memory, to their advantage: nothing is read from a disk. All
pictures are kept at 1.15 times the size, as the cache does.

Sides take turns; a share is of the same round's *one batch*; medians over rounds. Each measurement begins
with a warm-up, so that loaders have filled up or run dry by then. On a CPU all of it, workers included, is
held to one core, and seconds are processor seconds of all of it: other programs disturb those less than
time by the clock.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import kornia.augmentation as kornia
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import trainables.torch_setup  # noqa: F401  (before torchvision and timm)

from timm.data import create_loader  # isort: skip
from torchvision.transforms import v2 as torchvision  # isort: skip

from spaces.augment import STRONG
from spaces.recipe import Recipe
from trainables.ahead import Ahead
from trainables.data import Pictures, load, prepare, short_side_px
from trainables.feed import Batch, Feed
from trainables.loss import TrainingLoss
from trainables.models.create import create_model, normalization
from trainables.models.optimizer import create_optimizer
from trainables.pixels import pixels_of
from trainables.process import set_up
from trainables.runtime import Runtime
from trainables.step import Step

CLASSES, ENDLESS = 10, 1 << 40
PASS = 1 << 20
"""Pictures in a pass of the DataLoaders: so many that none starts its workers anew while it is measured."""
SMOOTH_PX = 7.0
"""Of the Gaussian that smooths the others' elastic field: as smooth as ours is at 64 px. One as smooth as
ours at 224 px would cost torchvision a second a picture."""
BATCHES = {
    "cpu": {"resnet18@64": 32, "resnet50@64": 32, "resnet18@224": 8, "resnet50@224": 8},
    "cuda": {"resnet18@64": 1024, "resnet50@64": 512, "resnet18@224": 256, "resnet50@224": 256},
}
TARGETS = {"cpu": 0.85, "cuda": 0.95}
"""What ours is to reach of *one batch*."""

Source = Callable[[], Iterable[Batch]]
"""Starts serving batches anew."""


def recipe_of(configuration: str, batch_size: int) -> Recipe:
    """The training of a configuration, such as `resnet18@64`."""
    name, size_px = configuration.split("@")
    return Recipe.model_validate(
        {
            "model": {"name": name},
            "geometry": {"size_px": int(size_px)},
            "augment": {"strong_share": 1.0},
            "optim": {"name": "sgd", "lr": 0.01, "batch_size": batch_size},
        }
    )


def drawn_pictures(folder: Path, size_px: int, count: int) -> Pictures:
    """So many smooth random pictures, as JPEG files and then in a cache on disk."""
    rng = np.random.default_rng(0)
    source, side_px = folder / f"{size_px}", short_side_px(size_px)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        path = source / str(number % CLASSES) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse.resize((side_px, side_px), Image.Resampling.BICUBIC).save(path)
    everything = {"train": 1.0, "validation": 0.0, "selection": 0.0, "test": 0.0}
    split = prepare(source, size_px=size_px, min_per_class=1, shares=everything, cache_dir=folder).split
    return load(source, split, size_px=size_px, cache_dir=folder).part("train")


class Arrays(Dataset[Any]):
    """Decoded pictures in memory, one by one and over and over, for the DataLoaders.

    Args:
        as_image: Makes of uint8 (H, W, 3) what the transform takes.
    """

    def __init__(self, pictures: Pictures, as_image: Callable[[np.ndarray], Any], transform: Any) -> None:
        self._pixels, _ = pictures.batch(np.arange(len(pictures)))
        self._labels, self._as_image, self.transform = pictures.labels, as_image, transform

    def __len__(self) -> int:
        return PASS

    def __getitem__(self, row: int) -> tuple[Any, int]:
        row %= len(self._labels)
        return self.transform(self._as_image(self._pixels[row])), int(self._labels[row])


class Sides:
    """Where batches of one configuration come from."""

    def __init__(
        self, pictures: Pictures, recipe: Recipe, runtime: Runtime, model: nn.Module, workers: int
    ) -> None:
        self.pictures, self.recipe, self.runtime, self.workers = pictures, recipe, runtime, workers
        self.batch, self.size_px = recipe.optim.batch_size, recipe.geometry.size_px
        self.device = runtime.resolved_device()
        self.mean, self.std = normalization(model)

    def all(self) -> dict[str, Source]:
        feed = self._feed()
        (one,) = feed.training(1, 0, 1, self.size_px)
        found: dict[str, Source] = {
            "one batch": lambda: itertools.repeat(one),
            "ours": lambda: self._ours(feed),
        }
        if self.device.type == "cuda":
            with mock.patch("trainables.pixels.RESIDENT_SHARE", 0.0):
                sent = self._feed()
            found["ours, sent"] = lambda: self._ours(sent)
        found |= {"torchvision": self._torchvision(), "timm": self._timm(), "kornia": self._kornia}
        return found

    def _feed(self) -> Feed:
        return Feed(self.pictures, self.recipe, self.runtime, self.mean, self.std)

    def _ours(self, feed: Feed) -> Iterable[Batch]:
        return Ahead(feed.training(ENDLESS, 0, 1, self.size_px), self.device)

    def _torchvision(self) -> Source:
        transform = torchvision.Compose(
            [
                *strong_torchvision(self.size_px),
                torchvision.ToDtype(torch.float32, scale=True),
                torchvision.Normalize(self.mean, self.std),
            ]
        )
        loader = DataLoader(
            Arrays(self.pictures, lambda pixels: torch.from_numpy(pixels).permute(2, 0, 1), transform),
            self.batch,
            shuffle=True,
            drop_last=True,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
        )
        return lambda: map(self._on_device, loader)

    def _timm(self) -> Source:
        loader = create_loader(
            Arrays(self.pictures, Image.fromarray, None),
            input_size=(3, self.size_px, self.size_px),
            batch_size=self.batch,
            is_training=True,
            scale=(1 - STRONG["crop"], 1.0),
            auto_augment="rand-m9-inc1",
            grayscale_prob=STRONG["grayscale"],
            gaussian_blur_prob=STRONG["blur"],
            re_prob=STRONG["erase"],
            re_mode="const",
            interpolation="bilinear",
            mean=tuple(self.mean),
            std=tuple(self.std),
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            persistent_workers=False,
            device=self.device,
        )
        return lambda: map(self._on_device, loader)

    def _kornia(self) -> Iterable[Batch]:
        pixels = pixels_of(self.pictures, self.runtime)
        modules = nn.Sequential(*strong_kornia(self.size_px)).to(self.device)
        mean, std = (torch.tensor(of, device=self.device).view(1, 3, 1, 1) for of in (self.mean, self.std))
        rng = np.random.default_rng(0)

        def batches() -> Iterator[Batch]:
            while True:
                for rows in np.array_split(rng.permutation(len(self.pictures)), self._steps_a_pass):
                    images, _ = pixels.batch(rows)
                    images = modules(images.permute(0, 3, 1, 2).float().div_(255))
                    yield self._on_device(
                        (images.sub_(mean).div_(std), torch.from_numpy(self.pictures.labels[rows]))
                    )

        return Ahead(batches(), self.device)

    @property
    def _steps_a_pass(self) -> int:
        return self.recipe.steps_per_pass(len(self.pictures))

    def _on_device(self, served: tuple[Tensor, Tensor]) -> Batch:
        images, labels = (values.to(self.device, non_blocking=True) for values in served)
        return Batch(images.contiguous(memory_format=torch.channels_last), labels, None, len(labels))


def strong_torchvision(size_px: int) -> list[nn.Module]:
    """Our strong policy in torchvision's transforms."""
    affine, crop, jitter, blur_px, box = magnitudes(size_px)
    bilinear = torchvision.InterpolationMode.BILINEAR
    return [
        torchvision.RandomResizedCrop(size_px, scale=crop, antialias=False),
        torchvision.RandomHorizontalFlip(0.5),
        torchvision.RandomAffine(**affine, interpolation=bilinear),
        torchvision.RandomPerspective(STRONG["perspective"], p=1.0),
        torchvision.ElasticTransform(sigma=SMOOTH_PX),
        torchvision.ColorJitter(**jitter),
        torchvision.RandomGrayscale(STRONG["grayscale"]),
        torchvision.RandomApply([torchvision.GaussianBlur(9, blur_px)], STRONG["blur"]),
        torchvision.RandomInvert(STRONG["invert"]),
        torchvision.RandomSolarize(128, STRONG["solarize"]),
        torchvision.RandomErasing(STRONG["erase"], **box, value=128),
    ]


def strong_kornia(size_px: int) -> list[nn.Module]:
    """Our strong policy in kornia's modules."""
    affine, crop, jitter, blur_px, box = magnitudes(size_px)
    return [
        kornia.RandomResizedCrop((size_px, size_px), scale=crop, cropping_mode="resample"),
        kornia.RandomHorizontalFlip(p=0.5),
        kornia.RandomAffine(**affine, p=1.0),
        kornia.RandomPerspective(STRONG["perspective"], p=1.0),
        kornia.RandomElasticTransform((31, 31), (SMOOTH_PX, SMOOTH_PX), p=1.0),
        kornia.ColorJitter(**jitter, p=1.0),
        kornia.RandomGrayscale(p=STRONG["grayscale"]),
        kornia.RandomGaussianBlur((9, 9), blur_px, p=STRONG["blur"]),
        kornia.RandomInvert(p=STRONG["invert"]),
        kornia.RandomSolarize(thresholds=(0.5, 0.5), additions=(0.0, 0.0), p=STRONG["solarize"]),
        kornia.RandomErasing(**box, value=0.5, p=STRONG["erase"]),
    ]


def magnitudes(size_px: int) -> tuple[Any, ...]:
    """Ours in the others' terms: affine, crop, jitter, blur, erased box."""
    shear = STRONG["shear_deg"]
    affine = {
        "degrees": STRONG["rotate_deg"],
        "translate": (STRONG["shift"], STRONG["shift"]),
        "scale": (1 / (1 + STRONG["zoom"]), 1 + STRONG["zoom"]),
        "shear": (-shear, shear, -shear, shear),
    }
    jitter = {name: STRONG[name] for name in ("brightness", "contrast", "saturation", "hue")}
    box = {"scale": (0.02, 0.2), "ratio": (1 / 3.3, 3.3)}
    return affine, (1 - STRONG["crop"], 1.0), jitter, (0.1, 0.02 * size_px), box


def pictures_a_second(
    source: Source, take: Callable[[Batch], object], runtime: Runtime, seconds: float
) -> float:
    """Speed of steps with batches from a source, after a quarter of the time to warm it up."""
    device, batches = runtime.resolved_device(), iter(source())
    taken(batches, take, seconds / 4)
    began = seconds_of(device)
    pictures = taken(batches, take, seconds)
    return pictures / (seconds_of(device) - began)


def taken(batches: Iterator[Batch], take: Callable[[Batch], object], seconds: float) -> int:
    """Takes steps for so long, two at least: pictures of all."""
    began, pictures = time.perf_counter(), 0
    for steps, batch in enumerate(batches, start=1):
        take(batch)
        pictures += batch.pictures
        if steps > 1 and time.perf_counter() - began > seconds:
            break
    return pictures


def seconds_of(device: torch.device) -> float:
    """Seconds by the clock, when a GPU has done its work; of a CPU, those of this process and its workers."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    ticks = 0
    for worker in multiprocessing.active_children():
        with contextlib.suppress(FileNotFoundError):  # it has ended
            fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def measured(
    configuration: str, folder: Path, runtime: Runtime, options: argparse.Namespace
) -> dict[str, list[float]]:
    """Pictures a second of each side, a round each."""
    device = runtime.resolved_device()
    batch_size = options.batch or BATCHES[device.type][configuration]
    recipe = recipe_of(configuration, batch_size)
    count = options.pictures or (8 if device.type == "cpu" else 16) * batch_size
    pictures = drawn_pictures(folder, recipe.geometry.size_px, count)
    model = create_model(recipe, CLASSES).to(device, memory_format=torch.channels_last).train()
    loss = TrainingLoss(recipe.loss, pictures.labels, CLASSES, device)
    step = Step(model, loss, create_optimizer(model, recipe.optim), runtime, clip_norm=None)
    take = partial(step, model)
    sides = Sides(pictures, recipe, runtime, model, workers=runtime.threads or 1).all()
    speed = partial(pictures_a_second, take=take, runtime=runtime, seconds=options.seconds)
    print(f"\n{configuration}: batch {batch_size}, {count} pictures", flush=True)
    speed(sides["one batch"])  # warms up
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, source in sides.items():
            found[name].append(speed(source))
        print("  " + ", ".join(f"{name} {speeds[-1]:.1f}" for name, speeds in found.items()), flush=True)
    return found


def cells(of_rounds: dict[str, list[float]], name: str) -> str:
    """A side's median speed, and its share of the step's own."""
    if name not in of_rounds:
        return ""
    speed = statistics.median(of_rounds[name])
    if name == "one batch":
        return f"{speed:.1f}"
    shares = (mine / bound for mine, bound in zip(of_rounds[name], of_rounds["one batch"], strict=True))
    return f"{speed:.1f} ({statistics.median(shares):.0%})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(BATCHES["cpu"]), default=list(BATCHES["cpu"]))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="a side and round; two steps at least")
    parser.add_argument("--batch", type=int, help="pictures a step")
    parser.add_argument("--pictures", type=int, help="drawn for each size")
    options = parser.parse_args()
    device = Runtime(device=options.device).resolved_device()
    if device.type == "cpu":
        os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    cores = len(os.sched_getaffinity(0))
    runtime = Runtime(device=options.device, threads=cores)
    set_up(runtime)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, {cores} core(s), torch {torch.__version__}, load {os.getloadavg()[0]:.2f}")
    with tempfile.TemporaryDirectory(prefix="training-speed-") as folder:
        found = {which: measured(which, Path(folder), runtime, options) for which in options.only}

    sides = list(next(iter(found.values())))
    print(
        f"\n{name}, {cores} core(s); pictures a second (share of one batch); "
        f"target for ours: {TARGETS[device.type]:.0%}"
    )
    print("| network@px | " + " | ".join(sides) + " |\n|---|" + "---|" * len(sides))
    for configuration, of_rounds in found.items():
        print(f"| {configuration} | " + " | ".join(cells(of_rounds, side) for side in sides) + " |")


if __name__ == "__main__":
    main()
