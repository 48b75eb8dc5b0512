"""Clothes: a body in an outfit, below a head of radius 1 at the origin. Anybody may wear any colours."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.data.demo.pen import WHITE, Colour, Pen, curve, darker, lighter

COLOURS: tuple[Colour, ...] = (
    (236, 92, 84),
    (248, 158, 70),
    (252, 206, 84),
    (130, 192, 98),
    (66, 158, 132),
    (92, 178, 222),
    (74, 112, 190),
    (150, 112, 196),
    (238, 136, 172),
    (244, 236, 220),
    (108, 112, 128),
    (176, 122, 84),
)
ARMS: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "down": ((0.3, 0.72), (0.26, 1.4)),
    "hip": ((0.62, 0.56), (0.06, 1.06)),
    "wave": ((0.62, 0.36), (0.72, -0.44)),
    "cheer": ((0.5, -0.1), (0.56, -0.9)),
    "out": ((0.56, 0.4), (1.16, 0.5)),
    "tummy": ((0.34, 0.62), (-0.4, 0.94)),
    "hold": ((0.42, 0.7), (0.62, 0.42)),
}
"""Elbow and hand, from the shoulder, of an arm on the right."""


@dataclass(frozen=True)
class Outfit:
    """What is worn throughout a scene."""

    top: str
    """A name in `TOPS`."""
    colour: Colour
    trim: Colour
    legs: Colour
    badge: str = ""
    """Nothing, `star`, `heart` or `dot`, on the chest."""
    long_sleeves: bool = False


TOPS = ("tee", "stripes", "dungarees", "hoodie", "jacket", "dress")
HIP, KNEE, FOOT = 2.7, 3.2, 3.75


def draw_body(
    pen: Pen, outfit: Outfit, skin: Colour, shoulders: float, arms: tuple[str, str], stride: float
) -> None:
    """Everything below the head, the hands included."""
    _draw_legs(pen, outfit, skin, shoulders, stride)
    pen.box(-0.26, 0.8, 0.26, 1.3, darker(skin, 0.16))
    torso = _torso(shoulders, 0.4 if outfit.top == "dress" else 0.0)
    behind = [side for side, arm in zip((-1, 1), arms, strict=True) if arm in ("wave", "cheer", "out")]
    for side, arm in zip((-1, 1), arms, strict=True):
        if side in behind:
            _draw_arm(pen, outfit, skin, shoulders, side, arm)
    cloth = outfit.trim if outfit.top == "dungarees" else outfit.colour
    pen.fill(torso, darker(cloth, 0.16))
    pen.fill([(x * 0.9 - 0.05, 1.2 + (y - 1.2) * 0.98) for x, y in torso], cloth)
    _draw_pattern(pen, outfit, shoulders)
    pen.line([*torso, torso[0]])
    _draw_collar(pen, outfit, skin)
    for side, arm in zip((-1, 1), arms, strict=True):
        if side not in behind:
            _draw_arm(pen, outfit, skin, shoulders, side, arm)


def _torso(shoulders: float, flare: float) -> list[tuple[float, float]]:
    points = [(0.24, 1.1), (0.62, 1.2), (0.8, 1.46), (0.76, 2.0), (0.74 + flare, HIP + flare)]
    half = curve([(x * shoulders, y) for x, y in points])
    return [*half, *[(-x, y) for x, y in reversed(half)]]


def _draw_legs(pen: Pen, outfit: Outfit, skin: Colour, shoulders: float, stride: float) -> None:
    bare = outfit.top == "dress"
    for side in (-1, 1):
        hip, foot = 0.36 * shoulders * side, (0.36 * shoulders + 0.3 * stride) * side
        pen.limb([(hip, HIP - 0.1), ((hip + foot) / 2, KNEE), (foot, FOOT)], 0.36 if bare else 0.5, skin)
        if not bare:
            pen.limb([(hip, HIP - 0.1), ((hip + foot) / 2, KNEE), (foot, FOOT - 0.14)], 0.52, outfit.legs)
        shoe = pen.at(foot, FOOT, mirror=side < 0)
        shoe.blob([(-0.3, 0.24), (-0.3, -0.08), (0.1, -0.12), (0.42, 0.06), (0.44, 0.24)], outfit.trim)
    if not bare:
        pen.box(-0.7 * shoulders, HIP - 0.3, 0.7 * shoulders, HIP + 0.14, outfit.legs)


def _draw_arm(pen: Pen, outfit: Outfit, skin: Colour, shoulders: float, side: int, arm: str) -> None:
    pen = pen.at(0.66 * shoulders * side, 1.46, mirror=side < 0)
    elbow, hand = ARMS[arm]
    path = curve([(0.0, 0.0), elbow, hand], steps=8)
    sleeve = outfit.trim if outfit.top == "dungarees" else outfit.colour
    pen.limb(path, 0.34, skin)
    pen.oval(*hand, 0.24, colour=skin)
    pen.limb(path[: 13 if outfit.long_sleeves else 7], 0.42, sleeve)


def _draw_collar(pen: Pen, outfit: Outfit, skin: Colour) -> None:
    if outfit.top == "hoodie":
        pen.blob(
            [(-0.62, 1.16), (0, 1.02), (0.62, 1.16), (0.4, 1.46), (0, 1.56), (-0.4, 1.46)], outfit.colour
        )
        for side in (-1, 1):
            pen.line([(0.16 * side, 1.5), (0.18 * side, 1.86)], WHITE, 0.9)
    elif outfit.top == "jacket":
        for side in (-1, 1):
            pen.shape(
                [(0.1 * side, 1.7), (0.5 * side, 1.5), (0.34 * side, 1.1), (0.2 * side, 1.1)], outfit.colour
            )
    else:
        pen.blob([(-0.32, 1.1), (0.32, 1.1), (0.2, 1.32), (-0.2, 1.32)], darker(skin, 0.1))


def _draw_pattern(pen: Pen, outfit: Outfit, shoulders: float) -> None:
    wide = 0.7 * shoulders
    if outfit.top == "stripes":
        for y in (1.58, 1.96, 2.34):
            pen.box(-wide, y, wide, y + 0.19, outfit.trim, None)
    elif outfit.top == "dungarees":
        half = [(0.46, 1.6), (0.5, 2.1), (wide, 2.3), (wide, HIP)]
        pen.shape([*half, *[(-x, y) for x, y in reversed(half)]], outfit.colour)
        for side in (-1, 1):
            pen.line([(0.4 * side, 1.2), (0.38 * side, 1.7)], outfit.colour, width=0.17)
            pen.oval(0.38 * side, 1.72, 0.09, colour=(255, 214, 90))
    elif outfit.top == "jacket":
        pen.shape([(-0.26, 1.1), (0.26, 1.1), (0.16, HIP), (-0.16, HIP)], outfit.trim)
    elif outfit.top == "dress":
        pen.box(-wide, 2.14, wide, 2.36, outfit.trim)
    if outfit.badge and outfit.top in ("tee", "hoodie", "dress"):
        _draw_badge(pen.at(0, 1.84), outfit)


def _draw_badge(pen: Pen, outfit: Outfit) -> None:
    if outfit.badge == "star":
        tips = [(0, -0.32), (0.09, -0.1), (0.31, -0.1), (0.14, 0.05), (0.2, 0.27)]
        pen.fill([*tips, (0, 0.14), *[(-x, y) for x, y in reversed(tips[1:])]], outfit.trim)
    elif outfit.badge == "heart":
        side = [(0, 0.28), (0.3, -0.02), (0.26, -0.2), (0.1, -0.22), (0, -0.08)]
        pen.fill([*side, *[(-x, y) for x, y in reversed(side[1:-1])]], outfit.trim)
    else:
        pen.oval(0, 0, 0.24, colour=lighter(outfit.trim, 0.1), ink=None)
