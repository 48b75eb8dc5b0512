"""Hair: what lies behind the head and what lies on it. The head is a circle of radius 1 about the origin."""

from __future__ import annotations

from collections.abc import Callable

from trainables.data.demo.pen import Colour, Pen, Points, arc, curve, darker, lighter

Draw = Callable[[Pen, Colour], None]


def _nothing(pen: Pen, colour: Colour) -> None:
    """Nothing there."""


def _cap(pen: Pen, colour: Colour, fringe: Points, ends_deg: float = 10.0, radius: float = 1.09) -> None:
    """Hair from ear to ear over the top, whose lower edge runs through `fringe` from right to left."""
    crown = arc(0, -0.02, radius, radius, 180 - ends_deg, 360 + ends_deg)
    pen.shape([*crown, *curve([crown[-1], *fringe, crown[0]])], colour)
    pen.line(arc(-0.1, 0.02, 0.84, 0.84, 228, 272), lighter(colour, 0.4), width=0.11)


def _pigtails_back(pen: Pen, colour: Colour) -> None:
    for side in (-1, 1):
        tail = pen.at(1.08 * side, -0.28, mirror=side < 0)
        tail.blob(
            [(0, -0.2), (0.5, -0.42), (0.86, 0.1), (0.8, 0.72), (0.5, 1.12), (0.36, 0.66), (0.08, 0.3)],
            colour,
        )
        tail.line(curve([(0.3, -0.1), (0.56, 0.2), (0.56, 0.6)]), darker(colour, 0.3), 0.7)
        tail.oval(0.06, 0.0, 0.17, 0.24, (94, 190, 190))


def _pigtails_front(pen: Pen, colour: Colour) -> None:
    _cap(
        pen, colour, [(0.86, -0.2), (0.5, -0.52), (0.06, -0.78), (-0.06, -0.78), (-0.5, -0.52), (-0.86, -0.2)]
    )
    pen.line([(0, -1.08), (0, -0.78)], darker(colour, 0.35), 0.8)


def _bowl_front(pen: Pen, colour: Colour) -> None:
    fringe = [(0.92, -0.1), (0.8, -0.36), (0.4, -0.3), (0, -0.34), (-0.4, -0.3), (-0.8, -0.36), (-0.92, -0.1)]
    _cap(pen, colour, fringe, 14, 1.15)
    for x in (-0.3, 0.28):
        pen.line([(x, -0.34), (x * 0.94, -0.56)], darker(colour, 0.35), 0.8)


def _bald_back(pen: Pen, colour: Colour) -> None:
    for side in (-1, 1):
        tuft = pen.at(0.98 * side, 0.0, mirror=side < 0)
        tuft.blob(
            [(-0.2, -0.3), (0.12, -0.34), (0.28, -0.06), (0.26, 0.22), (0.1, 0.42), (-0.2, 0.4)], colour
        )


def _bald_front(pen: Pen, colour: Colour) -> None:
    pen.line(arc(0, 0, 0.76, 0.78, 222, 254), (255, 246, 232), width=0.13)
    pen.line(curve([(0.02, -1.0), (0.12, -1.24), (0.3, -1.22)]), thick=0.9)
    pen.line(curve([(-0.1, -1.0), (-0.1, -1.22), (0.04, -1.34)]), thick=0.9)


def _spiky_front(pen: Pen, colour: Colour) -> None:
    tips = [
        (-1.34, -0.3),
        (-1.3, -0.86),
        (-0.86, -1.4),
        (-0.22, -1.66),
        (0.44, -1.6),
        (1.02, -1.26),
        (1.38, -0.74),
    ]
    dips = [(-1.06, -0.52), (-0.82, -0.92), (-0.42, -1.12), (0.1, -1.14), (0.56, -1.04), (0.92, -0.76)]
    top = [point for pair in zip(tips, [*dips, (1.08, 0.02)], strict=True) for point in pair]
    fringe = [
        (0.9, -0.3),
        (0.62, -0.58),
        (0.42, -0.3),
        (0.12, -0.64),
        (-0.2, -0.32),
        (-0.46, -0.64),
        (-0.82, -0.28),
    ]
    pen.shape([(-1.04, 0.04), *top, *fringe], colour)
    pen.line([(-0.5, -0.86), (-0.34, -1.12)], lighter(colour, 0.6), width=0.11)


