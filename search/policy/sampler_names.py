"""The samplers that a search can use, by name. No Optuna here: a command line is read before it is needed."""

from __future__ import annotations

SAMPLERS = {
    "forecast": "learns from all learning curves where trials end; random for its first thirty trials, "
    "or its first dozen where it has learned from former searches",
    "tpe": "for any space, and most of all one with conditions; random for its first ten trials",
    "gp": "for few trials that take long: it thinks for seconds over each; random for the first ten",
    "cmaes": "for many trials of few parameters, most of them numbers",
    "nsga2": "for many hundred trials",
    "random": "to compare with",
    "qmc": "as random, more even",
}
"""What each is good for."""
