"""The networks of a search: which there can be, how large they are, and the hard limits on that."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from search.bars import bars
from search.folder import FolderError, write_text
from spaces.errors import InputError
from spaces.flat import ARGS, unflatten
from spaces.recipe import Recipe
from spaces.space import Space
from spaces.worlds import worlds
from trainables.models.size import latency_ms, parameters

MOST = 300
"""Of a space with more networks only those are looked at whose numbers are the smallest and the largest."""
DECISIVE = {"model.name", "model.stem", "model.pool", "model.head_dense", "geometry.size_px", "loss.name"}
"""What decides on a network's size, beside its arguments."""


def identity(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe decides on its network's size, as plain values."""
    model = recipe.model
    return {
        **{"name": model.name, "args": dict(sorted(model.args.items())), "stem": model.stem},
        **{"pool": model.pool, "head_dense": model.head_dense, "size_px": recipe.geometry.size_px},
        "one_output": recipe.loss.name == "sigmoid",
    }


def networks_of(space: Space, *further: str) -> list[Recipe]:
    """A recipe of each network that a space gives: of all of them, or of the extremes where they are many.

    Args:
        further: Dotted names of more values of which each combination is wanted.
    """
    args = {parameter.path for parameter in space.parameters if parameter.path.startswith(ARGS)}
    paths = DECISIVE | args | set(further)
    whole = list(islice(_combinations(space, paths, thinned=False), MOST + 1))
    return whole if len(whole) <= MOST else list(_combinations(space, paths, thinned=True))


def _combinations(space: Space, paths: set[str], *, thinned: bool) -> Iterator[Recipe]:
    """A recipe of each combination of values that the space gives at these places."""
    seen = set()
    for values in worlds(space.defaults, space.parameters, paths, thinned=thinned):
        key = str([values.get(path) for path in sorted(paths)])
        if key not in seen:
            seen.add(key)
            yield Recipe.model_validate(unflatten(values))


class LimitError(InputError):
    """Nothing that is to be tried is within the limits."""


@dataclass(frozen=True)
class Measured:
    """One network's size."""

    network: dict[str, Any]
    """Its `identity`."""
    parameters: int
    latency_ms: float | None
    """Of one picture; None where it does not matter."""


class Networks:
    """Tells which networks are within the limits; each is measured when it is first seen, and remembered.

    Args:
        max_params: Of a network, at most; None: any.
        max_latency_ms: Over one picture, at most; None: any.
        classes: How many the networks tell apart.
        device: Where they are timed.
        known: What was measured before, such as `load` returns.
    """

    def __init__(
        self,
        max_params: int | None,
        max_latency_ms: float | None,
        *,
        classes: int,
        device: torch.device,
        known: Iterable[Measured] = (),
    ) -> None:
        self.max_params, self.max_latency_ms = max_params, max_latency_ms
        self.classes, self._device = classes, device
        self._known = {_key(measured.network): measured for measured in known}
        self._file: Path | None = None

    @property
    def limited(self) -> bool:
        """Whether there are limits at all."""
        return self.max_params is not None or self.max_latency_ms is not None

    def fits(self, recipe: Recipe) -> bool:
        """Whether the recipe's network is within the limits."""
        return not self.excess(recipe)

    def excess(self, recipe: Recipe) -> str:
        """What is too much of the recipe's network, such as `44.5M parameters, over 25M`; else nothing."""
        if not self.limited:
            return ""
        found = self._measured(recipe)
        if self._too_many(found.parameters):
            return f"{amount(found.parameters)} parameters, over {amount(self.max_params or 0)}"
        if self.max_latency_ms is not None and (found.latency_ms or 0) > self.max_latency_ms:
            return f"{found.latency_ms:.1f} ms a picture on {self._device.type}, over {self.max_latency_ms:g}"
        return ""

    def keep_in(self, path: Path) -> None:
        """Writes what is known to a file, and from now on whatever is measured."""
        self._file = path
        if self.limited:
            text = json.dumps([asdict(measured) for measured in self._known.values()], indent=1)
            write_text(path, text + "\n")

    def _measured(self, recipe: Recipe) -> Measured:
        network = identity(recipe)
        if _key(network) not in self._known:
            count = parameters(recipe, self.classes)
            times = self.max_latency_ms is not None and not self._too_many(count)
            latency = latency_ms(recipe, self.classes, self._device) if times else None
            self._known[_key(network)] = Measured(network, count, latency)
            if self._file is not None:
                self.keep_in(self._file)
        return self._known[_key(network)]

    def _too_many(self, count: int) -> bool:
        return self.max_params is not None and count > self.max_params


def within_limits(space: Space, networks: Networks, console: Console) -> tuple[Space, list[str]]:
    """The space without the networks of which nothing fits, and all that does not fit, in words.

    Raises:
        LimitError: Nothing fits.
    """
    if not networks.limited:
        return space, []
    with bars(console) as bar:
        recipes, done = networks_of(space), bar("measuring networks")
        excess = []
        for place, recipe in enumerate(recipes):
            done(place, len(recipes))
            excess.append(networks.excess(recipe))
    told = [f"{named(recipe)}: {what}" for recipe, what in zip(recipes, excess, strict=True) if what]
    fitting = {recipe.model.name for recipe, what in zip(recipes, excess, strict=True) if not what}
    if not fitting:
        more = f" and {len(told) - 5} more" if len(told) > 5 else ""
        raise LimitError(
            f"nothing of space {space.name} is within the limits: {'; '.join(told[:5])}{more}. Raise "
            "--max-params or --max-latency-ms, or take another --space."
        )
    return space.without_models({recipe.model.name for recipe in recipes} - fitting), told


def load(path: Path) -> list[Measured]:
    """What `keep_in` wrote; nothing where there is no such file.

    Raises:
        FolderError: The file is damaged.
    """
    if not path.exists():
        return []
    try:
        return [Measured(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, TypeError, ValueError) as fault:
        raise FolderError(f"{path} does not hold the sizes of networks: {fault}") from fault


def amount(count: int) -> str:
    """A number of parameters as `--max-params` takes it: `950`, `312.4k`, `44.55M`."""
    if count < 1_000:
        return str(count)
    return f"{count / 1e3:.4g}k" if count < 999_950 else f"{count / 1e6:.4g}M"


def named(recipe: Recipe) -> str:
    """A network in words: `plain_cnn (width 64, convs 2) at 48 px`."""
    model, parts = recipe.model, []
    parts += [f"{name} {value}" for name, value in model.args.items()]
    parts += ["small stem"] if model.stem == "small" else []
    parts += [f"{model.pool} pooling"] if model.pool else []
    parts += [f"dense {model.head_dense}"] if model.head_dense else []
    details = f" ({', '.join(parts)})" if parts else ""
    return f"{model.name}{details} at {recipe.geometry.size_px} px"


def _key(network: dict[str, Any]) -> str:
    return json.dumps(network, sort_keys=True)
