"""An ensemble answers with the mean of its members' probabilities, each of which sees what it would alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import trainables.models  # (before timm: see trainables.torch_setup)

import timm  # isort: skip

from spaces.ensemble import ENSEMBLE, ensemble_recipe, read_recipe, trained_recipes
from spaces.recipe import Recipe
from tests.toy_pictures import tiny_recipe
from trainables.data import decode
from trainables.data.cache import short_side_px
from trainables.export import export, registering, without_folders
from trainables.geometry import to_square
from trainables.models.create import create_model, normalization
from trainables.models.ensemble import Ensemble, joined, resized
from trainables.models.errors import ModelError

assert trainables.models.__all__

SMALL_VIT = {"depth": 2, "embed_dim": 48, "num_heads": 3}


def recipe(
    name: str, size_px: int, args: dict[str, Any] | None = None, loss: str = "cross_entropy"
) -> Recipe:
    return tiny_recipe(
        model={"name": name, "args": args or {}}, geometry={"size_px": size_px}, loss={"name": loss}
    )


def networks(recipes: list[Recipe], classes: int) -> list[nn.Module]:
    torch.manual_seed(0)
    return [create_model(recipe, classes).eval() for recipe in recipes]


def probabilities(network: nn.Module, squares: Tensor) -> Tensor:
    """By hand, of squares in [0, 1]."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in normalization(network))
    return network((squares - mean) / std).softmax(1)


def test_members_that_see_the_same_squares_are_averaged_exactly() -> None:
    """Their normalisations differ: 0.5 and 0.25, ImageNet's, 0.5 and 0.5."""
    recipes = [
        recipe("plain_cnn", 32),
        recipe("resnet10t", 32),
        recipe("vit_tiny_patch16_224", 32, SMALL_VIT),
    ]
    members, squares = networks(recipes, 4), torch.rand(6, 3, 32, 32)
    assert len({tuple(normalization(member)[1]) for member in members}) == 3
    whole = joined(ensemble_recipe(tuple(recipes)), members, 4)
    assert not whole.training
    with torch.no_grad():
        expected = torch.stack([probabilities(member, squares) for member in members]).mean(0)
        found = whole(squares)
    torch.testing.assert_close(found.exp(), expected)
    torch.testing.assert_close(found.softmax(1), expected)  # so it is a network's output like any other
    # Not the softmax of the mean logits, which would be the geometric mean.
    assert not torch.allclose(expected, torch.stack([m(squares) for m in whole.members]).mean(0).softmax(1))


def test_a_smaller_member_sees_the_square_made_smaller() -> None:
    recipes = [recipe("plain_cnn", 20), recipe("resnet10t", 48)]
    members, squares = networks(recipes, 3), torch.rand(2, 3, 48, 48)
    with torch.no_grad():
        found = joined(ensemble_recipe(tuple(recipes)), members, 3)(squares)
        small = F.interpolate(squares, size=(20, 20), mode="bicubic", antialias=True).clamp(0, 1)
        expected = (probabilities(members[0], small) + probabilities(members[1], squares)) / 2
    torch.testing.assert_close(found.exp(), expected)


def test_one_output_for_two_classes_joins_two_outputs() -> None:
    recipes = [recipe("plain_cnn", 20, loss="sigmoid"), recipe("plain_cnn", 20)]
    members, squares = networks(recipes, 2), torch.rand(3, 3, 20, 20)
    whole = joined(ensemble_recipe(tuple(recipes)), members, 2)
    with torch.no_grad():
        of_one = members[0]((squares - 0.5) / 0.25).sigmoid()
        expected = (torch.cat([1 - of_one, of_one], 1) + probabilities(members[1], squares)) / 2
        torch.testing.assert_close(whole(squares).exp(), expected)
    assert whole.num_classes == 2


def test_a_sure_member_does_not_overflow() -> None:
    recipes = [recipe("plain_cnn", 20), recipe("plain_cnn", 20)]
    members = networks(recipes, 3)
    with torch.no_grad():
        for member, sign in zip(members, (1, -1), strict=True):
            last = member.get_submodule("head")
            assert isinstance(last, nn.Linear)
            last.weight.zero_()
            last.bias.copy_(sign * torch.tensor([1e4, 0.0, -1e4]))
        found = joined(ensemble_recipe(tuple(recipes)), members, 3)(torch.rand(1, 3, 20, 20))
    torch.testing.assert_close(found.exp(), torch.tensor([[0.5, 0.0, 0.5]]))
    assert found.isfinite().all()


