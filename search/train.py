"""`python -m search.train RECIPE --data DIR`: one recipe, trained alone, tested and exported."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from search.console.command import (
    DEVICE_HELP,
    IMPORT_HELP,
    INTERRUPTED,
    NOTHING_FOUND,
    epoch_line,
    guarded,
    hint_when_interrupted,
    runtime_on,
    say_model,
)
from search.console.command_line import CommandLine
from search.model.delivery import Delivery, add_delivery_options
from search.planning.names import check_names
from search.settings.settings import Settings, from_options, name_after
from search.storage.folder import RESULTS, FolderError, SearchFolder, State
from spaces.errors import InputError
from spaces.recipe_files import recipe_names

if TYPE_CHECKING:
    from search.results import Finished

DESCRIPTION = """\
Trains one recipe on this machine, without Ray: on the train part of the pictures, watched on the
validation part; the test part is read once, at the end. results/NAME/ is then the folder of a search of
one trial, with the model in it.
"""
EXAMPLES = """\
examples:
  python -m search.train default                              the built-in demo's pictures
  python -m search.train resnet50_transfer --data ~/pictures  a built-in recipe on your own
  python -m search.train own.yaml --data ~/pictures --name mine
  python -m search.train --name mine --resume                 go on after Ctrl-C, a crash or a power cut
"""


def parser() -> argparse.ArgumentParser:
    """The command line. Options that were not given are absent from the result."""
    top = CommandLine(
        prog="python -m search.train",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    top.add_argument(
        "recipe",
        metavar="RECIPE",
        nargs="?",
        help=f"a recipe file, a trial file such as best_config.yaml, or one of: {', '.join(recipe_names())}",
    )
    top.add_argument("--data", metavar="PATH", help="pictures, as for search.run. Default: the built-in demo")
    top.add_argument("--classes", metavar="A,B,...", help="take only these classes")
    top.add_argument(
        "--min-per-class", metavar="N", type=int, help="leave out classes with fewer pictures (default 10)"
    )
    top.add_argument("--import", dest="imports", metavar="MODULE", action="append", help=IMPORT_HELP)
    top.add_argument("--epochs", metavar="N", type=int, help="length (default: the file's own, else 30)")
    top.add_argument(
        "--seed", metavar="N", type=int, help="of split and training (default: the file's own, else 0)"
    )
    top.add_argument("--name", metavar="NAME", help="folder under results/ (default: by recipe and time)")
    top.add_argument("--device", default="auto", help=DEVICE_HELP)
    top.add_argument("--cache-dir", metavar="DIR", help="decoded pictures, as for search.run")
    top.add_argument("--cache-gb", metavar="N", type=float, help="most that they may take, as for search.run")
    add_delivery_options(top)
    top.add_argument(
        "--resume",
        action="store_true",
        default=False,
        help="go on with the training of this --name, as it was asked for",
    )
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Its exit status: 0, 1 when it diverged, 2 for faulty input, 130 when interrupted."""
    given = vars(parser().parse_args(arguments))
    return guarded(lambda: _train(given))


def _train(given: dict[str, Any]) -> int:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    delivery = Delivery(*(given.pop(name) for name in ("onnx", "push_to_hub", "public")))
    finished = (_resume if given.pop("resume") else _start)(given, delivery, console)
    folder = SearchFolder(finished.folder)
    if finished.state is State.INTERRUPTED:
        again = folder.settings().resume_command + delivery.arguments
        console.print(f"\nInterrupted. Go on with it:  {again}")
        console.print(f"Leaderboard:  {folder.page_file}")
        return INTERRUPTED
    if finished.best is None:
        console.print("The training diverged: its loss was no longer a finite number. There is no model.")
        console.print(f"Leaderboard:  {folder.page_file}")
        return NOTHING_FOUND
    say_model(console, folder, folder.model)
    if delivery.onnx and not (folder.model / "model.onnx").exists():  # it had finished without
        from search.export import add_onnx

        add_onnx(folder.model, folder.settings().imports)
    delivery.push(console, folder.model, folder.settings().imports)
    return 0


def _start(given: dict[str, Any], delivery: Delivery, console: Console) -> Finished:
    device, epochs = given.pop("device"), given.pop("epochs", None)
    if "recipe" not in given:
        raise FolderError(f"a RECIPE is missing: a file, or one of {', '.join(recipe_names())}.")
    if epochs is not None and epochs < 1:
        raise InputError(f"--epochs must be at least 1; received {epochs}.")
    recipe = given.pop("recipe")
    name = name_after(Path(recipe).stem)
    asked = from_options(given, name=name, space=None, start_from=(recipe,), trials=1)
    settings = Settings.model_validate(asked)
    folder = SearchFolder(RESULTS / settings.name)
    if folder.path.exists():
        SearchFolder.create(folder.path)  # refuses, before minutes go into the pictures
    check_names(settings)
    delivery.check(console)
    # Only now: torch takes seconds to import, and a mistyped option should not.
    from search import alone

    config = alone.load_config(recipe, imports=settings.imports, epochs=epochs, seed=given.get("seed"))
    settings = settings.model_copy(update={"seed": config.seed, "max_epochs": config.epochs})
    with hint_when_interrupted(folder, f"go on with it: {settings.resume_command}{delivery.arguments}"):
        return alone.start(
            settings,
            config,
            recipe,
            console=console,
            onnx=delivery.onnx,
            runtime=runtime_on(device),
            heard=_printing(console, settings.max_epochs),
        )


def _resume(given: dict[str, Any], delivery: Delivery, console: Console) -> Finished:
    device = given.pop("device")
    if set(given) != {"name"}:
        raise FolderError(
            "--resume goes on as it was asked for: give the --name, and --device, --onnx and --push-to-hub "
            "if you like."
        )
    folder = SearchFolder.open(RESULTS / given["name"])
    settings = folder.settings()
    delivery.check(console)
    from search import alone

    with hint_when_interrupted(folder, f"go on with it: {settings.resume_command}{delivery.arguments}"):
        return alone.resume(
            folder,
            console=console,
            onnx=delivery.onnx,
            runtime=runtime_on(device),
            heard=_printing(console, settings.max_epochs),
        )


def _printing(console: Console, epochs: int) -> Callable[[dict[str, float]], None]:
    return lambda metrics: console.print(epoch_line(metrics, epochs))


if __name__ == "__main__":
    sys.exit(main())
