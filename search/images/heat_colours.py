"""Numbers as colours that people with any common colour blindness can tell apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import ImageColor
from plotly import colors


def sequential(values: np.ndarray) -> np.ndarray:
    """Inferno, black over purple and orange to yellow: uint8 (..., 3) of values in [0, 1]."""
    return _between(values, colors.sequential.Inferno)


def diverging(values: np.ndarray) -> np.ndarray:
    """Blue, white at 0, red: uint8 (..., 3) of values in [-1, 1]."""
    return _between((values + 1) / 2, colors.diverging.RdBu_r)


def _between(values: np.ndarray, scale: Sequence[str]) -> np.ndarray:
    """Colours between those of an evenly spaced scale."""
    anchors = np.array([ImageColor.getrgb(colour) for colour in scale])
    places = np.linspace(0, 1, len(anchors))
    mixed = np.stack([np.interp(values, places, channel) for channel in anchors.T], axis=-1)
    return np.rint(mixed).astype(np.uint8)
