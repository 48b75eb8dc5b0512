"""When a network is compiled, and that it stays the same network."""

from __future__ import annotations

import pytest
import torch

from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables import compiled
from trainables.loop import TrainData, train
from trainables.runtime import Runtime

DATA = TrainData(toy_pictures(96, 1), toy_pictures(48, 2))


def test_only_a_long_rest_of_a_training_on_a_gpu_is_worth_it() -> None:
    gpu, recipe = Runtime(device="cuda"), tiny_recipe()
    assert compiled.pays(recipe, gpu, 3600)
    assert not compiled.pays(recipe, gpu, 60)
    assert not compiled.pays(recipe, CPU, 3600)


def test_growing_pictures_and_several_workers_are_not_compiled() -> None:
    growing = tiny_recipe(geometry={"size_px": 32, "start_px": 16})
    assert not compiled.pays(growing, Runtime(device="cuda"), 3600)
    assert not compiled.pays(tiny_recipe(), Runtime(device="cuda", world_size=2), 3600)


def losses() -> list[float]:
    found: list[float] = []
    recipe = tiny_recipe(freeze={"epoch": 2}, ema={"decay": 0.9}, optim={"batch_size": 10})
    train(recipe, DATA, lambda metrics, state: found.append(metrics["val_loss"]), runtime=CPU, epochs=4)
    return found


def test_a_training_that_is_compiled_on_the_way_gives_the_same_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plainly = losses()
    entered: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        entered.append(len(inputs))
        return graph.forward

    compile_by = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda module, **given: compile_by(module, backend=backend, **given)
    )
    monkeypatch.setattr(compiled, "DEVICES", {"cpu"})
    monkeypatch.setattr(compiled, "COMPILING_S", 0.0)
    assert losses() == pytest.approx(plainly, rel=1e-4)
    assert entered, "nothing was compiled"
