"""Contact sheet: rows of pictures, each with a few words below it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE_PX = 112
"""Pictures are enlarged by a whole factor until their side is at least this."""
GAP_PX = 8
LINE_PX = 15
FONT_PX = 12
HEADER_PX = 3 * GAP_PX + 2 * LINE_PX
PAPER, INK, FAINT = (255, 255, 255), (34, 38, 46), (120, 126, 136)


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet."""

    picture: np.ndarray
    """uint8 (S, S, 3)."""
    words: Sequence[str] = ()
    """Lines below it, cut off at its width."""


@dataclass(frozen=True)
class Layout:
    """Where things are on a sheet, in pixels. The first column stands a little apart."""

    side_px: int
    """Of a picture, enlarged."""
    lines: int
    """Of words below each."""

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Left and top of a picture."""
        left = GAP_PX + column * (self.side_px + GAP_PX) + (GAP_PX if column else 0)
        return left, HEADER_PX + row * (self.side_px + self.lines * LINE_PX + 2 * GAP_PX)

    def size(self, rows: int, columns: int) -> tuple[int, int]:
        """Width and height of a whole sheet."""
        return self.corner(0, columns)[0], self.corner(rows, 0)[1]


def layout_of(rows: Sequence[Sequence[Cell]]) -> Layout:
    """The layout that a sheet of these cells has."""
    size_px = len(rows[0][0].picture)
    lines = max(len(cell.words) for row in rows for cell in row)
    return Layout(size_px * math.ceil(SIDE_PX / size_px), lines)


def contact_sheet(rows: Sequence[Sequence[Cell]], *, title: str, first: str, others: str) -> Image.Image:
    """Draws the sheet.

    Args:
        rows: All of one length, with pictures of one size.
        title: Stands over everything; `first` over the first column, `others` over the rest.
    """
    layout = layout_of(rows)
    side_px = layout.side_px
    width, height = layout.size(len(rows), len(rows[0]))
    sheet = Image.new("RGB", (width, height), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_PX)

    def write(words: str, left: int, top: int, right: int, colour: tuple[int, int, int]) -> None:
        if font.getlength(words) > right - left:
            while words and font.getlength(f"{words}...") > right - left:
                words = words[:-1]
            words = f"{words}..."
        pen.text((left, top), words, colour, font)

    write(title, GAP_PX, GAP_PX, width, INK)
    for column, heading in enumerate((first, others)):
        left, right = layout.corner(0, column)[0], width if column else layout.corner(0, 1)[0]
        write(heading, left, 2 * GAP_PX + LINE_PX, right, FAINT)
    for place, row in enumerate(rows):
        for column, cell in enumerate(row):
            left, top = layout.corner(place, column)
            picture = Image.fromarray(cell.picture).resize((side_px, side_px), Image.Resampling.NEAREST)
            sheet.paste(picture, (left, top))
            for line, words in enumerate(cell.words):
                write(words, left, top + side_px + 2 + line * LINE_PX, left + side_px, INK)
    return sheet
