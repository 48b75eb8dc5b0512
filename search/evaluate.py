"""`python -m search.evaluate MODEL --data DIR`: a trained model's scores on labelled pictures."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from search.console.command import add_model_options, guarded, runtime_on
from search.console.command_line import CommandLine
from search.settings.settings import class_names
from search.storage.folder import SearchFolder
from spaces.errors import InputError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = CommandLine(
        prog="python -m search.evaluate",
        description="Evaluates a model on labelled pictures: all of them, or the test part where the data "
        "says which pictures that is.",
    )
    add_model_options(top)
    top.add_argument("--data", metavar="DIR", required=True, help="labelled pictures, as for search.run")
    top.add_argument("--classes", metavar="A,B,...", help="take only these classes")
    top.add_argument("--json", action="store_true", help="as JSON; the README gives its form")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    options = parser().parse_args(arguments)
    return guarded(lambda: _evaluate(options))


def evaluate(
    model: Path,
    data: Path,
    *,
    classes: Sequence[str] | None = None,
    imports: Sequence[str] = (),
    device: str = "auto",
) -> dict[str, Any]:
    """`{"model", "data", "part", "only", "learnt_from", "test": {...}, "skipped": [[file, reason]]}`, `test`
    as in `metrics.json`, `learnt_from` as in `learnt_from`.

    Args:
        classes: Takes only these. Pictures of classes that the model does not know are never left out
            without being told to: every answer about them would be wrong.

    Raises:
        InputError: The model cannot be loaded, the data cannot be read, or has classes that the model
            does not know, or its test part holds none of the classes asked for.
    """
    from trainables.data import read_listing

    listing = read_listing(data)  # first: importing torch takes seconds
    # Of the whole: pictures for training are not evaluated in place of classes that have none for testing.
    part = "test" if (listing.files["part"] == "test").any() else "all"
    files = (listing if classes is None else listing.only(classes)).files
    if part == "test":
        files = files[files["part"] == "test"]
    if files.empty:
        raise InputError(f"{data} has no pictures of {', '.join(classes or ())} in its test part.")
    import numpy as np

    from search.statistics.intervals import of_test
    from trainables import export
    from trainables.models.create import import_networks
    from trainables.predict import probabilities
    from trainables.quality import quality

    import_networks(imports)
    classifier = export.load(model)
    unknown = sorted(set(files["class"]) - set(classifier.classes))
    if unknown:
        known = sorted(set(files["class"]) & set(classifier.classes))
        option = ",".join(known)
        possible = known and class_names(option) == tuple(known)  # a name may have a comma in it
        way_out = f" To leave them out: --classes {shlex.quote(option)}" if possible else ""
        raise InputError(
            f"{data} has classes that {model} does not know: {', '.join(unknown)}. It knows: "
            f"{', '.join(classifier.classes)}.{way_out}"
        )
    labels = dict(zip(files["file"], files["class"], strict=True))
    labels_read, said, skipped = [], [], []
    paths = [listing.root / file for file in files["file"]]
    answers = probabilities(classifier, paths, runtime=runtime_on(device))
    for file, (_, found) in zip(files["file"], answers, strict=True):
        if isinstance(found, Exception):
            skipped.append([file, str(found)])
            continue
        labels_read.append(classifier.classes.index(labels[file]))
        said.append(np.log(found.clip(np.finfo(np.float32).tiny).astype(np.float64)))
    if not said:
        raise InputError(f"{data}: none of its {len(files)} pictures can be read.")
    truth, found = np.array(labels_read), np.stack(said)
    return {
        "model": str(model),
        "data": str(data),
        "part": part,
        "only": None if classes is None else list(classes),
        "learnt_from": learnt_from(model, data, list(files["file"])),
        "test": quality(truth, found, classifier.classes, unknown_below=classifier.calibration.unknown_below)
        | of_test(truth, found),
        "skipped": skipped,
    }


def learnt_from(model: Path, data: Path, files: Sequence[str]) -> int:
    """How many of these pictures helped to make a model or to choose it: of the parts but test of the search
    whose folder it is in, where that had its pictures from the same place."""
    from trainables.data import read_split

    folder = SearchFolder(model.resolve().parent)
    if not (folder.settings_file.exists() and folder.split_file.exists()):
        return 0
    source = folder.read_json(folder.settings_file).get("source")
    if source is None or _root(Path(source)) != _root(data):
        return 0
    split = read_split(folder.split_file)
    return len(set(files) & set(split["file"][split["part"] != "test"]))


def _root(data: Path) -> Path:
    """The folder that the names of pictures start from."""
    return (data.parent if data.is_file() else data).resolve()


def _evaluate(options: argparse.Namespace) -> int:
    classes = None if options.classes is None else class_names(options.classes)
    found = evaluate(
        Path(options.model),
        Path(options.data),
        classes=classes,
        imports=options.imports,
        device=options.device,
    )
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0
    if found["learnt_from"]:
        print(
            f"Note: {found['learnt_from']} of these pictures helped to make this model or to choose it, so "
            "this is no test of it.",
            file=sys.stderr,
        )
    test, only = found["test"], f" of {', '.join(classes)} only" if classes else ""
    Console(highlight=False, markup=False, soft_wrap=True).print(
        f"{test['n']} pictures ({found['part']}){only}, {len(found['skipped'])} skipped: accuracy "
        f"{test['accuracy']:.4f}, macro-F1 {test['macro_f1']:.4f}, log loss {test['log_loss']:.4f}"
        f"{'' if test['called_unknown'] is None else ', {called_unknown} called unknown'.format(**test)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
