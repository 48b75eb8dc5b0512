"""Checkpoint files: whole or not there, and never code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import IO, Any

import pytest
import torch

from trainables.checkpoint import Checkpoint, CheckpointError


def checkpoint(epoch: int = 1) -> Checkpoint:
    return Checkpoint(
        recipe={"optim": {"lr": 0.1}, "patience_epochs": None},
        seed=1,
        epochs=9,
        history=[{"epoch": epoch, "train_loss": float("nan")}],
        model={"weight": torch.arange(6.0).view(2, 3)},
        ema=None,
        optimizer={"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"params": [0]}]},
        schedule={"last_epoch": 1},
        scaler={},
        best={"loss": float("inf"), "epochs_since": 0, "weights": {"weight": torch.ones(2, 3)}},
    )


class Malicious:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_it_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    checkpoint(4).save(tmp_path / "state.pt")
    loaded = Checkpoint.load(tmp_path / "state.pt")
    assert loaded.epoch == 4
    assert repr(loaded) == repr(checkpoint(4))


def test_saving_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    checkpoint(1).save(tmp_path / "state.pt")
    checkpoint(2).save(tmp_path / "state.pt")
    assert Checkpoint.load(tmp_path / "state.pt").epoch == 2
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_a_save_that_fails_half_way_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(1).save(tmp_path / "state.pt")

    def disk_full(state: object, file: IO[bytes]) -> None:
        file.write(b"half of the st")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", disk_full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint(2).save(tmp_path / "state.pt")
    assert Checkpoint.load(tmp_path / "state.pt").epoch == 1
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_malicious_file_is_refused_and_does_not_execute(tmp_path: Path, wrapped: bool) -> None:
    file, trace = tmp_path / "state.pt", tmp_path / "executed"
    if wrapped:
        torch.save({**vars(checkpoint()), "scaler": Malicious(trace)}, file)
    else:
        file.write_bytes(pickle.dumps(Malicious(trace), protocol=2))
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        Checkpoint.load(file)
    assert not trace.exists()


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused_saying_what_to_do(tmp_path: Path, kept: float) -> None:
    checkpoint().save(tmp_path / "state.pt")
    whole = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(CheckpointError, match=r"state\.pt: not a readable checkpoint .* Delete it to start"):
        Checkpoint.load(tmp_path / "state.pt")


@pytest.mark.parametrize("content", [[1, 2], {"seed": 1}, {**vars(checkpoint()), "more": 1}])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        Checkpoint.load(tmp_path / "state.pt")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        Checkpoint.load(tmp_path / "state.pt")


def test_require_names_each_value_that_differs() -> None:
    mine = checkpoint()
    mine.require(recipe=mine.recipe, seed=1, epochs=9)
    other = {"optim": {"lr": 0.2, "momentum": 0.9}, "patience_epochs": None}
    message = r"its recipe\.optim\.lr is 0\.1 and not 0\.2, recipe\.optim\.momentum is None and not 0\.9, "
    with pytest.raises(CheckpointError, match=message + r"seed is 1 and not 2\.$"):
        mine.require(recipe=other, seed=2, epochs=9)
