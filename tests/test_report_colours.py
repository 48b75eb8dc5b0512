"""The page's colours: told apart by everybody, and readable, in light and dark."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from search.report import ladder, page, rows, style, tested

SIGHTS = {
    "ordinary": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""Matrices over linear RGB: Machado, Oliveira and Fernandes (2009), IEEE TVCG 15, at full severity."""
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
"""sRGB, D65."""
JUST_NOTICED = 2.3
"""A distance in CIELAB (Mahy et al. 1994)."""
THEMES = {"light": 0, "dark": 1}
"""The place of their colours in the style sheet."""


def rgb(colour: str) -> np.ndarray:
    """Of `#rrggbb`, 0 to 1, float (3,)."""
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def linear(found: np.ndarray) -> np.ndarray:
    return np.where(found <= 0.04045, found / 12.92, ((found + 0.055) / 1.055) ** 2.4)


def lab(colour: str, sight: str) -> np.ndarray:
    """CIELAB of what somebody with this sight sees, float (3,)."""
    seen = TO_XYZ @ np.clip(SIGHTS[sight] @ linear(rgb(colour)), 0, 1) / TO_XYZ.sum(axis=1)
    x, y, z = np.where(seen > (6 / 29) ** 3, np.cbrt(seen), seen / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """By WCAG 2, 1 to 21."""
    low, high = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def page_colour(name: str, theme: str) -> str:
    css = (page.HERE / "page.css").read_text(encoding="utf-8")
    return re.findall(rf"--{name}: (#\w+);", css)[THEMES[theme]]


@pytest.mark.parametrize("sight", SIGHTS)
def test_families_are_told_apart_by_everybody(sight: str) -> None:
    for one, other in itertools.combinations((*style.PALETTE, style.NEUTRAL), 2):
        assert np.linalg.norm(lab(one, sight) - lab(other, sight)) > 6 * JUST_NOTICED, (one, other)


@pytest.mark.parametrize("sight", SIGHTS)
def test_parts_are_told_apart_by_everybody(sight: str) -> None:
    parts = style.part_colours(("train", "validation", "selection", "test")).values()
    for one, other in itertools.combinations(parts, 2):
        assert np.linalg.norm(lab(one, sight) - lab(other, sight)) > 6 * JUST_NOTICED, (one, other)


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("theme", THEMES)
def test_hits_and_mistakes_are_told_apart_by_everybody(theme: str, sight: str) -> None:
    hit, mistake = (cell(colour, tested.STRONGEST, theme) for colour in (tested.HIT, tested.MISTAKE))
    assert np.linalg.norm(lab(hit, sight) - lab(mistake, sight)) > 6 * JUST_NOTICED


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    ("words", "behind"),
    [
        *itertools.product(("ink", "soft"), ("page", "card", "code", "highlight")),
        *itertools.product(("accent", "good", "warn"), ("page", "card")),
        ("bad", "code"),
    ],
)
def test_text_is_readable(words: str, behind: str, theme: str) -> None:
    assert contrast(rgb(page_colour(words, theme)), rgb(page_colour(behind, theme))) >= 4.5


def cell(colour: str, opacity: float, theme: str) -> str:
    """A cell of the confusion matrix as it is seen on a card."""
    own, card = np.array([int(part) for part in colour.split(",")]) / 255, rgb(page_colour("card", theme))
    return "#" + "".join(f"{round(255 * part):02x}" for part in opacity * own + (1 - opacity) * card)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("colour", [tested.HIT, tested.MISTAKE])
def test_numbers_in_cells_are_readable(colour: str, theme: str) -> None:
    for opacity in np.linspace(0, tested.STRONGEST, 15):
        behind = rgb(cell(colour, opacity, theme))
        assert contrast(rgb(page_colour("ink", theme)), behind) >= 4.5


def test_outcomes_and_fates_have_marks_of_their_own() -> None:
    ends = ("complete", "stopped", "running", "diverged", "failed")
    assert len({style.SYMBOLS[name] for name in ends}) == len({rows.MARKS[name] for name in ends}) == 5
    assert len(set(ladder.SYMBOLS.values())) == len(set(ladder.MARKS.values())) == 4
