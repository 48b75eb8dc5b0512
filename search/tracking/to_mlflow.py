"""Runs in an MLflow store: on the server of `MLFLOW_TRACKING_URI`, else in a database under results/.

A search's runs are found again by a tag, so whoever follows the search next goes on with the same ones.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from mlflow import MlflowClient
from mlflow import entities as ml
from mlflow.exceptions import MlflowException

from search.storage.folder import SearchFolder
from search.tracking.runs import Plain, Point, Run, Status

EXPERIMENT = "classifier-search"
SEARCH_TAG, RUN_TAG = "classifier_search.id", "classifier_search.run"
AT_ONCE = 100
"""Parameters or tags a request; metrics ten times as many. MLflow's own limits."""


@dataclass
class _Known:
    """A run as the store has it."""

    id: str
    status: str
    params: set[str] = field(default_factory=set)
    step: int = 0
    """Its curves are there up to this one."""
    files: dict[str, str] = field(default_factory=dict)
    """Those that this process has stored."""

    @property
    def final(self) -> bool:
        return self.status in (Status.FINISHED, Status.FAILED)


class Mlflow:
    """Writes into one experiment."""

    def __init__(self, client: MlflowClient, experiment: str, identity: str, look: str) -> None:
        self.look = look
        self._client, self._experiment, self._identity = client, experiment, identity
        self._known = {run.data.tags[RUN_TAG]: self._as_known(run) for run in self._stored_runs()}
        self._final = {key for key, known in self._known.items() if key != "search" and known.final}

    def write(self, run: Run) -> None:
        """See `Tracker`."""
        if run.key in self._final:
            return
        if run.key not in self._known:
            self._known[run.key] = self._as_known(self._create(run))
        known = self._known[run.key]
        if run.status is Status.RUNNING and known.status != run.status:
            self._client.update_run(known.id, status=run.status)
            known.status = run.status
        self._log_settings(known, run)
        self._log_points(known, run)
        if known.status != run.status:
            self._end(known, run)
        for name, content in run.files.items():  # last: a store may take all but files
            if known.files.get(name) != content:
                self._client.log_text(known.id, content, name)
                known.files[name] = content
        if run.final:
            self._final.add(run.key)

    def close(self) -> None:
        """See `Tracker`."""

    def _stored_runs(self) -> list[ml.Run]:
        found, token = [], None
        while True:
            page = self._client.search_runs(
                [self._experiment], f"tags.`{SEARCH_TAG}` = '{self._identity}'", page_token=token
            )
            found += page
            token = page.token
            if not token:
                return found

    def _as_known(self, run: ml.Run) -> _Known:
        known = _Known(run.info.run_id, run.info.status, set(run.data.params))
        every_point_has = "best_score" if run.data.tags[RUN_TAG] == "search" else "passes"
        if every_point_has in run.data.metrics:
            history = self._client.get_metric_history(known.id, every_point_has)
            known.step = max(entry.step for entry in history)
        return known

    def _create(self, run: Run) -> ml.Run:
        tags = {SEARCH_TAG: self._identity, RUN_TAG: run.key}
        if run.trial is not None:
            tags["mlflow.parentRunId"] = self._known["search"].id
        return self._client.create_run(
            self._experiment, start_time=_ms(run.started), tags=tags, run_name=run.name
        )

    def _log_settings(self, known: _Known, run: Run) -> None:
        """A parameter, once stored, cannot be changed."""
        missing = [ml.Param(k, _text(v)) for k, v in run.settings.items() if k not in known.params]
        for at in range(0, len(missing), AT_ONCE):
            self._client.log_batch(known.id, params=missing[at : at + AT_ONCE])
        known.params |= set(run.settings)

    def _log_points(self, known: _Known, run: Run) -> None:
        """Whole points at a time: a point is stored or it is not."""
        metrics: list[ml.Metric] = []
        for point in [*(point for point in run.points if point.step > known.step), None]:
            if metrics and (point is None or len(metrics) + len(point.values) > 10 * AT_ONCE):
                self._client.log_batch(known.id, metrics=metrics)
                known.step, metrics = metrics[-1].step, []
            if point is not None:
                metrics += _metrics(point)

    def _end(self, known: _Known, run: Run) -> None:
        """A trial's numbers become metrics, to sort by; all else becomes tags, which may change."""
        ended = run.ended or run.started
        numbers = {} if run.trial is None else run.numbers
        tags = [ml.RunTag(name, _text(v)) for name, v in run.summary.items() if name not in numbers]
        metrics = _metrics(Point(known.step, ended, numbers))
        self._client.log_batch(known.id, metrics=metrics, tags=tags)
        self._client.set_terminated(known.id, run.status, _ms(ended))
        known.status = run.status


def _metrics(point: Point) -> list[ml.Metric]:
    return [ml.Metric(name, value, _ms(point.time), point.step) for name, value in point.values.items()]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _text(value: Plain) -> str:
    """As in YAML."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def open_tracker(folder: SearchFolder, identity: str) -> Mlflow:
    """The user's own server and experiment where the environment names them, as MLflow's variables do."""
    address, store = os.environ.get("MLFLOW_TRACKING_URI"), None
    look = "in the MLflow that MLFLOW_TRACKING_URI names"
    if not address:
        store = (folder.path.parent / "mlflow").resolve()
        store.mkdir(exist_ok=True)
        address = f"sqlite:///{store / 'mlflow.db'}"
        shown = folder.path.parent / "mlflow" / "mlflow.db"
        look = f"mlflow server --backend-store-uri sqlite:///{shown} (from the full mlflow package)"
    client = MlflowClient(tracking_uri=address)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    return Mlflow(client, _experiment(client, name, store), identity, f"{look}, experiment {name}")


def _experiment(client: MlflowClient, name: str, store: Path | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            place = None if store is None else (store / "artifacts").as_uri()
            made: str = client.create_experiment(name, artifact_location=place)
            return made
        except MlflowException:  # another search has just made it
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    experiment: str = found.experiment_id
    return experiment
