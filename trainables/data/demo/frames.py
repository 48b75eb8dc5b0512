"""Scenes and frames: a scene keeps its place, clothes and light; its frames differ by small movements."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from trainables.data.demo.characters import Character
from trainables.data.demo.clothes import ARMS, COLOURS, Outfit
from trainables.data.demo.figure import EYES, MOUTHS, Pose, draw_figure
from trainables.data.demo.pen import Pen
from trainables.data.demo.props import PROPS
from trainables.data.demo.scenery import BEYOND, PLACES, paint

SIZE_PX = 72
OVERSAMPLE = 4
"""Frames are drawn this many times too large and scaled down, which smooths every edge."""
INK = 0.011
"""Thickness of the outlines, as a share of the frame."""


@dataclass(frozen=True)
class Light:
    """How a scene is lit: what its colours are multiplied with, and how strong its contrast is."""

    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0


@dataclass(frozen=True)
class Prop:
    """Something in front of the character; x, y and size as shares of the frame."""

    name: str
    x: float
    y: float
    size: float
    seed: int


@dataclass(frozen=True)
class Scene:
    """What the frames of one group have in common."""

    character: Character
    place: str
    """A name in `scenery.PLACES`."""
    place_seed: int
    outfit: Outfit
    light: Light
    pose: Pose
    """The pose that the frames are variations of."""
    prop: Prop | None = None


def new_scene(character: Character, rng: np.random.Generator) -> Scene:
    """A scene with this character, drawn from the generator."""

    def choose(options: tuple[str, ...]) -> str:
        return options[int(rng.integers(len(options)))]

    colour, trim, legs = (COLOURS[int(i)] for i in rng.choice(len(COLOURS), 3, replace=False))
    outfit = Outfit(
        choose(character.wears), colour, trim, legs, choose(("star", "heart", "dot", "")), rng.random() < 0.4
    )
    warmth, level = rng.normal(0, 0.08), rng.uniform(0.78, 1.1)
    light = Light(
        (level * (1 + warmth), level * (1 + rng.normal(0, 0.03)), level * (1 - warmth)),
        rng.uniform(0.88, 1.1),
    )
    size = rng.uniform(0.17, 0.27)
    # Mostly well inside the frame; now and then half out of it.
    reach = 0.36 if rng.random() < 0.15 else 0.24
    pose = Pose(
        x=0.5 + rng.uniform(-reach, reach),
        y=rng.uniform(1.5 * size, 1.5 * size + 0.22),
        size=size,
        mirror=rng.random() < 0.5,
        lean_deg=rng.normal(0, 5),
        turn=rng.uniform(-1, 1),
        arms=(choose(tuple(ARMS)), choose(tuple(ARMS))),
        stride=rng.uniform(0, 1),
    )
    prop = None
    if rng.random() < 0.5:
        name = choose(tuple(PROPS))
        top, bottom = PROPS[name][1]
        # To one side of the face: it hides clothes and limbs, and only now and then a part of the head.
        side = 1 if pose.x < 0.5 else -1
        x = pose.x + side * rng.uniform(0.12, 0.4)
        prop = Prop(name, x, rng.uniform(top, bottom), rng.uniform(0.85, 1.25), int(rng.integers(2**31)))
    places = tuple(PLACES)
    return Scene(character, choose(places), int(rng.integers(2**31)), outfit, light, pose, prop)


def new_pose(scene: Scene, rng: np.random.Generator) -> Pose:
    """The scene's pose a moment earlier or later: a small movement and another expression."""
    pose = scene.pose
    arms = tuple(ARMS)
    left, right = (arms[int(rng.integers(len(arms)))] if rng.random() < 0.25 else arm for arm in pose.arms)
    return replace(
        pose,
        x=pose.x + rng.normal(0, 0.02),
        y=pose.y + rng.normal(0, 0.012),
        size=pose.size * (1 + rng.normal(0, 0.02)),
        lean_deg=pose.lean_deg + rng.normal(0, 1.5),
        nod_deg=rng.normal(0, 6),
        turn=float(np.clip(pose.turn + rng.normal(0, 0.25), -1, 1)),
        look=(rng.uniform(-1, 1), rng.uniform(-1, 1)),
        eyes=EYES[int(rng.integers(len(EYES)))],
        mouth=MOUTHS[int(rng.integers(len(MOUTHS)))],
        brows=rng.uniform(-1, 1),
        arms=(left, right),
    )


def draw_backdrop(scene: Scene, size_px: int = SIZE_PX) -> Image.Image:
    """The scene's place without anybody in it, oversampled, reaching past the frame: see `draw_frame`."""
    side = round(size_px * OVERSAMPLE * (1 + 2 * BEYOND))
    image = Image.new("RGB", (side, side))
    paint(PLACES[scene.place], image, 0.7 * INK * size_px * OVERSAMPLE, scene.place_seed)
    return image


def draw_frame(
    scene: Scene,
    pose: Pose | None = None,
    *,
    size_px: int = SIZE_PX,
    pan: tuple[float, float] = (0.0, 0.0),
    backdrop: Image.Image | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws one frame of a scene.

    Args:
        scene: What the frame shows.
        pose: The character's pose in it; the scene's own by default.
        size_px: Side of the frame.
        pan: How far the camera has moved over the backdrop, from -1 to 1 along each axis.
        backdrop: What `draw_backdrop` gave for this scene and size, to save drawing it for every frame.

    Returns:
        The picture, uint8 (H, W, 3), and where the character is seen in it, bool (H, W): pixels of which
        the character covers at least half, without what is hidden by a prop.
    """
    side, pose = size_px * OVERSAMPLE, pose or scene.pose
    backdrop = backdrop or draw_backdrop(scene, size_px)
    spare = (backdrop.width - side) / 2
    left, top = round(spare * (1 + pan[0])), round(spare * (1 + pan[1]))
    canvas = backdrop.crop((left, top, left + side, top + side))

    layer = Image.new("RGBA", (side, side))
    pen = Pen.on(layer, INK * side)
    draw_figure(pen.at(pose.x * side, pose.y * side, pose.size * side), scene.character, scene.outfit, pose)
    canvas.paste(layer, mask=layer)
    seen = layer.getchannel("A")
    if scene.prop is not None:
        front = Image.new("RGBA", (side, side))
        prop = scene.prop
        at = Pen.on(front, INK * side).at(prop.x * side, prop.y * side, prop.size * side)
        PROPS[prop.name][0](at, np.random.default_rng(prop.seed))
        canvas.paste(front, mask=front)
        seen.paste(0, mask=front.getchannel("A"))
    picture = _lit(np.asarray(canvas.reduce(OVERSAMPLE)), scene.light)
    return picture, np.asarray(seen.reduce(OVERSAMPLE)) >= 128


def _lit(picture: np.ndarray, light: Light) -> np.ndarray:
    levels = np.arange(256)[:, None] * np.asarray(light.tint)
    levels = (levels - 128) * light.contrast + 128
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return np.stack([table[picture[..., channel], channel] for channel in range(3)], axis=-1)
