"""Pictures of noise in memory, for measurements: what they show makes no difference to their cost."""

from __future__ import annotations

import numpy as np


class Noise:
    """So many squares, their classes by turns; see `trainables.feed.Pictures`."""

    def __init__(self, count: int, size_px: int, classes: int) -> None:
        rng = np.random.default_rng(0)
        self._pixels = rng.integers(0, 256, (count, size_px, size_px, 3), dtype=np.uint8)
        self.labels = np.arange(count) % classes
        self.classes = [str(label) for label in range(classes)]
        self.canvas_px = (size_px, size_px)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Canvases uint8 (B, H, W, 3), and each picture's height and width in them int64 (B, 2)."""
        return self._pixels[rows], np.full((len(rows), 2), self.canvas_px[0])
