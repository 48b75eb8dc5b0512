"""`python -m search.predict MODEL PICTURE-OR-FOLDER...`: what a trained model sees in pictures."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from search.console.command import add_model_options, guarded, runtime_on, table_console
from search.console.command_line import CommandLine
from spaces.errors import InputError

SOME_BROKEN = 1
"""Exit status, as that of `cat`, where some files could not be read: the others are done."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = CommandLine(
        prog="python -m search.predict",
        description="Prints the best classes of each picture with their probabilities. A picture is called "
        "unknown where its best class is less probable than the model's threshold, which search.retrain fits "
        "on what a search's rematch left; a model without one calls none unknown. Files that cannot be read "
        "are named on standard error; the others are done all the same, and the exit status is then 1.",
    )
    add_model_options(top)
    top.add_argument("pictures", metavar="PICTURE-OR-FOLDER", nargs="+", help="folders are searched through")
    top.add_argument("--top", metavar="N", type=int, default=3, help="classes a picture (default 3)")
    form = top.add_mutually_exclusive_group()
    form.add_argument(
        "--csv",
        action="store_true",
        help="path, class, probability, the next best, then unknown: whether it is",
    )
    form.add_argument("--json", action="store_true", help="a list; the README gives its form")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    options = parser().parse_args(arguments)
    return guarded(lambda: _predict(options))


def predict(
    model: Path,
    pictures: Sequence[Path],
    *,
    top: int = 3,
    imports: Sequence[str] = (),
    device: str = "auto",
) -> Iterator[dict[str, Any]]:
    """One answer a picture, in order:
    `{"path", "class", "probability", "unknown", "top": [{"class", "probability"}]}`.

    `class` is the best one, also where the picture is `unknown`; that is None where the model cannot tell. A
    picture that cannot be read gives `{"path", "error"}`.

    Raises:
        InputError: The model cannot be loaded, there are no pictures, or `top` is less than 1.
    """
    if top < 1:
        raise InputError(f"--top must be at least 1; received {top}.")
    files = list(_files(pictures))  # first: importing torch takes seconds
    from trainables import export
    from trainables.models.create import import_networks
    from trainables.predict import probabilities

    import_networks(imports)
    classifier = export.load(model)
    below = classifier.calibration.unknown_below
    for file, found in probabilities(classifier, files, runtime=runtime_on(device)):
        if isinstance(found, Exception):
            yield {"path": str(file), "error": str(found)}
            continue
        best = [
            {"class": classifier.classes[place], "probability": float(found[place])}
            for place in found.argsort()[::-1][:top]
        ]
        unknown = None if below is None else bool(found.max() < below)
        yield {"path": str(file), **best[0], "unknown": unknown, "top": best}


def _files(given: Sequence[Path]) -> Iterator[Path]:
    from trainables.data.decode import SUFFIXES

    for path in given:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
            if not found:
                raise InputError(f"{path}: no pictures in this folder.")
            yield from found
        elif path.exists():
            yield path
        else:
            raise InputError(f"{path}: no such file or folder.")


def _predict(options: argparse.Namespace) -> int:
    answers = predict(
        Path(options.model),
        [Path(path) for path in options.pictures],
        top=options.top,
        imports=options.imports,
        device=options.device,
    )
    good, broken = [], 0
    for answer in answers:
        if "error" in answer:
            print(f"{answer['path']}: {answer['error']}", file=sys.stderr)
            broken += 1
        else:
            good.append(answer)
    if options.json:
        print(json.dumps(good, indent=2, ensure_ascii=False))
    elif options.csv:
        _print_csv(good)
    elif good:
        _print_table(good)
    return SOME_BROKEN if broken else 0


def _print_csv(answers: list[dict[str, Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    places = range(2, len(answers[0]["top"]) + 1) if answers else range(0)
    writer.writerow(
        [
            "path",
            "class",
            "probability",
            *(f"{name}_{n}" for n in places for name in ("class", "probability")),
            "unknown",
        ]
    )
    for answer in answers:
        unknown = "" if answer["unknown"] is None else str(answer["unknown"]).lower()
        writer.writerow([answer["path"], *(best[key] for best in answer["top"] for key in best), unknown])


def _print_table(answers: list[dict[str, Any]]) -> None:
    table = Table("picture", "class", "probability", "next best", box=None, pad_edge=False)
    for answer in answers:
        name, next_best = answer["class"], answer["top"][1:]
        if answer["unknown"]:
            name, next_best = "unknown", answer["top"]
        others = ", ".join(f"{best['class']} {best['probability']:.3f}" for best in next_best)
        table.add_row(escape(answer["path"]), escape(name), f"{answer['probability']:.3f}", escape(others))
    table_console().print(table)


if __name__ == "__main__":
    sys.exit(main())
