"""What explains a model: the right pictures, what is said of them, and files that a page can hold."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from search.images import explained_files
from search.images.drawing import LEAST_PX, MOST_BYTES, MOST_PX, enlarged, grid, overlaid, webp
from search.images.examples import typical_hits, worst_mistakes
from search.images.explained import CHANNELS, explained
from search.images.explained_files import FILE, write_explained
from search.images.heat_colours import diverging, sequential
from spaces.recipe import Recipe
from tests.pictures import class_folders, noise
from tests.toy_pictures import CPU, tiny_recipe
from trainables.data import load, prepare
from trainables.data.dataset import Pictures
from trainables.evaluate import log_probabilities
from trainables.explain.grad_cam import grad_cam
from trainables.feed import Feed
from trainables.models.create import create_model, normalization

HOSTILE = "<script>alert(1)<script>"
CLASSES = ("anna", "bert", HOSTILE)


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """60 pictures of three classes, as the network sees them."""
    root = tmp_path_factory.mktemp("data")
    class_folders(root / "pictures", dict.fromkeys(CLASSES, 20), height=16, width=16)
    done = prepare(root / "pictures", size_px=16, cache_dir=root / "cache")
    data = load(root / "pictures", done.split, size_px=16, cache_dir=root / "cache")
    return data.part("train", "validation", "selection", "test")


def network(recipe: Recipe, classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return create_model(recipe, classes).eval()


def said_at_random(rows: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities, and labels that agree with them half of the time."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (rows, classes))
    said = (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)
    labels = np.where(rng.random(rows) < 0.5, said.argmax(1), rng.integers(0, classes, rows))
    return said, labels


def table(said: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    predicted = said.argmax(1)
    frame = pd.DataFrame({"label": labels, "predicted": predicted, "sureness": np.exp(said.max(1))})
    return frame.assign(right=frame["label"] == frame["predicted"])


def test_the_worst_mistakes_are_the_surest() -> None:
    said, labels = said_at_random(200, 5)
    wrong = table(said, labels).query("not right").sort_values("sureness", ascending=False)
    assert worst_mistakes(said, labels, 7).tolist() == wrong.index[:7].tolist()
    assert len(worst_mistakes(said, labels, 1000)) == len(wrong)
    assert len(worst_mistakes(said, said.argmax(1), 7)) == 0


def test_a_typical_hit_is_of_middling_sureness_and_each_class_has_one() -> None:
    said, labels = said_at_random(200, 5)
    right = table(said, labels).query("right")
    hits = typical_hits(said, labels, 10)
    assert labels[hits].tolist() == sorted(right["label"].unique())
    for row in hits:
        same = right[right["label"] == labels[row]]["sureness"]
        assert same.rank()[row] == len(same) // 2 + 1


def test_of_many_classes_the_largest_with_a_hit_are_taken() -> None:
    said, labels = said_at_random(400, 30)
    right = table(said, labels).query("right")
    sizes = pd.Series(labels).value_counts()[right["label"].unique()]
    hits = typical_hits(said, labels, 4)
    assert labels[hits].tolist() == sorted(labels[hits])
    assert sorted(sizes[labels[hits]]) == sorted(sizes.nlargest(4))
    assert len(typical_hits(said, (said.argmax(1) + 1) % 30, 4)) == 0


@pytest.mark.parametrize("name", ["plain_cnn", "small_resnet"])
def test_examples_say_what_the_network_says_and_show_what_it_sees(part: Pictures, name: str) -> None:
    recipe = tiny_recipe(model={"name": name, "args": {"width": 8}})
    model = network(recipe)
    said = log_probabilities(model, recipe, part, runtime=CPU)
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    found = explained(model, recipe, part, said, runtime=CPU)
    assert found.failed == []
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    rows = [*typical_hits(said, part.labels, 10), *worst_mistakes(said, part.labels, 10)]
    assert [example.path for example in found.examples] == [part.files[row] for row in rows]
    images = Feed(part, recipe, CPU, *normalization(model)).unchanged(np.array(rows))
    for example, row, image in zip(found.examples, rows, images, strict=True):
        assert (example.kind == "right") == (example.label == example.predicted)
        assert example.label == part.classes[part.labels[row]]
        named = part.classes.index(example.predicted)
        assert named == said[row].argmax()
        assert example.probability == pytest.approx(np.exp(said[row].max()))
        assert example.probability_of_class == pytest.approx(np.exp(said[row, part.labels[row]]))
        pixels, _ = part.batch(np.array([row]))
        np.testing.assert_array_equal(example.square, pixels[0])
        assert list(example.heats) == list(dict.fromkeys([example.predicted, example.label]))
        for label, heat in example.heats.items():
            alone = grad_cam(model, image[None], torch.tensor([part.classes.index(label)]))
            np.testing.assert_allclose(heat, alone[0], rtol=1e-4, atol=1e-5)


def test_the_strongest_last_feature_maps_are_those_of_the_first_example(part: Pictures) -> None:
    recipe = tiny_recipe()
    model = network(recipe)
    said = log_probabilities(model, recipe, part, runtime=CPU)
    found = explained(model, recipe, part, said, runtime=CPU)
    row = part.files.index(found.examples[0].path)
    with torch.no_grad():
        image = Feed(part, recipe, CPU, *normalization(model)).unchanged(np.array([row]))
        maps = model.forward_features(image)[0].numpy()
    assert found.maps is not None
    assert found.maps.shape == maps.shape == (16, 4, 4)
    assert found.maps.flattened
    assert len(found.maps.channels) == CHANNELS
    answers = pd.Series(np.abs(maps).mean((1, 2)))
    assert answers[found.maps.channels].is_monotonic_decreasing
    np.testing.assert_allclose(found.maps.values, maps[found.maps.channels], rtol=1e-5)


class Unseen(nn.Module):
    """Says something of pictures by what autograd cannot follow."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.pretrained_cfg = model.pretrained_cfg
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, images: Tensor) -> Tensor:
        return images.detach().mean((2, 3)) * self.scale


