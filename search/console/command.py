"""What all commands share: errors that a person can mend are printed as such, without a traceback."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from search.storage.folder import METRICS_FILE, SearchFolder
from search.storage.readings import count_readings
from spaces.errors import InputError
from spaces.faults import rule

if TYPE_CHECKING:
    from trainables.runtime import Runtime

INTERRUPTED = 130
FAULTY_INPUT = 2
NOTHING_FOUND = 1
NOBODY_READS = 141
"""As shells say of a program that SIGPIPE has ended."""

IMPORT_HELP = "a module that registers networks of your own with timm; may be repeated"
DEVICE_HELP = "auto (default: a GPU where there is one), cpu, cuda, cuda:1, mps"


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """What every command that uses an exported model takes."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a folder that search.retrain or search.train wrote: results/NAME/model",
    )
    parser.add_argument(
        "--import", dest="imports", metavar="MODULE", action="append", default=[], help=IMPORT_HELP
    )
    parser.add_argument("--device", default="auto", help=DEVICE_HELP)


def guarded(command: Callable[[], int]) -> int:
    """Runs a command and returns its exit status: its own, 2 for faulty input, 130 for Ctrl-C."""
    os.umask(os.umask(0o077) | 0o022)  # what is written is for others to read at most
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # see `search/__init__.py`
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name need not be text that can be printed
            stream.reconfigure(errors="backslashreplace")
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        return command()
    except ValidationError as fault:
        for error in fault.errors():
            option = "--" + str(error["loc"][0]).replace("_", "-")
            given = error["input"]
            shown = ",".join(given) if isinstance(given, tuple) else repr(given)
            received = "" if given is None else f" {shown}"
            errors.print(f"[bold red]error:[/] {option}{escape(received)}: {escape(rule(error))}")
    except InputError as fault:
        errors.print(f"[bold red]error:[/] {escape(str(fault))}")
    except BrokenPipeError:  # who reads what is printed, such as `head`, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries once more at its end
        return NOBODY_READS
    except OSError as fault:
        if fault.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = fault.filename or "A file"
        message = f"{where} cannot be written: {fault.strerror}. Make room, and try again."
        errors.print(f"[bold red]error:[/] {escape(message)}")
    except KeyboardInterrupt as stop:
        errors.print("; ".join(["interrupted", *map(escape, stop.args)]))
        return INTERRUPTED
    return FAULTY_INPUT


@contextlib.contextmanager
def hint_when_interrupted(folder: SearchFolder, hint: str) -> Iterator[None]:
    """Where Ctrl-C ends the command in this block, `guarded` says how to go on with what the folder holds."""
    try:
        yield
    except KeyboardInterrupt:
        if not folder.records_file.exists():
            raise
        raise KeyboardInterrupt(hint) from None


def epoch_line(metrics: dict[str, float], epochs: int | None) -> str:
    """What a training says of an epoch; see `trainables.loop.train` for its metrics.

    Args:
        epochs: Its length; None where that has been said.
    """
    parts = [f"epoch {metrics['epoch']:>3.0f}" + ("" if epochs is None else f" of {epochs}")]
    for side, name in (("train", "train"), ("val", "validation")):
        if f"{side}_loss" in metrics:
            loss, accuracy = metrics[f"{side}_loss"], metrics[f"{side}_accuracy"]
            parts += [f"{name} loss {loss:.4f}", f"{name} accuracy {accuracy:.4f}"]
    return "  ".join([*parts, f"{metrics['images_per_s']:.0f} images/s"])


def say_model(console: Console, folder: SearchFolder, model: Path) -> None:
    """What a trained model came to, and what to type next."""
    metrics, readings = folder.read_json(model / METRICS_FILE), count_readings(folder)
    test = metrics["test"]
    interval = (
        "" if test["accuracy_95"] is None else " (95% interval {:.4f} to {:.4f})".format(*test["accuracy_95"])
    )
    console.print(
        f"Test part, {test['n']} pictures: accuracy {test['accuracy']:.4f}{interval}, "
        f"macro-F1 {test['macro_f1']:.4f}, "
        f"log loss {test['log_loss']:.4f} (read {readings} time{'s' * (readings != 1)} so far)"
    )
    console.print(_calibration_line(metrics))
    console.print(f"Model:  {model}")
    console.print(f"Try it:  python -m search.predict {model} PICTURE-OR-FOLDER...")
    console.print(f"Leaderboard:  {folder.page_file}")


def _calibration_line(metrics: dict[str, Any]) -> str:
    found = metrics["calibration"]
    if found is None:
        return f"Not calibrated, and nothing is called unknown: {metrics['not_calibrated']}."
    line = f"Calibrated by the rematch: temperature {found['temperature']:.3f}"
    if found["unknown_below"] is not None:
        called = f"{metrics['test']['called_unknown']} of {metrics['test']['n']} test pictures"
        line += f", unknown below {found['unknown_below']:.3f} ({called})"
    return line


def table_console() -> Console:
    """For tables on standard output: where it is piped, no cell is cut to the width of a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)


def gpus_of_this_machine(wanted: str) -> list[str]:
    """Names of so many GPUs of this machine, as torch knows them, or of `all`, which may be none.

    Raises:
        InputError: There are not so many.
    """
    import torch

    there = torch.cuda.device_count()
    number = int(wanted) if wanted.isdecimal() else 0
    if wanted != "all" and not 1 <= number <= there:
        raise InputError(f"--gpus {wanted}: a number from 1 on, or all; this machine has {there} for torch.")
    return [f"cuda:{place}" for place in range(there if wanted == "all" else number)]


def runtime_on(device: str) -> Runtime:
    """A runtime on what `--device` names.

    Raises:
        InputError: torch does not know it, or this machine does not have it.
    """
    import torch  # only now: it takes seconds, and `--help` should not

    from trainables.runtime import Runtime

    runtime = Runtime(device=device)
    try:
        torch.empty(1, device=runtime.resolved_device())
    except (AssertionError, RuntimeError) as fault:  # what torch raises where it was built without CUDA
        reason = str(fault).splitlines()[0]
        raise InputError(f"--device {device} cannot be used here: {reason}") from fault
    return runtime
