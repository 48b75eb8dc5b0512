"""Wildcards in space files stand for the networks that match."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spaces import space_checks
from spaces.faults import SpaceError
from spaces.space import Space
from spaces.space_files import load_space
from spaces.timm_names import timm_models

PRETRAINED = "base: {model: {pretrained: true}}\n"


def load(tmp_path: Path, text: str, **keywords: Any) -> Space:
    (tmp_path / "own.yaml").write_text(text)
    return load_space(tmp_path / "own.yaml", **keywords)


def choice(*names: str) -> str:
    """The parameters section of a space that chooses among these networks."""
    return f"parameters: {{model.name: {{choice: {list(names)}}}}}\n"


def fault(tmp_path: Path, text: str) -> str:
    with pytest.raises(SpaceError) as error:
        load(tmp_path, text)
    title, *faults = str(error.value).splitlines()
    assert title.endswith("1 fault")
    return faults[0].replace(f"{tmp_path}/", "").strip()


def test_a_wildcard_in_a_choice_stands_for_timms_networks_ours_and_the_users_own(tmp_path: Path) -> None:
    space = load(tmp_path, choice("*_cnn", "resnet10[t]"), extra_models=["my_cnn", "mine"])
    expected = ("binary_cnn", "my_cnn", "plain_cnn", "vgg4_cnn", "resnet10t")
    assert space.parameters[0].domain.values == expected


def test_names_can_be_left_out_of_what_a_wildcard_stands_for(tmp_path: Path) -> None:
    everything = load(tmp_path, choice("resnet1*")).model_names()
    space = load(tmp_path, choice("not resnet1*d", "resnet1*", "resnet18d", "not resnet14t"))
    without = {name for name in everything if not name.endswith("d")} - {"resnet14t"}
    assert set(space.model_names()) == without | {"resnet18d"}  # which is written out
    text = "  optim.lr: {log: [1, 2], when: {model.name: [resnet*, not *t]}}\n"
    chosen = "parameters:\n  model.name: {choice: [resnet10t, resnet18, plain_cnn]}\n"
    assert load(tmp_path, chosen + text).parameters[1].when["model.name"] == ("resnet18",)
    text = "  optim.lr: {log: [1, 2], when: {model.name: not resnet*}}\n"
    assert load(tmp_path, chosen + text).parameters[1].when["model.name"] == ("plain_cnn",)


def test_a_name_that_is_also_written_out_is_there_once(tmp_path: Path) -> None:
    values = load(tmp_path, choice("test_vit2", "test_vit*", "*_vit", "test_vit")).parameters[0].domain.values
    assert values is not None
    assert len(set(values)) == len(values)
    assert values[0] == "test_vit2"
    assert values[-1] == "test_vit"


def test_pretrained_spaces_get_the_networks_that_have_weights(tmp_path: Path) -> None:
    with_weights = [name for name, model in timm_models().items() if model.tags]
    found = load(tmp_path, PRETRAINED + choice("resnet*")).model_names()
    assert found == sorted(name for name in with_weights if name.startswith("resnet"))
    told = fault(tmp_path, PRETRAINED + choice("plain*", "resnet18"))
    assert "base.model.pretrained must be false: there are no pretrained weights for plain_cnn" in told


def test_a_wildcard_in_a_condition_stands_for_the_networks_of_this_space(tmp_path: Path) -> None:
    space = load(
        tmp_path,
        """
parameters:
  model.name: {choice: [resnet18.a1_in1k, resnet10t, resnext50_32x4d, plain_cnn, vgg4_cnn]}
  model.stem: {fixed: small, when: {model.name: 'res*'}}
  optim.lr:
    - {log: [1e-4, 1e-2], when: {model.name: [resnext*, '*_cnn']}}
    - {log: [1e-3, 1e-1], when: {model.name: resnet*}}
