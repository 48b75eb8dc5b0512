"""How a character is drawn: body, head and face in a pose. The head has radius 1 and is at the origin."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.data.demo.characters import Character
from trainables.data.demo.clothes import Outfit, draw_body
from trainables.data.demo.hair import STYLES
from trainables.data.demo.pen import INK, WHITE, Pen, arc, curve, darker, mix

MOUTHS = ("smile", "grin", "open", "flat", "oh", "smirk")
EYES = ("open", "open", "open", "half", "happy", "shut")
PUPIL = (48, 34, 44)


@dataclass(frozen=True)
class Pose:
    """Where somebody is in the frame, and what they are doing."""

    x: float
    """Centre of the head, as a share of the frame from the left; `y` from the top."""
    y: float
    size: float
    """Radius of the head, as a share of the frame."""
    mirror: bool = False
    lean_deg: float = 0.0
    """Turn of the whole figure, clockwise."""
    nod_deg: float = 0.0
    """Turn of the head on top of that."""
    turn: float = 0.0
    """Where the face points: -1 left, 0 to us, 1 right."""
    look: tuple[float, float] = (0.0, 0.0)
    """Where the eyes look, each from -1 to 1."""
    eyes: str = "open"
    mouth: str = "smile"
    brows: float = 0.0
    """-1 angry, 1 surprised."""
    arms: tuple[str, str] = ("down", "down")
    """What the two arms do: names in `clothes.ARMS`."""
    stride: float = 0.0
    """How far the feet are apart."""


def draw_figure(pen: Pen, character: Character, outfit: Outfit, pose: Pose) -> None:
    """Draws the character with the pen's unit as the radius of the head."""
    width, height = character.face
    body = pen.at(angle_deg=pose.lean_deg, mirror=pose.mirror)
    head = body.at(0, 0.25, angle_deg=pose.nod_deg).at(0, -0.25)
    back, front = STYLES[character.hair]
    back(head, character.hair_colour)
    draw_body(body, outfit, character.skin, character.shoulders, pose.arms, pose.stride)
    _draw_skull(head, character, width, height, pose.turn)
    face = head.at(0.2 * pose.turn, 0)
    if character.beard == "full":
        _draw_full_beard(head, character)
    _draw_cheeks(face, character)
    _draw_mouth(face, pose.mouth, 0.1 if character.beard else 0.0)
    _draw_eyes(face, character, pose)
    _draw_brows(face, character, pose.brows)
    front(head, character.hair_colour)
    _draw_nose(face, character)
    if character.beard == "moustache":
        _draw_moustache(face, character)
    if character.glasses:
        _draw_glasses(face, pose.turn)
    if character.bow:
        _draw_bow(head, outfit)


def _draw_skull(pen: Pen, character: Character, width: float, height: float, turn: float) -> None:
    shade = darker(character.skin, 0.13)
    for side in (-1, 1):
        ear = pen.at(side * (1.0 * width) - 0.06 * turn, 0.12)
        ear.oval(0, 0, 0.2, 0.26, character.skin)
        ear.line(arc(0.02 * side, 0, 0.08, 0.12, 200, 340, 6), shade, 0.8)
        if character.earrings:
            ear.oval(0.06 * side, 0.38, 0.12, colour=(255, 214, 90))
    skull = [
        (0.0, -1.0),
        (0.72, -0.74),
        (1.0, 0.0),
        (0.9, 0.5),
        (0.52, 0.92),
        (0.0, 1.06),
        (-0.52, 0.92),
        (-0.9, 0.5),
        (-1.0, 0.0),
        (-0.72, -0.74),
    ]
    outline = curve([(x * width, y * height) for x, y in skull], closed=True)
    pen.fill(outline, shade)
    pen.fill([(x * 0.94 - 0.05, y * 0.94 - 0.05) for x, y in outline], character.skin)
    pen.line([*outline, outline[0]])


def _draw_eyes(pen: Pen, character: Character, pose: Pose) -> None:
    for side in (-1, 1):
        # The eye on the far side of a turned head is narrower.
        narrow = 1.0 - 0.16 * max(0.0, side * pose.turn)
        eye = pen.at(0.37 * side, -0.02)
        if pose.eyes in ("happy", "shut"):
            bend = (200, 340) if pose.eyes == "happy" else (20, 160)
            eye.line(arc(0, 0.08 if pose.eyes == "happy" else -0.04, 0.24, 0.2, *bend, 10), thick=1.2)
        else:
            eye.oval(0, 0, 0.3 * narrow, 0.34)
            x, y = 0.1 * pose.look[0] + 0.05 * pose.turn, 0.1 * pose.look[1]
            eye.oval(x, y, 0.155, 0.175, PUPIL, None)
            eye.oval(x - 0.05, y - 0.07, 0.055, colour=WHITE, ink=None)
            if pose.eyes == "half":
                lid = arc(0, 0, 0.3 * narrow, 0.34, 188, 352, 14)
                eye.shape(lid, darker(character.skin, 0.1))
        if character.lashes:
            for x, y in ((0.26, -0.26), (0.36, -0.1)):
                eye.line([(x * side * 0.85, y), (x * side * 1.2, y - 0.12)], thick=0.9)


