"""The packages import each other in one direction only, and each heavy library where it belongs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import ROOT, run_program

LAYERS = ["spaces", "trainables", "search"]
ROOMS = [
    *("text", "trials", "policy", "settings", "statistics", "storage", "costs", "engine", "console"),
    *("planning", "images", "tune", "rematch", "report", "model", "tracking"),
]
"""Of the search. What is in none of them, and `search/compare`, are commands and what they share."""
TRIALS = [Path("trainables/workplace.py"), Path("trainables/reporting.py")]
"""What a trial on Ray is made of, beside the search."""
FILES = sorted(path.relative_to(ROOT) for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Full names of all modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module or ""


def search_modules(path: Path) -> Iterator[str]:
    """Of those that a file imports: `from search import text` imports `search.text`."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "search":
            yield from (f"search.{alias.name}" for alias in node.names)
    yield from (name for name in imported(path) if name.startswith("search."))


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


def test_there_are_files_to_look_at() -> None:
    assert {path.parts[0] for path in FILES} == set(LAYERS)
    assert all("ray" in packages(path) for path in TRIALS)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_imports_only_leftward(path: Path) -> None:
    rightward = set(LAYERS[LAYERS.index(path.parts[0]) + 1 :]) | {"tests", "benchmarks"}
    assert packages(path).isdisjoint(rightward)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_of_the_search_imports_only_leftward(room: str) -> None:
    files = [path for path in FILES if path.parts[:2] in {("search", room), ("search", f"{room}.py")}]
    assert files
    others = {name.split(".")[1] for path in files for name in search_modules(path)} - {room}
    assert others <= set(ROOMS[: ROOMS.index(room)])


@pytest.mark.parametrize("path", FILES, ids=str)
def test_only_the_rooms_of_ray_import_ray(path: Path) -> None:
    allowed = path in TRIALS or path.is_relative_to("search/tune")
    assert allowed or "ray" not in packages(path)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_trackers_library_is_imported_by_what_writes_to_it_and_by_nothing_else(path: Path) -> None:
    for library in ("tensorboard", "mlflow", "wandb"):
        assert (library in packages(path)) == (path == Path(f"search/tracking/to_{library}.py"))


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] == "spaces"], ids=str)
def test_spaces_imports_no_heavy_library(path: Path) -> None:
    assert packages(path).isdisjoint({"torch", "torchvision", "timm", "ray"})


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] == "trainables"], ids=str)
def test_timm_is_imported_only_after_what_makes_it_importable(path: Path) -> None:
    # Importing anything of trainables.models runs trainables.torch_setup first.
    allowed = path.is_relative_to("trainables/models") or "trainables.torch_setup" in imported(path)
    assert allowed or "timm" not in packages(path)


WITHOUT_RAY = """
import sys
import search.retrain, search.predict, search.evaluate, search.final, search.train, search.alone
import search.export
from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables import export, predict
from trainables.evaluate import evaluate
from trainables.loop import TrainData, train

pictures = toy_pictures(32, 1)
model = train(tiny_recipe(), TrainData(pictures, pictures), lambda *_: None, runtime=CPU, epochs=1)
evaluate(model, tiny_recipe(), pictures, runtime=CPU)
print(sorted(name for name in sys.modules if name.split(".")[0] == "ray"))
"""


@pytest.mark.slow
def test_training_alone_retraining_predicting_and_evaluating_import_no_ray() -> None:
    done = run_program(WITHOUT_RAY)
    done.check_returncode()
    assert done.stdout.strip() == "[]"
