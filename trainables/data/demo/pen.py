"""Pen: outlined cartoon shapes on a Pillow image, in coordinates that can be moved, scaled and turned.

Shapes are drawn hard-edged on an image several times too large; scaling that down makes the lines smooth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]

INK: Colour = (52, 38, 48)
WHITE: Colour = (255, 255, 252)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` with `share` (0 to 1) of `second` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def darker(colour: Colour, share: float = 0.18) -> Colour:
    """The colour in shadow."""
    return mix(colour, (40, 20, 70), share)


def lighter(colour: Colour, share: float = 0.3) -> Colour:
    """The colour in the light."""
    return mix(colour, WHITE, share)


def arc(
    x: float, y: float, rx: float, ry: float, start_deg: float, end_deg: float, steps: int = 24
) -> Points:
    """Points along an ellipse; 0 degrees is to the right, 90 is down."""
    angles = [math.radians(start_deg + (end_deg - start_deg) * i / steps) for i in range(steps + 1)]
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]


def curve(points: Points, closed: bool = False, steps: int = 6) -> Points:
    """A smooth line through the points (Catmull & Rom 1974), `steps` straight pieces between each two."""
    given = np.asarray(points, dtype=float)
    ends = (given[-1:], given[:2]) if closed else (given[:1], given[-1:])
    p = np.concatenate([ends[0], given, ends[1]])
    t = (np.arange(steps) / steps)[:, None, None]
    a, b, c, d = p[:-3], p[1:-2], p[2:-1], p[3:]
    line = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    smooth = line.transpose(1, 0, 2).reshape(-1, 2)
    return [(x, y) for x, y in (smooth if closed else np.concatenate([smooth, given[-1:]])).tolist()]


@dataclass(frozen=True)
class Pen:
    """Draws on an image; the matrix maps the pen's own coordinates (y downwards) to the image's pixels."""

    draw: ImageDraw.ImageDraw
    ink_px: float
    """Thickness of the outline."""
    xx: float = 1.0
    xy: float = 0.0
    x0: float = 0.0
    yx: float = 0.0
    yy: float = 1.0
    y0: float = 0.0

    @classmethod
    def on(cls, image: Image.Image, ink_px: float) -> Pen:
        """A pen whose coordinates are the image's pixels."""
        return cls(ImageDraw.Draw(image), ink_px)

    def at(
        self, x: float = 0.0, y: float = 0.0, scale: float = 1.0, angle_deg: float = 0.0, mirror: bool = False
    ) -> Pen:
        """A pen whose origin is at (x, y) of this one's, scaled, turned clockwise, or mirrored there."""
        cos, sin = scale * math.cos(math.radians(angle_deg)), scale * math.sin(math.radians(angle_deg))
        side = -1.0 if mirror else 1.0
        return replace(
            self,
            xx=(self.xx * cos + self.xy * sin) * side,
            xy=self.xy * cos - self.xx * sin,
            x0=self.xx * x + self.xy * y + self.x0,
            yx=(self.yx * cos + self.yy * sin) * side,
            yy=self.yy * cos - self.yx * sin,
            y0=self.yx * x + self.yy * y + self.y0,
        )

    @property
    def unit_px(self) -> float:
        """Pixels in one unit of the pen's coordinates."""
        return math.hypot(self.xx, self.yx)

    def fill(self, points: Points, colour: Colour) -> None:
        """A filled shape with straight sides and no outline."""
        self.draw.polygon(self._pixels(points), fill=colour)

    def line(
        self, points: Points, colour: Colour = INK, thick: float = 1.0, width: float | None = None
    ) -> None:
        """A line with round ends: `thick` times the outline's thickness, or `width` units."""
        self._line(
            self._pixels(points), colour, self.ink_px * thick if width is None else width * self.unit_px
        )

    def shape(self, points: Points, colour: Colour, ink: Colour | None = INK) -> None:
        """A filled shape with straight sides and an outline."""
        pixels = self._pixels(points)
        self.draw.polygon(pixels, fill=colour)
        if ink is not None:
            self._line([*pixels, pixels[0]], ink, self.ink_px)

    def _pixels(self, points: Points) -> list[tuple[float, float]]:
        # Whole pixels: what is drawn does not hang on the last bit of a sine.
        xx, xy, x0, yx, yy, y0 = self.xx, self.xy, self.x0, self.yx, self.yy, self.y0
        return [(round(xx * x + xy * y + x0), round(yx * x + yy * y + y0)) for x, y in points]

    def _line(self, pixels: list[tuple[float, float]], colour: Colour, width_px: float) -> None:
        self.draw.line(pixels, fill=colour, width=max(1, round(width_px)), joint="curve")
        radius = (width_px - 1) / 2
        if radius >= 1:
            for x, y in {pixels[0], pixels[-1]}:
                self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def blob(self, points: Points, colour: Colour, ink: Colour | None = INK) -> None:
        """A smooth closed shape through the points."""
        self.shape(curve(points, closed=True), colour, ink)

    def oval(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float | None = None,
        colour: Colour = WHITE,
        ink: Colour | None = INK,
    ) -> None:
        """An ellipse; a circle without `ry`."""
        self.shape(arc(x, y, rx, rx if ry is None else ry, 0, 360)[:-1], colour, ink)

    def box(
        self, left: float, top: float, right: float, bottom: float, colour: Colour, ink: Colour | None = INK
    ) -> None:
        """An upright rectangle."""
        self.shape([(left, top), (right, top), (right, bottom), (left, bottom)], colour, ink)

    def limb(self, points: Points, width: float, colour: Colour) -> None:
        """A thick outlined line with round ends."""
        self.line(points, width=width + 2 * self.ink_px / self.unit_px)
        self.line(points, colour, width=width)
