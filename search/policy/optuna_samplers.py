"""Samplers by name: each suggests parameters from the seed, the trial's number and the trials so far alone.

Optuna's samplers keep notes in the study between trials: CMA-ES its state, NSGA-II its generations, Sobol its
position. A study rebuilt from records has no such notes. So a sampler is made for one suggestion, over a
study that shows it what it models and keeps nothing (`_Shown`), and what it would have noted is derived from
the trials: a search that is resumed goes on as if it had not stopped.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Container, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.policy.forecast_search import suggested
from search.policy.history import History, Space, Turn, seed_of
from search.policy.priors import Given, with_priors
from search.policy.unit_cube import place_of, value_at

TPE_MODELS, TPE_BEST = 300, 25
"""TPE models at most so many ended trials. The best ones, as many as it ever takes for good (Optuna's `gamma`
ends there): they are the same as without a bound. And the most recent others, because it weighs bad ones the
less the older they are. All that run come on top: they keep parallel suggestions apart."""
GP_MODELS, GP_BEST = 100, 25
"""The same for the Gaussian process, whose time grows with the cube."""
GENERATIONS = 30
"""So many of its last generations CMA-ES goes through for a suggestion."""
POPULATION = 20
"""Trials of a generation of NSGA-II. Optuna's 50 are more than many searches have in all."""


def suggest(name: str, history: History, turn: Turn) -> dict[str, Any]:
    """Parameters for a trial: those that are active together."""
    given, params = with_priors(SAMPLERS[name](history, turn), history, turn), {}

    def value(parameter: Any, domain: Any) -> Any:
        distribution = history.space[parameter.name]
        single = distribution.single()
        drawn = value_at(distribution, 0.0) if single else given(parameter.name, distribution)
        if not isinstance(distribution, CategoricalDistribution):
            drawn = distribution.to_external_repr(distribution.to_internal_repr(drawn))  # numpy's as Python's
        params[parameter.name] = drawn
        return drawn

    history.tree.values(value)
    return params


def _forecast(history: History, turn: Turn) -> Given:
    """See `search.policy.forecast_search`."""
    if history.forecaster is None:
        raise ValueError("the sampler `forecast` needs a forecaster")
    points, reached = history.forecaster.points, history.forecaster.reached
    begun = [trial.number for trial in history.running if not reached.count(trial.number)]
    values = points.values(suggested(history.forecaster, turn, begun))
    return lambda name, entry: values[name]


def _tpe(history: History, turn: Turn) -> Given:
    """Tree-structured Parzen estimator (Bergstra et al. 2011), multivariate (Falkner et al. 2018), grouped.

    Parameters that occur together are modelled together: a conditional space is not taken apart. Trials that
    still run count as bad ones ("constant liar"), so parallel suggestions keep apart.
    """
    sampler = TPESampler(seed=turn.own_seed, multivariate=True, group=True, constant_liar=True)
    shown = [*history.modelled(TPE_MODELS, TPE_BEST), *history.running]
    return _of(sampler, shown, history.mode, turn)


def _gp(history: History, turn: Turn) -> Given:
    """Gaussian process with expected improvement, over all parameters at once.

    An inactive parameter counts as in the middle of its range. A trial's value is the normal score of its
    rank among those modelled (Salinas et al. 2020): a stopped or diverged trial has one too, and no outlier
    bends the model.
    """

    def middle(name: str) -> Any:
        return value_at(history.flat[name], 0.5)

    kept = history.modelled(GP_MODELS, GP_BEST)
    scores = _normal_scores([history.rank(trial) for trial in kept])
    shown = [_flat(trial, history.flat, middle, score) for trial, score in zip(kept, scores, strict=True)]
    shown += [_flat(trial, history.flat, middle) for trial in history.running]
    return _of(GPSampler(seed=turn.own_seed), shown, "min", turn, history.flat)


