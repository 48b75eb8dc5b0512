"""`python -m search.preview RECIPE --data DIR`: what a recipe's augmentation makes of a few pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from search.bars import bars
from search.command import IMPORT_HELP, guarded
from search.contact_sheet import Cell, contact_sheet
from spaces.errors import InputError
from spaces.recipe import Recipe
from spaces.recipe_files import load_recipe
from trainables.data import (
    DecodeError,
    Listing,
    decode,
    default_cache_dir,
    on_canvases,
    read_listing,
    short_side_px,
)
from trainables.data.demo import demo_source

if TYPE_CHECKING:
    from torch import Tensor

PICTURES = 6
"""Rows of the sheet. Of an odd number one picture would be mixed with itself."""
SAMPLES = 8
"""Of each picture."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m search.preview",
        description=f"Draws what a recipe's augmentation makes of {PICTURES} pictures: each as the network "
        f"is evaluated on it, and {SAMPLES} samples of it as the network is trained on them.",
    )
    top.add_argument("recipe", metavar="RECIPE", help="the name of a built-in recipe, or a recipe file")
    top.add_argument("--data", metavar="DIR", help="pictures, as for search.run (default: the built-in demo)")
    top.add_argument("--classes", metavar="A,B,...", help="take only these classes")
    top.add_argument("--seed", metavar="N", type=int, default=0, help="of pictures and samples (default 0)")
    top.add_argument("--out", metavar="FILE.png", help="where to draw (default: preview-RECIPE.png)")
    top.add_argument(
        "--import", dest="imports", metavar="MODULE", action="append", default=[], help=IMPORT_HELP
    )
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    options = parser().parse_args(arguments)
    return guarded(lambda: _preview(options))


def preview(recipe: Recipe, listing: Listing, *, seed: int = 0) -> list[list[Cell]]:
    """Rows of one picture each, of as many classes as there are.

    First the square that the network is evaluated on, with the class's name; then what `Feed` serves in
    training, at the recipe's full size and before normalisation, with the shares of the classes where a
    sample is mixed. Partners come from the other rows.

    Args:
        listing: Pictures that it gives to another part than train are not looked at.
        seed: Decides which pictures, and their draws.

    Raises:
        InputError: None of the pictures can be decoded.
    """
    from trainables.feed import Feed
    from trainables.runtime import Runtime

    size_px = recipe.geometry.size_px
    handful = _handful(listing, short_side_px(size_px), np.random.default_rng(seed))
    feed = Feed(handful, recipe, Runtime(device="cpu"), mean=[0.0] * 3, std=[1.0] * 3)
    evaluated = (image for images, _ in feed.evaluation() for image in images)
    rows = [[Cell(_pixels(image), [name])] for image, name in zip(evaluated, handful.names, strict=True)]
    for epoch in range(1, SAMPLES + 1):  # each serves every picture once
        for batch in feed.training(feed.steps_per_pass, seed, epoch, size_px):
            targets = [None] * len(batch.labels) if batch.targets is None else batch.targets
            for image, row, target in zip(batch.images, batch.labels.tolist(), targets, strict=True):
                rows[row].append(Cell(_pixels(image), _shares(target, row, handful.names)))
    return rows


@dataclass(frozen=True)
class Handful:
    """A few pictures in memory; see `trainables.feed.Pictures`. Each is a class, so that its samples and its
    shares in mixed ones can be told apart."""

    pictures: list[np.ndarray]
    """uint8 (H, W, 3)."""
    names: list[str]
    """Of the classes that they really belong to."""

    @property
    def labels(self) -> np.ndarray:
        """int64 (N,)."""
        return np.arange(len(self))

    @property
    def classes(self) -> list[str]:
        """One a picture."""
        return self.names

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Canvases uint8 (B, H, W, 3), and each picture's height and width in them int64 (B, 2)."""
        return on_canvases([self.pictures[row] for row in rows])


def _handful(listing: Listing, side_px: int, rng: np.random.Generator) -> Handful:
    """Random pictures, decoded as for training, of different classes as long as there are more."""
    files = listing.files[listing.files["part"].isin(["", "train"])].sample(frac=1, random_state=rng)
    sources = {
        str(name): _decoded(listing.root, of_class["file"], side_px)
        for name, of_class in files.groupby("class", sort=False)
    }
    found: list[tuple[str, np.ndarray]] = []
    while sources and len(found) < PICTURES:
        for name in list(sources)[: PICTURES - len(found)]:
            picture = next(sources[name], None)
            if picture is None:
                del sources[name]
            else:
                found.append((name, picture))
    if not found:
        raise InputError(f"{listing.root}: none of its {len(files)} pictures to train on can be decoded.")
    found.sort(key=lambda entry: entry[0])
    return Handful([picture for _, picture in found], [name for name, _ in found])


def _decoded(root: Path, files: Iterable[str], side_px: int) -> Iterator[np.ndarray]:
    for file in files:
        try:
            yield decode(root / file, short_side_px=side_px)
        except DecodeError:
            continue


def _pixels(image: Tensor) -> np.ndarray:
    """uint8 (S, S, 3) of float (3, S, S) in [0, 1]."""
    return image.mul(255).round().byte().permute(1, 2, 0).numpy()


def _shares(target: Tensor | None, own: int, names: Sequence[str]) -> list[str]:
    """The classes of a mixed sample with their shares, the largest first; nothing for an unmixed one."""
    if target is None or target[own] > 0.995:
        return []
    shares: dict[str, float] = {}
    for name, share in zip(names, target.tolist(), strict=True):
        shares[name] = shares.get(name, 0.0) + share
    ordered = sorted(shares.items(), key=lambda entry: -entry[1])
    return [f"{share:.0%} {name}" for name, share in ordered if share > 0.005]


def _preview(options: argparse.Namespace) -> int:
    from trainables.models.create import import_networks

    console = Console(highlight=False, markup=False, soft_wrap=True)
    recipe = load_recipe(options.recipe, extra_models=import_networks(options.imports))
    if options.seed < 0:
        raise InputError(f"--seed must be 0 or more; received {options.seed}.")
    if options.data:
        source = Path(options.data)
    else:
        with bars(console) as bar:
            source = demo_source(default_cache_dir(), progress=bar("drawing the demo's pictures"))
    classes = None
    if options.classes:
        classes = [name.strip() for name in options.classes.split(",") if name.strip()]
    out = Path(options.out or f"preview-{Path(options.recipe).stem}.png").expanduser()
    augment = recipe.augment
    sheet = contact_sheet(
        preview(recipe, read_listing(source, classes=classes), seed=options.seed),
        title=f"{options.recipe} on {options.data or 'the demo'}: {recipe.geometry.size_px} px, "
        f"strength {augment.strength:g}, seed {options.seed}",
        first="evaluated on",
        others="trained on" + "; below mixed ones, their targets" * bool(augment.mixup or augment.cutmix),
    )
    try:
        sheet.save(out, "PNG")
    except OSError as fault:
        raise InputError(f"{out} cannot be written: {fault}") from fault
    console.print(f"Preview:  {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
