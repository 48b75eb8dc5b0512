"""What `metrics.json` says of an ensemble, in words: for the page, and for the terminal."""

from __future__ import annotations

from typing import Any

from search import text
from search.trials.trials import METRICS

CHOSEN_BY = (
    "These pictures chose the trials, and whether to join them, so luck is in both numbers: the one to trust "
    "is the test score."
)


def ensemble(found: dict[str, Any]) -> list[str]:
    """Which trials were to be joined, what that came to on the selection part, and what it costs.

    Args:
        found: `ensemble` in `metrics.json`; what is known only of a trained one may be missing.
    """
    trials, selection = found["trials"], found["selection"]
    left_out = [
        f"Trial {trial} is tied with trial {trials[0]} and was left out: {why}."
        for trial, why in found["left_out"].items()
    ]
    if selection is None:
        return [
            f"No ensemble: nothing that could join trial {trials[0]} is known to be tied with it.",
            *left_out,
        ]
    names = f"trials {text.listed(trials)}"
    together, alone = (_scores(selection, who) for who in ("together", "alone"))
    came_to = (
        f"on the selection part it has {together}, and trial {trials[0]} alone {alone}, on average over "
        f"{text.count(selection['runs'], 'run')} of the rematch: {_gain(selection, found['surcharge'])}"
    )
    if not found["kept"]:
        return [f"No ensemble of {names}, for it gains nothing on average: {came_to}.", *left_out]
    said = (
        f"An ensemble, the mean of the probabilities of {names}, kept for what it gains on average: {came_to}"
    )
    return [f"{said}. {CHOSEN_BY}", *_size(found), *left_out]


def _scores(selection: dict[str, Any], who: str) -> str:
    """The search's metric, and beside it another."""
    beside = "val_accuracy" if selection["metric"] == "val_loss" else "val_loss"
    scores = [
        f"{text.score(selection[who][name], name)} {METRICS[name].quantity}"
        for name in (selection["metric"], beside)
    ]
    return f"{scores[0]} ({scores[1]})"


def _gain(selection: dict[str, Any], surcharge: float) -> str:
    name, by, interval = selection["metric"], selection["gain"], selection["gain_95"]
    said = f"a gain of {text.difference(by, name)}"
    if interval is not None:
        said += f" (95% interval {text.between(interval, name)})"
    return f"{said}, less {text.difference(surcharge, name)} for what it costs" if surcharge else said


def _size(found: dict[str, Any]) -> list[str]:
    if "parameters" not in found:
        return []
    return [
        f"Together its members have {text.amount(found['parameters'])} parameters and take "
        f"{text.number(found['latency_ms'])} ms a picture."
    ]