def _nsga2(history: History, turn: Turn) -> Given:
    """NSGA-II (Deb et al. 2002), which with one objective is an elitist genetic algorithm.

    A generation is `POPULATION` trials that have ended, by number. The parents are as many of the best in
    all full generations: with one objective these are what selection leaves. Their inactive parameters are
    random.
    """
    past = history.ended[: len(history.ended) // POPULATION * POPULATION]
    # Of the trials after the last generation there are fewer than it has.
    known = {trial.number for trial in past}
    parents = [trial for trial in history.best(2 * POPULATION) if trial.number in known][:POPULATION]
    shown = []
    for place, parent in enumerate(parents):
        rng = np.random.default_rng([turn.seed, parent.number])
        fill = {name: value_at(entry, rng.random()) for name, entry in history.flat.items()}
        shown.append(_flat(parent, history.flat, fill.__getitem__, place))
        shown[-1].system_attrs["NSGAIISampler:generation"] = 0
    sampler = NSGAIISampler(seed=turn.own_seed, population_size=POPULATION)
    return _of(sampler, shown, "min", turn, history.flat)


def _cmaes(history: History, turn: Turn) -> Given:
    """CMA-ES (Hansen and Ostermeier 2001) over all numbers at once; TPE gives the choices.

    Its state is that after the last `GENERATIONS` generations, gone through again: each as many trials as its
    population takes, in the order of their numbers. It is told ranks, so every trial that has ended counts.
    For a number that was inactive in a trial it is told one that it draws itself, which selects nothing.
    """
    from cmaes import CMA

    choices = _tpe(history, turn)
    names = [name for name, entry in history.flat.items() if not isinstance(entry, CategoricalDistribution)]
    if not names:
        return choices
    cube = np.array([[0.0, 1.0]] * len(names))
    # Where much is out of bounds, ten draws are enough before one is moved to the edge.
    cma = CMA(mean=np.full(len(names), 0.5), sigma=1 / 6, bounds=cube, n_max_resampling=10)
    size = cma.population_size
    past = history.ended[: len(history.ended) // size * size]
    for first in range(max(0, len(past) - GENERATIONS * size), len(past), size):
        cma.reseed_rng(seed_of(turn.seed, first))
        told = []
        for trial in past[first : first + size]:
            point = cma.ask()
            for place, name in enumerate(names):
                if name in trial.params:
                    point[place] = place_of(history.flat[name], trial.params[name])
            told.append((point, history.rank(trial)))
        ranks = sorted(rank for _, rank in told)
        cma.tell([(point, float(ranks.index(rank))) for point, rank in told])
    cma.reseed_rng(turn.own_seed)
    point = dict(zip(names, cma.ask().tolist(), strict=True))
    return lambda name, entry: value_at(entry, point[name]) if name in point else choices(name, entry)


def _random(history: History, turn: Turn) -> Given:
    """Every parameter by itself."""
    return _of(RandomSampler(seed=turn.own_seed), [], history.mode, turn)


def _qmc(history: History, turn: Turn) -> Given:
    """Scrambled Sobol sequence (Owen 1998) over all parameters at once, at the place of the trial's number.

    What was refused is replaced with the point of the same number in another scrambling.
    """
    from scipy.stats.qmc import Sobol  # takes long to import

    if not history.flat:
        return _random(history, turn)
    sobol = Sobol(len(history.flat), scramble=True, rng=np.random.default_rng([turn.seed, turn.draw]))
    if turn.number:
        sobol.fast_forward(turn.number)
    point = dict(zip(history.flat, sobol.random(1)[0].tolist(), strict=True))
    return lambda name, entry: value_at(entry, point[name])


SAMPLERS: dict[str, Callable[[History, Turn], Given]] = {
    "forecast": _forecast,
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
    "nsga2": _nsga2,
    "random": _random,
    "qmc": _qmc,
}
"""How each is made; what each is for says `search.policy.sampler_names`."""


class _Shown(InMemoryStorage):
    """Shows a sampler the trials that it is to learn from, and keeps none of its notes."""

    def __init__(self, trials: list[FrozenTrial]) -> None:
        super().__init__()
        self._shown = trials

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return [trial for trial in self._shown if states is None or trial.state in states]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        pass

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        pass


def _of(
    sampler: BaseSampler, shown: list[FrozenTrial], mode: str, turn: Turn, space: Space | None = None
) -> Given:
    """What a sampler of Optuna's suggests after these trials.

    Args:
        space: Of what it suggests together; what the sampler itself makes of the trials by default.
    """
    study = optuna.create_study(storage=_Shown(shown), direction="maximize" if mode == "max" else "minimize")
    trial = create_trial(state=TrialState.RUNNING)
    trial.number = trial._trial_id = turn.number
    if space is None:
        space = sampler.infer_relative_search_space(study, trial)
    together = sampler.sample_relative(study, trial, space)

    def given(name: str, distribution: BaseDistribution) -> Any:
        if name in together:
            return together[name]
        return sampler.sample_independent(study, trial, name, distribution)

    return given


def _flat(
    trial: FrozenTrial, space: Space, fill: Callable[[str], Any], value: float | None = None
) -> FrozenTrial:
    """A trial in which every parameter of the space has a value."""
    made = create_trial(
        state=TrialState.RUNNING if value is None else TrialState.COMPLETE,
        value=value,
        params={name: trial.params[name] if name in trial.params else fill(name) for name in space},
        distributions=space,
    )
    made.number = made._trial_id = trial.number
    return made


def _normal_scores(ranks: Sequence[tuple[int, int, float]]) -> list[float]:
    """Quantiles of the normal distribution, the best rank's the lowest; equal ranks have the same."""
    places: dict[tuple[int, int, float], float] = {}
    below = 0
    for rank, equal in groupby(sorted(ranks)):
        count = len(list(equal))
        places[rank] = (below + count / 2) / len(ranks)
        below += count
    return [statistics.NormalDist().inv_cdf(places[rank]) for rank in ranks]
