"""Draws what runs of the search benchmark say: regret over time, by objective and method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np

from benchmarks.quality.regret import interval
from benchmarks.quality.tables import OURS, all_runs, regrets

FROM = 5
"""Percent of the time: before that most have nothing to show."""
LOWEST = 0.05
"""Of the axis, which is logarithmic: late gains are small, and worth as much."""
PALETTE = matplotlib.colormaps["tab20"].colors[:6:2] + matplotlib.colormaps["tab20"].colors[8:]
"""Without the reds: red is ours."""


def draw(runs: Sequence[dict[str, Any]], path: Path) -> None:
    """Writes an SVG file: a panel for each objective with the mean regret of each method over its runs, and
    of ours the 95% interval."""
    names = list(dict.fromkeys(run["objective"] for run in runs))
    methods = sorted({run["method"] for run in runs} - {OURS})
    plt.rcParams |= {"svg.hashsalt": "regret", "font.size": 9}
    plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False}
    figure, panels = plt.subplots(1, len(names), figsize=(4 * len(names), 4.2), squeeze=False)
    for panel, name in zip(panels[0], names, strict=True):
        found = regrets([run for run in runs if run["objective"] == name])
        for place, method in enumerate(methods):
            if method in found:
                _line(panel, all_runs(found[method]), label=method, color=PALETTE[place % len(PALETTE)], lw=1)
        if OURS in found:
            lost = all_runs(found[OURS])
            _line(panel, lost, label=OURS, color="#d62728", lw=2.2)
            low, high = np.array([interval(values) for values in lost.T]).T
            panel.fill_between(
                _percent(lost), low, high, where=_percent(lost) >= FROM, color="#d62728", alpha=0.15, lw=0
            )
        panel.set(title=name, xlabel="% of the time", xlim=(FROM, 100), yscale="log", ylim=(LOWEST, 1))
        ticks = [0.05, 0.1, 0.2, 0.5, 1.0]
        panel.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.minorticks_off()
        panel.grid(alpha=0.25)
    panels[0][0].set_ylabel("normalised regret (mean over runs)")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="lower center", ncols=6, frameon=False)
    figure.tight_layout(rect=(0, 0.11, 1, 1))
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _line(panel: Any, lost: np.ndarray, **style: Any) -> None:
    percent = _percent(lost)
    panel.plot(percent[percent >= FROM], lost.mean(axis=0)[percent >= FROM], **style)


def _percent(lost: np.ndarray) -> np.ndarray:
    return 100 * np.arange(1, lost.shape[1] + 1) / lost.shape[1]
