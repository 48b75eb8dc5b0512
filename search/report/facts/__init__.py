"""What the records say, as plain values: pure functions of a `SearchView`, without any drawing."""

from search.report.facts.curves import BestSoFar, Curve, best_over_time, best_to_draw, learning_curves
from search.report.facts.data import DataFacts, data_facts
from search.report.facts.drawn import BEST_DRAWN, MOST_DRAWN, drawn_trials
from search.report.facts.explained import Explained, explained
from search.report.facts.front import Candidate, candidates, objectives_of, pareto_front
from search.report.facts.importance import MIN_TRIALS, Importance, importances
from search.report.facts.method import method
from search.report.facts.model import Model, model
from search.report.facts.rematch import Rematch, rematch
from search.report.facts.rungs import CONTROL, OTHERWISE, STOPPED, WENT_ON, Arrival, arrivals, fates, levels
from search.report.facts.runs import Run, Runs, rematch_runs
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
from search.report.facts.timeline import Place, Stint, places, stints
from search.report.facts.view import SearchView, outcome_name

__all__ = [
    "BEST_DRAWN",
    "CONTROL",
    "FAMILY",
    "MIN_TRIALS",
    "MOST_DRAWN",
    "OTHERWISE",
    "STOPPED",
    "WENT_ON",
    "Arrival",
    "BestSoFar",
    "Candidate",
    "Command",
    "Curve",
    "DataFacts",
    "Explained",
    "Importance",
    "Leader",
    "Model",
    "Place",
    "Rematch",
    "Run",
    "RungFacts",
    "Runs",
    "SearchView",
    "Setting",
    "Stint",
    "Stopping",
    "Summary",
    "Tested",
    "arrivals",
    "best_over_time",
    "best_to_draw",
    "candidates",
    "data_facts",
    "drawn_trials",
    "explained",
    "families",
    "family",
    "fates",
    "importances",
    "learning_curves",
    "levels",
    "method",
    "model",
    "objectives_of",
    "outcome_name",
    "pareto_front",
    "places",
    "ranked_table",
    "rematch",
    "rematch_runs",
    "setting_values",
    "settings_against_score",
    "stints",
    "stopping",
    "summary",
    "varied_paths",
]
