"""Our own networks as data: which arguments each takes, and the smallest picture it can see.

The networks themselves are in `trainables/models`; here is what can be said of them without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spaces.abilities import Abilities
from spaces.faults import Fault, name_hint
from spaces.recipe import Scalar


@dataclass(frozen=True)
class Whole:
    """An argument that is a whole number, bounds included."""

    low: int
    high: int
    default: int

    def broken_by(self, value: Scalar) -> str:
        """The rule that the value breaks; empty when it is allowed."""
        if isinstance(value, bool) or not isinstance(value, int):
            return "must be a whole number"
        return "" if self.low <= value <= self.high else f"must be from {self.low} to {self.high}"


@dataclass(frozen=True)
class Flag:
    """An argument that is true or false."""

    default: bool

    def broken_by(self, value: Scalar) -> str:
        """The rule that the value breaks; empty when it is allowed."""
        return "" if isinstance(value, bool) else "must be true or false"


_FLAT = Abilities(fixed_size=True)
"""Of a network that flattens its feature maps: dense layers and dropout are its own matter."""


@dataclass(frozen=True)
class Family:
    """One of our networks."""

    name: str
    args: Mapping[str, Whole | Flag]
    min_px: Callable[[Mapping[str, Any]], int]
    """The smallest side of a picture, in pixels, for complete arguments."""
    abilities: Abilities = _FLAT

    def with_defaults(self, args: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """The arguments with those filled in that are not given."""
        return {name: rule.default for name, rule in self.args.items()} | dict(args)

    def check(self, args: Mapping[str, Scalar], size_px: int) -> list[Fault]:
        """What is wrong with these arguments at this picture size; places are those of a recipe."""
        faults = []
        for name, value in args.items():
            place = ("model", "args", name)
            if name not in self.args:
                hint = name_hint(name, self.args)
                faults.append(Fault(place, f"is not an argument of {self.name}", hint=hint))
            elif rule := self.args[name].broken_by(value):
                faults.append(Fault(place, f"{rule} for {self.name}", value))
        if not faults and size_px < (least := self.min_px(self.with_defaults(args))):
            rule = f"must be at least {least} for {self.name}"
            faults.append(Fault(("geometry", "size_px"), rule, size_px))
        return faults


_WIDTH = Whole(8, 256, default=32)
_DENSE = Whole(16, 4096, default=1024)
_BATCH_NORM = Flag(default=False)

FAMILIES = {
    family.name: family
    for family in (
        # `width` filters in the first block, twice as many in each next; every block halves the side,
        # and two pixels must be left for the dense layers.
        Family(
            "plain_cnn",
            {
                "width": _WIDTH,
                "blocks": Whole(2, 5, default=3),
                "convs": Whole(1, 3, default=1),
                "dense": Whole(16, 4096, default=128),
                "batch_norm": _BATCH_NORM,
            },
            lambda args: 2 ** (args["blocks"] + 1),
        ),
        # Four blocks of width, 2, 4 and 8 times width filters; the unpadded convolution of each takes two
        # pixels: 46, 22, 10, 4, 1.
        Family("vgg4_cnn", {"width": _WIDTH, "dense": _DENSE, "batch_norm": _BATCH_NORM}, lambda args: 46),
        # Five blocks of width, 2, 4, 4 and 8 times width filters, each halving the side.
        Family(
            "mini_xception", {"width": _WIDTH, "dense": _DENSE, "batch_norm": _BATCH_NORM}, lambda args: 32
        ),
        # One convolution that takes two pixels, one pool.
        Family("binary_cnn", {"width": _WIDTH, "dense": Whole(16, 4096, default=128)}, lambda args: 4),
        # Four stages of `depth` blocks with width, 2, 4 and 8 times width channels; all but the first halve
        # the side, and two pixels must be left to be pooled.
        Family(
            "small_resnet",
            # Under 16 channels torch 2.13 crashes on a CPU: the gradient of a strided 1x1 convolution.
            {"width": Whole(16, 256, default=32), "depth": Whole(1, 4, default=1)},
            lambda args: 16,
            Abilities(head_dense=True, drop_path=True, pools=("avg", "max", "avgmax", "catavgmax")),
        ),
    )
}
"""By name, as registered with timm."""
