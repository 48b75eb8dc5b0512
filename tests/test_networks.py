"""The networks of a space, how large they are, and the limits on that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from search.costs import networks as module
from search.costs import variants as variants_module
from search.costs.networks import Networks, load
from search.costs.variants import identity, named, variants
from search.planning.limits import LimitError, within_limits
from search.storage.folder import FolderError
from search.text import amount
from spaces.recipe import Recipe
from spaces.space import Space
from tests.simulated import space
from trainables.models.create import create_model

CPU = torch.device("cpu")
QUIET = Console(quiet=True)
WIDTHS = """
description: three widths of a small network, and a large one
base: {geometry: {size_px: 32}, model: {args: {dense: 32}}}
parameters:
  model.name: {choice: [plain_cnn, vgg4_cnn]}
  model.args.width: {choice: [8, 16, 64], when: {model.name: plain_cnn}}
  geometry.size_px: {fixed: 64, when: {model.name: vgg4_cnn}}
  optim.lr: {log: [1.0e-4, 1.0e-2]}
"""


def recipe(width: int = 8, name: str = "plain_cnn", **sections: Any) -> Recipe:
    model = {"name": name, "args": {"width": width, "dense": 32}, **sections.pop("model", {})}
    return Recipe.model_validate({"model": model, "geometry": {"size_px": 32}, **sections})


def networks(max_params: int | None = None, max_latency_ms: float | None = None, **more: Any) -> Networks:
    return Networks(max_params, max_latency_ms, **{"classes": 3, "device": CPU, **more})


def count(of: Recipe) -> int:
    return sum(parameter.numel() for parameter in create_model(of, 3).parameters())


@pytest.fixture
def searched(tmp_path: Path) -> Space:
    return space(tmp_path, WIDTHS)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Networks take a millisecond for every eight of their width; the widths that were timed."""
    widths: list[int] = []

    def latency_ms(of: Recipe, classes: int, device: torch.device) -> float:
        assert (classes, device) == (3, CPU)
        widths.append(int(of.model.args.get("width", 32)))
        return widths[-1] / 8

    monkeypatch.setattr(module, "latency_ms", latency_ms)
    return widths


def test_what_shapes_a_network_tells_it_from_others_and_nothing_else_does() -> None:
    plain = identity(recipe())
    for same in (
        recipe(optim={"lr": 0.5}),
        recipe(model={"pretrained": False, "drop_rate": 0.5}),
        recipe(augment={"strength": 0.0}),
    ):
        assert identity(same) == plain
    for other in (
        recipe(16),
        recipe(name="mini_xception"),
        recipe(geometry={"size_px": 48}),
        recipe(model={"head_dense": 64}),
        recipe(model={"pool": "max"}),
        recipe(model={"stem": "small"}),
        recipe(loss={"name": "sigmoid"}),
    ):
        assert identity(other) != plain


def test_a_space_names_each_of_its_networks_once(searched: Space) -> None:
    found = [(made.model.name, made.model.args.get("width")) for made in variants(searched).recipes]
    assert len(found) == 4
    assert set(found) == {("plain_cnn", 8), ("plain_cnn", 16), ("plain_cnn", 64), ("vgg4_cnn", None)}


def test_of_a_space_with_very_many_networks_the_extremes_are_looked_at(tmp_path: Path) -> None:
    many = space(
        tmp_path, WIDTHS.replace("{choice: [8, 16, 64], when", "{int: [8, 256], when").replace("64}", "96}")
    )
    more = many.parameters[0].domain
    assert more.to_dict() == {"choice": ["plain_cnn", "vgg4_cnn"]}
    assert variants(many).whole
    assert len(variants(many).recipes) == 249 + 1
    text = (
        many.to_yaml()
        .replace("dense: 32", "dense: 64")
        .replace("  optim.lr", "  model.args.dense: {int: [16, 64]}\n  optim.lr")
    )
    found = variants(space(tmp_path, text))
    assert not found.whole
    assert {made.model.args.get("width") for made in found.recipes} == {8, 256, None}
    assert len(found.recipes) == 2 * 2 + 2


