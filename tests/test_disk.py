"""How much disk a search takes, against files that trainings write."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.planning.disk import disk, size
from search.settings.settings import Settings
from spaces.recipe import Recipe
from tests.simulated import space
from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables.checkpoint import Checkpoint
from trainables.loop import TrainData, train
from trainables.models.state_size import state_bytes

SMALL = {"size_px": 32}
FORMS = {
    "adamw": {"optim": {"name": "adamw"}},
    "sgd": {"optim": {"name": "sgd"}},
    "averaged, the best kept": {"optim": {"name": "nadamw"}, "ema": {"decay": 0.9}, "keep": "best"},
    "many numbers a weight": {"optim": {"name": "adan"}},
    "few numbers a weight": {"optim": {"name": "adafactor"}},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_state_takes_what_is_said_and_little_less(form: str, tmp_path: Path) -> None:
    recipe = tiny_recipe(model={"name": "plain_cnn", "args": {"width": 32}, "weights": None}, **FORMS[form])
    pictures, file = toy_pictures(32, 1), tmp_path / "state.pt"

    def report(metrics: dict[str, float], checkpoint: Checkpoint) -> None:
        checkpoint.save(file)

    train(recipe, TrainData(pictures, pictures), report, runtime=CPU, epochs=2)
    said = state_bytes(recipe, len(pictures.classes))
    assert 0.5 * said < file.stat().st_size <= said


def test_a_search_is_said_to_take_what_its_largest_network_does(tmp_path: Path) -> None:
    searched = space(tmp_path)
    settings = Settings(name="mine", space="space.yaml", cache_dir="cache", keep_checkpoints=2)
    found = disk(settings, searched, [], classes=10, selection=100)
    widest = Recipe.model_validate({"geometry": SMALL, "model": {"name": "plain_cnn", "args": {"width": 32}}})
    xception = Recipe.model_validate({"geometry": SMALL, "model": {"name": "mini_xception"}})
    assert found.state == max(state_bytes(widest, 10), state_bytes(xception, 10))
    assert found.answers == 9 * 100 * 10 * 4
    assert found.at_most(3) == (2 * 3 + 2) * found.state + found.answers
    assert size(2 * found.state) in found.said()

    large = Recipe.model_validate({"geometry": SMALL, "model": {"name": "plain_cnn", "args": {"width": 256}}})
    more = disk(settings, searched, [large], classes=10, selection=100)
    assert more.state == state_bytes(large, 10)
    assert "width 256" in more.largest


def test_sizes_are_said_in_units_of_a_thousand() -> None:
    said = [size(number) for number in (0, 999, 1000, 1_234_567, 2.5e9)]
    assert said == ["0 bytes", "999 bytes", "1 KB", "1.23 MB", "2.5 GB"]
