"""Recipe: what is trained, whole and frozen.

A recipe holds everything that shapes the trained network and nothing about where or how long it is
trained: no seed, no number of epochs, no device. YAML in, YAML out, with an exact round trip.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

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


class Model(Part):
    """The network, by its name in timm's registry (our own networks are registered there too)."""

    name: str
    """A name of timm's registry, with or without a `.pretrained_tag`."""
    pretrained: bool = False
    """Start from the weights that timm downloads for this name."""
    drop_rate: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Dropout in front of the last dense layer (timm's `drop_rate`)."""
    args: dict[str, Scalar] = Field(default_factory=dict)
    """Keyword arguments of the registered model, such as `width` or `drop_path_rate`."""


class Geometry(Part):
    """How a picture of any shape becomes the square that the network sees."""

    size_px: Annotated[int, Field(ge=16, le=1024)] = 64
    """Side of the square, in pixels."""
    fit: Literal["resize", "crop", "pad"] = "resize"
    """`resize` stretches, `crop` cuts the largest centred square, `pad` adds bars of grey."""


class Augment(Part):
    """Random changes to the training pictures, drawn afresh for every sample."""

    strength: Share = 1.0
    """Scales every magnitude below, and the chances of `erase` and `grayscale`; 0 changes nothing, but
    for `flip`, which is a chance and not a magnitude: it applies whenever strength is over 0."""
    flip: Share = 0.5
    """Chance of a left-right mirror image."""
    rotate_deg: Annotated[float, Field(ge=0.0, le=180.0)] = 10.0
    """Largest rotation either way, in degrees."""
    shift: Annotated[float, Field(ge=0.0, le=0.5)] = 0.08
    """Largest shift either way along each axis, as a share of the side."""
    zoom: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Largest relative change of scale either way."""
    brightness: Share = 0.2
    """Largest relative change of brightness either way; contrast and saturation likewise."""
    contrast: Share = 0.2
    saturation: Share = 0.2
    grayscale: Share = 0.0
    """Chance of losing all colour."""
    erase: Share = 0.0
    """Chance that a random rectangle (2 to 20% of the area) is blanked (Zhong et al. 2017)."""


class Optim(Part):
    """The optimizer. Weight decay is never applied to norms and biases."""

    name: Literal["adamw"] = "adamw"
    lr: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Pictures a step, over all workers together."""
    head_lr_mult: Positive = 1.0
    """The last layer learns at `lr` times this."""
    backbone_lr_mult: Positive = 1.0
    """Every other layer learns at `lr` times this."""


class Schedule(Part):
    """How the learning rate moves over the full length of a trial."""

    name: Literal["constant", "cosine", "plateau"] = "cosine"
    """`cosine` falls to `final_share` step by step (Loshchilov & Hutter 2017); `plateau` multiplies by
    `factor` when the validation loss has not improved for more than `patience_epochs` epochs."""
    final_share: Share = 0.01
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    patience_epochs: Annotated[int, Field(ge=0)] = 2


class Freeze(Part):
    """Which parts of the network rest, and until when."""

    epoch: Annotated[int, Field(ge=0)] = 0
    """The head alone trains during the first `epoch` epochs; 0 freezes nothing."""
    then: Literal["all", "last_stage"] = "all"
    """What joins the head after that, by timm's own grouping of the network into stages."""


class Loss(Part):
    """Cross-entropy."""

    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


class Ema(Part):
    """Exponential moving average of the weights; when on, it is what is evaluated and exported."""

    decay: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Share of the old average kept at each step; null turns the average off."""


class Recipe(Part):
    """Everything that shapes a trained network. See `spaces/recipes/` for whole examples."""

    model: Model
    geometry: Geometry = Geometry()
    augment: Augment = Augment()
    optim: Optim = Optim()
    schedule: Schedule = Schedule()
    freeze: Freeze = Freeze()
    loss: Loss = Loss()
    ema: Ema = Ema()
    steps_per_epoch: Annotated[int, Field(ge=1)] | None = None
    """Ends an epoch after this many steps; null means a whole pass over the training part."""
    patience_epochs: Annotated[int, Field(ge=1)] | None = None
    """Ends the training when the validation loss has not improved for this many epochs; null: never."""

    def rescaled(self, old_epochs: int, new_epochs: int) -> Recipe:
        """The same recipe for a training of another length: the freeze epoch keeps its share of it."""
        epoch = round(self.freeze.epoch * new_epochs / old_epochs)
        return self.model_copy(update={"freeze": self.freeze.model_copy(update={"epoch": epoch})})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, every field named, ready for YAML or JSON."""
        return self.model_dump(mode="json")
