"""The search in a few sentences: what was searched, what won, and what to type next."""

from __future__ import annotations

import re
import shlex
from typing import Any, NamedTuple

from search import text
from search.report.facts.data import data_facts
from search.report.facts.rematch import Contender, rematch
from search.report.facts.settings import FAMILY, families, family, setting_values, varied_paths
from search.report.facts.view import SearchView, outcome_name
from search.settings.allowance import EndedBy
from search.settings.settings import resume_command
from search.statistics.intervals import Interval
from search.trials.trials import METRICS, Outcome, TrialRecord, ranked


class Command(NamedTuple):
    """Something to type next."""

    purpose: str
    line: str


class Leader(NamedTuple):
    """The trial at the top of the table."""

    trial: int
    family: str
    score: float
    settings: dict[str, Any]
    """By path, without the family."""
    cost: str
    objectives: str
    """The metric and the costs beside it, in words; empty where nothing counts but the metric."""
    rematch: Contender | None
    """What it came to with fresh seeds; None where there has been no rematch."""
    caveat: str
    """How far to trust these numbers."""


class Tested(NamedTuple):
    """What the model in `model/` scores on the test part."""

    accuracy: float
    interval: Interval | None
    """95%; None where an older model did not note it."""
    pictures: int
    about: str
    """Its other scores, which trial it is of, and how often the test part has been read."""


class Summary(NamedTuple):
    """What a page says first."""

    headline: str
    sentences: list[str]
    outcomes: dict[str, int]
    """Trials by how they ended, in the order of `Outcome`; none with zero."""
    leader: Leader | None
    """None as long as no trial has a score."""
    test: Tested | None
    """None as long as no model has been tested."""
    commands: list[Command]


def summary(view: SearchView) -> Summary:
    """The summary of a search in any state, also one without a single trial with a score."""
    names = [outcome_name(record, view.state) for record in view.records]
    order = [str(outcome) for outcome in Outcome] + ["running", "cut off"]
    outcomes = {name: names.count(name) for name in order if name in names}
    best = _best(view)
    leader = _leader(view, best) if best else None
    told = (
        _searched(view),
        _ranking(view),
        _data(view),
        "" if view.alone else _ended(view, outcomes),
        _budget(view),
        _waited(view),
    )
    return Summary(
        headline=_headline(view, leader),
        sentences=[sentence for sentence in told if sentence],
        outcomes=outcomes,
        leader=leader,
        test=_test_score(view),
        commands=_commands(view, leader is not None),
    )


def _best(view: SearchView) -> TrialRecord | None:
    if view.rematch is not None:
        return next(record for record in view.records if record.number == view.rematch.verdict.winner)
    return next(iter(ranked(view.records, view.metric)), None)


def _leader(view: SearchView, best: TrialRecord) -> Leader | None:
    score = best.score(view.metric)
    if score is None:
        return None
    paths = [path for path in varied_paths(view.records) if path != FAMILY]
    cost = f"{text.count(best.epochs_done, 'epoch')} in {text.duration(best.seconds)}"
    objectives = view.objectives.said(best) if view.objectives else ""
    played = rematch(view)
    won = played.winner if played else None
    if won:
        cost += (
            f", {text.amount(won.parameters)} parameters, {text.number(won.latency_ms)}\u00a0ms a picture, "
            f"{text.duration(won.epoch_s)} an epoch in the rematch"
        )
    settings = setting_values(best, paths)
    return Leader(best.number, family(best), score, settings, cost, objectives, won, _caveat(view, best))


