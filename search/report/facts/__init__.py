"""What the records say, as plain values: pure functions of a `SearchView`, without any drawing."""

from search.report.facts.curves import BestSoFar, Curve, best_over_time, best_to_draw, learning_curves
from search.report.facts.data import DataFacts, data_facts
from search.report.facts.drawn import BEST_DRAWN, MOST_DRAWN, drawn_trials
from search.report.facts.front import Candidate, candidates, pareto_front
from search.report.facts.importance import MIN_TRIALS, Importance, importances
from search.report.facts.model import Model, model
from search.report.facts.rematch import Rematch, rematch
from search.report.facts.settings import (
    FAMILY,
    Setting,
    families,
    family,
    setting_values,
    settings_against_score,
    varied_paths,
)
from search.report.facts.stopping import RungFacts, Stopping, stopping
from search.report.facts.summary import Command, Leader, Summary, Tested, summary
from search.report.facts.table import ranked_table
from search.report.facts.view import SearchView, outcome_name

__all__ = [
    "BEST_DRAWN",
    "FAMILY",
    "MIN_TRIALS",
    "MOST_DRAWN",
    "BestSoFar",
    "Candidate",
    "Command",
    "Curve",
    "DataFacts",
    "Importance",
    "Leader",
    "Model",
    "Rematch",
    "RungFacts",
    "SearchView",
    "Setting",
    "Stopping",
    "Summary",
    "Tested",
    "best_over_time",
    "best_to_draw",
    "candidates",
    "data_facts",
    "drawn_trials",
    "families",
    "family",
    "importances",
    "learning_curves",
    "model",
    "outcome_name",
    "pareto_front",
    "ranked_table",
    "rematch",
    "setting_values",
    "settings_against_score",
    "stopping",
    "summary",
    "varied_paths",
]
