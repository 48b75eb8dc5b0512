"""The model card is what the hub takes, its snippets run, and no name in it is markup or metadata."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from markdown_it.token import Token
from PIL import Image

from search.model.model_card import DEMO, card, write_card
from search.report.facts.ensemble import ensemble
from search.storage.folder import FolderError
from spaces.ensemble import ensemble_recipe
from spaces.recipe import Recipe
from tests.toy_pictures import HOSTILE, tiny_recipe
from trainables.calibration import NOT_CALIBRATED, Calibration, FittedOn
from trainables.export import export
from trainables.models.create import create_model

ODD_DATA = "my ``pics`` <b>\n---\nlicense: mit\n# not a title"
CALIBRATION = Calibration(
    temperature=0.37, fitted_on=FittedOn(runs=3, pictures=240), unknown_below=0.41, false_alarm_rate=0.05
)
PARTS = ["train", "validation", "selection"]
METRICS: dict[str, Any] = {
    "test": {
        "accuracy": 0.98125,
        "macro_f1": 0.975,
        "log_loss": 0.0817,
        "accuracy_95": [0.965, 0.98912],
        "macro_f1_95": [0.96, 0.985],
        "n": 640,
        "top_k": {"1": 0.98125, "3": 0.995, "5": 1.0},
        "ece": 0.0123,
    },
    "test_readings": 3,
    "trained_on": {"parts": PARTS, "pictures": 2400, "epochs": 12, "train_loss": 0.1},
    "data": ODD_DATA,
    "seed": 5,
}


def folder_of(
    path: Path,
    *,
    classes: list[str] | None = None,
    calibration: Calibration = NOT_CALIBRATED,
    onnx: bool = False,
    metrics: dict[str, Any] = METRICS,
    **sections: Any,
) -> Path:
    """An exported network with these metrics, and its card."""
    path.mkdir()
    recipe, classes = tiny_recipe(**sections), classes or HOSTILE
    untrained = recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": None})})
    model = create_model(untrained, len(classes), weights=False).eval()
    export(model, recipe, classes, path, calibration=calibration, onnx=onnx)
    (path / "metrics.json").write_text(json.dumps(metrics))
    write_card(path)
    return path


def text_of(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def tokens(folder: Path) -> list[Token]:
    """The card's body as Markdown."""
    body = ModelCard.load(folder / "README.md").text
    found = MarkdownIt("commonmark").enable("table").parse(body)
    return [inner for token in found for inner in (token, *(token.children or []))]


def snippets(folder: Path) -> list[str]:
    found = [token.content for token in tokens(folder) if token.type == "fence" and token.info == "python"]
    return [snippet.replace("THIS_FOLDER", str(folder)) for snippet in found]


def test_the_hub_reads_the_scores_by_their_names(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model", onnx=True)
    found = ModelCard.load(folder / "README.md").data
    assert (found.library_name, found.pipeline_tag) == ("timm", "image-classification")
    assert {"image-classification", "timm", "onnx"} <= set(found.tags or ())
    assert (found.license, found.base_model, found.metrics) == (None, None, ["accuracy", "f1"])
    scores = {result.metric_name: result for result in found.eval_results or ()}
    assert {name: result.metric_value for name, result in scores.items()} == {
        "Accuracy": 0.98125,
        "Macro-F1": 0.975,
    }
    assert [result.metric_type for result in scores.values()] == ["accuracy", "f1"]
    assert {result.dataset_name for result in scores.values()} == {ODD_DATA}
    assert {(result.task_type, result.dataset_split) for result in scores.values()} == {
        ("image-classification", "test")
    }


def test_names_are_neither_markup_nor_metadata(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model", calibration=CALIBRATION)
    found = tokens(folder)
    kinds = {token.type for token in found}
    assert kinds.isdisjoint({"html_block", "html_inline", "link_open", "image", "hr", "strong_open"})
    titles = [found[place + 1].content for place, token in enumerate(found) if token.type == "heading_open"]
    assert titles == [
        "plain_cnn, 7 classes",
        "How to use it",
        "How good it is",
        "How it was trained",
        "What to beware of",
        "Classes",
    ]
    listed = [token for token in found if token.type == "code_block"][-1]
    assert [json.loads(line) for line in listed.content.rstrip("\n").split("\n")] == HOSTILE
    named = [json.loads(f'"{token.content.strip()}"') for token in found if token.type == "code_inline"]
    assert named.count(ODD_DATA) == 2
    assert "license: mit" not in text_of(folder).split("\n---\n")[0].splitlines()


def test_the_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "model", calibration=CALIBRATION, onnx=True, geometry={"fit": "crop"})
    by_timm, by_torch, by_onnx = snippets(folder)
    assert by_timm.startswith("import trainables.models  # ")
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"squares": torch.rand(3, 3, 16, 16)}
    exec(by_torch, names)
    of_torch = names["probabilities"].detach().numpy()
    np.testing.assert_allclose(of_torch.sum(axis=1), 1, rtol=1e-5)
    exec(by_onnx, names | {"squares": names["squares"].numpy()}, onnx := {})
    np.testing.assert_allclose(onnx["probabilities"], of_torch, atol=1e-5)

    exec(by_timm, names)
    # A picture of the network's own size is the same square to timm as to the programs.
    pixels = (names["squares"][0].permute(1, 2, 0) * 255).round().byte().numpy()
    outputs = names["model"](names["transform"](Image.fromarray(pixels))[None])
    names["squares"] = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    exec(by_torch, names)
    assert "to be divided by 0.37" in text_of(folder)
    torch.testing.assert_close((outputs / 0.37).softmax(1), names["probabilities"])


