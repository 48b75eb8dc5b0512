"""decode: whatever a picture file holds comes out as upright RGB, or with a reason why not."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pictures import BROKEN, bomb, noise
from trainables.data import DecodeError, decode, decode_each
from trainables.data.decode import BACKGROUND, LIMIT_ASPECT, LIMIT_PIXELS


def encoded(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def smooth(height: int, width: int) -> np.ndarray:
    """A picture without fine detail that tells its corners apart."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * y / height, 255 * x / width, np.full(y.shape, 60)], axis=-1).astype(np.uint8)


def test_path_bytes_and_open_file_give_the_same_pixels(tmp_path: Path) -> None:
    pixels = noise(9, 14, 0)
    path = tmp_path / "picture.png"
    path.write_bytes(encoded(Image.fromarray(pixels)))
    with path.open("rb") as file:
        results = [decode(path), decode(path.read_bytes()), decode(file)]
    for result in results:
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, pixels)


def test_greyscale_gets_three_equal_channels() -> None:
    grey = noise(8, 8, 1)[..., 0]
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(grey))), np.stack([grey] * 3, axis=-1))


def test_black_and_white_becomes_0_and_255() -> None:
    picture = Image.fromarray(noise(8, 8, 1)[..., 0] > 127)
    assert picture.mode == "1"
    assert set(np.unique(decode(encoded(picture)))) == {0, 255}


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_upper_8_bits(form: str) -> None:
    levels = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    result = decode(encoded(Image.fromarray(levels), form))
    np.testing.assert_array_equal(result[..., 0], np.round(levels / 257))


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_float_grey_is_scaled_by_the_usual_white(white: float) -> None:
    levels = np.linspace(0, white, 64, dtype=np.float32).reshape(8, 8)
    levels[0, 1] = np.nan
    result = decode(encoded(Image.fromarray(levels), "TIFF"))
    assert result[0, 0, 0] == 0
    assert result[0, 1, 0] == 0
    assert result[-1, -1, 0] == 255
    assert abs(int(result[4, 0, 0]) - 255 * 32 / 63) <= 1


def test_transparent_places_become_mid_grey() -> None:
    rgba = np.dstack([noise(4, 4, 2), np.full((4, 4), 255, np.uint8)])
    rgba[:2, :, 3] = 0
    result = decode(encoded(Image.fromarray(rgba)))
    assert (result[:2] == BACKGROUND).all()
    np.testing.assert_array_equal(result[2:], rgba[2:, :, :3])


def test_grey_with_alpha_is_laid_on_grey() -> None:
    la = np.zeros((4, 4, 2), np.uint8)
    la[..., 1] = [0, 255, 0, 255]
    result = decode(encoded(Image.fromarray(la, "LA")))
    assert (result[:, [0, 2]] == BACKGROUND).all()
    assert (result[:, [1, 3]] == 0).all()


@pytest.mark.parametrize("transparency", [1, bytes([255, 0])])
def test_a_transparent_palette_colour_becomes_grey(transparency: int | bytes) -> None:
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    picture.putpalette([250, 10, 20, 1, 2, 3])
    result = decode(encoded(picture, transparency=transparency))
    assert result[0, 0].tolist() == [250, 10, 20]
    assert result[0, 1].tolist() == [BACKGROUND] * 3


def test_a_palette_picture_shows_its_colours() -> None:
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    picture.putpalette([250, 10, 20, 1, 2, 3])
    assert decode(encoded(picture, "BMP"))[1].tolist() == [[1, 2, 3], [250, 10, 20]]


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(form: str) -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    result = decode(encoded(red, form))
    assert result.shape == (16, 16, 3)
    assert np.abs(result.mean((0, 1)) - [255, 0, 0]).max() < 8


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("short_side_px", [None, 30])
def test_every_exif_orientation_is_undone(form: str, orientation: int, short_side_px: int | None) -> None:
    upright = Image.fromarray(smooth(60, 90))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what a camera did, as Pillow's Transpose
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    result = decode(encoded(stored, form, exif=exif), short_side_px=short_side_px)
    wanted = np.asarray(upright if short_side_px is None else upright.resize((45, 30)), float)
    assert result.shape == wanted.shape
    assert np.abs(result - wanted).max() < 16


