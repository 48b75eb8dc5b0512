"""Geometric changes as homographies, one a sample, made to be multiplied with each other.

Each maps the square's coordinates to those at which the picture is read: homogeneous (x, y, 1), x to the
right and y down, both from -1 to 1 between the picture's borders. In a product the leftmost change is the one
that happens to the picture first. Parameters are float (B,), results float64 (B, 3, 3).
"""

from __future__ import annotations

import numpy as np

CORNERS = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
"""Top left, top right, bottom right, bottom left."""


def window(x: np.ndarray, y: np.ndarray, width: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Shows only a window: its centre, and its sides as shares of the picture's."""
    return _affine(len(x), xx=width, x=x, yy=height, y=y)


def mirror(flipped: np.ndarray) -> np.ndarray:
    """Left and right change places where `flipped`."""
    return _affine(len(flipped), xx=np.where(flipped, -1.0, 1.0))


def zoom(factor: np.ndarray) -> np.ndarray:
    """Shows everything `factor` times as large."""
    return _affine(len(factor), xx=1 / factor, yy=1 / factor)


def shear(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Shears by angles in radians: first along x, the top to the right, then along y, the left down."""
    tan_x, tan_y = np.tan(x), np.tan(y)
    return _affine(len(x), xx=1 + tan_x * tan_y, xy=tan_x, yx=tan_y)


def rotation(angle: np.ndarray) -> np.ndarray:
    """Turns clockwise, by an angle in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return _affine(len(angle), xx=cos, xy=sin, yx=-sin, yy=cos)


def shift(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Moves the picture to the right and down, by half sides."""
    return _affine(len(x), x=-x, y=-y)


def _affine(batch: int, **entries: np.ndarray) -> np.ndarray:
    """Identities but for these entries: (X, Y) is read at (xx X + xy Y + x, yx X + yy Y + y)."""
    matrix = np.zeros((batch, 3, 3)) + np.eye(3)
    for name, values in entries.items():
        matrix[(slice(None), *_PLACES[name])] = values
    return matrix


_PLACES = {"xx": (0, 0), "xy": (0, 1), "x": (0, 2), "yx": (1, 0), "yy": (1, 1), "y": (1, 2)}


def perspective(corners: np.ndarray) -> np.ndarray:
    """Moves the picture's corners to these points, float (B, 4, 2), in the order of `CORNERS`.

    Solves two linear equations a corner for the eight unknowns of the homography from there back to the
    square's corners (Hartley & Zisserman 2004, section 4.1).
    """
    (x, y), (u, v) = np.moveaxis(corners, -1, 0), CORNERS.T
    one, none = np.ones_like(x), np.zeros_like(x)
    of_u = np.stack([x, y, one, none, none, none, -u * x, -u * y], axis=-1)
    of_v = np.stack([none, none, none, x, y, one, -v * x, -v * y], axis=-1)
    target = np.broadcast_to(np.concatenate([u, v])[:, None], (len(corners), 8, 1))
    solution = np.linalg.solve(np.concatenate([of_u, of_v], axis=1), target)
    return np.concatenate([solution[..., 0], np.ones((len(corners), 1))], axis=1).reshape(-1, 3, 3)
