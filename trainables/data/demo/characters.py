"""Who is in the demo: ten characters, each known by face and hair alone. Clothes belong to everybody."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.data.demo.pen import Colour

GINGER: Colour = (226, 112, 48)
BROWN: Colour = (122, 76, 46)
BLOND: Colour = (250, 208, 92)
BLACK: Colour = (58, 50, 70)
GREY: Colour = (206, 206, 216)

PALE: Colour = (255, 222, 196)
ROSY: Colour = (250, 204, 172)
TAN: Colour = (226, 166, 118)
DARK: Colour = (150, 98, 70)


@dataclass(frozen=True)
class Character:
    """What never changes about somebody, whatever they wear and wherever they are."""

    name: str
    share: float
    """Share of the pictures that shows them."""
    hair: str
    """A name in `hair.STYLES`."""
    hair_colour: Colour
    skin: Colour
    face: tuple[float, float] = (1.0, 1.0)
    """Width and height of the head, over those of a round one."""
    shoulders: float = 1.0
    """Width of the body, over the ordinary one."""
    wears: tuple[str, ...] = ("tee", "stripes", "dungarees", "hoodie", "jacket")
    """Names in `clothes.TOPS`."""
    nose: str = "button"
    """`button`, `long` or `broad`."""
    beard: str = ""
    """Nothing, `moustache` or `full`."""
    glasses: bool = False
    bow: bool = False
    freckles: bool = False
    lashes: bool = False
    earrings: bool = False


_DRESSY = ("tee", "stripes", "dungarees", "hoodie", "dress", "jacket")

CAST = (
    Character("otto", 0.15, "bowl", BROWN, ROSY),
    Character("zadie", 0.14, "afro", BLACK, DARK, wears=_DRESSY, lashes=True, earrings=True, nose="broad"),
    # Mila and Nora are sisters: the same but for freckles and a bow.
    Character("mila", 0.13, "pigtails", GINGER, PALE, wears=_DRESSY, lashes=True, freckles=True),
    Character("gus", 0.117, "bald", BROWN, ROSY, (1.02, 1.08), 1.3, nose="broad", beard="moustache"),
    Character("ivy", 0.107, "long", BLACK, PALE, (0.94, 1.02), 0.92, wears=_DRESSY, lashes=True),
    # Emil is Otto's brother and wears glasses.
    Character("emil", 0.093, "bowl", BROWN, ROSY, glasses=True),
    Character("nora", 0.083, "pigtails", GINGER, PALE, wears=_DRESSY, lashes=True, bow=True),
    Character("wanda", 0.073, "bun", GREY, ROSY, wears=_DRESSY, glasses=True, earrings=True, nose="long"),
    # Bruno might be taken for Gus from behind.
    Character("bruno", 0.06, "bald", BROWN, TAN, (1.02, 1.08), 1.3, nose="broad", beard="full"),
    Character("pip", 0.047, "spiky", BLOND, TAN, (1.06, 0.96), 0.9),
)
