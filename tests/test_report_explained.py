"""Where the model looks, on the page: every picture that was drawn, and words beside it."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
import torch

from search.images.explained import explained
from search.images.explained_files import FILE, write_explained
from search.report import facts
from search.report.facts import SearchView
from search.report.page import page_text
from search.storage.folder import SearchFolder
from tests.pictures import class_folders
from tests.synthetic import HOSTILE, synthetic_view
from tests.toy_pictures import CPU, tiny_recipe
from trainables.data import load, prepare
from trainables.evaluate import log_probabilities
from trainables.models.create import create_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was written of a network that has learnt nothing."""
    root = tmp_path_factory.mktemp("model")
    class_folders(root / "pictures", {"anna": 20, "bert": 20}, height=16, width=16)
    done = prepare(root / "pictures", size_px=16, cache_dir=root / "cache")
    part = load(root / "pictures", done.split, size_px=16, cache_dir=root / "cache").part("train")
    torch.manual_seed(0)
    model, recipe = create_model(tiny_recipe(), 2).eval(), tiny_recipe()
    said = log_probabilities(model, recipe, part, runtime=CPU)
    write_explained(explained(model, recipe, part, said, runtime=CPU), root / "explained")
    return root / "explained"


def view_of(folder: Path) -> SearchView:
    known = SearchFolder.read_json(folder / FILE)
    return synthetic_view(
        explained=known, images={file.name: file.read_bytes() for file in folder.glob("*.webp")}
    )


def test_without_a_model_nothing_is_shown() -> None:
    view = synthetic_view()
    assert facts.explained(view) is None
    assert "Where it looks" not in page_text(view, facts.ranked_table(view))


def test_every_example_is_there_in_order_with_its_picture_and_a_map_for_each_class(folder: Path) -> None:
    view = view_of(folder)
    found = facts.explained(view)
    assert found is not None
    known = view.explained["examples"]
    for shown, kind in ((found.hits, "right"), (found.mistakes, "wrong")):
        wanted = [entry for entry in known if entry["kind"] == kind]
        assert len(wanted) > 0
        assert [example.path for example in shown] == [entry["path"] for entry in wanted]
        for example, entry in zip(shown, wanted, strict=True):
            files = [entry["file"], *(heat["file"] for heat in entry["heats"])]
            assert [base64.b64decode(one.source.split(",")[1]) for one in example.pictures] == [
                view.images[file] for file in files
            ]
    mistake = found.mistakes[0]
    assert mistake.words.startswith(f"{mistake.label}, taken for {mistake.answer} (")
    assert [one.words for one in mistake.pictures[1:]] == [
        f"what speaks for {mistake.answer}",
        f"what speaks for {mistake.label}",
    ]
    surest = [entry["probability"] for entry in known if entry["kind"] == "wrong"]
    assert surest == sorted(surest, reverse=True)


def test_kernels_and_feature_maps_are_there_and_what_lacks_is_told(folder: Path) -> None:
    view = view_of(folder)
    found = facts.explained(view)
    assert found is not None
    assert len(found.layers) == len(view.explained["kernels"]) + 1
    assert found.missing == view.explained["missing"] != []
    assert found.grad_cam == view.explained["grad_cam"]["words"]
    nothing = view.explained | {"kernels": [], "feature_maps": None, "grad_cam": None}
    bare = facts.explained(synthetic_view(explained=nothing, images=view.images))
    assert bare is not None
    assert (bare.layers, bare.grad_cam) == ([], "")
    page = page_text(synthetic_view(explained=nothing, images=view.images), facts.ranked_table(view))
    assert "Where it looks" not in page
    assert "what speaks for the answer" not in page


def test_the_page_holds_the_pictures_itself_and_names_are_only_names(folder: Path) -> None:
    view = view_of(folder)
    view.explained["examples"][0]["class"] = HOSTILE
    page = page_text(view, facts.ranked_table(view))
    assert page.count("data:image/webp;base64,") == len(view.images)
    assert page.count('<img src="data:image/webp') == len(view.images)
    assert HOSTILE not in page
    alts = np.array([part.split('"')[0] for part in page.split(' alt="')[1:]])
    assert (alts != "").all()