def _afro_back(pen: Pen, colour: Colour) -> None:
    puffs = [(140 + 13 * i, 1.7 if i % 2 else 1.52) for i in range(21)]
    pen.blob([arc(0, -0.3, radius, radius * 0.96, angle, angle)[0] for angle, radius in puffs], colour)


def _afro_front(pen: Pen, colour: Colour) -> None:
    fringe = [
        (0.9, -0.34),
        (0.66, -0.5),
        (0.34, -0.52),
        (0, -0.62),
        (-0.34, -0.52),
        (-0.66, -0.5),
        (-0.9, -0.34),
    ]
    rim = arc(0, -0.05, 1.04, 1.04, 190, 350)
    pen.fill([*rim, *curve([rim[-1], *fringe, rim[0]])], colour)
    pen.line(curve([rim[-1], *fringe, rim[0]]))
    for x, y in ((-0.72, -1.12), (-0.1, -1.4), (0.62, -1.2), (1.14, -0.6), (-1.16, -0.5)):
        pen.line(arc(x, y, 0.14, 0.12, 180, 330, 8), lighter(colour, 0.28), 0.9)


def _bun_back(pen: Pen, colour: Colour) -> None:
    pen.oval(0, -1.32, 0.56, 0.5, colour)
    pen.line(arc(-0.04, -1.32, 0.3, 0.26, 150, 330), darker(colour, 0.3), 0.8)
    pen.line(arc(0.06, -1.3, 0.14, 0.1, 10, 200), darker(colour, 0.3), 0.8)


def _bun_front(pen: Pen, colour: Colour) -> None:
    fringe = [
        (0.94, -0.02),
        (0.84, -0.4),
        (0.5, -0.66),
        (0, -0.62),
        (-0.5, -0.66),
        (-0.84, -0.4),
        (-0.94, -0.02),
    ]
    _cap(pen, colour, fringe, 16)
    for side in (-1, 1):
        pen.line(
            curve([(0.24 * side, -1.02), (0.5 * side, -0.84), (0.7 * side, -0.6)]), darker(colour, 0.25), 0.8
        )


def _long_back(pen: Pen, colour: Colour) -> None:
    left = [(-0.9, -0.72), (-1.2, 0.0), (-1.26, 0.9), (-1.34, 1.9)]
    right = [(1.34, 1.9), (1.26, 0.9), (1.2, 0.0), (0.9, -0.72)]
    pen.shape([*curve(left), (-0.8, 1.98), (-0.4, 1.86), (0.4, 1.86), (0.8, 1.98), *curve(right)], colour)
    for side in (-1, 1):
        pen.line(
            curve([(1.04 * side, 0.7), (1.06 * side, 1.2), (1.1 * side, 1.7)]), lighter(colour, 0.2), 0.8
        )


def _long_front(pen: Pen, colour: Colour) -> None:
    fringe = [
        (0.98, 0.1),
        (0.86, -0.3),
        (0.5, -0.5),
        (0.1, -0.86),
        (-0.4, -0.44),
        (-0.8, -0.26),
        (-0.98, 0.1),
    ]
    _cap(pen, colour, fringe, 28, 1.1)


STYLES: dict[str, tuple[Draw, Draw]] = {
    "pigtails": (_pigtails_back, _pigtails_front),
    "bowl": (_nothing, _bowl_front),
    "bald": (_bald_back, _bald_front),
    "spiky": (_nothing, _spiky_front),
    "afro": (_afro_back, _afro_front),
    "bun": (_bun_back, _bun_front),
    "long": (_long_back, _long_front),
}
"""What lies behind the head and in front of it, by the name of the style."""
