"""The figures: what they show of the facts, and that nothing in a name is taken for markup."""

from __future__ import annotations

import math

import pytest

from search.report import facts, figures, parallel, style
from search.trials.trials import METRICS
from tests.synthetic import HOSTILE, synthetic_search, synthetic_view


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", [*style.PALETTE, style.NEUTRAL])
@pytest.mark.parametrize("page", ["#ffffff", "#1a1e24"])
def test_every_colour_stands_out_from_a_light_and_a_dark_page(colour, page):
    light, dark = sorted((_luminance(colour), _luminance(page)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) > 2.2


def test_a_family_keeps_its_colour_when_more_trials_come():
    before = style.colours(facts.families(synthetic_search(5)))
    after = style.colours(facts.families(synthetic_search(40)))
    assert before.items() <= after.items()


def test_every_trial_with_a_curve_has_a_mark_at_its_last_point():
    view = synthetic_view()
    found = facts.learning_curves(view, ["val_accuracy"])
    palette = style.colours(facts.families(view.records))
    figure = figures.curves(found, "val_accuracy", "accuracy", palette, leader=2)
    ends = {
        trial: (x, y, trace.marker.symbol)
        for trace in figure.data
        if trace.mode == "markers"
        for trial, x, y in zip(trace.customdata, trace.x, trace.y, strict=True)
    }
    for curve in found:
        last = max(i for i, value in enumerate(curve.values["val_accuracy"]) if math.isfinite(value))
        x, y, symbol = ends.pop(curve.trial)
        assert (x, y) == (curve.passes[last], curve.values["val_accuracy"][last])
        assert symbol == style.SYMBOLS[curve.outcome]
    assert not ends


def test_parallel_lines_pass_below_the_axis_of_a_setting_that_their_trial_never_had():
    view = synthetic_view(synthetic_search(40))
    settings = facts.settings_against_score(view)
    figure = parallel.parallel_coordinates(settings, view.metric, style.colours(facts.families(view.records)))
    place = [setting.path for setting in settings].index("model.args.width")
    had = set(settings[place].trials)
    crossings = [
        (custom[0], y)
        for trace in figure.data
        for x, y, custom in zip(trace.x, trace.y, trace.customdata, strict=True)
        if x == place
    ]
    assert {trial for trial, y in crossings if y >= 0} == had
    assert len(crossings) > len(had)


def test_names_are_escaped_and_long_ones_shortened():
    assert style.label(HOSTILE) == "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert style.label("$x$") == "&#36;x&#36;"
    assert len(style.label("a" * 100)) == style.LONGEST_LABEL


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("score", [0.0, 0.5])
def test_equal_scores_and_a_score_of_zero_can_be_drawn(metric, score):
    records = synthetic_search(8)
    for record in records:
        for epoch in record.history:
            epoch.metrics[metric.name] = score
    view = synthetic_view(records, metric=metric)
    palette = style.colours(facts.families(records))
    settings = facts.settings_against_score(view)
    assert parallel.parallel_coordinates(settings, metric, palette).data
    low, high = figures.slice_of(settings[0], metric, palette, settings[0].scores).layout.yaxis.range
    assert low < high


def test_many_trials_make_few_traces():
    view = synthetic_view(synthetic_search(300))
    found = facts.learning_curves(view, ["val_accuracy"])
    palette = style.colours(facts.families(view.records))
    assert len(figures.curves(found, "val_accuracy", "accuracy", palette, leader=None).data) < 40