def test_a_network_that_does_not_let_itself_be_seen_is_explained_in_words(
    part: Pictures, tmp_path: Path
) -> None:
    recipe = tiny_recipe()
    said, _ = said_at_random(len(part), 3)
    found = explained(Unseen(network(recipe)), recipe, part, said, runtime=CPU)
    write_explained(found, tmp_path / "explained")
    facts = json.loads((tmp_path / "explained" / FILE).read_text())
    assert facts["grad_cam"] is facts["feature_maps"] is None
    assert facts["kernels"] == []
    assert [words.partition(":")[0] for words in facts["missing"][-2:]] == ["Grad-CAM", "Feature maps"]
    assert "no feature maps" in facts["missing"][-1]
    assert "The network has no convolution." in facts["missing"]
    assert len(facts["examples"]) > 3
    assert all(entry["heats"] == [] for entry in facts["examples"])


@pytest.fixture(scope="module")
def folder(part: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = tiny_recipe(model={"name": "small_resnet", "args": {"width": 8}})
    model, out = network(recipe), tmp_path_factory.mktemp("model") / "explained"
    said = log_probabilities(model, recipe, part, runtime=CPU)
    write_explained(explained(model, recipe, part, said, runtime=CPU), out)
    return out


def named(facts: dict[str, Any]) -> list[str]:
    entries = facts["examples"]
    found = [entry["file"] for entry in [*entries, *facts["kernels"], facts["feature_maps"]]]
    return found + [heat["file"] for entry in entries for heat in entry["heats"]]


def test_the_folder_holds_exactly_the_pictures_that_are_named(folder: Path) -> None:
    facts = json.loads((folder / FILE).read_text())
    there = {path.name: path for path in folder.iterdir() if path.name != FILE}
    assert sorted(there) == sorted(named(facts))
    for path in there.values():
        with Image.open(path) as picture:
            assert picture.format == "WEBP"
            picture.load()
    assert all(
        path.stat().st_size <= MOST_BYTES for name, path in there.items() if name.startswith("example")
    )
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000


def test_what_is_said_below_the_pictures(folder: Path) -> None:
    facts = json.loads((folder / FILE).read_text())
    assert facts["missing"] == []
    assert {entry["class"] for entry in facts["examples"]} == set(CLASSES)
    first, spatial, pointwise = facts["kernels"]
    assert (first["drawn"], first["of"], first["shape"]) == (8, 8, [8, 3, 3, 3])
    assert first["words"].startswith("First convolution, conv1: all 8 kernels of 3 x 3; in colours")
    assert (spatial["drawn"], spatial["of"]) == (64, 64 * 64)
    assert "layer4.0.conv2: the strongest 64 of 4,096 kernels of 3 x 3; red" in spatial["words"]
    assert "from 32 of 32 inputs (columns) to 64 of 64 outputs (rows)" in pointwise["words"]
    assert (facts["grad_cam"]["layer"], facts["grad_cam"]["shape"]) == ("layer4", [64, 2, 2])
    assert facts["grad_cam"]["words"].startswith(
        "Grad-CAM (Selvaraju et al. 2017) at layer4, 64 channels of 2 x 2"
    )
    assert facts["grad_cam"]["words"].endswith("how much. So few places tell a region, and no detail.")


def test_the_folder_is_whole_or_not_there(
    part: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, (said, _) = tiny_recipe(), said_at_random(len(part), 3)
    found = explained(network(recipe), recipe, part, said, runtime=CPU)

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(explained_files, "grid", full)
    with pytest.raises(OSError, match="no space"):
        write_explained(found, tmp_path / "explained")
    assert list(tmp_path.iterdir()) == []


def test_small_pictures_keep_their_pixels_and_large_ones_are_reduced() -> None:
    small = noise(28, 28, 0)
    image = enlarged(small)
    assert image.size == (140, 140)
    np.testing.assert_array_equal(np.asarray(image)[2::5, 2::5], small)
    assert enlarged(noise(64, 64, 0)).size == (192, 192)
    assert enlarged(noise(224, 224, 0)).size == (MOST_PX, MOST_PX)
    assert LEAST_PX <= MOST_PX


def test_what_is_hot_glows_and_what_is_cold_stays_grey() -> None:
    heat = np.zeros((28, 28), np.float32)
    heat[:, 14:] = 1
    drawn = np.asarray(overlaid(np.full((28, 28, 3), 90, np.uint8), heat)).astype(int)
    cold, hot = drawn[70, 10], drawn[70, 130]
    assert np.ptp(cold) < 20
    assert hot[0] > hot[2] + 60
    assert hot.sum() > cold.sum() + 200


def test_colours_tell_values_apart_also_without_colours() -> None:
    lightness = sequential(np.linspace(0, 1, 50)) @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(lightness) > 0).all()
    below, zero, above = diverging(np.array([-1.0, 0.0, 1.0])).astype(int)
    assert below[2] > below[0] + 50
    assert above[0] > above[2] + 50
    assert np.ptp(zero) == 0
    assert zero.min() > 240


def test_a_grid_has_its_tiles_in_rows_and_nothing_between() -> None:
    sheet = np.asarray(grid(np.full((5, 3, 3, 3), 200, np.uint8), tile_px=10, columns=4))
    assert sheet.shape == (11 + 4 + 11, 4 * 15 - 4, 4)
    assert (sheet[2:10, 2:10] == [200, 200, 200, 255]).all()
    assert not sheet[15:, 30:].any()
    assert not sheet[:, 11:15].any()


def test_a_file_is_exact_where_it_is_small_and_otherwise_small() -> None:
    plain = Image.fromarray(np.kron(noise(6, 6, 0), np.ones((20, 20, 1), np.uint8)))
    with Image.open(io.BytesIO(webp(plain))) as read:
        np.testing.assert_array_equal(np.asarray(read.convert("RGB")), np.asarray(plain))
    assert len(webp(Image.fromarray(noise(MOST_PX, MOST_PX, 0)), 16_000)) <= 16_000
