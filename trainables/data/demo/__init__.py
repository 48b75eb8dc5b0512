"""The built-in demo: 3,000 pictures of ten cartoon characters, drawn by this package, never downloaded.

Made to be a small likeness of frames cut from a series: characters in changing clothes, places and light,
now and then half hidden, some of them alike, classes of uneven size, and frames of one scene that hardly
differ. Reading order: `characters` (who), `frames` (a scene and its frames), `figure`, `hair` and `clothes`
(how somebody is drawn), `scenery` and `props` (what is around them), `pen` (the shapes that all is made of).
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image

from trainables.data.demo.characters import CAST, Character
from trainables.data.demo.frames import draw_backdrop, draw_frame, new_pose, new_scene

__all__ = ["MANIFEST", "PICTURES", "demo_source", "write_demo"]

PICTURES = 3000
MANIFEST = "manifest.csv"

_VERSION = 1
"""Goes up whenever a change alters what is drawn, so that no old folder is taken for the new demo."""
_FRAMES_A_SCENE = (2, 6)
_FEWEST = 100

Progress = Callable[[int, int], None]
"""Called with the number of pictures done and their total."""


def demo_source(
    cache_dir: Path, *, seed: int = 0, pictures: int = PICTURES, progress: Progress | None = None
) -> Path:
    """The manifest of the demo under `cache_dir`, which is drawn first where it is missing.

    Any number of processes may ask at once: one draws, the others wait for it.
    """
    size = "" if pictures == PICTURES else f"-{pictures}"
    folder = cache_dir / f"demo-v{_VERSION}-seed{seed}{size}"
    cache_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        return write_demo(folder, seed=seed, pictures=pictures, progress=progress) / MANIFEST


def write_demo(
    folder: Path, *, seed: int = 0, pictures: int = PICTURES, progress: Progress | None = None
) -> Path:
    """Draws the demo into `folder`; the same seed and number of pictures give the same files.

    Writes `CHARACTER/SCENE_FRAME.png` and `manifest.csv` with the columns path, label and group; a group is
    a scene. All of it is made beside `folder` and renamed into place, so that a folder is complete or is not
    there. One that is complete already is left as it is.

    Returns:
        The folder.

    Raises:
        ValueError: Too few pictures for ten characters and their scenes.
        FileExistsError: `folder` holds something else.
    """
    if (folder / MANIFEST).is_file():
        return folder
    if pictures < _FEWEST:
        raise ValueError(f"pictures is {pictures}; the demo has at least {_FEWEST}")
    if folder.exists():
        raise FileExistsError(
            f"{folder} is there but holds no {MANIFEST}, so it is no demo. Remove it, or name another folder."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".demo-") as scratch:
        draft = Path(scratch) / "demo"
        draft.mkdir()
        _draw_all(draft, seed, pictures, progress or (lambda done, total: None))
        draft.rename(folder)
    return folder


def _draw_all(folder: Path, seed: int, pictures: int, progress: Progress) -> None:
    rows: list[tuple[str, str, str]] = []
    ends = [round(share * pictures) for share in accumulate(person.share for person in CAST)]
    for number, end in enumerate(ends):
        # Each character has a generator of their own: what is drawn of one depends on no other.
        rng = np.random.default_rng([seed, number])
        (folder / CAST[number].name).mkdir()
        scene = 0
        while (missing := end - len(rows)) > 0:
            rows += _draw_scene(folder, CAST[number], scene, missing, rng)
            scene += 1
            progress(len(rows), pictures)
    with (folder / MANIFEST).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label", "group"), *rows])


def _draw_scene(
    folder: Path, character: Character, number: int, most: int, rng: np.random.Generator
) -> list[tuple[str, str, str]]:
    """Draws the frames of one scene, `most` of them at most; gives their rows in the manifest."""
    scene = new_scene(character, rng)
    backdrop = draw_backdrop(scene)
    group, rows = f"{character.name}/{number:03d}", []
    for frame in range(min(most, int(rng.integers(*_FRAMES_A_SCENE, endpoint=True)))):
        across, down = rng.uniform(-0.4, 0.4, 2).tolist()
        picture, _ = draw_frame(scene, new_pose(scene, rng), pan=(across, down), backdrop=backdrop)
        path = f"{group}_{frame}.png"
        Image.fromarray(picture).save(folder / path)
        rows.append((path, character.name, group))
    return rows