@pytest.mark.filterwarnings("ignore")  # pytest resets the filter that the module sets
def test_damaged_exif_does_not_cost_the_picture() -> None:
    file = encoded(Image.fromarray(smooth(20, 20)), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    assert decode(file).shape == (20, 20, 3)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(form: str) -> None:
    frames = [Image.new("RGB", (10, 10), colour) for colour in ("red", "blue", "lime")]
    file = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    assert np.abs(decode(file).mean((0, 1)) - [255, 0, 0]).max() < 4


def test_a_cameras_file_of_several_pictures_gives_the_first() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    file = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert np.abs(decode(file).mean((0, 1)) - [255, 0, 0]).max() < 8


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_large_picture_is_shrunk_close_to_the_reference(form: str) -> None:
    pixels = smooth(2000, 3000)
    result = decode(encoded(Image.fromarray(pixels), form), short_side_px=74)
    reference = Image.fromarray(pixels).resize((111, 74), Image.Resampling.LANCZOS)
    assert result.shape == (74, 111, 3)
    assert np.abs(result.astype(int) - np.asarray(reference, int)).max() <= 4


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_several_sizes_at_once_are_the_same_pixels_as_one_by_one(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(noise(300, 400, 1)), form, exif=exif)
    sizes_px = [20, None, 74, 37, 149, 74, 500]  # a JPEG's at 1/8, 1/4, 1/2 and whole
    together = decode_each(content, short_sides_px=sizes_px)
    for size_px, picture in zip(sizes_px, together, strict=True):
        np.testing.assert_array_equal(picture, decode(content, short_side_px=size_px))


def test_shrinking_averages_fine_patterns_away() -> None:
    board = (np.indices((800, 800)).sum(axis=0) % 2 * 255).astype(np.uint8)
    result = decode(encoded(Image.fromarray(board)), short_side_px=50)
    assert np.abs(result[5:-5, 5:-5].astype(int) - 128).max() < 4


@pytest.mark.parametrize("size", [(74, 74), (74, 200), (20, 50), (1, 1)])
def test_a_small_picture_is_never_enlarged(size: tuple[int, int]) -> None:
    pixels = noise(*size, seed=3)
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(pixels)), short_side_px=74), pixels)


@pytest.mark.parametrize("size", [(5, 20_000), (20_000, 5), (300, 10_000), (1, 60_000)])
def test_an_extreme_aspect_cannot_fill_the_cache(size: tuple[int, int]) -> None:
    result = decode(encoded(Image.new("RGB", size[::-1])), short_side_px=74)
    assert max(result.shape[:2]) == LIMIT_ASPECT * 74
    assert (result.shape[0] < result.shape[1]) == (size[0] < size[1])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.jpg", "^empty file$"),
        ("truncated.jpg", "^damaged: .*truncated"),
        ("text.jpg", "^not a picture of a known format$"),
        ("bomb.png", "more than 80,000,000 pixels$"),
        ("postscript.png", "^not a picture of a known format$"),
    ],
)
def test_a_broken_file_is_refused_with_its_reason(name: str, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode(BROKEN[name])


def test_a_picture_just_over_the_limit_is_refused_before_it_is_decoded() -> None:
    file = encoded(Image.new("1", (10_000, LIMIT_PIXELS // 10_000 + 1)))
    with pytest.raises(DecodeError, match=f"10000 x 8001: more than {LIMIT_PIXELS:,} pixels"):
        decode(file)


def test_a_missing_file_and_a_folder_have_their_own_reasons(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="no such file"):
        decode(tmp_path / "none.png")
    with pytest.raises(DecodeError, match="not a regular file"):
        decode(tmp_path)


@pytest.mark.filterwarnings("ignore")  # pytest resets the filter that the module sets
@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_random_damage_either_decodes_or_is_a_decode_error(form: str) -> None:
    rng = np.random.default_rng(7)
    good = encoded(Image.fromarray(smooth(40, 40)), form)
    for _ in range(150):
        bad = bytearray(good)
        for at in rng.integers(0, min(len(bad), 400), rng.integers(1, 6)):
            bad[at] = rng.integers(0, 256)
        with contextlib.suppress(DecodeError):
            result = decode(bytes(bad[: rng.integers(1, len(bad) + 1)]), short_side_px=30)
            assert result.dtype == np.uint8
            assert result.shape[2] == 3


def test_nothing_is_printed_about_odd_files(tmp_path: Path) -> None:
    files = dict(BROKEN)
    files["large.png"] = bomb(9_500)  # what Pillow only warns about
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([250, 10, 20, 1, 2, 3])
    files["palette.png"] = encoded(palette, transparency=bytes([255, 0]))
    files["exif.jpg"] = encoded(
        Image.fromarray(smooth(20, 20)), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage"
    )
    tiff = encoded(Image.fromarray(smooth(20, 20)), "TIFF", compression="tiff_lzw")
    files["short.tif"] = tiff[: len(tiff) // 2] + tiff[len(tiff) // 2 + 50 :]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    script = """if True:
        import sys, pathlib
        from trainables.data import DecodeError, decode, decode_each
        for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
            try:
                decode(path)
            except DecodeError:
                pass
    """
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
