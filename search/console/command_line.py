"""A command line that says in a line what is wrong with it, and what was meant perhaps."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any, NoReturn

from spaces.faults import near_misses

NUMBERS = {int: "a whole number", float: "a number"}
OPTION = re.compile(r"(--?[A-Za-z][\w-]*)(=.*)?", re.DOTALL)
MOST = 3
"""Options that are named in place of one that does not exist."""


class CommandLine(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` whose options are to be written out: `--epochs` must not be taken for
    `--epochs-total` without a word."""

    def __init__(self, **given: Any) -> None:
        super().__init__(allow_abbrev=False, **given)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """As argparse does; an option that does not exist is told first, and not what lacks without it."""
        given = sys.argv[1:] if args is None else args
        for word in takewhile(lambda word: word != "--", given):
            found = OPTION.fullmatch(word)
            if found and found[1] not in self._option_string_actions:
                self._refuse(found[1])
        options, rest = super().parse_known_args(given, namespace)
        if rest:
            self.error(f"no option takes {' '.join(rest)}")
        return options, rest

    def _refuse(self, option: str) -> NoReturn:
        near = near_options(option, self._option_string_actions)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        self.error(f"there is no option {option}.{meant}")

    def error(self, message: str) -> NoReturn:
        """Ends the command with exit status 2, as faulty input does; the usage is long, and not printed."""
        end = "" if message.endswith(("?", ".")) else "."
        self.exit(2, f"error: {message}{end}\nAll options: {self.prog} --help\n")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError:
            if action.type not in NUMBERS:
                raise
            said = f"{_name(action)} {arg_string!r}: must be {NUMBERS[action.type]}"
            raise argparse.ArgumentError(None, said) from None

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = list(map(str, action.choices))
            said = (
                f"{_name(action)} {value!r}: must be one of {', '.join(known)}. {near_misses(value, known)}"
            )
            raise argparse.ArgumentError(None, said.strip())


def near_options(option: str, known: Iterable[str]) -> list[str]:
    """The options that one which does not exist may have been meant for, at most three: those that begin
    alike or have it among their words, and those that are spelt alike."""
    bare, names = option.strip("-"), {name.lstrip("-"): name for name in known}
    akin = [
        name
        for name in names
        if name.startswith(bare) or bare.startswith(f"{name}-") or bare in name.split("-")
    ]
    alike = difflib.get_close_matches(bare, names, n=MOST)
    return [names[name] for name in dict.fromkeys([*akin, *alike])][:MOST]


def _name(action: argparse.Action) -> str:
    return action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)
