"""Decodes one picture file, whatever is in it, to RGB.

Only Pillow's plugins for the formats below are ever tried, so a file cannot reach the ones that start
other programs (EPS) or that are rarely looked after.
"""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from trainables.data.errors import DataError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        "jpg",
        "jpeg",
        "jpe",
        "jfif",
        "png",
        "gif",
        "bmp",
        "webp",
        "tif",
        "tiff",
        "ppm",
        "pgm",
        "pbm",
    )
)
"""File name endings that are taken for pictures, in lower case; what counts then is the content."""

LIMIT_PIXELS = 80_000_000
"""Larger pictures are refused: a file of a few kB can claim a size that fills the memory."""
LARGE_PIXELS = 16_000_000
"""Where more are loaded, a process decodes one picture at a time: many could fill the memory, too."""
LIMIT_ASPECT = 8
"""When shrinking, the longer side is kept to this many times the wanted shorter side."""
BACKGROUND = 128
"""Grey that shows through transparent places: neither black nor white outlines vanish on it."""

_AT_ONCE = 1_000_000  # pixels
_ORIENTATION_TAG = 0x0112
_TURNS = {  # EXIF orientation -> what undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow warns about odd EXIF data, large pictures and the like. What matters becomes a DecodeError. A
# filter for the whole process, because `warnings.catch_warnings` is not safe in threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


_large = threading.Lock()


class DecodeError(DataError):
    """A file is not a picture that can be decoded; the message is a short reason without the file's name."""


def decode(source: Path | bytes | BinaryIO, *, short_side_px: int | None = None) -> np.ndarray:
    """The picture as RGB: uint8 (H, W, 3), upright as its EXIF orientation says.

    Greyscale, palette, CMYK and 16-bit pictures are converted, transparent places become mid-grey, of an
    animation the first frame is taken. Colour profiles are not applied.

    Args:
        source: A file's path, its content, or an open binary file.
        short_side_px: Shrinks the picture, antialiased and with its aspect kept, until its shorter side is
            this long, and further where the longer side would be over `LIMIT_ASPECT` times as long. A
            smaller picture is never enlarged. None keeps the size.

    Raises:
        DecodeError: Empty, truncated, damaged, of no known format, or over `LIMIT_PIXELS`.
    """
    (picture,) = decode_each(source, short_sides_px=[short_side_px])
    return picture


def decode_each(source: Path | bytes | BinaryIO, *, short_sides_px: Sequence[int | None]) -> list[np.ndarray]:
    """The picture in several sizes: for each the same pixels that `decode` gives, with less work.

    Raises:
        DecodeError: As `decode`.
    """
    try:
        if isinstance(source, Path):
            if not source.is_file():
                raise DecodeError("not a regular file" if source.exists() else "no such file")
            with source.open("rb") as file:
                return _decode_each(file, short_sides_px)
        return _decode_each(io.BytesIO(source) if isinstance(source, bytes) else source, short_sides_px)
    except DecodeError:
        raise
    except UnidentifiedImageError as fault:
        raise DecodeError("not a picture of a known format") from fault
    except Image.DecompressionBombError as fault:
        raise DecodeError(f"more than {LIMIT_PIXELS:,} pixels") from fault
    except PermissionError as fault:
        raise DecodeError("no permission to read it") from fault
    except Exception as fault:  # on damaged files Pillow's plugins raise nearly everything
        raise DecodeError(f"damaged: {str(fault) or type(fault).__name__}"[:200]) from fault


def _decode_each(file: BinaryIO, short_sides_px: Sequence[int | None]) -> list[np.ndarray]:
    if not file.read(1):
        raise DecodeError("empty file")
    picture = _opened(file)
    whole = picture.size
    sizes = [_shrunk_size(whole, short_side_px) for short_side_px in short_sides_px]
    scales = [_jpeg_scale(picture, whole, size) for size in sizes]
    most = whole[0] * whole[1] // min(scales) ** 2
    with _large if most > LARGE_PIXELS else contextlib.nullcontext():
        return _in_sizes(file, picture, sizes, scales)


def _in_sizes(
    file: BinaryIO, picture: Image.Image, sizes: Sequence[tuple[int, int]], scales: Sequence[int]
) -> list[np.ndarray]:
    whole = picture.size
    loaded: dict[int, tuple[Image.Image, Image.Transpose | None]] = {}  # by scale
    results = []
    for size, scale in zip(sizes, scales, strict=True):
        if scale not in loaded:
            if loaded:
                picture = _opened(file)
            picture.draft(None, (whole[0] // scale, whole[1] // scale))
            picture.load()
            loaded[scale] = _to_rgb(picture), _TURNS.get(_orientation(picture))
        results.append(_shrunk(*loaded[scale], size))
    return results


def _opened(file: BinaryIO) -> Image.Image:
    file.seek(0)
    picture = Image.open(file, formats=FORMATS)
    if picture.width * picture.height > LIMIT_PIXELS:
        raise DecodeError(f"{picture.width} x {picture.height}: more than {LIMIT_PIXELS:,} pixels")
    return picture


def _jpeg_scale(picture: Image.Image, whole: tuple[int, int], size: tuple[int, int]) -> int:
    """A JPEG can be decoded at 1/2, 1/4 or 1/8 for a fraction of the work. Not below twice the wanted size,
    which keeps the result close to that of the full picture."""
    if picture.format not in ("JPEG", "MPO"):
        return 1
    fits = (scale for scale in (8, 4, 2) if all(2 * scale * size[i] <= whole[i] for i in (0, 1)))
    return next(fits, 1)


def _shrunk(picture: Image.Image, turn: Image.Transpose | None, size: tuple[int, int]) -> np.ndarray:
    """An RGB picture in this width and height as they are in the file, then turned upright."""
    if (picture.width - picture.height) * (size[0] - size[1]) < 0:  # TIFF is turned while it is loaded
        size = size[::-1]
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if turn is not None:
        picture = picture.transpose(turn)
    return np.array(picture)


def _shrunk_size(size: tuple[int, int], short_side_px: int | None) -> tuple[int, int]:
    """Width and height after shrinking, in pixels."""
    if short_side_px is None:
        return size
    scale = min(1.0, short_side_px / min(size), LIMIT_ASPECT * short_side_px / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged EXIF data must not cost the picture
        return 1


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        return Image.fromarray(_to_8_bits(picture)).convert("RGB")
    if picture.has_transparency_data:
        ground = Image.new("RGBA", picture.size, (BACKGROUND, BACKGROUND, BACKGROUND, 255))
        return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


def _to_8_bits(picture: Image.Image) -> np.ndarray:
    """Greyscale of 16 or 32 bits as uint8 (H, W).

    White is 65535 for integers; for floats, which follow no rule, the least of 1, 255 and 65535 that
    covers the picture. Where even 65535 doesn't, white is the brightest pixel.
    """
    pixels = np.asarray(picture)
    rows = max(1, _AT_ONCE // max(1, picture.width))  # in parts: as 64-bit numbers a whole one takes much
    parts = [pixels[at : at + rows] for at in range(0, picture.height, rows)]
    brightest = max(float(_finite(part).max()) for part in parts)
    usual = (1.0, 255.0, 65535.0) if picture.mode == "F" else (65535.0,)
    white = next((level for level in usual if brightest <= level), brightest)
    return np.concatenate(
        [(_finite(part) * (255.0 / white)).clip(0, 255).round().astype(np.uint8) for part in parts]
    )


def _finite(pixels: np.ndarray) -> np.ndarray:
    return np.nan_to_num(pixels.astype(np.float64))
