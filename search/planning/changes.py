"""What may be asked of a search that is to go on, and what not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.settings.allowance import Allowance, EndedBy, span
from search.settings.settings import Settings
from search.storage.folder import FolderError, SearchFolder
from search.text import count
from search.trials.records import read

if TYPE_CHECKING:
    from search.planning.plan import Plan


def refuse_changes(folder: SearchFolder, plan: Plan) -> None:
    """Makes sure that a search can go on by this plan.

    Raises:
        FolderError: Data, space or settings that matter have changed, or a limit that is asked for anew is
            below what is used already; the message says which.
    """
    _refuse(folder, [*_changed_settings(folder, plan.settings), *_changed_contents(folder, plan)])
    _refuse_what_is_used_up(folder, plan.settings.allowance)


def refuse_changed_settings(folder: SearchFolder, settings: Settings) -> None:
    """The part of it that needs no plan: told before minutes go into one.

    Raises:
        FolderError: As `refuse_changes` does, but for data, space and weights.
    """
    _refuse(folder, _changed_settings(folder, settings))
    _refuse_what_is_used_up(folder, settings.allowance)


def _refuse(folder: SearchFolder, changes: list[str]) -> None:
    if changes:
        raise FolderError(
            f"{folder.path} cannot be resumed: {'; '.join(changes)}. What it has learnt "
            "would not hold. Resume without these changes, or start a new search under another --name."
        )


def _changed_settings(folder: SearchFolder, settings: Settings) -> list[str]:
    before = folder.settings()
    matters = before.what_matters()
    changes = [
        f"{name} was {matters[name]!r} and is {value!r}"
        for name, value in settings.what_matters().items()
        if matters[name] != value
    ]
    lower = [
        f"--{name.replace('_', '-')} is lower than it was, and trials may be over it"
        for name in ("max_params", "max_latency_ms")
        if _lower(getattr(settings, name), than=getattr(before, name))
    ]
    return changes + lower


def _changed_contents(folder: SearchFolder, plan: Plan) -> list[str]:
    stored, changes = folder.read_json(folder.settings_file), []
    if stored["space"] != plan.space.to_dict():
        changes.append(f"the search space differs from the one in {folder.space_file}")
    if stored["data_fingerprint"] != plan.prepared.report["fingerprint"]:
        changes.append(f"the pictures differ from those of {folder.data_file}")
    known = stored.get("weights", {})
    if other := [path for path, sha in known.items() if plan.weights.get(path) != sha]:
        # More of them are no change: a raised limit lets in networks with weights of their own.
        changes.append(f"the weights to start from ({', '.join(other)}) differ from those it had")
    return changes


def _refuse_what_is_used_up(folder: SearchFolder, allowed: Allowance) -> None:
    """Makes sure that limits which are asked for anew are not below what is used already.

    GPU hours are not looked at: what a trial reserves is known only where Ray is.
    """
    records, before = folder.records(), folder.settings().allowance
    trials = len(records.trials)
    passes = sum(record.passes for record in records.trials.values())
    time_s = records.elapsed_s + read(folder.rematch_records_file).elapsed_s
    cost = time_s / 3600 * allowed.price  # of one node: how many there are is not known yet
    used = [
        (EndedBy.TRIALS, allowed.trials, before.trials, trials, count(trials, "trial")),
        (EndedBy.EPOCHS, allowed.total_passes, before.total_passes, passes, count(round(passes), "epoch")),
        (EndedBy.TIME, allowed.time_s, before.time_s, time_s, span(time_s)),
        (EndedBy.COST, allowed.cost, before.cost, cost, f"{cost:.2f}"),
    ]
    for limit, asked, was, has, said in used:
        if asked is not None and asked != was and asked < has:
            raise FolderError(
                f"{limit.option} allows {allowed.limits[limit]}, and {folder.path} has used {said} already. "
                "Raise it, or leave it out: what is not given stays as it was."
            )


def _lower(limit: float | None, *, than: float | None) -> bool:
    return limit is not None and (than is None or limit < than)
