"""What all commands share: errors that a person can mend are printed as such, without a traceback."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from spaces.errors import InputError

INTERRUPTED = 130
FAULTY_INPUT = 2


def guarded(command: Callable[[], int]) -> int:
    """Runs a command and returns its exit status: its own, 2 for faulty input, 130 for Ctrl-C."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        return command()
    except ValidationError as fault:
        for error in fault.errors():
            option = "--" + str(error["loc"][0]).replace("_", "-")
            received = escape(repr(error["input"]))
            errors.print(f"[bold red]error:[/] {option} {received}: {escape(error['msg'])}")
    except InputError as fault:
        errors.print(f"[bold red]error:[/] {escape(str(fault))}")
    except KeyboardInterrupt:
        errors.print("interrupted")
        return INTERRUPTED
    return FAULTY_INPUT
