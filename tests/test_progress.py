"""What a running search says in the terminal, and in a file when it is piped."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from search.console.live import PIPED_EVERY_S
from search.console.progress import Progress, main_settings
from search.engine.engine import Engine
from search.trials.losses import Cause, Loss
from search.trials.trials import Outcome
from spaces.space import Space
from tests.simulated import Clock, Workers, engine, epoch, record, space, trial

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

RATES = """
description: two settings
base:
  model: {name: plain_cnn}
parameters:
  optim.lr: {log: [1.0e-4, 1.0e-2]}
  augment.strength: {float: [0, 1]}
"""


@pytest.fixture
def searched(tmp_path: Path) -> Space:
    return space(tmp_path, RATES)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def driven(tmp_path: Path, searched: Space, clock: Clock) -> Engine:
    return engine(tmp_path / "records.jsonl", searched, trials=10, clock=clock, sampler="tpe")


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def piped(out: io.StringIO) -> Console:
    return Console(file=out, highlight=False, soft_wrap=True)


def terminal(out: io.StringIO) -> Console:
    return Console(file=out, highlight=False, soft_wrap=True, force_terminal=True, width=60)


def begin(driven: Engine, trials: int) -> None:
    for _ in range(trials):
        driven.ask()


def test_the_line_says_in_plain_words_where_the_search_stands(
    driven: Engine, out: io.StringIO, clock: Clock
) -> None:
    progress = Progress(driven, piped(out), clock=clock)
    assert progress.line() == "0 of 10 trials done | 0 running"

    begin(driven, 7)
    driven.report(epoch(0, 1, 0.8))
    driven.report(epoch(1, 1, 0.4))  # stopped
    driven.report(epoch(2, 1, 0.3))  # stopped
    driven.report(epoch(3, 1, 0.9, train_loss=float("nan")))  # diverged
    driven.end(4, Outcome.OUT_OF_MEMORY, "RuntimeError: too little memory")
    driven.end(5, Outcome.TIMED_OUT, "no report for 60 s")
    clock.now_s = 30.0
    rate = driven.records[0].trial.recipe["optim"]["lr"]
    strength = driven.records[0].trial.recipe["augment"]["strength"]
    # Five trials took 3 epochs between them. Three are to come, and one that has passed this runs on.
    assert progress.line() == (
        "5 of 10 trials done (2 stopped, 1 diverged, 1 out of memory, 1 timed out) | 2 running | "
        f"8.0 epochs/min | about 1 min left | best 0.8000 (trial 0: plain_cnn, lr {rate:.3g}, "
        f"strength {strength:.3g})"
    )


def test_a_trial_that_is_lost_and_starts_again_is_told_once(
    driven: Engine, out: io.StringIO, clock: Clock
) -> None:
    progress = Progress(driven, piped(out), clock=clock)
    begin(driven, 2)
    driven.lost(1, Loss(Cause.NODE, "its machine was lost"))
    progress.tick()
    progress.tick()
    assert out.getvalue() == "trial   1  starts again from its checkpoint: its machine was lost\n"
    resumed = io.StringIO()
    Progress(driven, piped(resumed), clock=clock).tick()
    assert resumed.getvalue() == ""


def test_there_is_no_time_left_before_anything_is_known_nor_when_all_is_done(
    driven: Engine, out: io.StringIO, clock: Clock
) -> None:
    progress = Progress(driven, piped(out), clock=clock)
    for number in range(10):
        begin(driven, 1)
        clock.now_s += 60
        driven.report(epoch(number, 1, 0.5))
        driven.end(number, Outcome.FAILED, "RuntimeError: no")
        assert ("left" in progress.line()) == (2 <= number < 9)


def test_the_time_left_is_about_what_it_then_takes(driven: Engine, out: io.StringIO, clock: Clock) -> None:
    told = []
    progress = Progress(driven, piped(out), clock=clock)
    for _ in Workers(1).run(driven):
        clock.now_s += 20.0  # about three things happen in an epoch
        found = re.search(r"about (\d+) min left", progress.line())
        told.append((clock.now_s / 60, float(found[1]) if found else None))
    whole_min = clock.now_s / 60
    late = [(at, left) for at, left in told if left is not None and at > whole_min / 3]
    assert len(late) > 5
    for at, left in late:
        assert left == pytest.approx(whole_min - at, abs=0.5 * whole_min)
        assert left <= whole_min


def test_the_time_left_of_a_resumed_search_goes_by_this_run_alone(
    tmp_path: Path, searched: Space, out: io.StringIO
) -> None:
    first = engine(tmp_path / "records.jsonl", searched, trials=4)
    begin(first, 3)
    for number in range(3):
        for place in (1, 2):
            first.report(epoch(number, place, 0.5 - number / 10))
        first.end(number, Outcome.FAILED, "no")
    clock = Clock()
    again = engine(tmp_path / "records.jsonl", searched, trials=4, clock=clock)
    progress = Progress(again, piped(out), clock=clock)
    clock.now_s = 600.0
    assert "left" not in progress.line()
    assert "epochs/min" not in progress.line()
    begin(again, 1)
    again.report(epoch(3, 1, 0.9))
    assert "0.1 epochs/min" in progress.line()


def test_piped_output_has_one_line_a_trial_that_ended(driven: Engine, out: io.StringIO) -> None:
    with Progress(driven, piped(out), clock=Clock()) as progress:
        for _ in Workers(3).run(driven):
            progress.tick()
    lines = out.getvalue().splitlines()
    assert len(lines) == 10
    assert sorted(int(line.split()[1]) for line in lines) == list(range(10))
    assert "\x1b" not in out.getvalue()


def test_piped_output_says_now_and_then_where_the_search_stands(driven: Engine, out: io.StringIO) -> None:
    clock = Clock()
    with Progress(driven, piped(out), clock=clock) as progress:
        begin(driven, 1)
        for second in range(int(3 * PIPED_EVERY_S)):
            clock.now_s = float(second)
            progress.tick()
    assert out.getvalue().splitlines() == ["0 of 10 trials done | 1 running"] * 2


def test_trials_that_had_ended_before_are_not_told_again(
    tmp_path: Path, searched: Space, out: io.StringIO
) -> None:
    first = engine(tmp_path / "records.jsonl", searched, trials=2)
    begin(first, 2)
    first.end(0, Outcome.FAILED, "no")
    again = engine(tmp_path / "records.jsonl", searched, trials=2)
    with Progress(again, piped(out), clock=Clock()):
        again.end(1, Outcome.FAILED, "neither")
    assert [line.split()[1] for line in out.getvalue().splitlines()] == ["1"]


@pytest.mark.parametrize(
    ("outcome", "error", "said"),
    [
        (Outcome.COMPLETE, None, "0.7000 complete"),
        (Outcome.FAILED, "ValueError: [red]no[/red]", "0.7000 failed: ValueError: [red]no[/red]"),
        (Outcome.FAILED, "first line\nsecond line", "0.7000 failed: first line second line"),
        (Outcome.TIMED_OUT, "no report for 60 s", "0.7000 timed out: no report for 60 s"),
        (Outcome.OUT_OF_MEMORY, "RuntimeError", "0.7000 out of memory"),
    ],
)
def test_how_a_trial_ended_is_one_line_in_plain_words(
    driven: Engine, out: io.StringIO, outcome: Outcome, error: str | None, said: str
) -> None:
    with Progress(driven, piped(out), clock=Clock()):
        begin(driven, 1)
        driven.report(epoch(0, 1, 0.7))
        driven.end(0, outcome, error)
    (line,) = out.getvalue().splitlines()
    assert line.startswith(f"trial   0  {said}  plain_cnn, lr ")
    assert line.endswith(", 2.0 s")


def test_stopped_and_diverged_trials_say_after_which_epoch(driven: Engine, out: io.StringIO) -> None:
    with Progress(driven, piped(out), clock=Clock()):
        begin(driven, 3)
        driven.report(epoch(0, 1, 0.7))
        driven.report(epoch(1, 1, 0.2))
        driven.report(epoch(0, 2, 0.7, val_loss=float("inf")))
    told = sorted(out.getvalue().splitlines())
    assert "diverged in epoch 2  plain_cnn" in told[0]
    assert "0.2000 stopped after epoch 1  plain_cnn" in told[1]


@pytest.mark.parametrize("kind", [piped, terminal])
def test_markup_in_names_and_errors_is_shown_as_it_is(
    tmp_path: Path,
    searched: Space,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    kind: type,
) -> None:
    monkeypatch.setattr("search.console.progress.main_settings", lambda entry: "[bold]net[/bold] [/]")
    driven = engine(tmp_path / "records.jsonl", searched, trials=10)
    clock = Clock()
    with Progress(driven, kind(out), clock=clock) as progress:
        begin(driven, 2)
        driven.report(epoch(0, 1, 0.7))
        driven.end(1, Outcome.FAILED, "ValueError: [/] [link=x]")
        clock.now_s = PIPED_EVERY_S
        progress.tick()
    assert "failed: ValueError: [/] [link=x]" in out.getvalue()
    assert out.getvalue().count("[bold]net[/bold]") >= 2


def test_in_a_terminal_the_line_is_kept_up_to_date_below_what_ended(driven: Engine, out: io.StringIO) -> None:
    clock = Clock()
    with Progress(driven, terminal(out), clock=clock) as progress:
        for _ in Workers(3).run(driven):
            clock.now_s += 0.3
            progress.tick()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    last = " ".join(text[text.rindex("10 of 10 trials done") :].split())
    assert re.search(r"best 0\.\d{4} \(trial \d+: plain_cnn, lr [0-9.]+, strength [0-9.]+\)$", last)
    for number in range(10):
        assert re.search(rf"trial +{number}  ", text)


def test_the_main_settings_are_those_that_the_space_varies() -> None:
    made = trial(
        0,
        params={"model.name": "plain_cnn", "optim.lr@2": 0.00213, "freeze.epoch": 0.4, "loss.unheard": 1},
        optim={"lr": 0.00213456},
        freeze={"epoch": 3},
    )
    assert main_settings(record(made, [0.5])) == "plain_cnn, lr 0.00213, epochs frozen: 3"
    assert main_settings(record(trial(0), [0.5])) == "plain_cnn"


def test_a_recipe_that_was_given_is_named_by_where_it_is_from() -> None:
    given = replace(trial(0), origin="given", source="own.yaml")
    assert main_settings(record(given, [0.5])) == "own.yaml: plain_cnn"
    seen = replace(given, params={"model.name": "plain_cnn", "optim.lr": 0.001})
    assert main_settings(record(seen, [0.5])) == "own.yaml: plain_cnn, lr 0.001"
