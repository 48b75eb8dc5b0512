"""Where the demo's scenes are set: places, drawn in a frame from (0, 0) to (1, 1)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from trainables.data.demo.pen import INK, WHITE, Colour, Pen, arc, curve, darker, lighter, mix

Draw = Callable[[Pen, np.random.Generator], None]

BEYOND = 0.08
"""How far a backdrop reaches over each edge of the frame, so that frames of a scene can be panned."""
EDGE = (-BEYOND, 1 + BEYOND)

SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((112, 190, 236), (214, 240, 246)),
    ((88, 160, 224), (190, 226, 246)),
    ((248, 170, 120), (254, 226, 170)),
    ((166, 150, 220), (250, 200, 196)),
    ((160, 214, 214), (240, 246, 222)),
)
WALLS: tuple[Colour, ...] = (
    (250, 222, 176),
    (206, 226, 214),
    (236, 196, 188),
    (190, 210, 234),
    (226, 214, 236),
    (240, 236, 220),
    (168, 196, 190),
    (244, 190, 140),
)
WOODS: tuple[Colour, ...] = ((188, 130, 88), (150, 102, 76), (214, 164, 112), (122, 92, 84))
GREENS: tuple[Colour, ...] = ((126, 190, 92), (96, 170, 98), (158, 200, 92), (82, 156, 118))
BRIGHT: tuple[Colour, ...] = (
    (230, 96, 90),
    (246, 170, 78),
    (94, 170, 214),
    (126, 118, 196),
    (92, 170, 130),
    (226, 130, 164),
)


def pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """One of the colours."""
    return colours[int(rng.integers(len(colours)))]


def _gradient(pen: Pen, top: Colour, bottom: Colour, start: float, end: float, bands: int = 24) -> None:
    for i in range(bands):
        y = start + (end - start) * i / bands
        pen.box(EDGE[0], y, EDGE[1], end, mix(top, bottom, i / (bands - 1)), None)


def _cloud(pen: Pen, colour: Colour = WHITE) -> None:
    for x, y, r in ((-0.11, 0.0, 0.05), (-0.04, -0.04, 0.07), (0.05, -0.025, 0.06), (0.11, 0.01, 0.04)):
        pen.oval(x, y, r, colour=colour, ink=None)
    pen.box(-0.12, 0.0, 0.12, 0.05, colour, None)


def _hill(pen: Pen, rng: np.random.Generator, y: float, rise: float, colour: Colour) -> None:
    xs = np.linspace(EDGE[0] - 0.02, EDGE[1] + 0.02, 6)
    top = curve([(float(x), y - rise * float(rng.random())) for x in xs])
    pen.fill([*top, (EDGE[1] + 0.02, EDGE[1]), (EDGE[0] - 0.02, EDGE[1])], colour)
    pen.line(top, darker(colour, 0.4), 0.7)


def _tree(pen: Pen, rng: np.random.Generator) -> None:
    green = pick(rng, GREENS)
    pen.box(-0.03, -0.02, 0.03, 0.22, pick(rng, WOODS), darker(green, 0.6))
    if rng.random() < 0.6:
        rim = [arc(0, -0.12, 0.15 + 0.02 * (i % 2), 0.17, 36 * i, 36 * i)[0] for i in range(10)]
        pen.blob(rim, green, darker(green, 0.5))
        pen.oval(-0.04, -0.17, 0.05, 0.06, lighter(green, 0.2), None)
    else:
        for y, width in ((0.06, 0.15), (-0.06, 0.12), (-0.17, 0.09)):
            pen.shape([(-width, y), (0, y - 0.18), (width, y)], green, darker(green, 0.5))


def _clouds(pen: Pen, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 4))):
        _cloud(pen.at(float(rng.random()), float(rng.uniform(0.04, 0.32)), float(rng.uniform(0.7, 1.3))))


def park(pen: Pen, rng: np.random.Generator) -> None:
    """Sky, hills and trees."""
    _gradient(pen, *SKIES[int(rng.integers(len(SKIES)))], EDGE[0], 0.7)
    if rng.random() < 0.5:
        pen.oval(float(rng.random()), float(rng.uniform(0.05, 0.2)), 0.08, colour=(255, 234, 150), ink=None)
    _clouds(pen, rng)
    far, near = pick(rng, GREENS), pick(rng, GREENS)
    _hill(pen, rng, 0.62, 0.22, lighter(far, 0.25))
    for _ in range(int(rng.integers(1, 4))):
        _tree(pen.at(float(rng.random()), float(rng.uniform(0.5, 0.6)), float(rng.uniform(0.8, 1.5))), rng)
    _hill(pen, rng, 0.78, 0.1, near)
    for _ in range(8):
        x, y = float(rng.random()), float(rng.uniform(0.82, 1.0))
        pen.line([(x - 0.012, y - 0.025), (x, y), (x + 0.012, y - 0.03)], darker(near, 0.35), 0.7)


def beach(pen: Pen, rng: np.random.Generator) -> None:
    """Sky, sea and sand."""
    horizon = float(rng.uniform(0.42, 0.54))
    _gradient(pen, *SKIES[int(rng.integers(len(SKIES)))], EDGE[0], horizon)
    _clouds(pen, rng)
    sea: Colour = (70, 162, 196) if rng.random() < 0.6 else (74, 132, 190)
    _gradient(pen, sea, lighter(sea, 0.45), horizon, 0.86, 12)
    if rng.random() < 0.6:
        boat = pen.at(float(rng.random()), horizon + 0.04)
        boat.shape([(-0.09, 0), (0.09, 0), (0.05, 0.05), (-0.05, 0.05)], pick(rng, BRIGHT))
        boat.shape([(0, -0.02), (0, -0.2), (0.09, -0.02)], WHITE)
    for _ in range(6):
        x, y = float(rng.random()), float(rng.uniform(horizon + 0.04, 0.7))
        pen.line(
            curve([(x - 0.05, y), (x - 0.02, y - 0.01), (x + 0.02, y), (x + 0.05, y - 0.01)]), WHITE, 0.6
        )
    _hill(pen, rng, 0.78, 0.06, (246, 220, 158))


def street(pen: Pen, rng: np.random.Generator) -> None:
    """A row of houses and a pavement."""
    _gradient(pen, *SKIES[int(rng.integers(len(SKIES)))], EDGE[0], 0.6)
    _clouds(pen, rng)
    left = EDGE[0] - 0.1 * float(rng.random())
    while left < EDGE[1]:
        width, top = float(rng.uniform(0.24, 0.42)), float(rng.uniform(0.08, 0.4))
        wall = lighter(pick(rng, BRIGHT), 0.3)
        pen.box(left, top, left + width, 0.84, wall)
        if rng.random() < 0.5:
            peak = (left + width / 2, top - 0.14)
            pen.shape([(left - 0.02, top), peak, (left + width + 0.02, top)], darker(wall, 0.45))
        pane: Colour = (208, 234, 240) if rng.random() < 0.6 else (255, 232, 150)
        for row in (top + 0.06, top + 0.24):
            for column in (0.2, 0.6):
                x = left + width * column
                pen.box(x, row, x + width * 0.22, row + 0.11, pane)
        left += width
    pen.box(EDGE[0], 0.8, EDGE[1], EDGE[1], (190, 188, 192))
    pen.box(EDGE[0], 0.92, EDGE[1], EDGE[1], (120, 120, 132), None)


def night(pen: Pen, rng: np.random.Generator) -> None:
    """Moon, stars and dark hills."""
    _gradient(pen, (42, 48, 110), (136, 112, 176), EDGE[0], 0.75)
    for x, y in rng.random((26, 2)).tolist():
        pen.oval(x, y * 0.6, 0.006, colour=(250, 246, 214), ink=None)
    x, y = float(rng.random()), float(rng.uniform(0.08, 0.24))
    pen.oval(x, y, 0.1, colour=(250, 240, 200), ink=None)
    if rng.random() < 0.5:
        pen.oval(x + 0.045, y - 0.02, 0.08, colour=(50, 54, 116), ink=None)
    _hill(pen, rng, 0.66, 0.2, (74, 88, 140))
    for _ in range(2):
        _tree(pen.at(float(rng.random()), 0.58, float(rng.uniform(0.8, 1.3))), rng)
    _hill(pen, rng, 0.8, 0.08, (76, 124, 116))


def _room(pen: Pen, rng: np.random.Generator) -> Colour:
    """Wall with a pattern, skirting and floor; gives the wall's colour."""
    wall = pick(rng, WALLS)
    _gradient(pen, lighter(wall, 0.25), wall, EDGE[0], 0.8, 8)
    pattern = darker(wall, 0.1)
    kind = int(rng.integers(4))
    for i in range(-1, 13):
        x = i / 11
        if kind == 0:
            pen.box(x, EDGE[0], x + 0.04, 0.8, pattern, None)
        elif kind == 1:
            for j in range(9):
                pen.oval(x + 0.045 * (j % 2), j / 11, 0.013, colour=pattern, ink=None)
        elif kind == 2:
            pen.line([(x, EDGE[0]), (x, 0.8)], pattern, 0.6)
            pen.line([(EDGE[0], x), (EDGE[1], x)], pattern, 0.6)
    floor = pick(rng, WOODS)
    pen.box(EDGE[0], 0.8, EDGE[1], EDGE[1], floor, None)
    pen.box(EDGE[0], 0.77, EDGE[1], 0.81, lighter(wall, 0.55), darker(wall, 0.5))
    for i in range(-1, 6):
        pen.line([(i / 4, 0.82), (i / 4 - 0.12, EDGE[1])], darker(floor, 0.2), 0.7)
    return wall