def _draw_brows(pen: Pen, character: Character, brows: float) -> None:
    colour = darker(character.hair_colour, 0.35)
    for side in (-1, 1):
        brow = pen.at(0.38 * side, -0.47 - 0.07 * max(0.0, brows), mirror=side < 0)
        inner, outer = (0.08 * -min(0.0, brows), 0.05 * max(0.0, brows))
        brow.line(curve([(-0.18, inner), (0.03, -0.06), (0.22, 0.03 + outer)]), colour, width=0.11)


def _draw_nose(pen: Pen, character: Character) -> None:
    skin, shade = character.skin, darker(character.skin, 0.12)
    if character.nose == "button":
        pen.line(arc(0.02, 0.3, 0.11, 0.1, -30, 190, 10), mix(INK, skin, 0.15), 0.9)
    elif character.nose == "long":
        pen.blob([(-0.06, 0.14), (0.07, 0.14), (0.17, 0.42), (0.02, 0.52), (-0.15, 0.42)], shade)
    else:
        pen.oval(0, 0.33, 0.23, 0.17, shade)


def _draw_cheeks(pen: Pen, character: Character) -> None:
    blush = mix(character.skin, (240, 90, 90), 0.25)
    for side in (-1, 1):
        pen.oval(0.64 * side, 0.42, 0.17, 0.11, blush, None)
        if character.freckles:
            for x, y in ((0.48, 0.38), (0.62, 0.34), (0.76, 0.4), (0.55, 0.5), (0.7, 0.52)):
                pen.oval(x * side, y, 0.05, colour=(192, 104, 62), ink=None)


def _draw_mouth(pen: Pen, mouth: str, lower: float) -> None:
    pen = pen.at(0, 0.6 + lower)
    inside, tongue = (122, 32, 46), (238, 116, 118)
    if mouth == "smile":
        pen.line(arc(0, -0.08, 0.32, 0.2, 20, 160, 12), thick=1.1)
    elif mouth == "flat":
        pen.line([(-0.2, 0.04), (0.2, 0.04)], thick=1.1)
    elif mouth == "smirk":
        pen.line(curve([(-0.24, 0.06), (0.02, 0.1), (0.28, -0.06)]), thick=1.1)
    elif mouth == "oh":
        pen.oval(0, 0.08, 0.14, 0.17, inside)
    else:
        lips = [(-0.36, -0.08), (0.36, -0.08), *arc(0, -0.08, 0.36, 0.36, 0, 180, 12)]
        pen.fill(lips, inside if mouth == "open" else WHITE)
        if mouth == "open":
            pen.oval(0, 0.16, 0.18, 0.09, tongue, None)
        pen.line([*lips, lips[0]])


def _draw_moustache(pen: Pen, character: Character) -> None:
    half = [(0.0, 0.46), (0.3, 0.46), (0.6, 0.62), (0.7, 0.54), (0.62, 0.78), (0.3, 0.78), (0.0, 0.64)]
    pen.blob([*half, *[(-x, y) for x, y in half[-2:0:-1]]], character.hair_colour)


def _draw_full_beard(pen: Pen, character: Character) -> None:
    outer = curve([(1.06, 0.02), (1.06, 0.52), (0.74, 1.06), (0.26, 1.3), (0.0, 1.34)])
    inner = curve([(0.0, 0.46), (0.4, 0.46), (0.66, 0.42), (0.86, 0.1)])
    right = [*inner, *outer]
    pen.shape([*right, *[(-x, y) for x, y in reversed(right)]], character.hair_colour)


def _draw_glasses(pen: Pen, turn: float) -> None:
    frame = (74, 40, 92)
    for side in (-1, 1):
        pen.line(arc(0.4 * side, 0.0, 0.39, 0.4, 0, 360, 24), frame, width=0.12)
        pen.line([(0.78 * side, -0.06), (1.0 * side - 0.2 * turn, -0.12)], frame, width=0.1)
    pen.line([(-0.05, -0.04), (0.05, -0.04)], frame, width=0.1)


def _draw_bow(pen: Pen, outfit: Outfit) -> None:
    bow = pen.at(0.3, -1.08, angle_deg=14)
    for side in (-1, 1):
        bow.blob([(0.05 * side, 0), (0.5 * side, -0.36), (0.64 * side, 0.0), (0.5 * side, 0.32)], outfit.trim)
    bow.oval(0, 0, 0.16, 0.18, darker(outfit.trim, 0.2))