def test_each_combination_of_further_values_is_wanted_too(tmp_path: Path) -> None:
    starts = space(
        tmp_path,
        """
description: weights
base: {model: {name: resnet18}}
parameters:
  model.pretrained: {choice: [true, false]}
  model.weights: {choice: [null, a.pth], when: {model.pretrained: false}}
""",
    )
    assert len(variants(starts).recipes) == 1
    found = variants(starts, "model.pretrained", "model.weights").recipes
    assert {(made.model.pretrained, made.model.weights) for made in found} == {
        (True, None),
        (False, None),
        (False, "a.pth"),
    }


def test_parameters_are_those_of_the_network_for_the_real_number_of_classes() -> None:
    exact = count(recipe())
    assert networks(exact).excess(recipe()) == ""
    assert networks(exact).fits(recipe())
    over = networks(exact - 1).excess(recipe())
    assert over == f"{amount(exact)} parameters, over {amount(exact - 1)}"
    assert networks(exact, classes=4).excess(recipe())  # its last layer is larger


def test_without_limits_nothing_is_measured(timed: list[int], tmp_path: Path) -> None:
    free = networks()
    assert not free.needed
    assert free.fits(recipe(256))
    free.keep_in(tmp_path / "networks.json")
    assert timed == []
    assert not (tmp_path / "networks.json").exists()


def test_a_network_is_timed_once_and_not_at_all_when_it_is_too_large(timed: list[int]) -> None:
    limited = networks(count(recipe(16)), 1.5)
    assert limited.fits(recipe(8))
    assert limited.fits(recipe(8, optim={"lr": 0.5}))
    assert limited.excess(recipe(16)) == "2.0 ms a picture on cpu, over 1.5"
    assert "parameters" in limited.excess(recipe(64))
    assert timed == [8, 16]


def test_a_network_that_was_too_large_is_timed_when_the_limit_is_raised(timed: list[int]) -> None:
    limited = networks(count(recipe(8)), 1.5)
    assert "parameters" in limited.excess(recipe(64))
    raised = networks(10**9, 1.5, known=limited._known.values())
    assert raised.excess(recipe(64)) == "8.0 ms a picture on cpu, over 1.5"
    assert timed == [64]


def test_what_was_measured_is_the_same_for_a_resume(timed: list[int], tmp_path: Path) -> None:
    path, first = tmp_path / "networks.json", networks(None, 1.5)
    first.fits(recipe(8))
    first.keep_in(path)
    first.fits(recipe(16))  # as when a trial is the first to have it
    again = networks(None, 1.5, known=load(path))
    assert (again.fits(recipe(8)), again.fits(recipe(16))) == (True, False)
    assert timed == [8, 16]
    entries = json.loads(path.read_text())
    assert [entry["network"]["model.args.width"] for entry in entries] == [8, 16]
    assert [entry["latency_ms"] for entry in entries] == [1.0, 2.0]
    assert entries[0]["parameters"] == count(recipe(8))


@pytest.mark.parametrize("content", ["", "{", "3", '[{"network": {}}]', '[{"network": {}, "size": 1}]'])
def test_a_damaged_file_of_sizes_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "networks.json").write_text(content)
    with pytest.raises(FolderError, match=r"networks\.json does not hold the sizes of networks"):
        load(tmp_path / "networks.json")
    assert load(tmp_path / "none.json") == []


def test_choices_of_which_nothing_fits_are_not_offered(searched: Space) -> None:
    limited = within_limits(searched, networks(count(recipe(16))), QUIET)
    assert limited.space.model_names() == ["plain_cnn"]
    domains = {parameter.path: parameter.domain for parameter in limited.space.parameters}
    assert domains["model.args.width"].values == (8, 16)
    assert domains["optim.lr"] == next(p.domain for p in searched.parameters if p.path == "optim.lr")
    free = within_limits(searched, networks(), QUIET)
    assert (free.space, free.over) == (searched, [])


