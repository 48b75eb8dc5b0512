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


def gathered(pixels: np.ndarray, extents: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The canvases of `on_canvases` for pictures that lie in one memory, by one copy a shape, not a picture.

    Args:
        pixels: uint8 (bytes,).
        extents: int64 (B, 2): height and width of each picture.
        offsets: int64 (B,): its first byte, from which on its rows lie back to back.

    Returns:
        uint8 (B, H, W, 3).
    """
    canvases = np.zeros((len(extents), *extents.max(axis=0, initial=0), 3), np.uint8)
    order = np.lexsort(extents.T)
    changes = (extents[order[1:]] != extents[order[:-1]]).any(axis=1)
    for rows in np.split(order, np.flatnonzero(changes) + 1) if len(order) else []:
        height, width = extents[rows[0]].tolist()
        size = height * width * 3
        # Row n of this view is what a picture of this shape would be that starts at byte n.
        pictures = np.ndarray((len(pixels) - size + 1, size), np.uint8, pixels, strides=(1, 1))
        canvases[rows, :height, :width] = pictures[offsets[rows]].reshape(-1, height, width, 3)
    return canvases
