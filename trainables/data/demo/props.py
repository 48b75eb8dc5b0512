"""Things that stand in front of a character. Each is drawn about the origin, in shares of the frame."""

from __future__ import annotations

import numpy as np

from trainables.data.demo.pen import INK, WHITE, Pen, arc, curve, darker, lighter
from trainables.data.demo.scenery import BRIGHT, GREENS, WOODS, Draw, pick


def _bush(pen: Pen, rng: np.random.Generator) -> None:
    green = pick(rng, GREENS)
    bumps = ((-0.22, 0.14, 0.12), (-0.1, 0.0, 0.12), (0.08, -0.02, 0.13), (0.22, 0.12, 0.13), (0.0, 0.2, 0.2))
    # The outline of all together: every rim first, then the fillings over them.
    for x, y, r in bumps:
        pen.line(arc(x, y, r, r, 0, 360), thick=2)
    pen.box(-0.34, 0.2, 0.35, 0.6, green)
    for x, y, r in bumps:
        pen.oval(x, y, r, colour=green, ink=None)
    for x, y in rng.uniform((-0.22, 0.04), (0.22, 0.2), (4, 2)).tolist():
        pen.oval(x, y, 0.025, colour=pick(rng, BRIGHT), ink=None)


def _plant(pen: Pen, rng: np.random.Generator) -> None:
    green = pick(rng, GREENS)
    for lean in (-60, -28, 4, 30, 62):
        leaf = pen.at(0, 0.04, 1.0, lean + float(rng.uniform(-6, 6)))
        leaf.blob([(0, 0.02), (-0.055, -0.16), (0, -0.34), (0.055, -0.16)], green)
        leaf.line([(0, 0), (0, -0.26)], darker(green, 0.3), 0.7)
    pen.shape([(-0.11, 0.02), (0.11, 0.02), (0.08, 0.3), (-0.08, 0.3)], pick(rng, BRIGHT))


def _table(pen: Pen, rng: np.random.Generator) -> None:
    wood, cup = pick(rng, WOODS), pick(rng, BRIGHT)
    mug = pen.at(float(rng.uniform(-0.25, 0.25)), 0.0)
    mug.line(arc(0.07, -0.06, 0.04, 0.04, -90, 90, 8), width=0.024)
    mug.box(-0.06, -0.13, 0.06, 0.02, cup)
    pen.box(-1.5, 0.0, 1.5, 0.07, wood)
    pen.box(-1.5, 0.07, 1.5, 0.5, darker(wood, 0.25))


def _fence(pen: Pen, rng: np.random.Generator) -> None:
    paint = WHITE if rng.random() < 0.5 else pick(rng, WOODS)
    pen.box(-1.5, 0.12, 1.5, 0.18, paint)
    for i in range(-8, 9):
        x = 0.16 * i
        pen.shape([(x - 0.05, 0.5), (x - 0.05, 0.03), (x, -0.04), (x + 0.05, 0.03), (x + 0.05, 0.5)], paint)


def _cat(pen: Pen, rng: np.random.Generator) -> None:
    fur = ((238, 170, 98), (92, 86, 100), (232, 226, 216), (168, 160, 160))[int(rng.integers(4))]
    pen.line(curve([(0.1, 0.3), (0.22, 0.24), (0.2, 0.08), (0.26, 0.02)]), width=0.062)
    pen.line(curve([(0.1, 0.3), (0.22, 0.24), (0.2, 0.08), (0.26, 0.02)]), fur, width=0.036)
    pen.blob([(-0.13, 0.36), (-0.11, 0.12), (0, 0.06), (0.11, 0.12), (0.14, 0.36)], fur)
    head = [(-0.13, 0.02), (-0.13, -0.16), (-0.06, -0.1), (0.06, -0.1), (0.13, -0.16), (0.13, 0.02)]
    pen.shape([*head, *arc(0, 0.02, 0.13, 0.08, 0, 180, 10)], fur)
    for side in (-1, 1):
        pen.oval(0.055 * side, -0.01, 0.02, 0.026, INK, None)
    pen.oval(0, 0.035, 0.014, 0.01, (230, 120, 130), None)


def _ball(pen: Pen, rng: np.random.Generator) -> None:
    colour = pick(rng, BRIGHT)
    pen.oval(0, 0, 0.16, colour=colour)
    pen.line(arc(-0.14, 0, 0.16, 0.17, -52, 52, 10), lighter(colour, 0.7), width=0.04)
    pen.line(arc(0, 0, 0.16, 0.16, 0, 360))


def _balloon(pen: Pen, rng: np.random.Generator) -> None:
    colour = pick(rng, BRIGHT)
    pen.line(curve([(0, 0.16), (0.02, 0.34), (-0.02, 0.5), (0.01, 0.8)]), thick=0.8)
    pen.blob([(0, -0.17), (0.14, -0.04), (0.05, 0.15), (0, 0.17), (-0.05, 0.15), (-0.14, -0.04)], colour)
    pen.oval(-0.05, -0.07, 0.03, 0.04, lighter(colour, 0.7), None)


PROPS: dict[str, tuple[Draw, tuple[float, float]]] = {
    "bush": (_bush, (0.74, 0.88)),
    "plant": (_plant, (0.68, 0.84)),
    "table": (_table, (0.78, 0.9)),
    "fence": (_fence, (0.76, 0.88)),
    "cat": (_cat, (0.66, 0.8)),
    "ball": (_ball, (0.62, 0.84)),
    "balloon": (_balloon, (0.2, 0.5)),
}
"""Things in front of the character, with the highest and the lowest place in the frame where each may be."""