def _window(pen: Pen, rng: np.random.Generator) -> None:
    sky = SKIES[int(rng.integers(len(SKIES)))]
    pen.box(-0.14, -0.17, 0.14, 0.17, sky[0])
    pen.box(-0.13, 0.02, 0.13, 0.16, sky[1], None)
    pen.line([(0, -0.17), (0, 0.17)], WHITE, width=0.024)
    pen.line([(-0.14, 0), (0.14, 0)], WHITE, width=0.024)
    curtain = pick(rng, BRIGHT)
    for side in (-1, 1):
        pen.at(mirror=side < 0).shape(
            [(0.2, -0.2), (0.06, -0.2), (0.13, 0.0), (0.11, 0.22), (0.2, 0.22)], curtain
        )


def _picture(pen: Pen, rng: np.random.Generator) -> None:
    pen.box(-0.11, -0.09, 0.11, 0.09, pick(rng, WOODS))
    pen.box(-0.085, -0.065, 0.085, 0.065, lighter(pick(rng, BRIGHT), 0.4))
    pen.oval(float(rng.uniform(-0.04, 0.04)), 0, 0.035, colour=pick(rng, BRIGHT), ink=None)


def living_room(pen: Pen, rng: np.random.Generator) -> None:
    """Wallpaper, window or picture, sofa, lamp."""
    _room(pen, rng)
    hang = _window if rng.random() < 0.5 else _picture
    hang(
        pen.at(float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.16, 0.3)), float(rng.uniform(0.9, 1.3))), rng
    )
    if rng.random() < 0.75:
        sofa, cloth = pen.at(float(rng.uniform(0.1, 0.9)), 0.78), pick(rng, BRIGHT)
        sofa.blob([(-0.3, -0.24), (0, -0.27), (0.3, -0.24), (0.32, 0.06), (0, 0.08), (-0.32, 0.06)], cloth)
        sofa.box(-0.28, -0.04, 0.28, 0.06, lighter(cloth, 0.2))
        for side in (-1, 1):
            sofa.blob(
                [(0.27 * side, -0.1), (0.38 * side, -0.1), (0.38 * side, 0.1), (0.27 * side, 0.1)], cloth
            )
    if rng.random() < 0.6:
        lamp = pen.at(0.06 if rng.random() < 0.5 else 0.94, 0.4)
        lamp.line([(0, 0), (0, 0.46)], width=0.022)
        lamp.shape([(-0.06, -0.12), (0.06, -0.12), (0.11, 0.03), (-0.11, 0.03)], (255, 226, 140))


