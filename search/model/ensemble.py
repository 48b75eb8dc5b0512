"""An ensemble of the contenders that a rematch cannot tell apart, as the final model where it is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search.model.calibrated import calibration_of_ensemble
from search.model.training import Fitted, Told, forget, write_folder
from search.rematch.answers import answers_of, complete_runs, truth
from search.rematch.conclusion import Conclusion, concluded
from search.rematch.ensemble import Gain, gain
from search.storage.folder import FolderError, SearchFolder
from search.trials.trials import METRICS, TrialRecord
from spaces.ensemble import ensemble_recipe
from spaces.recipe import Recipe
from trainables.calibration import FALSE_ALARM_RATE
from trainables.data import read_split
from trainables.models.ensemble import joined
from trainables.models.size import latency_ms, parameters
from trainables.runtime import Runtime


@dataclass(frozen=True)
class Candidate:
    """An ensemble, before it is trained."""

    members: tuple[TrialRecord, ...]
    """The winner, then those that are tied with it, from best to worst."""
    left_out: dict[int, str]
    """Tied trials that cannot be members, and why."""
    selection: Gain | None
    """What it comes to on the selection part; None where the winner is the only member."""
    surcharge: float
    """By how much its costs make the score worse than the winner's do, with `--objectives`."""

    @property
    def kept(self) -> bool:
        """Whether it is better than the winner alone, on average over the runs of the rematch."""
        return self.selection is not None and self.selection.gain > self.surcharge

    def facts(self) -> dict[str, Any]:
        """The section `ensemble` of `metrics.json`, as far as it is known before the training."""
        return {
            "kept": self.kept,
            "trials": [member.number for member in self.members],
            "left_out": {str(trial): why for trial, why in self.left_out.items()},
            "selection": None if self.selection is None else asdict(self.selection),
            "surcharge": self.surcharge,
        }


def candidate(folder: SearchFolder) -> Candidate:
    """The winner of a rematch with those that are tied with it, and what they come to together.

    Raises:
        FolderError: There has been no rematch, or what it came to is damaged.
        AnswersError: What one of its runs answered is missing or damaged.
    """
    found, settings = concluded(folder), folder.settings()
    if found is None:
        way_out = (
            "" if settings.alone else f", or have a rematch first: {settings.resume_command} --rematch 3"
        )
        raise FolderError(
            f"{folder.path}: --ensemble joins the trials that a rematch cannot tell apart, and there was no "
            f"rematch. Leave --ensemble out{way_out}"
        )
    members, left_out = _members(folder, found)
    if len(members) < 2:
        return Candidate(members, left_out, None, 0.0)
    split = read_split(folder.split_file)
    said = [answers_of(folder, complete_runs(folder, member.number), split) for member in members]
    return Candidate(
        members,
        left_out,
        gain(METRICS[found.verdict.metric], said, *truth(split)),
        settings.all_objectives.surcharge(members, members[0]),
    )


def _members(folder: SearchFolder, found: Conclusion) -> tuple[tuple[TrialRecord, ...], dict[int, str]]:
    """Those who can be members, and of the others that are tied with the winner why not."""
    trials = folder.records().trials
    winner = trials[found.verdict.winner]
    square = _square(winner)
    tied = [
        trials[standing.trial]
        for standing in found.verdict.standings
        if standing.tied and standing.trial != winner.number
    ]
    left_out = {
        record.number: f"it makes pictures square by {_square(record)}, the winner by {square}, and one "
        "model gets one square"
        for record in tied
        if _square(record) != square
    }
    return (winner, *(record for record in tied if record.number not in left_out)), left_out


def _square(record: TrialRecord) -> str:
    return Recipe.model_validate(record.trial.recipe).geometry.fit


def write_ensemble(
    folder: SearchFolder,
    of: Candidate,
    fitted: Sequence[Fitted],
    out: Path,
    *,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    onnx: bool = False,
    runtime: Runtime | None = None,
    told: Told = lambda line: None,
) -> None:
    """Joins the members and writes the ensemble's folder, as `search.model.training.write_model` a model's.

    Args:
        fitted: The trained members, in order.

    Raises:
        FolderError: What the rematch left is damaged.
        ExportError: The files do not say what the ensemble says. In both cases nothing was read, and the
            trainings are not lost.
    """
    recipe = ensemble_recipe(tuple(member.config.recipe for member in fitted))
    largest = max(fitted, key=lambda member: member.config.recipe.geometry.size_px)
    classes, objectives = largest.data.classes, folder.settings().all_objectives
    trials = [member.number for member in of.members]
    members = [
        {
            "trial": record.number,
            "search_score": objectives.values(record),
            "seed": member.config.seed,
            "epochs": int(member.kept["epoch"]),
            "train_loss": member.kept["train_loss"],
            "seconds": round(member.seconds, 1),
        }
        for record, member in zip(of.members, fitted, strict=True)
    ]
    size = {
        "parameters": parameters(recipe, len(classes)),
        "latency_ms": latency_ms(recipe, len(classes), (runtime or Runtime()).resolved_device()),
    }
    write_folder(
        folder,
        joined(recipe, [member.model for member in fitted], len(classes)),
        recipe,
        largest.data,
        out,
        calibrated=calibration_of_ensemble(folder, trials, false_alarm_rate=false_alarm_rate),
        parts=largest.parts,
        onnx=onnx,
        runtime=runtime,
        told=told,
        trained={"epochs": None, "train_loss": None},
        trial=None,
        search_score=None,
        ensemble={**of.facts(), **size, "members": members},
        seed=None,
        seconds=round(sum(member.seconds for member in fitted), 1),
    )
    forget(out)
