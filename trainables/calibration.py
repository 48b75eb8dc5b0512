"""Probabilities that hold what they promise, and below which one a picture is called unknown.

Both are fitted on pictures that the networks did not learn from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from spaces.part import Part, Positive, Share

FALSE_ALARM_RATE = 0.05
LEAST_PICTURES = 50
"""Fitted on 50 pictures, a temperature costs 0.01 nats over the best one, on 25 more than 0.02: more than it
gains where a network is nearly calibrated (`benchmarks/unknown.py`)."""
PRIOR_PICTURES = 1.0


class NotCalibratedError(Exception):
    """There is nothing to fit a calibration on; the message is the reason, in words."""


class FittedOn(Part):
    """What a calibration was fitted on."""

    runs: int
    """Networks of the same recipe, from other seeds."""
    pictures: int
    """That each of them was asked about, and none had learned from."""


class Calibration(Part):
    """What makes calibrated probabilities of a network's logits, and tells when it does not know."""

    temperature: Positive = 1.0
    """Divides the logits. Over 1, the network was too sure of itself."""
    fitted_on: FittedOn | None = None
    """None: nothing was fitted."""
    unknown_below: Share | None = None
    """A picture whose best class is less probable than this is called unknown; None: no picture is."""
    false_alarm_rate: Share | None = None
    """Expected share of pictures of known classes that are called unknown all the same."""


NOT_CALIBRATED = Calibration()


def fitted(
    labels: np.ndarray, runs: Sequence[np.ndarray], *, false_alarm_rate: float = FALSE_ALARM_RATE
) -> Calibration:
    """The calibration of one recipe's networks.

    Args:
        labels: int64 (N,), of pictures that no run learned from.
        runs: What each run says of these pictures: log-probabilities, (N, C) each.
        false_alarm_rate: See `Calibration`.

    Raises:
        NotCalibratedError: There are too few pictures.
    """
    if len(labels) < LEAST_PICTURES:
        raise NotCalibratedError(
            f"it takes {LEAST_PICTURES} pictures that nothing had learned from, and there are {len(labels)}"
        )
    found = best_temperature(np.tile(labels, len(runs)), np.concatenate(runs))
    scores = [np.exp(tempered(run, found).max(axis=1)) for run in runs]
    return Calibration(
        temperature=found,
        fitted_on=FittedOn(runs=len(runs), pictures=len(labels)),
        unknown_below=threshold(scores, false_alarm_rate),
        false_alarm_rate=false_alarm_rate,
    )


def best_temperature(labels: np.ndarray, log_probabilities: np.ndarray) -> float:
    """The temperature with the lowest log loss (Guo et al. 2017, On Calibration of Modern Neural Networks).

    The loss is convex in 1/T. A Gamma prior over 1/T with its mode at 1, which weighs as much as one picture,
    keeps the temperature finite where all answers are right, or no better than chance.

    Args:
        labels: int64 (N,).
        log_probabilities: (N, C), finite.
    """
    from scipy.optimize import brentq  # only now: it takes half a second, and using a model needs no fit

    said = log_probabilities.astype(np.float64)
    true = said[np.arange(len(said)), labels].sum()

    def slope(log_inverse: float) -> float:
        """Of the loss over 1/T: it only rises, from below zero to above."""
        inverse = math.exp(log_inverse)
        expected = (np.exp(tempered(said, 1 / inverse)) * said).sum()
        return float(expected - true + PRIOR_PICTURES * (1 - 1 / inverse))

    return math.exp(-brentq(slope, -40, 40))


def tempered(log_probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Log-probabilities (or logits) at a temperature: log-probabilities, float64 (N, C).

    The order of the classes stays: so does what is answered.
    """
    logits = log_probabilities.astype(np.float64) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def threshold(scores: Sequence[np.ndarray], false_alarm_rate: float) -> float | None:
    """Below which score a picture is called unknown; None where so few pictures allow no false alarm.

    A further known picture is as likely as any of the n to be the lowest of all, so that it is below the k-th
    lowest with a probability of at most k / (n + 1), however scores are distributed (conformal p-values;
    Bates et al. 2023, Testing for Outliers with Conformal p-Values). Several runs are pooled.

    Args:
        scores: Of each run for the same n pictures of known classes, (n,): the higher, the surer.
    """
    place = math.floor(false_alarm_rate * (len(scores[0]) + 1)) * len(scores)
    return float(np.sort(np.concatenate(scores))[place - 1]) if place else None