def _test_score(view: SearchView) -> Tested | None:
    if not view.model:
        return None
    test, trial = view.model["test"], view.model["trial"]
    scores = f"macro-F1 {text.score(test['macro_f1'], 'macro_f1')}, log loss {text.number(test['log_loss'])}"
    of_trial = "" if view.alone or trial is None else f" It is trial {trial}, retrained."
    joined = view.model.get("ensemble") or {"kept": False}
    if joined["kept"]:
        of_trial = f" It is an ensemble of trials {text.listed(joined['trials'])}, retrained."
    read = f"The test part has been read {text.count(view.test_readings, 'time')} so far."
    interval = test.get("accuracy_95")
    about = f"{scores}.{of_trial} {read}"
    return Tested(test["accuracy"], (interval[0], interval[1]) if interval else None, test["n"], about)


def _headline(view: SearchView, leader: Leader | None) -> str:
    if leader is None and view.alone:
        diverged = any(record.outcome is Outcome.DIVERGED for record in view.records)
        return "The training diverged" if diverged else "No epoch has ended"
    if leader is None:
        return "No trial has a score yet" if view.state == "running" else "No trial has a score"
    if leader.rematch is not None:
        metric = METRICS[view.rematch.verdict.metric] if view.rematch else view.metric
        return f"{leader.family} wins with {text.score(leader.rematch.mean, metric.name)} {metric.quantity}"
    verb = "wins with" if view.state == "finished" else "leads with"
    return f"{leader.family} {verb} {text.score(leader.score, view.metric.name)} {view.metric.title}"


def _trained(view: SearchView) -> str:
    (record,) = view.records
    trial = record.trial
    source = f"{trial.source}: " if trial.source else ""
    return (
        f"{source}{family(record)} trained for {record.epochs_done} of "
        f"{text.count(trial.epochs, 'epoch')}, seed {trial.seed}, in {text.duration(view.elapsed_s)}."
    )


def _searched(view: SearchView) -> str:
    if view.alone and view.records:
        return _trained(view)
    asked = view.settings.get("trials")
    tried = text.count(len(view.records), "trial")
    if asked and asked != len(view.records):
        tried = f"{len(view.records):,} of {text.count(asked, 'trial')}"
    kinds = text.count(len(families(view.records)), "family", "families")
    where = f" from the space {view.settings['space']}" if view.settings.get("space") else ""
    by = f", suggested by {view.settings['sampler']}" if view.settings.get("sampler") else ""
    length = view.settings.get("max_epochs")
    upto = f", up to {text.count(length, 'epoch')} each" if length else ""
    workers = view.settings.get("concurrency")
    beside = f", {workers} at a time" if workers and workers > 1 else ""
    seed = f", seed {view.settings['seed']}" if view.settings.get("seed") is not None else ""
    took = text.duration(view.elapsed_s - view.rematch_s)
    took += f", and {text.duration(view.rematch_s)} for the rematch" if view.rematch_s else ""
    return (
        f"{tried} of {kinds}{where}{by}{upto}{beside}{seed}, in {took}."
        if view.records
        else f"No trial has started{where}{upto}{seed}."
    )


def _ranking(view: SearchView) -> str:
    """The number that steered the search, where it is not the metric alone."""
    if view.objectives is None:
        return ""
    return f"Steered and ranked by {view.objectives.definition}."


def _data(view: SearchView) -> str:
    data = data_facts(view)
    if data is None:
        return ""
    parts = ", ".join(f"{n:,} {part}" for part, n in data.totals.items())
    total = text.count(sum(data.totals.values()), "picture")
    return f"{total} from {data.source} in {text.count(len(data.counts), 'class', 'classes')}: {parts}."


def _ended(view: SearchView, outcomes: dict[str, int]) -> str:
    by_budget = sum(record.ended_by_budget for record in view.records)
    outcomes = {**outcomes, "stopped": outcomes.get("stopped", 0) - by_budget, "by_budget": by_budget}
    means = {
        "stopped": "stopped early as too weak",
        "by_budget": "ended by the budget",
        "timed_out": "timed out",
        "out_of_memory": "out of memory",
    }
    told = ", ".join(f"{n:,} {means.get(name, name)}" for name, n in outcomes.items() if n)
    sentences = [f"Outcomes: {told}."] if told else []
    if view.cut_short:
        sentences.append("It ended early: hardly any other recipe of the space is new and within the limits.")
    return " ".join(sentences)


