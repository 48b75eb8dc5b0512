"""Augment: the random changes to the training pictures, as a section of the recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from spaces.part import Part, Positive, Share


class Policy(Part):
    """How far, and how often, a picture is changed. Every sample gets a draw of its own.

    A magnitude is the largest change either way; what is drawn lies evenly between nothing and it. A chance
    is how often something happens. `Augment.strength` scales both, but for `flip`, which is either there or
    not.
    """

    flip: Share = 0.5
    """Chance of a left-right mirror image."""
    rotate_deg: Annotated[float, Field(ge=0.0, le=180.0)] = 10.0
    """Rotation, in degrees."""
    shift: Annotated[float, Field(ge=0.0, le=0.5)] = 0.08
    """Shift along each axis, as a share of the side."""
    zoom: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Relative change of scale; the smallest one undoes the largest."""
    crop: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the area that a random resized crop may leave out (Szegedy et al. 2015 leave out up to 0.92);
    its sides stand to each other as 3:4 to 4:3."""
    shear_deg: Annotated[float, Field(ge=0.0, le=60.0)] = 0.0
    """Shear along each axis, in degrees."""
    perspective: Share = 0.0
    """How far each corner moves inwards along each axis, as a share of half the side (torchvision's
    `distortion_scale`)."""
    elastic: Annotated[float, Field(ge=0.0, le=0.25)] = 0.0
    """Largest displacement along each axis of a smooth random field (Simard et al. 2003), as a share of the
    side."""
    brightness: Share = 0.2
    """Relative change of brightness; contrast and saturation likewise."""
    contrast: Share = 0.2
    saturation: Share = 0.2
    hue: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    """Turn of the colour circle, as a share of a whole turn; the luma stays (a rotation in YIQ)."""
    grayscale: Share = 0.0
    """Chance of losing all colour."""
    invert: Share = 0.0
    """Chance of becoming its negative."""
    solarize: Share = 0.0
    """Chance that every value over one half becomes its negative."""
    blur: Share = 0.0
    """Chance of a Gaussian blur."""
    blur_sigma: Annotated[float, Field(gt=0.0, le=0.1)] = 0.02
    """Standard deviation of that blur, as a share of the side."""
    erase: Share = 0.0
    """Chance that a random rectangle (2 to 20% of the area) turns grey (Zhong et al. 2017)."""


STRONG = {
    "rotate_deg": 20.0,
    "shift": 0.1,
    "zoom": 0.2,
    "crop": 0.5,
    "shear_deg": 10.0,
    "perspective": 0.3,
    "elastic": 0.03,
    "brightness": 0.4,
    "contrast": 0.4,
    "saturation": 0.4,
    "hue": 0.05,
    "grayscale": 0.1,
    "invert": 0.05,
    "solarize": 0.1,
    "blur": 0.2,
    "erase": 0.25,
}
"""What the strong policy has by default."""


class Augment(Policy):
    """Two policies and who gets which, and what mixes the pictures of a batch.

    The fields of the section itself are the weak policy.
    """

    strength: Share = 1.0
    """Scales every magnitude and every chance below and in `strong`; 0 changes nothing at all."""
    strong_share: Share = 0.0
    """Share of the samples that get the strong policy in place of the weak one. Strength leaves it alone."""
    strong: Policy = Policy(**STRONG)
    strong_by: Literal["policy", "trivial"] = "policy"
    """`trivial`: in place of the strong policy, of which `flip` alone stays, TrivialAugment (Müller & Hutter
    2021): one random operation of its wide list, at a random magnitude."""
    background: Share = 0.0
    """Chance that the surroundings of what is in the picture are replaced by those of another one. Who is
    mixed with whom, here and below, is left to the order of the batch."""
    mixup: Share = 0.0
    """Chance that a sample is blended with another one, targets alike (MixUp, Zhang et al. 2018). A sample
    gets at most one of MixUp and CutMix: the two chances add up to at most 1."""
    mixup_alpha: Positive = 0.2
    """Both parameters of the beta distribution of its shares."""
    cutmix: Share = 0.0
    """Chance that a sample gets a rectangle of another one, targets by area (CutMix, Yun et al. 2019)."""
    cutmix_alpha: Positive = 1.0
