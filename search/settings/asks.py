"""`--resources`: what the trials of a family of networks get, where that is not the same for all."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from spaces.errors import InputError

EXAMPLE = "vit_*=gpus:1,accelerator_type:A100"


class Ask(BaseModel):
    """What each worker of a trial gets; None: as the trials of other networks."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    cpus: Annotated[float, Field(gt=0)] | None = None
    gpus: Annotated[float, Field(ge=0)] | None = None
    accelerator_type: str | None = None
    """Of the GPUs, by Ray's names, such as A100."""


def asks(given: Any) -> dict[str, Any]:
    """`["vit_*=gpus:1,accelerator_type:A100"]` as what is asked for, by patterns of networks' names.

    Raises:
        ValueError: An entry has no such form, or a name is given twice.
    """
    if isinstance(given, Mapping):
        return dict(given)
    found: dict[str, Any] = {}
    for entry in given:
        name, _, wanted = str(entry).partition("=")
        pairs = [pair.partition(":") for pair in wanted.split(",")]
        if not name or not all(key and value for key, _, value in pairs):
            raise ValueError(f"{entry!r} must be NETWORK=NAME:VALUE,..., such as {EXAMPLE}")
        if unknown := {key.strip() for key, _, _ in pairs} - Ask.model_fields.keys():
            raise ValueError(
                f"{name} asks for {', '.join(sorted(unknown))}, which is not known; there are "
                f"{', '.join(Ask.model_fields)}"
            )
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = {key.strip(): value.strip() for key, _, value in pairs}
    return found


def require_known(resources: Mapping[str, Ask], networks: Collection[str]) -> None:
    """Makes sure that each pattern is of some network that may be tried.

    Raises:
        InputError: One is of none.
    """
    for pattern in resources:
        if not fnmatch.filter(networks, pattern):
            raise InputError(
                f"--resources {pattern}: no network that may be tried has such a name. There are: "
                f"{', '.join(sorted(networks))}."
            )
