"""Pictures of several shapes as one array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def on_canvases(pictures: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Lays pictures, uint8 (H, W, 3) each, into the upper-left corners of canvases that hold the largest.

    Returns:
        Canvases uint8 (B, H, W, 3), and each picture's height and width in them int64 (B, 2).
    """
    extents = np.array([picture.shape[:2] for picture in pictures], np.int64).reshape(-1, 2)
    canvases = np.zeros((len(pictures), *extents.max(axis=0, initial=0), 3), np.uint8)
    for canvas, picture in zip(canvases, pictures, strict=True):
        canvas[: picture.shape[0], : picture.shape[1]] = picture
    return canvases, extents