def test_its_weights_and_normalisations_are_all_in_its_state() -> None:
    recipes = [recipe("plain_cnn", 20), recipe("resnet10t", 32)]
    whole = joined(ensemble_recipe(tuple(recipes)), networks(recipes, 3), 3)
    again = timm.create_model(ENSEMBLE, **whole._model_args)  # type: ignore[arg-type]
    assert isinstance(again, Ensemble)
    again.means.zero_()
    again.load_state_dict(whole.state_dict())
    squares = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again.eval()(squares), whole(squares))
    assert sum(p.numel() for p in whole.parameters()) == sum(
        p.numel() for member in whole.members for p in member.parameters()
    )


@pytest.mark.parametrize(
    "member",
    [
        {"architecture": "hf-hub:somebody/something", "args": {}},
        {"architecture": "local-dir:/tmp/other", "args": {}},
        {"architecture": "plain_cnn", "args": {"pretrained": True}},
        {"architecture": "plain_cnn", "args": {"checkpoint_path": "/tmp/pickle.pth"}},
    ],
)
def test_a_description_from_a_file_fetches_nothing_and_reads_no_other_file(member: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=r"no network's name|multiple values"):
        timm.create_model(ENSEMBLE, members=[{**member, "size_px": 32}], num_classes=3)


def drawn(path: Path) -> Path:
    """A picture of 150 x 110 px with large and small things in it."""
    rng = np.random.default_rng(0)
    coarse, fine = (
        Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize(
            (150, 110), Image.Resampling.BICUBIC
        )
        for n in (6, 40)
    )
    Image.blend(coarse, fine, 0.3).save(path)
    return path


@pytest.mark.parametrize(("own_px", "size_px"), [(32, 64), (48, 64), (64, 96), (32, 32)])
def test_a_member_sees_nearly_what_it_would_alone(tmp_path: Path, own_px: int, size_px: int) -> None:
    """Alone, its picture comes from the file to its own size; here it comes by way of the largest."""
    file = drawn(tmp_path / "picture.png")

    def square(px: int) -> Tensor:
        pixels = decode(file, short_side_px=short_side_px(px))
        return to_square(
            torch.from_numpy(pixels)[None], torch.tensor([pixels.shape[:2]]), size_px=px, fit="resize"
        )

    own, seen = square(own_px), resized(square(size_px), own_px)
    off = (own - seen).pow(2).mean().sqrt()
    if own_px == size_px:
        assert torch.equal(own, seen)
    plain = F.interpolate(square(size_px), size=(own_px, own_px), mode="bilinear", antialias=True)
    assert off <= (own - plain).pow(2).mean().sqrt()
    assert off < 0.1 * own.std()


def test_its_recipe_comes_back_from_json_and_leaves_no_folder_of_this_machine() -> None:
    own = recipe("plain_cnn", 32)
    started = own.model_copy(update={"model": own.model.model_copy(update={"weights": "/home/me/start.pth"})})
    whole = ensemble_recipe((own, started))
    assert read_recipe(json.loads(json.dumps(whole.to_dict()))) == whole
    assert read_recipe(own.to_dict()) == own
    assert trained_recipes(whole) == (own, started)
    assert trained_recipes(own) == (own,)
    shown = without_folders(whole)
    assert "/home/me" not in json.dumps(shown.to_dict())
    assert [member.model.weights for member in trained_recipes(shown)] == [None, "start.pth"]


def test_who_loads_it_imports_what_registers_the_ensemble_and_its_members() -> None:
    ours = ensemble_recipe((recipe("plain_cnn", 32), recipe("small_resnet", 32)))
    theirs = ensemble_recipe((recipe("plain_cnn", 32), recipe("network_of_mine", 32)))
    of_timm = ensemble_recipe((recipe("resnet10t", 32), recipe("resnet18", 32)))
    assert registering(ours, 3, ["mine"]) == ["trainables.models"]
    assert registering(of_timm, 3) == ["trainables.models"]
    assert registering(theirs, 3, ["mine"]) == ["trainables.models", "mine"]


def test_a_training_cannot_start_from_an_ensemble(tmp_path: Path) -> None:
    recipes = (recipe("plain_cnn", 20), recipe("plain_cnn", 20))
    whole = joined(ensemble_recipe(recipes), networks(list(recipes), 3), 3)
    export(whole, ensemble_recipe(recipes), ["a", "b", "c"], tmp_path)
    start = recipes[0].model.model_copy(update={"weights": str(tmp_path)})
    with pytest.raises(ModelError, match="does not hold the weights of plain_cnn"):
        create_model(recipes[0].model_copy(update={"model": start}), 3)
