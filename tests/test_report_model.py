"""The tested model on the page, compared with scikit-learn and pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from search.report import facts, tested
from search.report.facts import Model
from search.report.page import page_text
from tests.finals import CLASSES, model_metrics, predictions
from tests.synthetic import HOSTILE, synthetic_view


@pytest.fixture
def found() -> Model:
    known = facts.model(synthetic_view(model=model_metrics()))
    assert known is not None
    return known


def test_a_search_without_a_model_has_nothing_to_say_of_one() -> None:
    view = synthetic_view()
    assert facts.model(view) is None
    assert "on the test part</h2>" not in page_text(view, facts.ranked_table(view))


def test_the_confusion_matrix_is_scikit_learns(found: Model) -> None:
    labels, said = predictions()
    wanted = confusion_matrix(labels, said.argmax(axis=1), labels=range(4))
    np.testing.assert_array_equal(found.counts, wanted)
    shares = confusion_matrix(labels, said.argmax(axis=1), labels=range(4), normalize="true")
    np.testing.assert_allclose(found.shares, shares)
    assert found.shares[3] == [0, 0, 0, 0]


def test_the_pairs_are_those_of_pandas_the_most_frequent_first(found: Model) -> None:
    labels, said = predictions()
    table = pd.DataFrame({"truth": labels, "answer": said.argmax(axis=1)})
    wrong = table[table["truth"] != table["answer"]].value_counts()
    assert [pair.pictures for pair in found.pairs] == sorted(wrong, reverse=True)[:10]
    for pair in found.pairs:
        truth, answer = CLASSES.index(pair.truth), CLASSES.index(pair.answer)
        assert pair.pictures == wrong[truth, answer]
        assert pair.share == pytest.approx(pair.pictures / (labels == truth).sum())


def test_the_hardest_class_comes_first(found: Model) -> None:
    known = [one.f1 for one in found.scores if one.f1 is not None]
    assert known == sorted(known)
    assert {one.name for one in found.scores} == set(CLASSES)
    assert sum(one.pictures for one in found.scores) == 400


def test_what_is_said_of_its_probabilities(found: Model) -> None:
    test = model_metrics()["test"]
    top = test["top_k"]["3"]
    assert found.sentences[0].endswith(f", {top:.1%} among the 3 most probable.")
    assert f"(temperature 1.5): on average they are off by {test['ece']:.1%}" in found.sentences[1]
    assert (
        "would be by 9.0% without. A picture whose best class is less probable than 40.0%"
        in found.sentences[1]
    )
    assert found.sentences[1].endswith(f" is called unknown: {test['called_unknown']} of these 400 were.")
    plain = facts.model(
        synthetic_view(model=model_metrics(calibration=None, not_calibrated="there was no rematch"))
    )
    assert plain is not None
    assert plain.sentences[1] == "Its probabilities are not calibrated: there was no rematch."


def test_a_model_of_an_older_version_shows_what_it_noted() -> None:
    test = {name: model_metrics()["test"][name] for name in ("accuracy", "macro_f1", "log_loss", "n")}
    matrix = {"classes": CLASSES, "confusion_matrix": model_metrics()["test"]["confusion_matrix"]}
    old = facts.model(synthetic_view(model={"trial": 1, "test": test | matrix}))
    assert old is not None
    assert (old.scores, old.bins, old.sentences) == ([], [], [])
    view = synthetic_view(model={"trial": 1, "test": test | matrix})
    assert "Who is taken for whom" in page_text(view, facts.ranked_table(view))


def test_hits_and_mistakes_are_drawn_apart_and_every_share_is_there(found: Model) -> None:
    figure = tested.confusion(found)
    hits, mistakes = (np.array(trace.z, dtype=float) for trace in figure.data)
    together = np.where(np.isnan(hits), np.nan_to_num(mistakes), hits)
    np.testing.assert_allclose(together, found.shares)
    assert np.isnan(hits[~np.eye(4, dtype=bool)]).all()
    assert figure.data[1].zmax == np.nanmax(mistakes)
    assert "<script>" not in str(figure.to_json())


def test_fifty_classes_have_no_numbers_in_their_cells_and_stay_on_a_page() -> None:
    many = Model(
        [f"class {place}" for place in range(50)],
        np.eye(50, dtype=int).tolist(),
        np.eye(50).tolist(),
        [],
        [],
        [],
        [],
    )
    figure = tested.confusion(many)
    assert figure.data[0].text is None
    assert figure.layout.height < 800


def test_the_reliability_curve_is_that_of_the_bins(found: Model) -> None:
    labels, said = predictions()
    curve = tested.reliability(found).data[1]
    hits, confidence = said.argmax(axis=1) == labels, np.exp(said.max(axis=1))
    bins = pd.qcut(confidence, 15, labels=False)
    np.testing.assert_allclose(curve.x, pd.Series(confidence).groupby(bins).mean(), rtol=1e-5)
    np.testing.assert_allclose(curve.y, pd.Series(hits).groupby(bins).mean())


def test_names_are_only_names_on_the_page() -> None:
    view = synthetic_view(model=model_metrics())
    page = page_text(view, facts.ranked_table(view))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert HOSTILE not in page
