"""What TensorBoard's own readers find in its files is what the records say."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tensorboard.plugins.hparams import metadata
from tensorboard.util.tensor_util import make_ndarray

from search.storage.folder import SearchFolder, State
from search.tracking import follow as following
from search.tracking.follow import follow
from search.tracking.runs import Status, trial_run
from search.tracking.to_tensorboard import open_tracker
from tests.synthetic import EPOCHS, synthetic_search
from tests.tracked import end, events, tell, told_folder
from tests.tracker_readers import in_tensorboard, tensorboard_agrees

EVENTS = events(synthetic_search())
TRIALS = {f"trial-{number}" for number in range(16)}


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    folder = told_folder(tmp_path / "mine", EVENTS, max_epochs=EPOCHS)
    end(folder)
    return folder


def test_every_metric_of_every_epoch_of_every_trial_is_there(folder: SearchFolder) -> None:
    follow(folder, "tensorboard", print)
    found, records = in_tensorboard(folder), folder.records().all()
    assert set(found.Runs()) == {"search", *TRIALS}
    for entry in records:
        tensorboard_agrees(found, entry)
    diverged = found.Scalars("trial-4", "val/val_loss")
    assert math.isnan(diverged[-1].value)


def test_the_search_has_a_curve_of_its_best_score_and_its_texts(folder: SearchFolder) -> None:
    follow(folder, "tensorboard", print)
    found = in_tensorboard(folder)
    best = [point.value for point in found.Scalars("search", "best/best_score")]
    assert best == sorted(best)
    scores = [entry.score(folder.settings().scored_by) or 0 for entry in folder.records().all()]
    assert best[-1] == pytest.approx(max(scores))
    (said,) = found.Tensors("search", "best_config.yaml")
    assert b"epochs: 9" in make_ndarray(said.tensor_proto).item()


def test_the_hparams_plugin_has_settings_ends_and_what_differed(folder: SearchFolder) -> None:
    follow(folder, "tensorboard", print)
    contents = in_tensorboard(folder).PluginRunToTagToContent(metadata.PLUGIN_NAME)
    for entry in folder.records().all():
        content = contents[f"trial-{entry.number}"]
        start = metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG])
        assert start.hparams["optim.lr"].number_value == entry.trial.recipe["optim"]["lr"]
        assert start.hparams["model.name"].string_value == entry.trial.recipe["model"]["name"]
        assert start.hparams["optim.batch_size"].number_value == entry.trial.recipe["optim"]["batch_size"]
        assert ("ema.decay" in start.hparams) == (entry.trial.recipe["ema"]["decay"] is not None)
        stop = metadata.parse_session_end_info_plugin_data(content[metadata.SESSION_END_INFO_TAG])
        assert stop.end_time_secs == entry.ended
        succeeded = trial_run(entry, folder.settings(), State.FINISHED).status is Status.FINISHED
        assert stop.status == (1 if succeeded else 2)
    shown = metadata.parse_experiment_plugin_data(contents["search"][metadata.EXPERIMENT_TAG])
    assert {"optim.lr", "model.name", "ema.decay"} <= {info.name for info in shown.hparam_infos}
    assert "keep" not in {info.name for info in shown.hparam_infos}
    assert [info.name.tag for info in shown.metric_infos] == ["summary/score", "val/val_accuracy"]


def test_a_resumed_search_has_every_point_once(tmp_path: Path) -> None:
    folder = told_folder(tmp_path / "mine", EVENTS[:45], max_epochs=EPOCHS)
    follow(folder, "tensorboard", print)  # its driver was killed
    before = in_tensorboard(folder)
    for entry in folder.records().all():
        tensorboard_agrees(before, entry)
    tell(folder, EVENTS[45:])
    end(folder)
    follow(folder, "tensorboard", print)
    follow(folder, "tensorboard", print)
    after = in_tensorboard(folder)
    for entry in folder.records().all():
        tensorboard_agrees(after, entry)


def test_points_can_be_read_while_the_trial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = told_folder(tmp_path / "mine", EVENTS[:20], max_epochs=EPOCHS)
    tracker = open_tracker(folder, "id")
    monkeypatch.setattr(following, "open_tracker", lambda *asked: tracker)
    running = next(entry for entry in folder.records().all() if entry.outcome is None and entry.history)
    tracker.write(trial_run(running, folder.settings(), State.RUNNING))
    tensorboard_agrees(in_tensorboard(folder), running)
    tracker.close()
