"""Random configurations, as random search draws them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from spaces.domains import Choice, Range
from spaces.parameters import Parameter
from spaces.tree import Tree


def random_params(tree: Tree, rng: np.random.Generator, **fixed: Any) -> dict[str, Any]:
    """Parameters drawn evenly over each active one, on its own scale, but for some values by dotted name."""
    params: dict[str, Any] = {}

    def given(parameter: Parameter, domain: Range | Choice) -> Any:
        value = fixed[parameter.path] if parameter.path in fixed else _drawn(domain, rng)
        params[parameter.name] = value
        return value

    tree.values(given)
    return params


def _drawn(domain: Range | Choice, rng: np.random.Generator) -> Any:
    if isinstance(domain, Choice):
        return domain.values[rng.integers(len(domain.values))]
    if domain.kind == "int" or domain.step is not None:
        step = domain.step or 1
        steps = int((domain.high - domain.low) / step + 1e-9)
        value = domain.low + step * int(rng.integers(steps, endpoint=True))
        return int(value) if domain.kind == "int" else value
    if domain.kind == "log":
        value = math.exp(rng.uniform(math.log(domain.low), math.log(domain.high)))
        return min(max(value, domain.low), domain.high)  # a logarithm and back may round to beyond an end
    return rng.uniform(domain.low, domain.high)
