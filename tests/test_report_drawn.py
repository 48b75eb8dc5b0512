"""What figures leave out where there are very many trials."""

from __future__ import annotations

import pandas as pd

from search.report import facts
from search.report.sections import Sections
from search.trials.trials import ranked
from tests.synthetic import synthetic_search, synthetic_view


def test_up_to_the_limit_all_trials_are_drawn():
    view = synthetic_view(synthetic_search(40))
    assert facts.drawn_trials(view) == set(range(40))
    assert Sections(view, dict.fromkeys(facts.families(view.records), "#000000"), None).thinned == ""


def test_of_more_the_best_are_drawn_and_an_even_sample_of_the_others():
    view = synthetic_view(synthetic_search(4000))
    drawn = facts.drawn_trials(view)
    assert len(drawn) == facts.MOST_DRAWN
    ranking = pd.Series([record.number for record in ranked(view.records, view.metric)])
    places = ranking.index[ranking.isin(drawn)]
    assert list(places[: facts.BEST_DRAWN]) == list(range(facts.BEST_DRAWN))
    gaps = pd.Series(places[facts.BEST_DRAWN :]).diff().dropna()
    assert set(gaps) == {3.0, 4.0}
    assert gaps.mean() * (facts.MOST_DRAWN - facts.BEST_DRAWN) > 3490


def test_a_setting_among_some_trials_keeps_what_it_says_of_them():
    view = synthetic_view(synthetic_search(40))
    for setting in facts.settings_against_score(view):
        kept = setting.among(set(range(0, 40, 3)))
        columns = ["values", "scores", "trials", "families", "outcomes"]
        table = pd.DataFrame({name: getattr(setting, name) for name in columns}, dtype=object)
        wanted = table[table["trials"].isin(range(0, 40, 3))]
        assert {name: getattr(kept, name) for name in columns} == wanted.to_dict(orient="list")
        assert (kept.path, kept.numeric, kept.log) == (setting.path, setting.numeric, setting.log)


def test_the_steps_of_the_best_score_stay_whichever_trials_are_drawn():
    found = facts.best_over_time(synthetic_view(synthetic_search(60)))
    kept = facts.best_to_draw(found, {found[5].trial})
    best = pd.Series([point.score for point in found]).cummax()
    steps = best.index[best.diff().fillna(1) > 0]
    assert kept == [found[i] for i in sorted({*steps, 5, len(found) - 1})]
