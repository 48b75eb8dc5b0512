"""What the sections of a recipe have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Scalar = bool | int | float | str


class Part(BaseModel):
    """One section of a recipe: frozen, finite, and closed to fields it does not know.

    Types are taken as they are (`true` is no number, `"64"` and `64.0` are no whole ones), but a whole
    number will do where a float is asked for.
    """

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )
