"""The preview shows the very pictures that a training gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from search.images.contact_sheet import GAP_PX, PAPER, Cell, Layout, contact_sheet, layout_of
from search.images.handful import pick
from search.images.samples import sample_rows
from search.preview import PICTURES, SAMPLES, main
from spaces.errors import InputError
from spaces.recipe import Recipe
from tests.commands import Desk
from tests.pictures import BROKEN, class_folders, noise, save
from tests.toy_pictures import tiny_recipe
from trainables.data import read_listing, short_side_px

SIZE_PX = 16
SIDE_PX = short_side_px(SIZE_PX)
UNCHANGED = {
    **{"strength": 1.0, "flip": 0.0, "rotate_deg": 0.0, "shift": 0.0, "zoom": 0.0},
    **{"brightness": 0.0, "contrast": 0.0, "saturation": 0.0},
}
RECIPE = """
model: {name: plain_cnn}
geometry: {size_px: 16}
augment: {strength: 0.5, mixup: 0.5, background: 0.5}
"""


def recipe(**augment: Any) -> Recipe:
    return tiny_recipe(geometry={"size_px": SIZE_PX}, augment={**UNCHANGED, **augment})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Pictures of the size that the network sees: a square is a whole picture."""
    counts = dict.fromkeys(("anna", "bert", "carl", "dora"), 4)
    return class_folders(tmp_path / "squares", counts, height=SIZE_PX, width=SIZE_PX)


def rows_of(root: Path, seed: int = 0, **augment: Any) -> list[list[Cell]]:
    handful = pick(read_listing(root), PICTURES, side_px=SIDE_PX, rng=np.random.default_rng(seed))
    return sample_rows(recipe(**augment), handful, samples=SAMPLES, seed=seed)


def is_of(cell: Cell, folder: Path) -> bool:
    return any((cell.picture == np.asarray(Image.open(file))).all() for file in folder.iterdir())


def all_pixels(rows: list[list[Cell]]) -> np.ndarray:
    return np.stack([[cell.picture for cell in row] for row in rows])


def test_the_command_draws_a_sheet_of_the_expected_size(desk: Desk) -> None:
    (desk.folder / "own.yaml").write_text(RECIPE)
    status, output = desk.run("search.preview", "own.yaml", "--data", "pictures")
    assert status == 0, output
    assert output == "Preview:  results/preview-own.png\n"
    with Image.open(desk.folder / "results" / "preview-own.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.size == Layout(side_px=112, lines=2).size(PICTURES, 1 + SAMPLES)


def test_the_first_column_shows_the_pictures_of_the_evaluation(root: Path) -> None:
    rows = rows_of(root, flip=0.5, rotate_deg=30.0, brightness=0.5)
    assert [len(row) for row in rows] == [1 + SAMPLES] * PICTURES
    names = [row[0].words[0] for row in rows]
    assert set(names) == {"anna", "bert", "carl", "dora"}
    assert names == sorted(names)
    assert all(is_of(row[0], root / name) for row, name in zip(rows, names, strict=True))
    assert len({row[0].picture.tobytes() for row in rows}) == PICTURES


def test_samples_differ_from_each_other_and_from_the_picture_as_the_recipe_says(root: Path) -> None:
    augmented = all_pixels(rows_of(root, rotate_deg=30.0))
    assert len({picture.tobytes() for row in augmented for picture in row}) == PICTURES * (1 + SAMPLES)
    unchanged = all_pixels(rows_of(root, rotate_deg=30.0, strength=0.0))
    assert (unchanged == unchanged[:, :1]).all()


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_below_a_mixed_sample_stand_the_shares_of_the_pictures_in_it(tmp_path: Path, chance: float) -> None:
    names = [f"class {number}" for number in range(PICTURES)]
    root = class_folders(tmp_path, dict.fromkeys(names, 1), height=SIZE_PX, width=SIZE_PX)
    rows = rows_of(root, mixup=chance, mixup_alpha=0.3)
    evaluated = {row[0].words[0]: row[0].picture for row in rows}
    assert list(evaluated) == names
    told = []
    for own, cell in ((row[0].words[0], cell) for row in rows for cell in row[1:]):
        shares = {words.split("% ")[1]: float(words.split("%")[0]) / 100 for words in cell.words}
        told.append(len(shares))
        shares = shares or {own: 1.0}
        assert sum(shares.values()) == pytest.approx(1, abs=0.011)
        expected = sum(share * evaluated[name] for name, share in shares.items())
        np.testing.assert_allclose(cell.picture, expected, atol=4)  # they are told in whole percents
    assert set(told) == ({0} if chance == 0 else {0, 1, 2})  # by chance one may hold next to nothing


@pytest.mark.parametrize("batch_size", [2, 4, 5])
def test_pictures_are_mixed_with_all_others_whatever_the_batch_size(tmp_path: Path, batch_size: int) -> None:
    names = [f"class {number}" for number in range(PICTURES)]
    root = class_folders(tmp_path, dict.fromkeys(names, 1), height=SIZE_PX, width=SIZE_PX)
    handful = pick(read_listing(root), PICTURES, side_px=SIDE_PX, rng=np.random.default_rng(0))
    small = tiny_recipe(
        geometry={"size_px": SIZE_PX}, augment={**UNCHANGED, "mixup": 1.0}, optim={"batch_size": batch_size}
    )
    large = small.model_copy(update={"optim": small.optim.model_copy(update={"batch_size": 64})})
    shown = [sample_rows(one, handful, samples=SAMPLES, seed=0) for one in (small, large)]
    assert (all_pixels(shown[0]) == all_pixels(shown[1])).all()
    assert any(len(cell.words) == 2 for row in shown[0] for cell in row)


def test_the_seed_decides_pictures_and_samples(root: Path) -> None:
    first, again, other = (all_pixels(rows_of(root, seed, rotate_deg=30.0)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first[:, 0] != other[:, 0]).any()
    assert (first[:, 1] != other[:, 1]).any()


def test_pictures_that_cannot_be_decoded_are_passed_over_and_few_are_enough(tmp_path: Path) -> None:
    save(tmp_path / "data" / "anna" / "good.png", noise(SIZE_PX, SIZE_PX, seed=1))
    save(tmp_path / "data" / "bert" / "good.png", noise(9, 40, seed=2))
    for name, content in BROKEN.items():
        (tmp_path / "data" / "anna" / name).write_bytes(content)
    assert [row[0].words for row in rows_of(tmp_path / "data")] == [["anna"], ["bert"]]
    for good in (tmp_path / "data").glob("*/good.png"):
        good.write_bytes(b"")
    with pytest.raises(InputError, match="none of its 7 pictures to train on can be decoded"):
        rows_of(tmp_path / "data")


def test_no_picture_of_the_test_part_is_looked_at(root: Path) -> None:
    train = class_folders(root / "train", {"anna": 2, "bert": 2}, height=SIZE_PX, width=SIZE_PX)
    class_folders(root / "test", {"anna": 9, "bert": 9}, height=SIZE_PX, width=SIZE_PX)
    rows = rows_of(root)
    assert len(rows) == 4
    assert all(is_of(row[0], train / row[0].words[0]) for row in rows)


def test_squares_are_enlarged_without_a_change_and_long_names_are_cut_off() -> None:
    pictures = [noise(48, 48, seed) for seed in range(6)]
    rows = [[Cell(pictures[3 * y + x], ["name" * 50] if x else []) for x in range(3)] for y in range(2)]
    layout = layout_of(rows)
    assert layout == Layout(side_px=144, lines=1)
    pixels = np.asarray(contact_sheet(rows, title="title " * 99, first="first " * 99, others="others"))
    assert pixels.shape[1::-1] == layout.size(2, 3)
    for y, x in np.ndindex(2, 3):
        left, top = layout.corner(y, x)
        assert (pixels[top : top + 144 : 3, left : left + 144 : 3] == rows[y][x].picture).all()
        gap = pixels[top:, left + 144 : left + 144 + GAP_PX]
        assert (gap == PAPER).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plain_cn"], "must be the name of a built-in recipe"),
        (["own.yaml", "--data", "nowhere"], "nowhere: no such folder or file"),
        (["own.yaml", "--data", "squares", "--classes", "anna,bertt"], "near: bert"),
        (["own.yaml", "--data", "squares", "--seed", "-1"], "--seed must be 0 or more; received -1"),
        (["own.yaml", "--data", "squares", "--out", "nowhere/sheet.png"], "nowhere/sheet.png cannot be writ"),
        (["own.yaml", "--data", "squares", "--out", "own.yaml"], "--out must end in .png; received own.yaml"),
        (["own.yaml", "--data", "squares", "--out", "photo.png"], "photo.png exists already and is no prev"),
        (["own.yaml", "--data", "squares", "--out", "text.png"], "text.png exists already and is no preview"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(
    arguments: list[str],
    message: str,
    root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (root.parent / "own.yaml").write_text(RECIPE)
    (root.parent / "text.png").write_text("not a picture")
    save(root.parent / "photo.png", noise(SIZE_PX, SIZE_PX, seed=1))
    before = {path: path.read_bytes() for path in root.parent.iterdir() if path.is_file()}
    monkeypatch.chdir(root.parent)
    assert main(arguments) == 2
    out, error = capsys.readouterr()
    assert message in error
    assert out == ""
    assert {path: path.read_bytes() for path in root.parent.iterdir() if path.is_file()} == before


def test_only_the_wanted_classes_are_drawn(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (root.parent / "own.yaml").write_text(RECIPE.replace("mixup: 0.5, ", ""))
    monkeypatch.chdir(root.parent)
    arguments = ["own.yaml", "--data", "squares", "--classes", "anna", "--out", "anna.png"]
    assert main(arguments) == 0
    assert main(arguments) == 0  # an older preview may go
    assert capsys.readouterr().out == 2 * "Preview:  anna.png\n"
    with Image.open("anna.png") as sheet:  # the class has four pictures
        assert sheet.size == Layout(side_px=112, lines=1).size(4, 1 + SAMPLES)