def test_a_line_a_network_says_what_is_over_the_limits(searched: Space) -> None:
    gone, thinner = within_limits(searched, networks(count(recipe(16))), QUIET).over
    limit = f"parameters, over {amount(count(recipe(16)))}"
    assert gone.startswith("vgg4_cnn (dense 32) at 64 px: ")
    assert thinner.startswith("plain_cnn: 1 of 3 variants, such as plain_cnn (dense 32, width 64) at 32 px: ")
    assert gone.endswith(limit)
    assert thinner.endswith(limit)


def test_many_networks_over_the_limits_are_named_at_the_end(tmp_path: Path) -> None:
    many = space(
        tmp_path,
        "base: {geometry: {size_px: 32}}\n"
        "parameters: {model.name: {choice: [plain_cnn, 'resnet1??', 'resnet3*']}}",
    )
    lines = within_limits(many, networks(count(recipe(64))), QUIET).over
    assert len(lines) == 8 + 1
    assert lines[0].startswith("resnet101 at 32 px: ")
    assert lines[-1] == "and 1 more: resnet34d"


def test_a_value_stays_where_it_fits_in_another_network(tmp_path: Path) -> None:
    """A width that is too large for one of two networks, each with a choice of its own or with one choice."""
    text = WIDTHS.replace("when: {model.name: plain_cnn}", "when: {model.name: [plain_cnn, mini_xception]}")
    text = text.replace("[plain_cnn, vgg4_cnn]", "[plain_cnn, mini_xception]").replace("vgg4", "plain")
    shared = space(
        tmp_path, text.replace("  geometry.size_px: {fixed: 64, when: {model.name: plain_cnn}}\n", "")
    )
    limit = count(recipe(64)) - 1
    assert count(recipe(64, "mini_xception")) > limit
    limited = within_limits(shared, networks(limit), QUIET).space
    domains = {parameter.path: parameter.domain.values for parameter in limited.parameters}
    assert domains["model.args.width"] == (8, 16)
    assert domains["model.name"] == ("plain_cnn", "mini_xception")


def test_of_very_many_networks_only_the_extremes_are_timed_and_the_plan_says_so(
    searched: Space, timed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants_module, "MOST", 3)
    limited = within_limits(searched, networks(None, 4.0), QUIET)
    assert timed == [8, 64, 32]
    assert limited.over[0].startswith("plain_cnn: 1 of 2 smallest and largest variants, such as plain_cnn (")
    assert limited.over[-1].startswith("there are so many networks that only the smallest and the largest")
    domains = {parameter.path: parameter.domain.values for parameter in limited.space.parameters}
    assert domains["model.args.width"] == (8, 16)


def test_a_space_of_which_nothing_fits_is_refused_with_figures_and_limit(searched: Space) -> None:
    with pytest.raises(
        LimitError, match=r"nothing of space space is within the limits: .*, over 1k; .* Raise"
    ):
        within_limits(searched, networks(1000), QUIET)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (7, "7"),
        (999, "999"),
        (1000, "1k"),
        (312_400, "312.4k"),
        (999_940, "999.9k"),
        (999_950, "1M"),
        (44_549_160, "44.55M"),
        (25_000_000, "25M"),
    ],
)
def test_amounts_are_said_as_the_options_take_them(number: int, said: str) -> None:
    assert amount(number) == said


def test_a_network_is_named_with_what_is_special_about_it() -> None:
    special = recipe(16, "resnet18", model={"stem": "small", "pool": "avgmax", "head_dense": 64})
    assert named(special) == "resnet18 (width 16, dense 32, small stem, avgmax pooling, dense 64) at 32 px"
    assert named(Recipe.model_validate({"model": {"name": "resnet18"}})) == "resnet18 at 64 px"
