"""What becomes of a trained model on request: an ONNX file too, a place on the Hugging Face hub."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from spaces.errors import InputError

NEEDED_BY_ONNX = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Delivery:
    """What was asked for."""

    onnx: bool = False
    push_to_hub: str | None = None
    """USER/NAME."""
    public: bool = False

    @property
    def arguments(self) -> str:
        """What asks for it on a command line, with a space in front; empty where nothing was."""
        pushing = f" --push-to-hub {self.push_to_hub}" if self.push_to_hub else ""
        return f"{' --onnx' * self.onnx}{pushing}{' --public' * self.public}"

    def check(self, console: Console) -> None:
        """Makes sure of what it takes, before a training begins.

        Raises:
            InputError: A package is missing, or the hub will not take the model; see
                `search.model.hub.check_hub`.
        """
        missing = [name for name in NEEDED_BY_ONNX if self.onnx and importlib.util.find_spec(name) is None]
        if missing:
            raise InputError(
                f"--onnx: {' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not installed here. "
                "Install what it needs, or leave the option out: pip install -c constraints.txt -e '.[onnx]'"
            )
        if self.public and not self.push_to_hub:
            raise InputError("--public says who may see what --push-to-hub sends, and that is not given.")
        if self.push_to_hub:
            from search.model.hub import check_hub

            if reason := check_hub(self.push_to_hub):
                console.print(f"Note: the hub could not be asked whether it will take the model: {reason}.")

    def push(self, console: Console, model: Path, imports: Sequence[str] = ()) -> None:
        """Pushes the model, where that was asked for.

        Raises:
            InputError: It cannot be pushed; the message says how to try again.
        """
        if not self.push_to_hub:
            return
        from search.model.hub import HubError, push

        console.print(f"Pushing {model} to {self.push_to_hub} ...")
        try:
            url = push(model, self.push_to_hub, public=self.public, imports=imports)
        except HubError as fault:
            again = " ".join([f"search.export {model}", *(f"--import {module}" for module in imports)])
            pushing = replace(self, onnx=False).arguments
            raise HubError(f"{fault} The model stays. To try again: python -m {again}{pushing}") from fault
        console.print(f"On the hub:  {url}")


def add_delivery_options(parser: argparse.ArgumentParser) -> None:
    """The options; `asked` reads them."""
    parser.add_argument(
        "--onnx",
        action="store_true",
        default=False,
        help="export the model to ONNX too, model.onnx; needs pip install -c constraints.txt -e '.[onnx]'",
    )
    parser.add_argument(
        "--push-to-hub",
        metavar="USER/NAME",
        default=None,
        help="push the model to this repository of the Hugging Face hub, a private one where it is new; "
        "needs `hf auth login`, or HF_TOKEN",
    )
    parser.add_argument(
        "--public", action="store_true", default=False, help="a new repository of --push-to-hub is public"
    )
