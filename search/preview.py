"""`python -m search.preview RECIPE --data DIR`: what a recipe's augmentation makes of a few pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.console import Console

from search.console.bars import bars
from search.console.command import IMPORT_HELP, guarded
from search.console.command_line import CommandLine
from search.images.contact_sheet import contact_sheet
from search.images.handful import pick
from search.planning.names import check_recipe_name
from search.settings.settings import class_names
from search.storage.folder import RESULTS
from spaces.errors import InputError
from spaces.recipe import Recipe
from spaces.recipe_files import load_recipe
from trainables.cache_dir import default_cache_dir
from trainables.data import Listing, read_listing, short_side_px
from trainables.data.demo import demo_source

PICTURES = 6
"""Rows of the sheet. Of an odd number one picture would be mixed with itself."""
SAMPLES = 8
"""Of each picture."""
SOFTWARE = "search.preview"
"""Written into every sheet (PNG's text chunk `Software`), by which an older one is known that may go."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = CommandLine(
        prog="python -m search.preview",
        description=f"Draws what a recipe's augmentation makes of {PICTURES} pictures: each as the network "
        f"is evaluated on it, and {SAMPLES} samples of it as the network is trained on them.",
    )
    top.add_argument("recipe", metavar="RECIPE", help="the name of a built-in recipe, or a recipe file")
    top.add_argument("--data", metavar="DIR", help="pictures, as for search.run (default: the built-in demo)")
    top.add_argument("--classes", metavar="A,B,...", help="take only these classes")
    top.add_argument("--seed", metavar="N", type=int, default=0, help="of pictures and samples (default 0)")
    top.add_argument(
        "--out", metavar="FILE.png", help=f"where to draw (default: {RESULTS}/preview-RECIPE.png)"
    )
    top.add_argument(
        "--import", dest="imports", metavar="MODULE", action="append", default=[], help=IMPORT_HELP
    )
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    options = parser().parse_args(arguments)
    return guarded(lambda: _preview(options))


def preview(recipe: Recipe, listing: Listing, *, title: str, seed: int = 0) -> Image.Image:
    """A sheet with a row a picture, of as many classes as there are; see `samples.sample_rows`.

    Args:
        seed: Decides which pictures, and their draws.

    Raises:
        InputError: None of the pictures can be decoded.
    """
    from search.images.samples import sample_rows  # only now: importing torch takes seconds

    augment, side_px = recipe.augment, short_side_px(recipe.geometry.size_px)
    handful = pick(listing, PICTURES, side_px=side_px, rng=np.random.default_rng(seed))
    return contact_sheet(
        sample_rows(recipe, handful, samples=SAMPLES, seed=seed),
        title=f"{title}: {recipe.geometry.size_px} px, strength {augment.strength:g}, seed {seed}",
        first="evaluated on",
        others="trained on" + "; below mixed ones, their targets" * bool(augment.mixup or augment.cutmix),
    )


def _preview(options: argparse.Namespace) -> int:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if options.seed < 0:
        raise InputError(f"--seed must be 0 or more; received {options.seed}.")
    check_recipe_name(options.recipe)
    out = Path(options.out or RESULTS / f"preview-{Path(options.recipe).stem}.png").expanduser()
    _require_free(out)
    listing = _listing(options, console)
    from trainables.models.create import import_networks  # only now, as above

    recipe = load_recipe(options.recipe, extra_models=import_networks(options.imports))
    title = f"{options.recipe} on {options.data or 'the demo'}"
    sheet = preview(recipe, listing, title=title, seed=options.seed)
    if not options.out:
        RESULTS.mkdir(exist_ok=True)
    _write(sheet, out)
    console.print(f"Preview:  {out}")
    return 0


def _listing(options: argparse.Namespace, console: Console) -> Listing:
    classes = None if options.classes is None else class_names(options.classes)
    if options.data:
        return read_listing(Path(options.data), classes=classes)
    with bars(console) as bar:
        source = demo_source(default_cache_dir(), progress=bar("drawing the demo's pictures"))
    return read_listing(source, classes=classes)


def _require_free(out: Path) -> None:
    """Makes sure that nothing is overwritten but an older preview."""
    if out.suffix.lower() != ".png":
        raise InputError(f"--out must end in .png; received {out}.")
    if out.exists() and not is_preview(out):
        raise InputError(f"{out} exists already and is no preview. Choose another --out, or move it away.")


def is_preview(path: Path) -> bool:
    """Whether a file is a sheet that this program drew."""
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            return picture.info.get("Software") == SOFTWARE
    except Exception:  # on damaged files Pillow raises nearly everything
        return False


def _write(sheet: Image.Image, out: Path) -> None:
    text = PngInfo()
    text.add_text("Software", SOFTWARE)
    try:
        sheet.save(out, "PNG", pnginfo=text)
    except OSError as fault:
        raise InputError(f"{out} cannot be written: {fault}") from fault


if __name__ == "__main__":
    sys.exit(main())
