"""One search from plan to leaderboard: the Python API behind `python -m search.run`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from search.console.chatter import chatter_to
from search.console.interrupts import stopped_by_signals
from search.console.progress import Progress
from search.costs.cost_model import CostModel
from search.engine.budget import Budget
from search.engine.engine import Engine
from search.fetch import bring_answers
from search.live_page import LivePage
from search.planning.changes import refuse_changes
from search.planning.disk import size
from search.planning.plan import Plan
from search.planning.warm_start import store_formers
from search.policy.policy import Policy, make_policy
from search.rematch.conclude import conclude
from search.rematch.play import play
from search.rematch.shown import outcome
from search.results import Finished, write_results
from search.settings.allowance import EndedBy, span
from search.settings.settings import Settings
from search.storage.folder import CHECKPOINTS, RESULTS, SearchFolder, State
from search.storage.mirror import Mirror
from search.storage.opening import write_data, write_settings
from search.storage.owner import Owner, owned
from search.storage.states import States, take_along
from search.text import count
from search.tracking.beside import tracked
from search.trials.accounts import Accounts
from search.trials.records import RecordFile, Records
from search.tune.cluster import Cluster
from search.tune.connection import Connection
from search.tune.driver import StopAll, Venue, carried, run
from search.tune.probing import measured
from search.tune.reach import require_reach
from search.tune.resources import Resources, may_share, most_wanted, packed, share
from spaces.errors import InputError
from trainables.data import read_split
from trainables.storage import Storage
from trainables.workplace import Workplace


class TroubleError(InputError):
    """What trials work with is gone: pictures, or room on a disk. The search can go on when it is back."""


def start(
    plan: Plan,
    connection: Connection | None = None,
    *,
    owner: Owner | None = None,
    results: Path = RESULTS,
) -> Finished:
    """Runs a new search.

    Args:
        connection: To Ray, where it was begun before. It is closed once the search has driven its trials.
        owner: This process as the driver, where the search has a storage and has been claimed there before.

    Raises:
        FolderError: The name is taken.
        StorageError: Another process drives the search, or its storage fails.
        ClusterError: Ray cannot be had, or has too little.
    """
    with SearchFolder.created(results / plan.settings.name) as folder:
        _write_plan(folder, plan)
        return _drive(folder, plan, connection, owner)


def resume(
    plan: Plan,
    connection: Connection | None = None,
    *,
    owner: Owner | None = None,
    results: Path = RESULTS,
) -> Finished:
    """Goes on with a search, or adds trials to a finished one.

    Args:
        connection: See `start`.
        owner: See `start`.

    Raises:
        FolderError: Data, space or settings that matter have changed; the message says which.
        StorageError: See `start`.
        ClusterError: Ray cannot be had, or has too little.
    """
    folder = SearchFolder.open(results / plan.settings.name)
    with folder.held():
        refuse_changes(folder, plan)
        kept = replace(plan, prepared=replace(plan.prepared, split=read_split(folder.split_file)))
        return _drive(folder, kept, connection, owner)


def _write_plan(folder: SearchFolder, plan: Plan) -> None:
    write_data(folder, plan.prepared)
    folder.space_file.write_text(plan.space.to_yaml(), encoding="utf-8")
    store_formers(folder, plan.formers)
    _write_settings(folder, plan)


def _write_settings(folder: SearchFolder, plan: Plan) -> None:
    write_settings(
        folder,
        plan.settings,
        plan.source,
        plan.prepared,
        space=plan.space.to_dict(),
        starts=[asdict(start) for start in plan.starts],
        weights=plan.weights,
    )


def _drive(folder: SearchFolder, plan: Plan, connection: Connection | None, owner: Owner | None) -> Finished:
    settings, stop = plan.settings, StopAll()
    with chatter_to(folder.log_file) as terminal, contextlib.ExitStack() as stack:
        connection = stack.enter_context(contextlib.closing(connection or Connection(settings)))
        cluster = connection.cluster()
        terminal.print(f"Ray: {cluster.description}")
        resources = _resources(plan, cluster, terminal)
        terminal.print(f"Messages of Ray go to {folder.log_file}. Ctrl-C stops and keeps what there is.")
        terminal.print(f"The page follows the search, from its first results on: {folder.page_file}")
        kept = stack.enter_context(_kept(folder, settings, cluster, owner, stop, terminal))
        room = size(plan.disk.at_most(resources.concurrency))
        terminal.print(escape(f"The states of so many trials take at most {room} in {kept.home}."))
        _begin(folder, plan)  # only now: a search that Ray has no room for stays as it was
        file = stack.enter_context(contextlib.closing(RecordFile(folder.records_file)))
        file.session()
        stack.enter_context(tracked(folder, settings.trackers, terminal))
        runs = stack.enter_context(contextlib.closing(RecordFile(folder.rematch_records_file)))
        policy = _policy(plan, file.records)
        accounts = _accounts(plan, file.records, runs.records, resources)
        budget = Budget(accounts, settings.allowance, nodes=len(cluster.nodes))
        states = States(file.records.all(), settings.scored_by, settings.keep_checkpoints, kept.delete)
        engine = _engine(plan, file, policy, budget, states)
        venue = Venue(
            _workplace(plan, cluster, resources, kept.home),
            resources,
            most=most_wanted(settings),
            to_come=cluster.to_come,
            told=lambda line: terminal.print(escape(line)),
            counted=budget.has_nodes,
            silence_s=60 * settings.timeout_min,
            stop=stop,
        )
        with (
            stopped_by_signals(stop.stop, terminal, "the leaderboard of what there is follows"),
            LivePage(folder) as page,
        ):
            whole = _run_trials(engine, file.records, venue, page, terminal)
            if whole:
                terminal.print(escape(_said_end(engine, settings)))
                whole = play(
                    folder,
                    runs,
                    engine.records,
                    settings,
                    budget,
                    venue,
                    terminal,
                    home=kept.home,
                    delete=kept.delete,
                    tick=page.tick,
                )
        if whole:
            states.finish(kept.home)
            _conclude(folder, terminal)
        state = State.FINISHED if whole else State.INTERRUPTED
        best = write_results(folder, state, sampler=policy.sampler, ended_by=engine.ended_by)
    if trouble := file.records.trouble or runs.records.trouble:
        raise TroubleError(
            f"the search stops, for trial after trial finds nothing to work with: {trouble}. No trial has "
            f"failed by that. When it is mended, go on with the search: {settings.resume_command}"
        )
    return Finished(folder.path, state, best)


def _resources(plan: Plan, cluster: Cluster, terminal: Console) -> Resources:
    resources = share(cluster, plan.settings)
    if may_share(cluster, plan.settings):
        resources = packed(resources, measured(plan, cluster, terminal), cluster, plan.settings)
    resources.require_an_end(plan.settings.allowance)
    for line in resources.described():
        terminal.print(line)
    return resources


@dataclass(frozen=True)
class _Kept:
    """Where the states of trials are, and what deletes those that are needed no more."""

    home: Storage
    delete: Callable[[str], None]


@contextlib.contextmanager
def _kept(
    folder: SearchFolder,
    settings: Settings,
    cluster: Cluster,
    owner: Owner | None,
    stop: StopAll,
    terminal: Console,
) -> Iterator[_Kept]:
    """Keeps a search in its storage, if it has one, until the end of this block."""
    here = Storage.of(folder.path)
    home = settings.home or here
    if cluster.joined and len(cluster.nodes) > 1:
        require_reach(home, stored=settings.home is not None)
    if settings.home is None:
        yield _Kept(here, here.delete)
        return
    with contextlib.ExitStack() as stack:
        owner = owner or stack.enter_context(owned(home, terminal.print))
        mirror = Mirror(folder, home, owner, told=terminal.print, superseded=stop.stop)
        delete = stack.enter_context(mirror).delete
        take_along(folder, home)
        terminal.print(escape(f"All that is needed to go on is kept in {home}, too."))
        yield _Kept(home, delete)


def _begin(folder: SearchFolder, plan: Plan) -> None:
    folder.sweep()
    folder.manifest_file.unlink(missing_ok=True)
    folder.rematch_file.unlink(missing_ok=True)
    _write_settings(folder, plan)
    plan.networks.keep_in(folder.networks_file)


def _workplace(plan: Plan, cluster: Cluster, resources: Resources, home: Storage) -> Workplace:
    settings = plan.settings
    return Workplace(
        source=str(plan.source) if settings.data else None,
        split=plan.prepared.split,
        cache_dir=settings.cache_dir,
        cache_gb=settings.cache_gb,
        checkpoints=home / CHECKPOINTS,
        imports=settings.imports,
        workers=resources.workers,
        batch_norm=settings.batch_norm,
        weights=carried(plan.weights, joined=cluster.joined),
    )


def _run_trials(engine: Engine, records: Records, venue: Venue, page: LivePage, terminal: Console) -> bool:
    """Whether the search has come to its end."""
    with Progress(engine, terminal) as progress:

        def tick() -> None:
            progress.tick()
            if records.order:
                page.tick()

        run(engine, venue, tick=tick)
    return engine.finished


def _accounts(plan: Plan, records: Records, played: Records, resources: Resources) -> Accounts:
    settings = plan.settings
    return Accounts(
        records,
        settings.scored_by,
        pictures=plan.training_pictures,
        growth=plan.retrain_pictures / plan.training_pictures,
        workers=resources.workers,
        rematch=settings.rematch * settings.rematch_seeds,
        at_once=resources.concurrency,
        played=played,
        gpus=resources.gpus,
    )


def _policy(plan: Plan, records: Records) -> Policy:
    settings = plan.settings
    cost = CostModel(
        settings.cost_model,
        records,
        plan.offered,
        classes=len(plan.prepared.classes),
        passes=settings.max_epochs,
        pictures=plan.training_pictures,
    )
    return make_policy(
        plan.offered,
        settings.scored_by,
        name=settings.sampler,
        seed=settings.seed,
        max_passes=settings.max_epochs,
        reduction=settings.reduction,
        fits=plan.fits,
        cost=cost.of,
        former=plan.formers,
    )


def _engine(plan: Plan, file: RecordFile, policy: Policy, budget: Budget, states: States) -> Engine:
    settings = plan.settings
    return Engine(
        file,
        plan.offered,
        policy,
        metric=settings.scored_by,
        budget=budget,
        passes=settings.max_epochs,
        pictures=plan.training_pictures,
        seed=settings.seed,
        starts=plan.starts,
        scored=plan.scored,
        audit=settings.audit,
        ended=lambda trial: states.ended(file.records.trials[trial]),
    )


def _conclude(folder: SearchFolder, terminal: Console) -> None:
    try:
        if home := folder.settings().home:
            bring_answers(folder, home)
        conclusion = conclude(folder)
    except (InputError, OSError) as fault:  # the search is whole all the same
        terminal.print(escape(f"The rematch comes to nothing: {fault}"))
        return
    for line in outcome(conclusion) if conclusion else ():
        terminal.print(escape(line))


def _said_end(engine: Engine, settings: Settings) -> str:
    """Why a search has ended, and how to go on."""
    allowed, budget, end = settings.allowance, engine.budget, engine.ended_by
    if end is EndedBy.SPACE:
        more = f" To go on: {settings.resume_command}, with a higher --max-params or --max-latency-ms."
        limited = settings.max_params is not None or settings.max_latency_ms is not None
        done, of = len(engine.records), allowed.trials or len(engine.records)
        tried = count(done, "trial") if of == done else f"{done} of {count(of, 'trial')}"
        return f"The search ends with {tried}: {engine.nothing_fits}.{more * limited}"
    trials = f"with {count(len(engine.records), 'trial')} in {span(budget.elapsed_s)}"
    if end is None or end is EndedBy.FAILURES:
        return f"The search ends {trials}: too many in a row failed. The leaderboard has their errors."
    retrain = "" if budget.retrain_s is None else f"; a retrain takes about {span(budget.retrain_s)}"
    if budget.left_s < (budget.retrain_s or 0.0):
        retrain += f", of which the limit leaves {span(budget.left_s)}"
    return f"The search ends {trials}, by {end.option} ({allowed.limits[end]}){retrain}."
