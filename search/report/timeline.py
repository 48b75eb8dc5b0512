"""The time line: which trial trained where and when, drawn."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from search import text
from search.report.facts import Stint
from search.report.style import MANY, brief, empty_figure, label, time_unit

LANE_PX, NARROW_PX = 24, 12
MANY_LANES = 24
"""From here on lanes are narrow."""
WAITING = "rgba(0,0,0,0.62)"
"""Over the colour of any family, on a light and on a dark page."""


def timeline(found: Sequence[Stint], palette: dict[str, str], first_s: float = 0.0) -> go.Figure:
    """A bar a stint from its first epoch to its last, in lanes by node and device, from a moment on.

    The dark part at the beginning of a bar is as long as the stint waited for data in all.
    """
    unit, size = time_unit(max((stint.end_s for stint in found), default=0.0))
    rows = {key: row for row, key in enumerate(dict.fromkeys((s.node, s.device, s.lane) for s in found))}
    height = 70 + len(rows) * (LANE_PX if len(rows) < MANY_LANES else NARROW_PX)
    trials = text.count(len({stint.trial for stint in found}), "trial")
    figure = empty_figure(height, f"When {trials} trained on which device", x=f"{unit} of searching")
    gap = 0.0 if len(found) > MANY else 1.0
    for family, colour in palette.items():
        members = [stint for stint in found if stint.family == family]
        if members:
            _add_bars(
                figure,
                [rows[stint.node, stint.device, stint.lane] for stint in members],
                members,
                [stint.end_s - stint.start_s for stint in members],
                size,
                name=label(family),
                hovertext=[_told(stint) for stint in members],
                hovertemplate="trial %{customdata}<br>%{hovertext}<extra>%{fullData.name}</extra>",
                marker={"color": colour, "line": {"width": gap}},
            )
    waited = [stint for stint in found if stint.waited_s]
    _add_bars(
        figure,
        [rows[stint.node, stint.device, stint.lane] for stint in waited],
        waited,
        [stint.waited_s or 0.0 for stint in waited],
        size,
        name="waiting for data",
        marker={"color": WAITING, "line": {"width": 0}},
        hoverinfo="skip",  # the bar below tells it
    )
    first = {(node, device): row for (node, device, lane), row in rows.items() if lane == 0}
    figure.update_yaxes(
        tickvals=list(first.values()),
        ticktext=[label(f"{node} {device}".strip(), longest=22) for node, device in first],
        range=[len(rows) - 0.4, -0.6],
        showgrid=False,
    )
    figure.update_xaxes(range=[first_s / size, max(stint.end_s for stint in found) / size])
    figure.update_layout(barmode="overlay", bargap=0.18)
    return figure


def _add_bars(
    figure: go.Figure,
    rows: list[int],
    members: Sequence[Stint],
    lengths_s: Sequence[float],
    unit_s: float,
    **look: object,
) -> None:
    figure.add_bar(
        y=rows,
        x=[brief(length / unit_s) for length in lengths_s],
        base=[brief(stint.start_s / unit_s) for stint in members],
        orientation="h",
        customdata=[stint.trial for stint in members],
        **look,
    )


def _told(stint: Stint) -> str:
    epochs = f"{text.count(stint.epochs, 'epoch')} in {text.duration(stint.end_s - stint.start_s)}"
    waited = "" if stint.waited_s is None else f"<br>waited for data {text.duration(stint.waited_s)}"
    return f"{epochs}{waited}"
