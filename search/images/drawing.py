"""Small pictures for a page: enlarged ones, heat over them, and grids of tiles."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

from search.images.heat_colours import sequential

LEAST_PX, MOST_PX = 140, 168
"""Smaller pictures are enlarged by a whole factor, larger ones reduced."""
COLD, HOT = 0.35, 0.75
"""Share of the colour where a heat map is 0 and where it is 1; the rest is the picture in grey."""
COLUMNS, GAP_PX = 8, 4
EDGE = (125, 135, 145)
"""Stands out from white and from near-black."""
MOST_BYTES = 6_000


def enlarged(picture: np.ndarray) -> Image.Image:
    """A square uint8 (S, S, 3) at a size to look at, its pixels kept where it is small."""
    size_px = len(picture)
    image = Image.fromarray(picture)
    if size_px > MOST_PX:
        return image.resize((MOST_PX, MOST_PX), Image.Resampling.LANCZOS)
    side_px = size_px * math.ceil(LEAST_PX / size_px)
    return image.resize((side_px, side_px), Image.Resampling.NEAREST)


def overlaid(picture: np.ndarray, heat: np.ndarray) -> Image.Image:
    """The picture in grey, and over it its heat map, float32 (S, S) in [0, 1]: what is hot glows."""
    below = enlarged(picture)
    smooth = np.asarray(Image.fromarray(heat).resize(below.size, Image.Resampling.BILINEAR)).clip(0, 1)
    share = (COLD + (HOT - COLD) * smooth)[..., None]
    grey = np.asarray(below.convert("L"))[..., None]
    return Image.fromarray(np.rint(share * sequential(smooth) + (1 - share) * grey).astype(np.uint8))


def grid(tiles: np.ndarray, *, tile_px: int, columns: int = COLUMNS) -> Image.Image:
    """Tiles uint8 (n, h, w, 3) in rows, each in a thin frame, on a transparent ground.

    Args:
        tile_px: Of a tile's longer side, at most, unless it has more pixels: tiles are enlarged by a whole
            factor.
    """
    count, height, width = tiles.shape[:3]
    factor = max(1, tile_px // max(height, width))
    across, down = width * factor + 2 + GAP_PX, height * factor + 2 + GAP_PX
    columns = min(columns, count)
    sheet = Image.new("RGBA", (columns * across - GAP_PX, math.ceil(count / columns) * down - GAP_PX))
    for place, tile in enumerate(tiles):
        left, top = place % columns * across, place // columns * down
        sheet.paste(EDGE, (left, top, left + width * factor + 2, top + height * factor + 2))
        large = Image.fromarray(tile).resize((width * factor, height * factor), Image.Resampling.NEAREST)
        sheet.paste(large, (left + 1, top + 1))
    return sheet


def webp(image: Image.Image, most_bytes: int = MOST_BYTES) -> bytes:
    """The picture as a WebP file: exact where that is small enough, else of the best quality that is, or the
    lowest."""
    data = _encoded(image, lossless=True, method=2)  # more takes longer, and gives no smaller files here
    for quality in range(90, 0, -10):
        if len(data) <= most_bytes:
            break
        data = _encoded(image, quality=quality)
    return data


def _encoded(image: Image.Image, **options: bool | int) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", **options)
    return file.getvalue()