def test_a_network_of_timms_is_loaded_by_timm_alone(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "model", model={"name": "test_resnet", "args": {}}, geometry={"size_px": 32}
    )
    by_timm, _ = snippets(folder)
    assert by_timm.startswith("import timm\n")
    names: dict[str, Any] = {}
    exec(by_timm, names)
    assert names["model"].num_classes == len(HOSTILE)
    assert "onnx" not in text_of(folder)


def test_numbers_intervals_and_readings_are_those_of_the_metrics(tmp_path: Path) -> None:
    said = text_of(folder_of(tmp_path / "model"))
    assert "| Accuracy | 0.9812 (95% interval 0.9650 to 0.9891) |" in said
    assert "| Macro-F1 | 0.9750 (95% interval 0.9600 to 0.9850) |" in said
    assert re.search(r"\| Top-3 accuracy \| 0\.9950 \|\n\| Top-5 accuracy \| 1\.0000 \|", said)
    assert "read them 3 times" in said
    assert "On 2400 pictures of" in said
    assert "(train, validation, selection) for 12 epochs, seed 5." in said
    test = {**METRICS["test"], "accuracy_95": None, "macro_f1_95": None}
    of_one_group = {**METRICS, "test": test, "test_readings": 1, "data": None}
    said = text_of(folder_of(tmp_path / "other", metrics=of_one_group))
    assert "| Accuracy | 0.9812 |" in said
    assert "read them once" in said
    assert f"on {DEMO}; accuracy" in said


def test_the_limits_tell_of_calibration_threshold_and_weights(tmp_path: Path) -> None:
    said = text_of(folder_of(tmp_path / "plain"))
    assert "are not calibrated, and it calls no picture unknown" in said
    assert "licence" not in said
    weights = {"name": "resnet18.a1_in1k", "args": {}, "pretrained": True}
    folder = folder_of(tmp_path / "tuned", calibration=CALIBRATION, model=weights, geometry={"size_px": 32})
    said = text_of(folder)
    assert "softmax of the logits divided by 0.37, which was fitted on 240 other pictures" in said
    assert "has less than 0.41; that happens to about 0.05 of the pictures" in said
    assert "weights of others (`resnet18.a1_in1k`), whose licence may bind it" in said
    assert ModelCard.load(folder / "README.md").data.base_model == "timm/resnet18.a1_in1k"
    own = text_of(folder_of(tmp_path / "own", model={"weights": "/home/me/start.safetensors"}))
    assert "weights of others (`start.safetensors`)" in own
    assert "/home/me" not in own


def test_one_output_for_two_classes_is_explained(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model", classes=["a", "b"], loss={"name": "sigmoid"})
    assert "sigmoid(z) is the probability of the second class" in text_of(folder)


def test_on_the_hub_the_card_says_how_to_load_it_from_there(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model")
    said = card(folder, repository="me/mine")
    assert 'timm.create_model("hf-hub:me/mine", pretrained=True)' in said
    assert "hf download me/mine --local-dir THIS_FOLDER\n" in said
    assert "me/mine" not in text_of(folder)


def test_a_folder_without_metrics_has_no_card(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model")
    (folder / "metrics.json").unlink()
    with pytest.raises(FolderError, match=r"metrics\.json cannot be read"):
        write_card(folder)


def test_an_ensemble_names_its_members_their_recipes_and_what_they_started_from(tmp_path: Path) -> None:
    members = (
        tiny_recipe(model={"name": "resnet10t", "args": {}, "pretrained": True}, geometry={"size_px": 32}),
        tiny_recipe(),
    )
    recipe = ensemble_recipe(members)
    scores = {"val_accuracy": 0.9, "val_loss": 0.3}
    section = {
        "kept": True,
        "trials": [3, 8],
        "left_out": {},
        "selection": {
            "metric": "val_accuracy",
            "together": scores,
            "alone": scores | {"val_accuracy": 0.88},
            "gain": 0.02,
            "gain_95": [-0.01, 0.05],
            "runs": 3,
        },
        "surcharge": 0.0,
        "members": [{"trial": 3, "epochs": 4, "seed": 7}, {"trial": 8, "epochs": 5, "seed": 9}],
    }
    export(create_model(recipe, 3, weights=False).eval(), recipe, ["a", "b", "c"], tmp_path)
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS | {"ensemble": section, "seed": None}))
    write_card(tmp_path)
    text, found = text_of(tmp_path), ModelCard.load(tmp_path / "README.md").data
    assert found.base_model == "timm/resnet10t.c3_in1k"
    assert "# Ensemble of 2 networks, 3 classes\n" in text
    assert ensemble(section)[0] in text
    assert "puts out the logarithm of each class's probability" in text
    assert text.index("Trial 3: 4 epochs, seed 7.") < text.index("Trial 8: 5 epochs, seed 9.")
    recipes = [token.content for token in tokens(tmp_path) if token.type == "code_block"][:2]
    assert [Recipe.model_validate(yaml.safe_load(content)) for content in recipes] == list(members)
    assert "weights of others (`resnet10t`)" in text
    assert "import trainables.models" in text