""",
    )
    conditions = [list(parameter.when["model.name"]) for parameter in space.parameters[1:]]
    assert conditions == [
        ["resnet10t", "resnet18.a1_in1k", "resnext50_32x4d"],
        ["resnext50_32x4d", "plain_cnn", "vgg4_cnn"],
        ["resnet10t", "resnet18.a1_in1k"],
    ]


def test_a_condition_may_look_at_the_network_of_the_base(tmp_path: Path) -> None:
    space = load(
        tmp_path,
        "base: {model: {name: resnet18}}\n"
        "parameters: {model.stem: {choice: [standard, small], when: {model.name: 'resnet*'}}}",
    )
    assert space.parameters[0].when == {"model.name": ("resnet18",)}


def test_a_space_is_written_out_with_the_names(tmp_path: Path) -> None:
    space = load(
        tmp_path,
        "parameters:\n  model.name: {choice: ['test_vit*', plain_cnn]}\n"
        "  model.pool: {choice: [null, avg], when: {model.name: 'test_*'}}\n",
    )
    written = space.to_yaml()
    assert "*" not in written
    assert load(tmp_path, written).to_dict() == space.to_dict()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            "model.name: {choice: [plain_cnn, resnt18*]}",
            "own.yaml:2: parameters.model.name.choice[1] must be a network of ours, of timm's or of your "
            'own; received "resnt18*". Did you mean resnet18',
        ),
        (
            "model.name: {choice: [resnet18*, not resnt18*]}",
            "own.yaml:2: parameters.model.name.choice[1] must be a network of ours, of timm's or of your "
            'own; received "not resnt18*".',
        ),
        (
            "model.name: {choice: ['*_cnn', not plain*, not vgg*, not binary*]}",
            "own.yaml:2: parameters.model.name.choice[0] must be a network of ours, of timm's or of your "
            'own; received "*_cnn, not plain*, not vgg*, not binary*".',
        ),
        (
            "model.name: [{choice: ['zzz*']}]",
            "parameters.model.name[0].choice[0] must be a network of ours",
        ),
        (
            "model.name: {choice: [plain_cnn, vgg4_cnn]}\n"
            "  optim.lr: {log: [1, 2], when: {model.name: plain_cm*}}",
            "own.yaml:3: parameters.optim.lr.when.model.name must be a value that model.name can have; "
            'received "plain_cm*". Did you mean plain_cnn? There are: plain_cnn, vgg4_cnn.',
        ),
    ],
)
def test_a_wildcard_that_matches_nothing_is_told_with_near_misses(
    parameters: str, message: str, tmp_path: Path
) -> None:
    assert message in fault(tmp_path, f"parameters:\n  {parameters}\n")


def test_faults_are_told_where_the_file_has_the_value(tmp_path: Path) -> None:
    told = fault(tmp_path, choice("test_vi?", "test_r*", "resnet18.bogus", "test_vit"))
    assert "parameters.model.name.choice[2] must end in the name of pretrained weights of resnet18" in told
    told = fault(
        tmp_path,
        "base: {geometry: {size_px: 32}}\nparameters:\n"
        "  model.name: {choice: [plain_cnn, test_vit, 'vgg4*']}\n"
        "  model.head_dense: {fixed: 8, when: {model.name: 'vgg4*'}}\n"
        "  geometry.size_px: {fixed: 64, when: {model.name: 'vgg4*'}}\n",
    )
    assert "own.yaml:4: parameters.model.head_dense.fixed must be null for vgg4_cnn" in told


@pytest.mark.parametrize("parameters", ["3", "[]", "{model.name: 3}", "{model.name: {choice: resnet*}}"])
def test_what_is_no_list_of_choices_is_told_as_ever(parameters: str, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"must be a (mapping|list of values)"):
        load(tmp_path, f"base: {{model: {{name: plain_cnn}}}}\nparameters: {parameters}\n")


def test_all_networks_at_once_can_be_checked(tmp_path: Path) -> None:
    text = "parameters:\n  model.name: {choice: ['*']}\n  geometry.size_px: {choice: [224, 256]}\n"
    assert len(load(tmp_path, text).model_names()) > 1300


def test_too_many_combinations_of_what_wildcards_stand_for_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space_checks, "MAX_COMBINATIONS", 1000)
    lines = "".join(f"  model.args.a{place}: {{choice: [a, b]}}\n" for place in range(4))
    told = fault(tmp_path, f"parameters:\n  model.name: {{choice: ['resne*']}}\n{lines}")
    assert "parameters must make at most 1000 combinations of network and picture size. Split" in told
