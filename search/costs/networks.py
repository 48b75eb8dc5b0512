"""How large and how slow the networks of a search are, measured once each: for its limits and objectives."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from search.costs.variants import identity, key
from search.storage.folder import FolderError, write_text
from search.text import amount
from spaces.recipe import Recipe
from trainables.models.size import latency_ms, parameters


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
        counted: The fields of `Measured` that count in the search beside any limits.
    """

    def __init__(
        self,
        max_params: int | None,
        max_latency_ms: float | None,
        *,
        classes: int,
        device: torch.device,
        known: Iterable[Measured] = (),
        counted: Collection[str] = (),
    ) -> None:
        self.max_params, self.max_latency_ms = max_params, max_latency_ms
        self.classes, self._device, self._counted = classes, device, counted
        self.timed = max_latency_ms is not None or "latency_ms" in counted
        """Whether networks are timed."""
        self._known = {key(measured.network): measured for measured in known}
        self._file: Path | None = None

    @property
    def needed(self) -> bool:
        """Whether networks are measured at all."""
        return self.max_params is not None or self.timed or bool(self._counted)

    def fits(self, recipe: Recipe) -> bool:
        """Whether the recipe's network is within the limits."""
        return not self.excess(recipe)

    def excess(self, recipe: Recipe) -> str:
        """What is too much of the recipe's network, such as `44.5M parameters, over 25M`; else nothing."""
        if not self.needed:
            return ""
        found = self._measured(recipe)
        if self._too_many(found.parameters):
            return f"{amount(found.parameters)} parameters, over {amount(self.max_params or 0)}"
        if self.max_latency_ms is not None and (found.latency_ms or 0) > self.max_latency_ms:
            return f"{found.latency_ms:.1f} ms a picture on {self._device.type}, over {self.max_latency_ms:g}"
        return ""

    def costs(self, recipe: Recipe) -> dict[str, float]:
        """What counts of the recipe's network, which is within the limits."""
        found = asdict(self._measured(recipe)) if self._counted else {}
        return {field: found[field] for field in self._counted}

    def keep_in(self, path: Path) -> None:
        """Writes what is known to a file, and from now on whatever is measured."""
        self._file = path
        if self.needed:
            text = json.dumps([asdict(measured) for measured in self._known.values()], indent=1)
            write_text(path, text + "\n")

    def _measured(self, recipe: Recipe) -> Measured:
        network = identity(recipe)
        known = self._known.get(key(network))
        count = parameters(recipe, self.classes) if known is None else known.parameters
        wanted = self.timed and not self._too_many(count)
        if known is None or (wanted and known.latency_ms is None):
            latency = latency_ms(recipe, self.classes, self._device) if wanted else None
            known = self._known[key(network)] = Measured(network, count, latency)
            if self._file is not None:
                self.keep_in(self._file)
        return known

    def _too_many(self, count: int) -> bool:
        return self.max_params is not None and count > self.max_params


def load(path: Path) -> list[Measured]:
    """What `keep_in` wrote; nothing where there is no such file.

    Raises:
        FolderError: The file is damaged.
    """
    if not path.exists():
        return []
    try:
        return [Measured(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, TypeError, ValueError, RecursionError) as fault:
        raise FolderError(f"{path} does not hold the sizes of networks: {fault}") from fault
