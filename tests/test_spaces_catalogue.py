"""The tables of timm's networks and optimizers, and the recommended networks."""

from __future__ import annotations

import subprocess
import sys
from ast import literal_eval
from collections.abc import Callable

import pytest

from spaces import optimizers, timm_names
from spaces.abilities import Abilities
from spaces.timm_names import TimmModel, timm_models
from trainables import recommended
from trainables.catalogue import model_rows

SAMPLE = [
    "beit_base_patch16_224",
    "convmixer_768_32",
    "convnext_atto",
    "deit_tiny_distilled_patch16_224",
    "densenet121",
    "efficientnet_b0",
    "hrnet_w18_small",
    "mobilenetv3_small_050",
    "resnet18",
    "resnetv2_50",
    "swin_tiny_patch4_window7_224",
    "test_resnet",
    "test_vit",
    "vgg11",
]
"""Networks of many kinds."""
ENCODERS = [
    "deepseek_vit_412m_enc",
    "gemma4_vit_167m_enc",
    "gemma4_vit_570m_enc",
    "mobilenetv5_300m_enc",
    "qwen3_vit_306m_enc",
    "qwen3_vit_416m_enc",
    "qwen3_vit_88m_enc",
]
"""Those that cannot classify."""


def printed_by(script: str) -> str:
    """What a process prints where nothing else has registered networks with timm."""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


def skip_if_other_version(made: str, table: str) -> None:
    if made.splitlines()[0] != table.splitlines()[0]:
        pytest.skip(f"the table is of another version: {table.splitlines()[0]}")


def test_the_table_holds_well_known_networks() -> None:
    models = timm_models()
    assert len(models) > 1000
    resnet = models["resnet50"]
    assert (resnet.input_px, resnet.parameters, resnet.license) == (224, 25_557_032, "apache-2.0")
    assert resnet.tags[0] == "a1_in1k"
    assert resnet.abilities == Abilities(
        small_stem=True, head_dense=True, drop_path=True, pools=("avg", "max", "avgmax", "catavgmax")
    )
    vit = models["vit_small_patch16_224"].abilities
    assert (vit.fixed_size, vit.small_stem, vit.pools) == (True, False, ("avg", "max", "avgmax"))
    assert all(model.input_px > 0 and model.parameters > 0 for model in models.values())
    assert not {"adapted", "small_resnet"} & models.keys()


@pytest.mark.parametrize(
    ("ability", "has", "lacks"),
    [
        (
            lambda takes: takes.small_stem,
            {"resnet18", "efficientnet_b0", "regnety_016", "densenet121", "resnet10t"},
            {"vit_tiny_patch16_224", "convnext_tiny", "convformer_s18", "swin_tiny_patch4_window7_224"},
        ),
        (
            lambda takes: takes.head_dense,
            {"resnet18", "vit_tiny_patch16_224", "convnext_tiny", "swin_tiny_patch4_window7_224"},
            {"resnetv2_50", "deit_tiny_distilled_patch16_224", "levit_128"},
        ),
        (
            lambda takes: takes.drop_path,
            {"resnet18", "swin_tiny_patch4_window7_224", "efficientnet_b0", "convnext_tiny"},
            {"vgg11", "densenet121", "dla34"},
        ),
        (
            lambda takes: "catavgmax" in takes.pools,
            {"resnet18", "efficientnet_b0", "regnety_016"},
            {"vit_tiny_patch16_224"},
        ),
    ],
)
def test_many_networks_take_what_can_be_asked_of_them(
    ability: Callable[[Abilities], bool], has: set[str], lacks: set[str]
) -> None:
    takers = {name for name, model in timm_models().items() if ability(model.abilities)}
    assert has <= takers
    assert not lacks & takers
    assert len(takers) > 300


def test_a_row_reads_back() -> None:
    for name in ("resnet18", "vgg11", "vit_tiny_patch16_224"):
        model = timm_models()[name]
        assert TimmModel.from_row(model.to_row()) == model


def test_networks_that_cannot_classify_are_left_out() -> None:
    assert not timm_models().keys() & set(ENCODERS)
    assert [row["name"] for row in model_rows([*ENCODERS, "test_resnet"])] == ["test_resnet"]


@pytest.mark.slow
def test_the_table_is_what_the_installed_timm_says() -> None:
    table = timm_names.TABLE.read_text(encoding="utf-8")
    names, made = printed_by(
        "import trainables.catalogue as c\n"
        "print(c.model_names(), end='\\0')\n"
        f"print(c.table(c.model_rows({SAMPLE})), end='')"
    ).split("\0")
    skip_if_other_version(made, table)
    assert [name for name in literal_eval(names) if name not in ENCODERS] == list(timm_models())
    lines = table.splitlines()
    assert [line for line in made.splitlines() if line not in lines] == []


@pytest.mark.slow
def test_the_optimizers_are_those_that_take_steps() -> None:
    made = printed_by("import trainables.catalogue as c; print(c.table(c.optimizer_rows()), end='')")
    table = optimizers.TABLE.read_text(encoding="utf-8")
    skip_if_other_version(made, table)
    assert made == table


def test_the_recommended_networks_come_in_all_sizes_with_weights() -> None:
    models = [timm_models()[name] for name in recommended.NETWORKS]
    assert 15 <= len(models) <= 20
    assert all(model.tags for model in models)
    assert min(model.parameters for model in models) < 5e6
    assert max(model.parameters for model in models) > 80e6
    kinds = [kind for kind, _ in recommended.NETWORKS.values()]
    assert {recommended.CNN, recommended.TRANSFORMER} == set(kinds)


def test_cost_is_counted_as_its_authors_did() -> None:
    # He et al. 2016: 1.8 billion; Touvron et al. 2021 (DeiT-Ti): 1.3 billion.
    assert recommended.gmacs("resnet18") == pytest.approx(1.8, abs=0.05)
    assert recommended.gmacs("vit_tiny_patch16_224") == pytest.approx(1.26, abs=0.05)


@pytest.mark.slow
def test_the_document_holds_the_table_of_recommended_networks() -> None:
    assert recommended.table() in recommended.DOCUMENT.read_text(encoding="utf-8")
