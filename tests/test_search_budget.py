"""What a search may use: it ends by the limit that is reached first, and uses no more than was allowed."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from search.console.progress import Progress
from search.engine.budget import MOST_FAILURES, MOST_SHARE, REMATCH_SHARE, UNMEASURED_SHARE, Budget, Estimate
from search.engine.engine import Engine
from search.policy import forecaster
from search.policy.asha import Decision
from search.results import config_of, view, winner, write_results
from search.settings.allowance import Allowance, EndedBy, duration_s
from search.settings.settings import Settings
from search.storage.folder import State
from search.trials.accounts import Accounts
from search.trials.records import RecordFile, Records
from search.trials.trials import METRICS, Outcome, TrialRecord
from search.tune.cluster import ClusterError
from search.tune.resources import Resources
from spaces.space import Space
from tests.simulated import Clock, Workers, engine, epoch, finish, record, search_folder, space, trial
from trainables.workplace import Slot

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

CONTINUE, STOP = Decision.CONTINUE, Decision.STOP
ACCURACY = METRICS["val_accuracy"]
FOREVER = {"trials": None, "seed": 0}


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def searched(tmp_path: Path) -> Space:
    return space(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


def session(path: Path, searched: Space, clock: Clock, **allowed: Any) -> Engine:
    """A run of the driver, as `search.experiment` begins one."""
    file = RecordFile(path, clock=clock)
    file.session()
    file.close()
    return engine(path, searched, clock=clock, **{**FOREVER, **allowed})


def begin(driven: Engine, trials: int) -> None:
    for _ in range(trials):
        assert driven.ask() is not None


def budget_of(entries: list[TrialRecord], clock: Clock | None = None, **options: Any) -> Budget:
    """The budget of a search with these trials."""
    records = Records(trials={entry.number: entry for entry in entries})
    allowed = {name: options.pop(name) for name in list(options) if name in Allowance.__dataclass_fields__}
    options = {"pictures": 160, "clock": clock or Clock(1000.0), **options}
    nodes = options.pop("nodes", 1)
    return Budget(Accounts(records, ACCURACY, **options), Allowance(**allowed), nodes=nodes)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("4h", 14400),
        ("1h30m", 5400),
        ("2d", 172800),
        ("1.5h", 5400),
        ("1d1s", 86401),
    ],
)
def test_a_duration_is_a_number_of_its_units(given: str, seconds: float) -> None:
    assert duration_s(given) == seconds


@pytest.mark.parametrize(
    "given", ["", "4", "h", "0s", "-1h", "1h 30m", "nan", "inf", "1e3s", "1.2.3h", "4x", "1h30"]
)
def test_what_is_no_duration_is_refused_with_examples(given: str) -> None:
    with pytest.raises(ValueError, match="such as 90s, 30m, 1h30m or 2d"):
        duration_s(given)


def asked(**given: Any) -> Settings:
    return Settings(**{"name": "mine", "space": "demo", "cache_dir": "cache", **given})


def test_trials_are_sixteen_unless_another_limit_is_given() -> None:
    assert asked().allowance == Allowance(trials=16)
    assert asked(time="1h30m").allowance == Allowance(time_s=5400)
    assert asked(patience=5, epochs_total=9).allowance == Allowance(patience=5, total_passes=9)
    assert asked(time="1h", trials=3).allowance == Allowance(time_s=3600, trials=3)
    assert asked(cost=20, price=0.5, gpu_hours=2).allowance == Allowance(cost=20, price=0.5, gpu_hours=2)


def test_all_limits_together_are_said_in_words() -> None:
    every = asked(trials=1, epochs_total=300, time="4h", gpu_hours=8, cost=20, price=2.5, patience=9)
    assert list(every.allowance.limits.values()) == [
        "1 trial",
        "300 epochs in all",
        "4 h",
        "8 GPU hours",
        "a cost of 20 at 2.5 a node and hour",
        "9 trials in a row without a better score",
    ]
    options = [limit.option for limit in every.allowance.limits]
    assert options[1:4] == ["--epochs-total", "--time", "--gpu-hours"]


def test_a_resume_may_change_any_limit() -> None:
    changed = asked(trials=1, epochs_total=300, time="4h", gpu_hours=8, cost=20, price=2.5, patience=9)
    assert changed.what_matters() == asked().what_matters()


def test_gpu_hours_alone_are_refused_where_trials_get_no_gpu() -> None:
    cpus, gpus = Resources(2, Slot(1)), Resources(2, Slot(1, 0.5), workers=2)
    with pytest.raises(ClusterError, match="--gpu-hours would never end this search"):
        cpus.require_an_end(Allowance(gpu_hours=1))
    cpus.require_an_end(Allowance(gpu_hours=1, time_s=60))
    gpus.require_an_end(Allowance(gpu_hours=1))
    assert gpus.gpus(trial()) == 1.0


# The search as a whole.


def test_epochs_in_all_are_used_to_the_last_one_and_not_passed(path: Path, searched: Space) -> None:
    driven = finish(engine(path, searched, trials=None, total_passes=41), Workers(4))
    assert driven.finished
    assert driven.ended_by is EndedBy.EPOCHS
    assert sum(entry.passes for entry in driven.records) == 41


def test_a_trial_that_the_budget_ends_is_stopped_says_so_and_may_win(path: Path, searched: Space) -> None:
    driven = finish(engine(path, searched, trials=None, total_passes=2), Workers(1))
    (entry,) = driven.records
    assert (entry.outcome, entry.epochs_done) == (Outcome.STOPPED, 2)
    assert entry.error == "ended by the budget (--epochs-total), not by its score"
    best = winner(driven.records, ACCURACY)
    assert best is entry
    assert config_of(best).epochs == 9  # a retrain gives it its full length


@pytest.mark.parametrize("seed", range(3))
def test_the_first_limit_that_is_reached_ends_the_search(path: Path, searched: Space, seed: int) -> None:
    driven = finish(engine(path, searched, trials=5, total_passes=1000, patience=100, seed=seed))
    assert (driven.ended_by, len(driven.records)) == (EndedBy.TRIALS, 5)


def test_time_ends_the_search_and_time_between_sessions_does_not_count(
    path: Path, searched: Space, clock: Clock
) -> None:
    first = session(path, searched, clock, time_s=100)
    begin(first, 1)
    clock.now_s += 40
    first.report(epoch(0, 1, 0.9, epoch_s=1.0))
    clock.now_s += 100_000  # nobody runs it: the last sign of life was before
    again = session(path, searched, clock, time_s=100)
    assert again.budget.elapsed_s == 40
    begin(again, 2)  # the one that was cut off, and another
    clock.now_s += 45  # of 100 s, 12 are kept back for 9 epochs of 1 s, times the pictures (9 s here)
    assert again.report(epoch(0, 2, 0.9, epoch_s=1.0)) is CONTINUE
    clock.now_s += 6
    assert again.report(epoch(0, 3, 0.9, epoch_s=1.0)) is STOP
    assert again.ask() is None
    assert again.ended_by is EndedBy.TIME
    assert not again.finished  # one still trains its first epoch
    assert again.report(epoch(1, 1, 0.8, epoch_s=1.0)) is STOP
    assert again.finished


def test_an_epoch_that_would_end_too_late_is_not_begun_while_a_shorter_one_is(
    path: Path, searched: Space, clock: Clock
) -> None:
    driven = session(path, searched, clock, time_s=1000)
    begin(driven, 2)
    clock.now_s += 60
    assert driven.report(epoch(0, 1, 0.9, epoch_s=1.0)) is CONTINUE
    clock.now_s += 840
    assert driven.report(epoch(1, 1, 0.95, epoch_s=50.0)) is STOP  # of which 450 s would be kept back
    clock.now_s -= 500
    assert driven.report(epoch(0, 2, 0.96, epoch_s=1.0)) is CONTINUE
    assert driven.records[1].error == "ended by the budget (--time), not by its score"


def test_with_more_time_a_resumed_search_goes_on_with_new_trials_and_leaves_ended_ones(
    path: Path, searched: Space, clock: Clock
) -> None:
    first = session(path, searched, clock, time_s=100)
    begin(first, 1)
    clock.now_s += 99
    assert first.report(epoch(0, 1, 0.9, epoch_s=1.0)) is STOP
    assert first.ask() is None
    assert session(path, searched, clock, time_s=100).ask() is None
    again = session(path, searched, clock, time_s=200)
    new = again.ask()
    assert new is not None
    assert new.number == 1
    assert again.records[0].outcome is Outcome.STOPPED


def test_trials_that_were_cut_off_are_ended_where_a_resume_has_no_budget_for_them(
    path: Path, searched: Space, clock: Clock
) -> None:
    first = session(path, searched, clock, time_s=100)
    begin(first, 2)
    first.report(epoch(0, 1, 0.9))
    clock.now_s += 99
    first.report(epoch(0, 2, 0.9))
    again = session(path, searched, clock, time_s=90)
    assert again.ask() is None
    assert again.finished
    assert {entry.outcome for entry in again.records} == {Outcome.STOPPED}


def test_gpu_hours_are_seconds_times_what_a_trial_reserves(path: Path, searched: Space) -> None:
    driven = engine(path, searched, trials=None, gpu_hours=1.0, gpus=lambda made: 0.25)
    begin(driven, 2)
    for number in range(1, 4):
        # 9 epochs of 1000 s on a quarter of a GPU are 2250 s: half of the hour, 1800 s, is kept back.
        assert driven.report(epoch(0, number, 0.9, epoch_s=1000.0)) is CONTINUE
    assert driven.report(epoch(1, 1, 0.95, epoch_s=3000.0)) is STOP  # 750 and 750 are used, 250 are promised
    assert list(driven.budget.used()) == ["GPU hours 0.42 of 1"]


def test_cost_is_price_times_nodes_times_hours(clock: Clock) -> None:
    ended = record(trial(0), [0.5] * 9)  # 9 epochs of 2 s: as much is kept back
    running = record(trial(1), [0.4], outcome=None)
    budget = budget_of([ended, running], clock, cost=2.0, price=10.0, nodes=4)  # 0.05 h: 180 s
    clock.now_s += 180 - 18 - 2
    assert budget.refuses(running) is None
    assert list(budget.used()) == ["cost 1.78 of 2"]
    clock.now_s += 1
    assert budget.refuses(running) is EndedBy.COST


def test_each_node_is_paid_for_from_when_it_came_until_it_went(clock: Clock) -> None:
    ended = record(trial(0), [0.5] * 9)
    budget = budget_of([ended], clock, cost=2.0, price=10.0, nodes=1)  # 720 s of a node
    clock.now_s += 120
    budget.has_nodes(5)
    assert budget.left_s == pytest.approx(120)
    clock.now_s += 60
    budget.has_nodes(2)
    assert budget.left_s == pytest.approx(150)
    assert list(budget.used()) == ["cost 1.17 of 2"]


def test_what_a_limit_on_the_time_leaves_counts_down_to_nothing(clock: Clock) -> None:
    ended = record(trial(0), [0.5] * 9)
    assert budget_of([ended], clock, time_s=100.0).left_s == 100.0
    assert budget_of([ended], clock, trials=3).left_s == math.inf
    budget = budget_of([ended], clock, time_s=100.0, cost=2.0, price=144.0)  # 50 s
    for later_s, left_s in ((20, 30.0), (40, 0.0)):
        clock.now_s += later_s
        assert budget.left_s == left_s


def test_patience_counts_trials_in_a_row_that_ended_without_a_better_score(
    path: Path, searched: Space
) -> None:
    driven = engine(path, searched, trials=None, patience=3)
    for number, score in enumerate([0.5, 0.4, 0.4, 0.6, 0.6, 0.5]):
        begin(driven, 1)
        driven.report(epoch(number, 1, score))
        driven.end(number, Outcome.COMPLETE)
    assert list(driven.budget.used()) == ["no better score in 2 of 3 trials"]
    begin(driven, 1)
    driven.end(6, Outcome.FAILED, "no")
    assert driven.ask() is None
    assert (driven.ended_by, driven.finished) == (EndedBy.PATIENCE, True)


def test_the_search_goes_on_while_a_running_trial_leads_and_no_limit_of_patience_ends_a_trial(
    path: Path, searched: Space
) -> None:
    driven = engine(path, searched, trials=None, patience=2)
    begin(driven, 4)
    for number in (0, 1, 2):
        driven.report(epoch(number, 1, 0.6 - number / 10))
        driven.end(number, Outcome.COMPLETE)
    driven.report(epoch(3, 1, 0.9))
    begin(driven, 1)
    assert driven.report(epoch(3, 2, 0.2)) is CONTINUE
    assert driven.ask() is None
    assert driven.ended_by is EndedBy.PATIENCE
    assert driven.report(epoch(3, 3, 0.2)) is not None
    assert driven.records[3].error is None


def test_a_search_whose_trials_all_fail_ends_also_without_a_limit_on_trials(
    path: Path, searched: Space
) -> None:
    driven = finish(
        engine(path, searched, trials=None, total_passes=100),
        Workers(crash=lambda made, number: Outcome.FAILED),
    )
    assert driven.ended_by is EndedBy.FAILURES
    assert MOST_FAILURES <= len(driven.records) <= MOST_FAILURES + 3


# What is kept back.


def test_before_anything_is_measured_a_share_is_kept_back(clock: Clock) -> None:
    new = record(trial(0), [], outcome=None)
    budget = budget_of([new], clock, time_s=100)
    clock.now_s += 100 * (1 - UNMEASURED_SHARE)
    assert budget.refuses(new) is None
    clock.now_s += 1
    assert budget.refuses(new) is EndedBy.TIME
    assert budget.retrain_s is None


@pytest.mark.parametrize(
    ("outcome", "recipe", "epochs"),
    [
        (None, {}, 9),
        (Outcome.STOPPED, {}, 9),
        (Outcome.COMPLETE, {}, 3),
        (Outcome.COMPLETE, {"keep": "best"}, 2),
    ],
)
def test_a_retrain_is_as_long_as_its_config_says_on_more_pictures_and_one_worker(
    outcome: Outcome | None, recipe: dict[str, Any], epochs: int
) -> None:
    best = record(trial(0, **recipe), [0.5, 0.8, 0.7], outcome=outcome)
    worse = record(trial(1), [0.1], outcome=None)
    config = config_of(best)
    assert len(config.lr_scales or ()) or config.epochs == epochs
    assert budget_of([best, worse], growth=1.5, workers=2).retrain_s == epochs * 2.0 * 1.5 * 2
    short = record(trial(0, steps_per_epoch=5, **recipe), [0.5, 0.8, 0.7], outcome=outcome)
    assert budget_of([short], growth=1.5).retrain_s == epochs * 2.0  # its steps stay as many


def test_without_a_score_the_longest_retrain_is_kept_back() -> None:
    diverged = [record(trial(n), [math.nan], outcome=Outcome.DIVERGED) for n in (0, 1)]
    slow = diverged[1].history[0]
    diverged[1].history[0] = replace(slow, metrics={**slow.metrics, "epoch_s": 7.0})
    assert budget_of(diverged).retrain_s == 9 * 7.0


def test_the_search_keeps_at_least_half_of_its_time(clock: Clock) -> None:
    running = record(trial(0), [0.5], outcome=None)  # a retrain would take 18 s
    budget = budget_of([running], clock, time_s=20)
    clock.now_s += 20 * MOST_SHARE - 2
    assert budget.refuses(running) is None
    clock.now_s += 0.1
    assert budget.refuses(running) is EndedBy.TIME


# The rematch.


@pytest.mark.parametrize(
    ("runs", "at_once", "kept_s"), [(0, 1, 6), (4, 1, 6 + 24), (4, 2, 6 + 12), (5, 2, 6 + 18)]
)
def test_time_for_a_rematch_is_kept_back_too(clock: Clock, runs: int, at_once: int, kept_s: float) -> None:
    best = record(trial(0), [0.5, 0.8, 0.7])  # 6 s a run, and as long a retrain
    running = record(trial(1), [0.1], outcome=None)
    budget = budget_of([best, running], clock, time_s=200, rematch=runs, at_once=at_once)
    clock.now_s += 200 - kept_s - 2
    assert budget.refuses(running) is None
    clock.now_s += 0.1
    assert budget.refuses(running) is EndedBy.TIME
    assert budget.retrain_s == 6


def test_a_rematch_gets_at_most_a_share_of_what_the_search_may_take(clock: Clock) -> None:
    best, running = record(trial(0), [0.5, 0.8, 0.7]), record(trial(1), [0.1], outcome=None)
    budget = budget_of([best, running], clock, time_s=100, rematch=9)
    clock.now_s += 100 * (1 - REMATCH_SHARE) - 6 - 2
    assert budget.refuses(running) is None
    clock.now_s += 0.1
    assert budget.refuses(running) is EndedBy.TIME


def test_a_rematch_has_room_where_it_ends_before_the_retrain_must_begin(clock: Clock) -> None:
    stopped, best = record(trial(0), [0.5], Outcome.STOPPED), record(trial(1), [0.5, 0.8, 0.7])
    one_by_one, two = (budget_of([stopped, best], clock, time_s=100, at_once=n) for n in (1, 2))
    runs = [best, stopped]  # the stopped one runs its full length of 9 epochs: 6 s and 18 s
    clock.now_s += 100 - 6 - 24
    assert one_by_one.has_room(runs)
    clock.now_s += 0.1
    assert not one_by_one.has_room(runs)
    assert two.has_room(runs)
    clock.now_s += 24 - 12 - 9  # in the worst order the longer one begins when the shorter one has ended
    assert not two.has_room(runs)
    assert two.has_room([])
    assert budget_of([stopped, best], trials=2).has_room(runs * 1000)


def test_a_rematch_has_room_within_the_gpu_hours_less_what_rematches_took(clock: Clock) -> None:
    best = record(trial(0), [0.5, 0.8, 0.7])
    for before, fits in [(0, True), (1, True), (2, False)]:
        played = Records(trials={place: record(trial(place), [0.5] * 3) for place in range(before)})
        budget = budget_of(
            [best], clock, gpu_hours=(6 + 6 + 12 + 6) / 3600, gpus=lambda made: 1.0, played=played
        )
        assert budget.has_room([best, best]) == fits
    assert next(budget.used()) == "GPU hours 0.01 of 0.00833333"


def test_the_time_of_former_rematches_counts(clock: Clock) -> None:
    played = Records(sessions=[(0.0, 60.0), (100.0, 130.0)])
    new = record(trial(0), [0.5], outcome=None)
    assert budget_of([new], clock, played=played).elapsed_s == 90
    assert budget_of([new], clock, played=played, time_s=100).refuses(new) is EndedBy.TIME


# The estimate.


@pytest.mark.parametrize("learns", [False, True], ids=["by scores", "by forecasts"])
def test_the_estimate_comes_true(
    path: Path, searched: Space, clock: Clock, learns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not learns:
        monkeypatch.setattr(forecaster, "FEWEST", 1000)
    driven = session(path, searched, clock, total_passes=200, trials=1000)
    told: list[tuple[float, Estimate]] = []
    for _ in Workers(2).run(driven):
        clock.now_s += 1.0
        if estimate := driven.budget.estimate():
            told.append((driven.budget.elapsed_s, estimate))
    whole_s = driven.budget.elapsed_s
    late = [(at, estimate) for at, estimate in told if at > whole_s / 3]
    assert len(late) > 100
    for at, estimate in late:
        assert estimate.passes == 200
        assert estimate.time_s == pytest.approx(whole_s, rel=0.2)
        # How far trials come changes while the rule learns what rungs tell.
        if not learns or at > 0.75 * whole_s:
            assert estimate.trials == pytest.approx(len(driven.records), rel=0.35)
        assert estimate.after_s is None


def test_an_estimate_is_told_again_when_it_is_another_one() -> None:
    told = Estimate(40, 310.0, 4800.0, 360.0)
    assert str(told) == "about 40 trials, 310 epochs in 1 h 20 min; 6 min kept back for the retrain"
    assert str(replace(told, after="the rematch and the retrain")).endswith("for the rematch and the retrain")
    assert str(Estimate(None, 1.0, 8.0)) == "about 1 epoch in 8.0 s"
    assert str(replace(told, kept_back_s=60.0)).endswith("1 min kept back for the retrain, in place of 6 min")
    assert not replace(told, trials=48, passes=250.0, time_s=5700.0).differs(told)
    for change in ({"trials": 49}, {"passes": 380.0}, {"time_s": 3700.0}):
        assert replace(told, **change).differs(told)
    assert told.differs(replace(told, trials=None))


def test_the_plan_is_told_when_it_is_known_and_when_it_has_changed(
    path: Path, searched: Space, clock: Clock
) -> None:
    driven, out = session(path, searched, clock, time_s=1000), io.StringIO()
    progress = Progress(driven, Console(file=out, soft_wrap=True), clock=clock)
    begin(driven, 1)
    for number in range(1, 7):
        clock.now_s += 20 if number < 4 else 60
        driven.report(epoch(0, number, 0.9))
        progress.tick()
    plans = [line for line in out.getvalue().splitlines() if line.startswith("plan")]
    # 18 s are kept back; the pace falls from an epoch in 20 s to one in 30, 36 and 40 s.
    rest = "epochs in 16 min 22 s; 18 s kept back for the retrain"
    assert plans == [f"plan: about {epochs} {rest}" for epochs in (49, 33, 25)]
    assert " | time 4 min of 16 min 40 s | " in progress.line()
    assert "about 12 min left" in progress.line()


# What is left behind.


@pytest.mark.parametrize("asked", [{"trials": 6}, {"epochs_total": 30, "trials": 50}])
def test_the_manifest_and_the_page_say_what_ended_the_search(tmp_path: Path, asked: dict[str, int]) -> None:
    folder = search_folder(tmp_path / "results" / "mine", **asked)
    allowed = {"trials": asked["trials"], "total_passes": asked.get("epochs_total")}
    driven = finish(engine(folder.records_file, space(tmp_path), **allowed))
    write_results(folder, State.FINISHED, ended_by=driven.ended_by)
    ended_by = "epochs_total" if "epochs_total" in asked else "trials"
    assert folder.read_json(folder.manifest_file)["ended_by"] == ended_by
    page = folder.page_file.read_text()
    assert not view(folder, State.FINISHED).cut_short
    said = "Its budget: 50 trials, 30 epochs in all; it ended by --epochs-total."
    assert (said in page) == ("epochs_total" in asked)
    assert ("--epochs-total 60" in page) == ("epochs_total" in asked)
    assert ("--trials 12" in page) == ("epochs_total" not in asked)
