"""`python -m search.export MODEL --onnx --push-to-hub USER/NAME`: more of a model that is there."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from search.console.command import IMPORT_HELP, guarded
from search.console.command_line import CommandLine
from search.model.delivery import Delivery, add_delivery_options
from search.storage.folder import EXPLAINED, SearchFolder
from spaces.ensemble import read_recipe
from spaces.errors import InputError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = CommandLine(
        prog="python -m search.export",
        description="Makes more of a model that search.retrain or search.train has written: an ONNX file, a "
        "repository on the Hugging Face hub. Both commands do that too, by the same options.",
    )
    top.add_argument("model", metavar="MODEL", help="such as results/NAME/model")
    top.add_argument(
        "--import", dest="imports", metavar="MODULE", action="append", default=[], help=IMPORT_HELP
    )
    add_delivery_options(top)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    options = parser().parse_args(arguments)
    return guarded(lambda: _export(options))


def _export(options: argparse.Namespace) -> int:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    model = Path(options.model)
    delivery = Delivery(options.onnx, options.push_to_hub, options.public)
    if not options.onnx and not options.push_to_hub:
        raise InputError("there is nothing to do: add --onnx, --push-to-hub USER/NAME, or both.")
    delivery.check(console)
    if options.onnx:
        add_onnx(model, options.imports)
        console.print(f"ONNX:  {model / 'model.onnx'}")
    delivery.push(console, model, options.imports)
    return 0


def add_onnx(model: Path, imports: Sequence[str] = ()) -> None:
    """Writes `model.onnx` into a model's folder, or leaves the folder as it is. It is checked as a retrain's
    is, on the pictures of `explained/`.

    Raises:
        ExportError: The folder is not an exported classifier, or what was exported does not say what its
            network says.
        FolderError: Its description or its metrics are damaged.
    """
    from search.model.model_card import card, write_card
    from trainables import export
    from trainables.export_check import export_checked
    from trainables.models.create import import_networks
    from trainables.predict import squares_of
    from trainables.programs import ONNX_FILE

    import_networks(imports)
    classifier = export.load(model)
    card(model, imports)  # raises where its files are damaged, before anything is written
    recipe = read_recipe(SearchFolder.read_json(model / export.DESCRIPTION_FILE)["recipe"])
    shown = sorted(path for path in (model / EXPLAINED).glob("example-*.webp") if "heat" not in path.name)
    if not shown:
        raise InputError(f"{model / EXPLAINED} has no pictures to check an export on. Retrain with --onnx.")
    with tempfile.TemporaryDirectory(prefix=f".{model.name}.", dir=model.parent) as whole:
        export_checked(
            classifier.model,
            recipe,
            classifier.classes,
            Path(whole),
            squares=squares_of(shown, classifier),
            calibration=classifier.calibration,
            imports=imports,
            onnx=True,
        )
        for file in sorted(Path(whole).glob(f"{ONNX_FILE}*"), reverse=True):  # its weights first
            file.replace(model / file.name)
    write_card(model, imports)


if __name__ == "__main__":
    sys.exit(main())
