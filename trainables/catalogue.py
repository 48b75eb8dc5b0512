"""Writes what is known of timm's networks and optimizers: `python -m trainables.catalogue`.

Run it when timm is upgraded. It makes every network, without memory for its weights, which takes about a
quarter of an hour, and rewrites the tables in `spaces/catalogue` and the one in `docs/networks.md`.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import trainables.torch_setup  # noqa: F401  (before timm)

import timm  # isort: skip
import torch
from timm.optim import get_optimizer_info, list_optimizers

from spaces import optimizers, timm_names
from spaces.ensemble import ENSEMBLE
from spaces.families import FAMILIES
from spaces.recipe import Model, Optim, Recipe, Scalar
from spaces.timm_names import TimmModel
from trainables import recommended
from trainables.models.adapted import ADAPTED
from trainables.models.create import create_model
from trainables.models.optimizer import create_optimizer
from trainables.models.parts import head_parameters
from trainables.models.probe import probe

HEADING = f"# timm {timm.__version__}, written by python -m trainables.catalogue\n"


def model_names() -> list[str]:
    """All of timm's networks, without tags, encoders included."""
    return sorted(set(timm.list_models()) - FAMILIES.keys() - {ADAPTED, ENSEMBLE})


def model_rows(names: Iterable[str]) -> list[dict[str, str]]:
    """The networks' lines of the table; those that cannot classify are left out."""
    weights: dict[str, list[str]] = defaultdict(list)
    for tagged in timm.list_pretrained():
        name, _, tag = tagged.partition(".")
        weights[name].append(tag)
    rows = []
    for name in names:
        found = probe(name)
        if found is None:
            continue
        parameters, abilities = found
        default = timm.models.get_pretrained_cfg(name)
        model = TimmModel(
            name=name,
            input_px=default.input_size[-1],
            parameters=parameters,
            abilities=abilities,
            license=default.license or "",
            tags=tuple(sorted(weights[name], key=lambda tag: (tag != default.tag, tag))),
        )
        rows.append(model.to_row())
    return rows


def optimizer_rows() -> list[dict[str, str]]:
    """The lines of the table of optimizers: those that train a small network, frozen at first."""
    rows = []
    for name in list_optimizers():
        info = get_optimizer_info(name)
        # Other packages; a second backward pass; a compiler, for a minute.
        if isinstance(info.opt_class, str) or info.second_order or name.startswith("kron"):
            continue
        _take_steps(name)
        rows.append({"name": name, "momentum": "yes" if info.has_momentum else "no"})
    return rows


def _take_steps(name: str) -> None:
    args: dict[str, Scalar] = {"width": 8, "blocks": 2, "dense": 16, "batch_norm": True}
    recipe = Recipe(model=Model(name="plain_cnn", args=args), optim=Optim(name=name))
    model = create_model(recipe, 3)
    optimizer = create_optimizer(model, recipe.optim)
    head = head_parameters(model)
    for frozen in (True, False):
        for parameter_name, parameter in model.named_parameters():
            parameter.requires_grad_(parameter_name in head or not frozen)
        optimizer.zero_grad()
        model(torch.rand(4, 3, 64, 64)).logsumexp(dim=1).sum().backward()
        optimizer.step()


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as CSV text under a comment with timm's version."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return HEADING + text.getvalue()


def main() -> None:
    """Rewrites the tables."""
    for file, rows in (
        (optimizers.TABLE, optimizer_rows()),
        (timm_names.TABLE, model_rows(model_names())),
    ):
        file.write_text(table(rows), encoding="utf-8")
        print(f"wrote {file}: {len(rows)} lines")
    timm_names.timm_models.cache_clear()
    recommended.write_table()
    print(f"wrote {recommended.DOCUMENT}")


if __name__ == "__main__":
    main()
