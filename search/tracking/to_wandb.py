"""Runs in Weights & Biases: a group a search; the search's own run is of job type `search`, others `trial`.

Without a login, or with WANDB_MODE=offline, runs are kept in the search's folder, to be sent by `wandb sync`.
What has been sent, or kept, of runs that ended is noted beside them: a trial that is resumed goes on there.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import wandb

from search.storage.folder import SearchFolder
from search.tracking.runs import Run, Status

PROJECT = "classifier-search"
OFFLINE: Final = "offline"
Mode = Literal["online", "offline", "disabled", "shared"]
NOTES = "sent.jsonl"


@dataclass(frozen=True)
class _Sent:
    """A run that was closed: ended, or cut off at this step."""

    run: str
    place: str
    step: int
    status: str
    folder: str


class Wandb:
    """Writes into one project."""

    def __init__(self, folder: SearchFolder, identity: str, *, project: str, mode: Mode, look: str) -> None:
        self.look = look
        self._folder, self._identity, self._group = folder, identity, folder.settings().name
        self._project, self._mode = project, mode
        self._place = f"{mode} {os.environ.get('WANDB_ENTITY', '')}/{project}"
        self._notes = folder.path / "wandb" / NOTES
        self._notes.parent.mkdir(exist_ok=True)
        notes = self._read_notes()
        self._noted = {sent.folder for sent in notes}
        self._sent = {sent.run: sent for sent in notes if sent.place == self._place}
        self._open: dict[str, _Opened] = {}

    def write(self, run: Run) -> None:
        """See `Tracker`."""
        sent = self._sent.get(run.key)
        if run.final and sent is not None and sent.status == run.status:
            return
        if run.key not in self._open:
            self._open[run.key] = self._begin(run, sent)
        opened = self._open[run.key]
        for point in run.points:
            if point.step > opened.step:
                opened.run.log({**point.values, "_timestamp": point.time}, step=point.step, commit=True)
                opened.step = point.step
        if run.status is not Status.RUNNING:
            self._keep_files(opened.run, run)
            opened.run.summary.update(run.summary)
            self._finish(run.key, run.status)

    def close(self) -> None:
        """See `Tracker`."""
        for key in list(self._open):
            self._finish(key, Status.KILLED)

    def _begin(self, run: Run, sent: _Sent | None) -> _Opened:
        identity = f"{self._identity}-{run.key}"
        if self._mode == OFFLINE:
            # What a killed process left cannot be gone on with, and nothing is lost: the records have it all.
            for left in self._notes.parent.glob(f"offline-run-*-{identity}"):
                if left.name not in self._noted:
                    shutil.rmtree(left)
        made = wandb.init(
            project=self._project,
            id=identity,
            name=run.name,
            group=self._group,
            job_type="search" if run.trial is None else "trial",
            config=run.settings,
            dir=str(self._folder.path),
            mode=self._mode,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(
                # The process that follows the records has nothing to say about a trial.
                console="off",
                silent=True,
                disable_git=True,
                disable_code=True,
                x_disable_stats=True,
                x_disable_meta=True,
                x_save_requirements=False,
            ),
        )
        step = max(made.starting_step - 1, 0 if sent is None else sent.step)
        return _Opened(made, step, Path(made.dir).parent.name)

    def _keep_files(self, opened: Any, run: Run) -> None:
        """The search's are an artifact, which has versions; those of a trial are files of its run."""
        if run.trial is not None:
            for name, content in run.files.items():
                path = Path(opened.dir) / name
                path.write_text(content, encoding="utf-8")
                opened.save(str(path), base_path=opened.dir, policy="now")
            return
        artifact = wandb.Artifact(f"{self._group}-{self._identity}", type="search")
        for name, content in run.files.items():
            with artifact.new_file(name, encoding="utf-8") as file:
                file.write(content)
        opened.log_artifact(artifact)

    def _finish(self, key: str, status: Status) -> None:
        opened = self._open.pop(key)
        opened.run.finish(exit_code=0 if status is Status.FINISHED else 1)
        sent = _Sent(key, self._place, opened.step, status, opened.folder)
        with self._notes.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(sent)) + "\n")
        self._sent[key] = sent
        self._noted.add(sent.folder)

    def _read_notes(self) -> list[_Sent]:
        lines = self._notes.read_text(encoding="utf-8").split("\n") if self._notes.exists() else []
        return [_Sent(**json.loads(line)) for line in lines[:-1]]


@dataclass
class _Opened:
    """A run that is being written."""

    run: Any
    step: int
    """Its curves are there up to this one."""
    folder: str


def open_tracker(folder: SearchFolder, identity: str) -> Wandb:
    """The project and mode that the environment or `wandb` itself was told; offline without a login."""
    kept = folder.path / "wandb"
    os.environ.setdefault("WANDB_DATA_DIR", str(kept.resolve()))  # artifacts wait there to be sent
    told = wandb.setup().settings
    project = told.project or PROJECT
    mode: Mode = told.mode
    logged_in = mode != "online" or wandb.login(prompt=False, verify=False)
    look = f"project {project}, group {folder.settings().name}"
    if mode == OFFLINE or not logged_in:
        mode = OFFLINE
        why = "offline" if logged_in else "not logged in"
        look = f"{why}, so runs are kept; send them by: wandb sync {kept}/offline-run-*"
    return Wandb(folder, identity, project=project, mode=mode, look=look)
