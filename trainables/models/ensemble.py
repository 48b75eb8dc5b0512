"""`ensemble`: several networks as one, which answers with the mean of their probabilities.

It is a registered network whose arguments name its members, so that what is exported of it is a folder like
any other, and loads wherever this package is imported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import timm
import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn
from torch.nn import functional as F

from spaces.ensemble import ENSEMBLE, EnsembleRecipe
from trainables.models.create import class_logits, create_model, normalization

default_cfgs = generate_default_cfgs(
    {
        ENSEMBLE: {
            "url": "",
            "input_size": (3, 64, 64),
            "fixed_input_size": True,
            "pool_size": None,
            "crop_pct": 1.0,
            "interpolation": "bilinear",
            "mean": (0.0, 0.0, 0.0),  # each member has its own
            "std": (1.0, 1.0, 1.0),
            "first_conv": (),
            "classifier": (),
        }
    }
)


class Ensemble(nn.Module):
    """The mean of its members' probabilities (Lakshminarayanan et al. 2017, Deep Ensembles).

    Args:
        members: Of each its `architecture` and `args`, as `timm.create_model` takes them, and `size_px`, the
            side of the squares that it sees.
        num_classes: Of the answers, whatever number of outputs the members have.
        kwargs: What timm gives every network; the members have their own.
    """

    means: Tensor
    stds: Tensor

    def __init__(self, members: Sequence[dict[str, Any]], num_classes: int, **kwargs: Any) -> None:
        super().__init__()
        self.sizes_px = [int(member["size_px"]) for member in members]
        networks = [_network(member["architecture"], member["args"]) for member in members]
        self.members = nn.ModuleList(networks)
        self.num_classes = num_classes
        self.num_features = num_classes  # in place of a last layer there are the members' answers
        means, stds = zip(*(normalization(network) for network in networks), strict=True)
        self.register_buffer("means", torch.tensor(means).view(-1, 1, 3, 1, 1))
        self.register_buffer("stds", torch.tensor(stds).view(-1, 1, 3, 1, 1))

    def forward(self, squares: Tensor) -> Tensor:
        """Squares in [0, 1] of the largest member's size, float (B, 3, S, S), to the logarithms of the mean
        probabilities, (B, num_classes): their softmax are these."""
        said = [
            class_logits(network((resized(squares, px) - mean) / std)).float().log_softmax(dim=1)
            for network, px, mean, std in zip(self.members, self.sizes_px, self.means, self.stds, strict=True)
        ]
        return torch.stack(said).logsumexp(dim=0) - math.log(len(said))

    def get_classifier(self) -> nn.Module:
        """There is none: the members have one each."""
        return nn.Identity()


def _network(architecture: str, args: dict[str, Any]) -> nn.Module:
    """A registered network without weights: arguments may be from a file, which shall fetch and read none."""
    if ":" in architecture:
        raise ValueError(f"{architecture!r} is no network's name")
    return timm.create_model(architecture, pretrained=False, checkpoint_path="", **args)


def resized(squares: Tensor, size_px: int) -> Tensor:
    """Squares of at most their own size, (B, 3, s, s).

    A member gets nearly what it would see alone: there pictures come from their files antialiased by
    Lanczos's filter, to which this one is closer than a bilinear one.
    """
    if squares.shape[-1] == size_px:
        return squares
    smaller = F.interpolate(squares, size=(size_px, size_px), mode="bicubic", antialias=True)
    return smaller.clamp(0, 1)


@register_model
def ensemble(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Networks as one."""
    return build_model_with_cfg(Ensemble, ENSEMBLE, pretrained, **kwargs)


def joined(recipe: EnsembleRecipe, networks: Sequence[nn.Module], num_classes: int) -> Ensemble:
    """The recipe's ensemble of trained networks: copies, on the CPU, in evaluation mode.

    Args:
        networks: One a member.
    """
    whole = cast(Ensemble, create_model(recipe, num_classes))
    for member, network in zip(whole.members, networks, strict=True):
        member.load_state_dict(network.state_dict())
    return whole.eval()
