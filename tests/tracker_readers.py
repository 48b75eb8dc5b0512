"""Reads back what trackers hold, by the libraries' own readers, and compares it with the records."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as Stored
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from wandb.proto.wandb_internal_pb2 import Record

from search.storage.folder import SearchFolder
from search.tracking.to_tensorboard import tag
from search.trials.trials import Epoch, TrialRecord


def recorded(epoch: Epoch) -> dict[str, float]:
    """What a curve has a point of."""
    return {**epoch.metrics, "passes": epoch.passes}


def names(entry: TrialRecord) -> set[str]:
    """The curves of a trial."""
    return {name for epoch in entry.history for name in recorded(epoch)}


# TensorBoard.


def in_tensorboard(folder: SearchFolder) -> EventMultiplexer:
    """All runs, every point of them."""
    found = EventMultiplexer(size_guidance={"scalars": 0, "tensors": 0})
    found.AddRunsFromDirectory(str(folder.path / "tensorboard"))
    return found.Reload()


def tensorboard_agrees(found: EventMultiplexer, entry: TrialRecord) -> None:
    """Every point of every metric is there, once, and no other."""
    run = f"trial-{entry.number}"
    curves = {name for name in found.Runs()[run]["scalars"] if not name.startswith("summary/")}
    assert curves == {tag(name) for name in names(entry)}
    for name in names(entry):
        for point, epoch in zip(found.Scalars(run, tag(name)), entry.history, strict=True):
            assert (point.step, point.wall_time) == (epoch.epoch, epoch.time)
            # It keeps 32 bits.
            assert point.value == pytest.approx(recorded(epoch)[name], rel=1e-6, nan_ok=True)


# MLflow.


def mlflow_client(results: Path) -> MlflowClient:
    """Of the store in a results folder."""
    return MlflowClient(tracking_uri=f"sqlite:///{results / 'mlflow' / 'mlflow.db'}")


def in_mlflow(results: Path, name: str) -> dict[str, Stored]:
    """The runs of a search: `search`, and by name those below it."""
    found = mlflow_client(results)
    (experiment,) = [one for one in found.search_experiments() if one.name == "classifier-search"]
    (parent,) = found.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'")
    below = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    children = found.search_runs([experiment.experiment_id], below)
    assert len({run.info.run_name for run in children}) == len(children)
    return {"search": parent, **{run.info.run_name: run for run in children}}


def mlflow_agrees(results: Path, run: Stored, entry: TrialRecord) -> None:
    """Every point of every metric is there, once, with its time."""
    for name in names(entry):
        points = mlflow_client(results).get_metric_history(run.info.run_id, name)
        for point, epoch in zip(sorted(points, key=lambda point: point.step), entry.history, strict=True):
            assert (point.step, point.timestamp) == (epoch.epoch, round(epoch.time * 1000))
            assert point.value == pytest.approx(recorded(epoch)[name], rel=0, abs=0, nan_ok=True)


# Weights & Biases.


def in_wandb(folder: SearchFolder) -> dict[str, list[dict[str, Any]]]:
    """The runs that are kept offline by name, each with its parts in order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((folder.path / "wandb").glob("offline-run-*")):
        part = _offline_run(path)
        found.setdefault(part["run"].display_name, []).append(part)
    return found


def wandb_agrees(parts: list[dict[str, Any]], entry: TrialRecord) -> None:
    """Every epoch is there once, in order, with all its metrics and its time."""
    points = [point for part in parts for point in part["history"]]
    for point, epoch in zip(points, entry.history, strict=True):
        about = {"_step": epoch.epoch, "_timestamp": epoch.time, "_runtime": point["_runtime"]}
        assert point == pytest.approx({**recorded(epoch), **about}, rel=0, abs=0, nan_ok=True)


def _offline_run(folder: Path) -> dict[str, Any]:
    """What Weights & Biases keeps of a run: `run`, `config`, `history` (a list), `summary`, `exit`, `files`.

    Its file is a log of protocol buffers in the form of LevelDB: blocks of 32 KiB, each record behind
    7 bytes of checksum, size, and whether it is whole.
    """
    found: dict[str, Any] = {"history": [], "summary": {}, "artifacts": []}
    for content in _log_entries(next(folder.glob("run-*.wandb")).read_bytes()):
        record = Record.FromString(content)
        if record.HasField("run"):
            found["run"] = record.run
            found["config"] = {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif record.HasField("history"):
            found["history"].append(_items(record.history.item))
        elif record.HasField("summary"):
            found["summary"] |= _items(record.summary.update)
        elif record.HasField("artifact"):
            found["artifacts"].append({entry.path for entry in record.artifact.manifest.contents})
        elif record.HasField("exit"):
            found["exit"] = record.exit.exit_code
    found["files"] = {path.name: path.read_text() for path in (folder / "files").iterdir()}
    return found


def _items(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def _log_entries(content: bytes) -> Iterator[bytes]:
    at, whole = 7, b""
    while at + 7 <= len(content):
        if (room := 32768 - at % 32768) < 7:
            at += room
            continue
        _, size, kind = struct.unpack("<IHB", content[at : at + 7])
        whole += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""
