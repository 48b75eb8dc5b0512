"""`python -m search.retrain results/NAME`: the winner, trained for real, tested and exported."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from search.command import DEVICE_HELP, guarded, runtime_on
from search.folder import SearchFolder


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m search.retrain",
        description="Trains the winner of a search on all parts but test for its full length, evaluates the "
        "test part, and writes the model with its metrics.json to results/NAME/model.",
    )
    top.add_argument("folder", metavar="results/NAME", help="a search")
    which = top.add_mutually_exclusive_group()
    which.add_argument("--trial", metavar="N", type=int, help="train this trial instead of the winner")
    which.add_argument("--config", metavar="FILE|NAME", help="train this recipe on the search's split")
    top.add_argument("--epochs", metavar="N", type=int, help="another length than the trial's own")
    top.add_argument("--seed", metavar="N", type=int, help="another seed than the trial's own")
    top.add_argument("--out", metavar="DIR", help="another folder for the model")
    top.add_argument("--device", default="auto", help=DEVICE_HELP)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    options = parser().parse_args(arguments)
    return guarded(lambda: _retrain(options))


def _retrain(options: argparse.Namespace) -> int:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    folder = SearchFolder.open(Path(options.folder))
    # Only now: torch takes seconds to import, and a mistyped folder should not.
    from search.final import TRAINED_ON, choose, retrain

    choice = choose(folder, trial=options.trial, config=options.config, epochs=options.epochs)
    epochs = len(choice.config.lr_scales or ()) or choice.config.epochs
    console.print(
        f"Retraining {choice.title} ({choice.config.recipe.model.name}) for {epochs} epochs on "
        f"{', '.join(TRAINED_ON)}; the test part is read once, at the end."
    )

    def heard(metrics: dict[str, float]) -> None:
        console.print(
            f"epoch {metrics['epoch']:>3.0f} of {epochs}  train loss {metrics['train_loss']:.4f}  "
            f"train accuracy {metrics['train_accuracy']:.4f}  {metrics['images_per_s']:.0f} images/s"
        )

    out = retrain(
        folder,
        choice,
        out=Path(options.out) if options.out else None,
        seed=options.seed,
        runtime=runtime_on(options.device),
        heard=heard,
    )
    metrics = folder.read_json(out / "metrics.json")
    test = metrics["test"]
    console.print(
        f"Test part, {test['n']} pictures: accuracy {test['accuracy']:.4f}, macro-F1 {test['macro_f1']:.4f}, "
        f"log loss {test['log_loss']:.4f} (read {metrics['test_readings']} "
        f"time{'s' * (metrics['test_readings'] != 1)} so far)"
    )
    console.print(f"Model:  {out}")
    console.print(f"Try it:  python -m search.predict {out} PICTURE-OR-FOLDER...")
    if folder.page_file.exists():
        console.print(f"Leaderboard:  {folder.page_file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
