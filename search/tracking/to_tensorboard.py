"""Runs as TensorBoard's event files: a folder a run, scalars by epoch, settings for the HParams plugin.

A run's folder is written anew by each process that follows the search, since the records have all of it: so
nothing is in it twice. TensorBoard keeps no files beside its events: texts are shown by its Text plugin.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from search.storage.folder import SearchFolder
from search.tracking.runs import Plain, Run, Status

_ENDS = {Status.FINISHED: api_pb2.STATUS_SUCCESS, Status.FAILED: api_pb2.STATUS_FAILURE}


class TensorBoard:
    """Writes under one folder."""

    def __init__(self, folder: Path) -> None:
        self.look = f"tensorboard --logdir {folder}"
        self._folder = folder
        self._open: dict[str, _Events] = {}
        self._final: set[str] = set()
        self._tried: dict[str, set[Plain]] = {}
        """Of each setting, the values of all trials."""

    def write(self, run: Run) -> None:
        """See `Tracker`."""
        if run.key in self._final:
            return
        if run.key not in self._open:
            self._open[run.key] = _Events(self._folder / run.key, run)
            for name, value in run.settings.items() if run.trial is not None else ():
                self._tried.setdefault(name, set()).add(value)
        self._open[run.key].add(run)
        if run.status is not Status.RUNNING:
            events = self._open.pop(run.key)
            events.end(run)
            if run.trial is None:
                events.columns(self._tried, str(run.settings["metric"]))
            events.close()
        if run.final:
            self._final.add(run.key)

    def close(self) -> None:
        """See `Tracker`."""
        for events in self._open.values():
            events.close()
        self._open.clear()


class _Events:
    """One run's event file, from its beginning."""

    def __init__(self, folder: Path, run: Run) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._writer = EventFileWriter(str(folder))
        self._step = 0
        self._time = run.started
        if run.trial is None:
            self._text("settings", run.settings)
        else:
            # Without nulls: they would make a column of numbers one of words.
            given = {name: value for name, value in run.settings.items() if value is not None}
            self._event(hparams.hparams_pb(given, trial_id=run.name, start_time_secs=run.started))

    def add(self, run: Run) -> None:
        for point in run.points:
            if point.step > self._step:
                self._step, self._time = point.step, point.time
                self._scalars({tag(name): value for name, value in point.values.items()})
        self._writer.flush()

    def end(self, run: Run) -> None:
        self._time = run.ended or run.started
        self._scalars({f"summary/{name}": number for name, number in run.numbers.items()})
        self._text("summary", run.summary)
        for name, content in run.files.items():
            if name.endswith(".yaml"):
                self._event(text_pb(name, _block(content)))
        if run.trial is not None:
            status = _ENDS.get(run.status, api_pb2.STATUS_UNKNOWN)
            self._event(_session_end(status, self._time))

    def columns(self, tried: Mapping[str, set[Plain]], metric: str) -> None:
        """What the HParams plugin shows: the settings that differ, and the score first among the metrics."""
        shown = [hparams.HParam(name, _domain(values)) for name, values in tried.items() if len(values) > 1]
        scores = [hparams.Metric("summary/score", display_name="score"), hparams.Metric(tag(metric))]
        self._event(hparams.hparams_config_pb(shown, scores, time_created_secs=self._time))

    def close(self) -> None:
        self._writer.close()

    def _scalars(self, values: Mapping[str, float]) -> None:
        self._event(Summary(value=[Summary.Value(tag=t, simple_value=v) for t, v in values.items()]))

    def _text(self, name: str, values: Mapping[str, Any]) -> None:
        self._event(text_pb(name, _block("\n".join(f"{key}: {value}" for key, value in values.items()))))

    def _event(self, summary: Any) -> None:
        self._writer.add_event(Event(wall_time=self._time, step=self._step, summary=summary))


def tag(metric: str) -> str:
    """A metric's name with a section of TensorBoard's pages in front: `val/val_loss`."""
    section = next((section for section in ("val", "train", "best") if f"{section}_" in metric), "other")
    return f"{section}/{metric}"


def _session_end(status: int, time: float) -> Summary:
    """TensorBoard's own function for this imports TensorFlow."""
    end = HParamsPluginData(session_end_info=SessionEndInfo(status=status, end_time_secs=time))
    about = metadata.create_summary_metadata(end)
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=about, tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])


def _domain(values: set[Plain]) -> hparams.Domain:
    """The range or choice that a setting's values span."""
    given = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in given):
        return hparams.RealInterval(float(min(given)), float(max(given)))
    if all(isinstance(value, bool) for value in given):
        return hparams.Discrete(sorted(given), dtype=bool)
    return hparams.Discrete(sorted(map(str, given)), dtype=str)


def _block(text: str) -> str:
    """A text as it is, in Markdown."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def open_tracker(folder: SearchFolder, identity: str) -> TensorBoard:
    """TensorBoard's files in the search's own folder."""
    return TensorBoard(folder.path / "tensorboard")
