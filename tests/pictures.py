"""Picture files for tests: good ones, and every bad kind."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def noise(height: int, width: int, seed: int) -> np.ndarray:
    """uint8 (height, width, 3), different for each seed."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    """Writes a picture; makes the folders on the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def class_folders(root: Path, counts: dict[str, int], *, height: int = 12, width: int = 16) -> Path:
    """One folder a class with so many PNG pictures `0.png`, `1.png`, ..., no two alike."""
    for place, (name, count) in enumerate(sorted(counts.items())):
        for number in range(count):
            seed = place * 100_000 + number + zlib.crc32(str(root.name).encode())
            save(root / name / f"{number}.png", noise(height, width, seed))
    return root


def bomb(side_px: int = 60_000) -> bytes:
    """A PNG of a few bytes that claims to be a huge square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def truncated_jpeg() -> bytes:
    """The first half of a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(noise(64, 64, 0)).save(file, "JPEG")
    return file.getvalue()[: len(file.getvalue()) // 2]


BROKEN = {
    "empty.jpg": b"",
    "truncated.jpg": truncated_jpeg(),
    "text.jpg": b"this is not a picture\n" * 20,
    "bomb.png": bomb(),
    "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n",
}
"""Files that are pictures by their names only."""