def _budget(view: SearchView) -> str:
    """What the search might use, where that was more than a number of trials."""
    if not set(view.limits) - {EndedBy.TRIALS}:
        return ""
    said = f"Its budget: {', '.join(view.limits.values())}"
    return f"{said}; it ended by {view.ended_by.option}." if view.ended_by else f"{said}."


def _waited(view: SearchView) -> str:
    """How much of the training was spent on waiting for batches."""
    epochs = [epoch.metrics for record in view.records for epoch in record.history]
    known = [metrics for metrics in epochs if "data_wait_s" in metrics]  # older records do not tell
    train_s = sum(metrics["train_s"] for metrics in known)
    if not train_s:
        return ""
    share = sum(metrics["data_wait_s"] for metrics in known) / train_s
    return f"While training, devices waited for data {share:.1%} of the time."


def _caveat(view: SearchView, best: TrialRecord) -> str:
    """A score that steered the choice promises too much: said where the score stands."""
    short = ""
    if best.outcome is not None and best.epochs_done < best.trial.epochs:
        short = f"The best trial ran {best.epochs_done} of its {text.count(best.trial.epochs, 'epoch')}. "
    if view.alone:
        return f"{short}The validation part was watched on the way: the number to trust is the test score."
    if view.rematch is not None:
        until = "." if view.model else "; until then, the rematch's."
        return f"{short}The number to trust is the test score of the retrained model{until}"
    return (
        f"{short}Validation scores steered the search and flatter its best trials a little; the number to "
        "trust is the test score of the retrained model."
    )


def _commands(view: SearchView, scored: bool) -> list[Command]:
    name, folder = shlex.quote(view.name), shlex.quote(f"results/{view.name}")
    again = resume_command(name, alone=view.alone)
    retrain = f"python -m search.retrain {folder}"
    predict = f"python -m search.predict {folder}/model PICTURE-OR-FOLDER"
    if view.state == "running":
        return [Command("Look again at a later moment", f"python -m search.leaderboard {folder}")]
    if view.alone:
        if view.state != "finished":
            return [Command("Go on where it ended", again)]
        found = [
            Command("Name what is in a picture", predict),
            Command("Train it on everything but the test part", retrain),
        ]
        return found if scored else []
    found = [] if view.model else [Command("Train the winner for real and export it", retrain)]
    if found and view.rematch and sum(bool(one.tied) for one in view.rematch.verdict.standings) > 1:
        found += [
            Command("Or those that are tied with it, as one, if that is better", f"{retrain} --ensemble")
        ]
    found += [Command(f"{'Name' if view.model else 'Then name'} what is in a picture", predict)]
    found = found if scored else []
    if view.state != "finished":
        return [Command("Go on where it ended", again), *found]
    if view.cut_short:
        higher = _higher_limits(view)
        return [*found, *([Command("Search on, within higher limits", again + higher)] if higher else [])]
    return [*found, Command("Search on", again + _more(view))]


def _more(view: SearchView) -> str:
    """Twice of what ended the search."""
    asked = view.settings.get(view.ended_by) if view.ended_by else None
    if not view.ended_by or not asked or view.ended_by is EndedBy.TRIALS:
        return f" --trials {2 * len(view.records) or 16}"
    twice = re.sub(r"[\d.]+", lambda found: f"{2 * float(found[0]):.12g}", str(asked))  # 1h30m becomes 2h60m
    return f" {view.ended_by.option} {twice}"


def _higher_limits(view: SearchView) -> str:
    limits = {name: view.settings.get(name) for name in ("max_params", "max_latency_ms")}
    return "".join(
        f" --{name.replace('_', '-')} {2 * limit:.12g}" for name, limit in limits.items() if limit is not None
    )