def kitchen(pen: Pen, rng: np.random.Generator) -> None:
    """Cupboards, a shelf of jars, a counter."""
    _room(pen, rng)
    door = lighter(pick(rng, BRIGHT), 0.25)
    start = float(rng.uniform(-0.2, 0.0))
    for i in range(4):
        x = start + 0.34 * i
        if rng.random() < 0.65:
            pen.box(x, -0.1, x + 0.32, 0.2, door)
            pen.oval(x + 0.05, 0.14, 0.014, colour=INK, ink=None)
        else:
            pen.line([(x, 0.2), (x + 0.32, 0.2)], width=0.024)
            for j in range(3):
                pen.box(x + 0.04 + 0.09 * j, 0.1, x + 0.1 + 0.09 * j, 0.19, pick(rng, BRIGHT))
    pen.box(EDGE[0], 0.62, EDGE[1], 0.98, door)
    for i in range(4):
        pen.line([(start + 0.34 * i, 0.66), (start + 0.34 * i, 0.98)])
    pen.box(EDGE[0], 0.58, EDGE[1], 0.65, pick(rng, WOODS))


def classroom(pen: Pen, rng: np.random.Generator) -> None:
    """A board with chalk marks, shelves with books."""
    _room(pen, rng)
    board: Colour = (66, 112, 98) if rng.random() < 0.6 else (72, 80, 104)
    x = float(rng.uniform(-0.1, 0.3))
    pen.box(x, 0.08, x + 0.7, 0.52, pick(rng, WOODS))
    pen.box(x + 0.025, 0.105, x + 0.675, 0.495, board)
    for _ in range(4):
        cx, cy = x + float(rng.uniform(0.08, 0.5)), float(rng.uniform(0.16, 0.44))
        points = [(cx + 0.03 * i, cy + float(rng.uniform(-0.02, 0.02))) for i in range(5)]
        pen.line(curve(points), (226, 234, 226), 0.8)
    shelf = pen.at(0.85 if x < 0.1 else 0.08, 0.56)
    for i in range(5):
        height = float(rng.uniform(0.12, 0.2))
        shelf.box(-0.14 + 0.055 * i, 0.22 - height, -0.085 + 0.055 * i, 0.22, pick(rng, BRIGHT))
    shelf.box(-0.18, 0.22, 0.18, 0.26, pick(rng, WOODS))


PLACES: dict[str, Draw] = {
    place.__name__: place for place in (park, beach, street, night, living_room, kitchen, classroom)
}
"""Backdrops by name; each draws the whole frame and `BEYOND` past its edges."""


def paint(draw: Draw, image: Image.Image, ink_px: float, seed: int) -> None:
    """Draws a place over the whole of a square image that shows `BEYOND` past each edge of the frame."""
    side = image.width / (1 + 2 * BEYOND)
    draw(Pen.on(image, ink_px).at(BEYOND * side, BEYOND * side, side), np.random.default_rng(seed))
