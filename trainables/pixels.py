"""Where a part's pictures lie while a network learns them: on the device, or in a memory map, to be sent."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trainables.process import usable_bytes
from trainables.runtime import Runtime

RESIDENT_SHARE = 0.1
"""Of the memory that a training may use, what the pictures of each of its two parts may take."""
_AT_ONCE = 1024


class Canvases(Protocol):
    """Decoded pictures; see `trainables.feed.Pictures`."""

    @property
    def canvas_px(self) -> tuple[int, int]:
        """Height and width that hold every picture."""
        ...

    def __len__(self) -> int: ...

    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Canvases uint8 (B, H, W, 3), and each picture's height and width in them int64 (B, 2)."""
        ...


class Pixels(Protocol):
    """Serves pictures on a device."""

    def batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """The pictures in these rows, int64 (B,).

        Returns:
            pixels: uint8 (B, H, W, 3), on the device: each picture in the upper left corner.
            extents: int64 (B, 2), on the CPU: height and width of each.
        """
        ...


def pixels_of(pictures: Canvases, runtime: Runtime) -> Pixels:
    """A part's pictures: on the GPU where they fit, else sent there batch by batch."""
    device = runtime.resolved_device()
    if device.type == "cuda":
        free_bytes, total_bytes = torch.cuda.mem_get_info(device)
        if _bytes(pictures) <= RESIDENT_SHARE * min(free_bytes, usable_bytes(total_bytes, runtime.gpu_share)):
            return Resident(pictures, device)
    return Sent(pictures, device)


def _bytes(pictures: Canvases) -> int:
    height, width = pictures.canvas_px
    return len(pictures) * height * width * 3


class Sent:
    """Copies each batch to the device, from page-locked memory where that lets the host go on meanwhile."""

    def __init__(self, pictures: Canvases, device: torch.device) -> None:
        self._pictures, self._device = pictures, device

    def batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """See `Pixels`."""
        pixels, extents = (torch.from_numpy(values) for values in self._pictures.batch(rows))
        if self._device.type == "cuda":
            pixels = pixels.pin_memory()
        return pixels.to(self._device, non_blocking=True), extents


class Resident:
    """Keeps all pictures on the device."""

    def __init__(self, pictures: Canvases, device: torch.device) -> None:
        self._device = device
        self._pixels = torch.zeros((len(pictures), *pictures.canvas_px, 3), dtype=torch.uint8, device=device)
        self._extents = torch.zeros((len(pictures), 2), dtype=torch.int64)
        for start in range(0, len(pictures), _AT_ONCE):
            rows = np.arange(start, min(start + _AT_ONCE, len(pictures)))
            some, extents = (torch.from_numpy(values) for values in pictures.batch(rows))
            height, width = some.shape[1:3]
            self._pixels[start : start + len(rows), :height, :width] = some.to(device)
            self._extents[rows] = extents

    def batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """See `Pixels`."""
        places = torch.from_numpy(rows)
        return self._pixels[places.to(self._device, non_blocking=True)], self._extents[places]
