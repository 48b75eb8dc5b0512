"""Recipe: what is trained, whole and frozen.

A recipe holds everything that shapes the trained network and nothing about where or how long it is
trained: no seed, no number of epochs, no device. YAML in, YAML out, with an exact round trip.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from spaces.augment import Augment
from spaces.errors import InputError
from spaces.part import Part, Positive, Scalar, Share

_PATH_CHARACTERS = 4096
"""No operating system takes longer paths."""


class Model(Part):
    """The network, by its name in timm's registry (our own networks are registered there too)."""

    name: str
    """A name of timm's registry, with or without a `.pretrained_tag`."""
    pretrained: bool = False
    """Start from the weights that timm downloads for this name."""
    weights: str | None = None
    """Start from the weights in this file (safetensors, or a torch file of plain tensors), or in the folder
    of an exported model; the head starts anew."""
    stem: Literal["standard", "small"] = "standard"
    """`small`: the first layers keep the picture's resolution instead of taking a quarter of it or less, as
    ResNets for 32 px pictures do (He et al. 2016). Weights keep their shapes, so pretrained ones fit."""
    pool: Literal["avg", "max", "avgmax", "catavgmax"] | None = None
    """Pooling in front of the head; null is the network's own."""
    head_dense: Annotated[int, Field(ge=1)] | None = None
    """Width of a dense layer with ReLU and dropout in front of the last layer; null: the last layer alone."""
    drop_rate: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Dropout, in front of the last layer in most networks (timm's `drop_rate`)."""
    drop_path_rate: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Stochastic depth: chance of leaving out the last residual block, falling to 0 at the first
    (Huang et al. 2016)."""
    args: dict[str, Scalar] = Field(default_factory=dict)
    """Keyword arguments of the registered model, such as `width`."""

    @field_validator("weights")
    @classmethod
    def _a_path(cls, text: str | None) -> str | None:
        if text is None:
            return None
        unknown_user = os.path.expanduser(text).startswith("~")
        if not text or "\0" in text or len(text) > _PATH_CHARACTERS or unknown_user:
            rule = "must be the path of a file or folder, and a `~` in front that of a known user"
            raise PydanticCustomError("path", rule)
        return text


class Geometry(Part):
    """How a picture of any shape becomes the square that the network sees."""

    size_px: Annotated[int, Field(ge=16, le=1024)] = 64
    """Side of the square, in pixels."""
    fit: Literal["resize", "crop", "pad"] = "resize"
    """`resize` stretches, `crop` cuts the largest centred square, `pad` adds bars of grey."""
    start_px: Annotated[int, Field(ge=16, le=1024)] | None = None
    """Side of the square in the first epoch; it grows evenly to `size_px`, at which the network is always
    evaluated. Null: `size_px` throughout. (Progressive resizing; Tan & Le 2021, "EfficientNetV2".)"""
    grow_share: Share = 0.5
    """Share of the training after which `size_px` is reached."""


class Optim(Part):
    """The optimizer. Weight decay is never applied to norms and biases."""

    name: str = "adamw"
    """A name of timm.optim's, such as adamw, sgd (with Nesterov's momentum), lamb, lion or nadamw."""
    lr: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    """Of optimizers that have one; those of Adam's kind keep their own betas, and `one_cycle` has its own."""
    batch_size: Annotated[int, Field(ge=2)] = 64
    """Pictures a step, over all workers together; a batch norm learns nothing from a single one."""
    head_lr_mult: Positive = 1.0
    """The last layer learns at `lr` times this."""
    backbone_lr_mult: Positive = 1.0
    """Every other layer learns at `lr` times this."""
    layer_decay: Annotated[float, Field(ge=0.1, le=1.0)] = 1.0
    """Each block of the backbone learns at this many times the rate of the block behind it (Clark et al.
    2020, "ELECTRA"); 1: all alike."""
    clip_norm: Positive | None = None
    """Gradients are scaled down to at most this norm; null: never."""


class Schedule(Part):
    """How the learning rate moves over the full length of a trial. All shares are of that length."""

    name: Literal["constant", "cosine", "one_cycle", "step", "plateau"] = "cosine"
    """`cosine` falls to `final_share` step by step (Loshchilov & Hutter 2017); `one_cycle` rises, then falls
    to nearly nothing, with momentum the other way round (Smith & Topin 2018); `step` multiplies by `factor`
    after every `step_share`; `plateau` does so when the validation loss has not improved for more than
    `patience_epochs` epochs."""
    warmup_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """The rate rises evenly from nearly nothing over this share (Goyal et al. 2017); with `one_cycle`, the
    share of the rise, 0.3 where it is 0. `plateau` looks for one from the first epoch that begins after
    it."""
    final_share: Share = 0.01
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    step_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    patience_epochs: Annotated[int, Field(ge=0)] = 2


class Freeze(Part):
    """Which parts of the network rest, and until when."""

    epoch: Annotated[int, Field(ge=0)] = 0
    """The head alone trains during the first `epoch` epochs: 0 freezes nothing, and with as many as the
    training has the head alone is trained."""
    then: Literal["all", "last_stage", "last_two_stages", "gradual"] = "all"
    """What joins the head after that, by timm's own grouping of the network into stages. `gradual`: one stage
    after the other, from the last to the first, evenly spaced so that all train from epoch 2 x `epoch`
    (Howard & Ruder 2018, "ULMFiT")."""


class Loss(Part):
    """What is minimised, and what is done about uneven classes."""

    name: Literal["cross_entropy", "sigmoid", "focal"] = "cross_entropy"
    """`sigmoid`: two classes told apart by one output; `focal`: easy pictures count less (Lin et al.
    2017)."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    gamma: Annotated[float, Field(ge=0.0, le=10.0)] = 2.0
    """Of the focal loss: 0 is cross-entropy."""
    balance: Literal["none", "class_weights", "sampling", "logit_adjustment"] = "none"
    """`class_weights`: a picture counts in inverse proportion to the size of its class; `sampling`: all
    classes are drawn equally often; `logit_adjustment`: in training, the logarithm of the class's share is
    added to its output (Menon et al. 2021)."""


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
    keep: Literal["last", "best"] = "last"
    """Which weights the training ends with: the last ones, or those with the lowest validation loss."""

    def steps_per_pass(self, pictures: int) -> int:
        """Batches in a pass over so many pictures; none is of one picture alone, of which a batch norm learns
        nothing."""
        return max(1, min(-(-pictures // self.optim.batch_size), pictures // 2))

    def rescaled(self, old_epochs: int, new_epochs: int) -> Recipe:
        """The same recipe for a training of another length: the freeze epoch keeps its share of it.

        Where a part of the training has the head alone and a part has not, both are left at least an epoch.

        Raises:
            InputError: The freeze epoch lies behind the end of the training.
        """
        epoch = self.freeze.epoch
        if epoch > old_epochs:
            raise InputError(
                f"freeze.epoch must be at most the {old_epochs} epochs of the training; received {epoch}. "
                "With as many, the head alone is trained."
            )
        if 0 < epoch < old_epochs:
            epoch = min(max(round(epoch * new_epochs / old_epochs), 1), new_epochs - 1)
        else:
            epoch = epoch * new_epochs // old_epochs
        return self.model_copy(update={"freeze": self.freeze.model_copy(update={"epoch": epoch})})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, every field named, ready for YAML or JSON."""
        return self.model_dump(mode="json")
