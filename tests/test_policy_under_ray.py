"""Under Ray a search tries and stops what its policy says without Ray, for the same order of events."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from search.costs.cost_model import CostModel
from search.policy.asha import Decision
from search.policy.forecast_search import GUIDED_FROM
from search.policy.policy import make_policy
from search.trials.records import FILE, Records
from search.trials.trials import METRICS
from spaces.space_files import load_space
from tests.commands import Desk

pytestmark = pytest.mark.slow

TRIALS, EPOCHS = 40, 3
TWO_FAMILIES = """
description: two small networks
base:
  geometry: {size_px: 16}
  optim: {batch_size: 24}
parameters:
  model.name: {choice: [plain_cnn, binary_cnn]}
  model.args.width: {choice: [8, 16], when: {model.name: plain_cnn}}
  optim.lr: {log: [1.0e-4, 1.0e-1]}
"""
METRIC = METRICS["val_accuracy"]


def test_under_ray_a_search_does_what_its_policy_says_without_it(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    asked = ("--trials", str(TRIALS), "--max-epochs", str(EPOCHS), "--cost-model", "static", "--seed", "4")
    kept = ("--space", desk.space(TWO_FAMILIES), "--audit", "0", "--concurrency", "2", "--name", "real")
    status, output = desk.search(*asked, *kept)
    assert status == 0, output

    searched, known = load_space(str(tmp_path / "space.yaml")), Records()
    cost = CostModel("static", known, searched, classes=2, passes=EPOCHS, pictures=1)
    policy = make_policy(searched, METRIC, name="forecast", seed=4, max_passes=EPOCHS, cost=cost.of)
    suggested, decisions = 0, dict[int, Decision]()
    for line in (tmp_path / "results" / "real" / FILE).read_text().splitlines():
        event = json.loads(line)
        known.apply(event)
        if event["event"] == "trial":
            record = known.trials[event["trial"]["number"]]
            if record.trial.origin == "given":
                policy.sampler.restore(record)
            else:
                assert policy.sampler.ask(record.number) == record.trial.params
                suggested += 1
        elif event["event"] == "epoch":
            record = known.trials[event["trial"]]
            assert decisions.get(record.number) is not Decision.STOP, "it went on after a STOP"
            policy.rule.enter(record.number, record.passes, METRIC.gain(record.score(METRIC) or math.nan))
            decisions[record.number] = policy.rule.decide(record.number)
        elif event["event"] == "end":
            record = known.trials[event["trial"]]
            assert (decisions[record.number] is Decision.STOP) == (record.outcome == "stopped")
            policy.sampler.tell(record)
    assert suggested >= TRIALS - 3
    assert policy.sampler.history.forecaster is not None
    known_to_end = policy.sampler.history.forecaster.forecasts()
    assert known_to_end is not None
    assert len(known_to_end.ranked) > GUIDED_FROM + 3, "some suggestions are by forecasts"
    assert set(decisions.values()) == {Decision.STOP, Decision.CONTINUE}
