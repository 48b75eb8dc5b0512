"""`python -m search.retrain results/NAME`: the winner, trained for real, tested and exported."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from search.console.command import (
    DEVICE_HELP,
    epoch_line,
    gpus_of_this_machine,
    guarded,
    hint_when_interrupted,
    runtime_on,
    say_model,
)
from search.console.command_line import CommandLine
from search.fetch import fetch
from search.model.delivery import Delivery, add_delivery_options
from search.planning.names import check_recipe_name
from search.storage.folder import SearchFolder, State
from search.text import count
from trainables.calibration import FALSE_ALARM_RATE
from trainables.storage import Storage, StorageError, storage_uri

NONE = "none"
"""In place of a storage: the model stays here."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = CommandLine(
        prog="python -m search.retrain",
        description="Trains the winner of a search on all parts but test for its full length, evaluates the "
        "test part, and writes the model with its metrics.json to results/NAME/model. What search.train "
        "trained is trained anew on more pictures, and written to results/NAME/model-trial-0.",
    )
    top.add_argument("folder", metavar="results/NAME", help="a search, or what search.train left")
    which = top.add_mutually_exclusive_group()
    which.add_argument("--trial", metavar="N", type=int, help="train this trial instead of the winner")
    which.add_argument("--config", metavar="FILE|NAME", help="train this recipe on the search's split")
    which.add_argument(
        "--ensemble",
        action="store_true",
        help="join to the winner those that the rematch cannot tell from it, where the mean of their "
        "probabilities is better on the selection part; takes the time of all their trainings",
    )
    top.add_argument("--epochs", metavar="N", type=int, help="another length than the trial's own")
    top.add_argument("--seed", metavar="N", type=int, help="another seed than the trial's own")
    top.add_argument(
        "--false-alarm-rate",
        metavar="R",
        type=float,
        default=FALSE_ALARM_RATE,
        help="share of pictures of its own classes that the model may call unknown (default %(default)s; "
        "0: none is ever called so). Needs the search's rematch",
    )
    top.add_argument("--out", metavar="DIR", help="another folder for the model")
    top.add_argument(
        "--storage",
        metavar="URI",
        help="keep the training and the model there too; a search that is not here is brought from there "
        "first (default: as the search had it; none: only here)",
    )
    add_delivery_options(top)
    top.add_argument(
        "--gpus",
        metavar="N|all",
        default="all",
        help="GPUs of this machine, or with --ray of the cluster, that share out each batch (default all, "
        "but not more than there are 16 pictures of a batch for)",
    )
    where = top.add_mutually_exclusive_group()
    where.add_argument("--device", default="auto", help=DEVICE_HELP)
    where.add_argument(
        "--ray",
        metavar="auto|ADDRESS",
        help="train on the machines of a Ray cluster (auto: the one that runs here, or that RAY_ADDRESS "
        "names), and test and export here (default: train here, without Ray)",
    )
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    top = parser()
    options = top.parse_args(arguments)
    if options.device != "auto" and options.gpus != "all":
        top.error("argument --gpus: not allowed with argument --device")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what has been trained is kept
    return guarded(lambda: _retrain(options))


def _retrain(options: argparse.Namespace) -> int:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    folder, home = _opened(Path(options.folder), options.storage)
    if options.config is not None:
        check_recipe_name(options.config)
    delivery = Delivery(options.onnx, options.push_to_hub, options.public)
    delivery.check(console)
    # Only now: torch takes seconds to import, and a typing error should be told at once.
    from search.final import TRAINED_ON, choose, length_of, retrain
    from search.model.keeping import Keeping
    from search.report.facts.ensemble import ensemble
    from search.results import write_page

    alone = options.device == "auto" and not options.ray
    devices = gpus_of_this_machine(options.gpus) if alone else []
    choice = choose(
        folder,
        trial=options.trial,
        config=options.config,
        epochs=options.epochs,
        ensemble=options.ensemble,
    )
    if (state := folder.state) is not State.FINISHED:
        console.print(_unfinished(folder, state))
    for line in ensemble(choice.ensemble.facts()) if choice.ensemble else ():
        console.print(line)
    length = count(length_of(choice.config), "epoch")
    what = f"{choice.title} ({choice.config.recipe.model.name}) for {length}"
    if choice.joined:
        what = f"{len(choice.joined)} members, one after the other,"
    console.print(f"Retraining {what} on {', '.join(TRAINED_ON)}; the test part is read once, at the end.")

    out = Path(options.out) if options.out else folder.path / choice.out
    keeping = Keeping(folder, home, out, model=not options.out, told=console.print) if home else None
    if keeping:
        keeping.bring()

    with contextlib.ExitStack() as stack:
        stack.enter_context(hint_when_interrupted(folder, "the same command goes on after the last epoch"))
        elsewhere = None
        if options.ray:
            from search.over_ray import over_ray

            joined = over_ray(folder, address=options.ray, gpus=options.gpus, keeping=keeping)
            elsewhere = stack.enter_context(joined)
            devices = elsewhere.devices
        said = elsewhere.console if elsewhere else console

        def heard(metrics: dict[str, float]) -> None:
            said.print(epoch_line(metrics, None if choice.joined else length_of(choice.config)))
            if keeping and not elsewhere:  # the workers keep the state there themselves
                keeping.tick()

        retrain(
            folder,
            choice,
            out=out,
            seed=options.seed,
            false_alarm_rate=options.false_alarm_rate,
            onnx=delivery.onnx,
            runtime=runtime_on(options.device),
            devices=devices,
            elsewhere=elsewhere,
            heard=heard,
            told=said.print,
        )
    say_model(console, folder, out)
    write_page(folder, folder.state)  # it shows the test score
    if keeping:
        keeping.finish()
    if keeping and not options.out:
        console.print(f"Kept in:  {home}/{out.name}")
    delivery.push(console, out, folder.settings().imports)
    return 0


def _opened(path: Path, storage: str | None) -> tuple[SearchFolder, Storage | None]:
    """The search's folder, brought from its storage where it is not here, and its folder there.

    Raises:
        FolderError: It is neither here nor there.
        StorageError: The storage cannot be used.
    """
    folder = SearchFolder(path)
    if storage and storage != NONE and not folder.settings_file.exists():
        fetch(folder, Storage(storage_uri(storage)) / path.name)
    folder = SearchFolder.open(path)
    storage = storage or folder.settings().storage
    if not storage or storage == NONE:
        return folder, None
    root = Storage(storage_uri(storage))
    try:
        root.require_writable()
    except StorageError as fault:
        raise StorageError(f"{fault} With --storage {NONE} the model is only here.") from fault
    return folder, root / folder.settings().name


def _unfinished(folder: SearchFolder, state: State) -> str:
    """A note that there is more to come of what is retrained."""
    settings, records = folder.settings(), folder.records().all()
    if settings.alone:
        done = sum(len(record.history) for record in records)
        what = f"this training is {state} after {done} of {count(settings.max_epochs, 'epoch')}."
    else:
        done = sum(record.outcome is not None for record in records)
        trials = settings.allowance.trials
        what = f"this search is {state} after {count(done, 'trial')}."
        if trials is not None:
            what = f"this search is {state} after {done} of {count(trials, 'trial')}."
    go_on = "" if state is State.RUNNING else f" Go on with it:  {settings.resume_command}"
    return f"Note: {what}{go_on}"


if __name__ == "__main__":
    sys.exit(main())
