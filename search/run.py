"""`python -m search.run`: a search, from pictures to a leaderboard."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from search.console.command import IMPORT_HELP, INTERRUPTED, NOTHING_FOUND, guarded, hint_when_interrupted
from search.console.command_line import CommandLine
from search.console.imports import uncollected
from search.fetch import fetch, require_unused
from search.planning.changes import refuse_changed_settings, refuse_changes
from search.planning.names import check_names, check_sources
from search.policy.sampler_names import SAMPLERS
from search.settings.asks import EXAMPLE as ASK_EXAMPLE
from search.settings.objectives import COSTS, EXAMPLE, WEIGHT
from search.settings.settings import DEFAULT_TRIALS, Settings, from_options, name_after, subject
from search.settled import is_settled, leave
from search.storage.folder import RESULTS, FolderError, SearchFolder, State
from search.storage.mirror import level
from search.storage.owner import Owner, owned
from search.tracking.trackers import KINDS, check_installed
from search.trials.trials import METRICS
from trainables.storage import Storage, storage_uri

if TYPE_CHECKING:
    from search.planning.plan import Plan
    from search.tune.connection import Connection

DESCRIPTION = """\
Searches for the best image classifier: trains many recipes on your pictures, stops the weak ones early,
and ends with a leaderboard and the winner's config under results/NAME/.
"""
EXAMPLES = """\
examples:
  python -m search.run                                  the built-in demo, in some minutes
  python -m search.run --data ~/pictures --dry-run      check everything and print the plan
  python -m search.run --data ~/pictures --name mine    search; one folder of pictures for each class
  python -m search.run --name mine --resume             go on after Ctrl-C, a crash or a power cut
  python -m search.run --name mine --resume --trials 40 add trials to a finished search
  python -m search.run --data /shared/pictures --name mine --storage s3://bucket/searches
  python -m search.run --name mine --resume --storage s3://bucket/searches    on another machine
  python -m search.run --data ~/pictures --time 4h      as many trials as 4 hours leave, and the retrain
"""


def parser() -> argparse.ArgumentParser:
    """The command line. Options that were not given are absent from the result."""
    top = CommandLine(
        prog="python -m search.run",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    what = top.add_argument_group("what is searched")
    what.add_argument(
        "--data",
        metavar="PATH",
        help="pictures: a folder with one folder a class; a folder with train/ val/ test/; a manifest (.csv "
        "or .parquet: path, label, and if you like group and part); the Kaggle Simpsons download. "
        "Default: the built-in demo",
    )
    what.add_argument("--classes", metavar="A,B,...", help="take only these classes")
    what.add_argument(
        "--min-per-class",
        metavar="N",
        type=int,
        help=f"leave out classes with fewer pictures (default {_default('min_per_class')})",
    )
    what.add_argument(
        "--space",
        metavar="NAME|FILE",
        help="demo (seconds a trial), scratch (random weights), finetune (pretrained), full (everything), or "
        "your own YAML file. Default: demo for the demo's pictures, else scratch",
    )
    what.add_argument(
        "--import",
        dest="imports",
        metavar="MODULE",
        action="append",
        help=IMPORT_HELP,
    )
    what.add_argument(
        "--start-from",
        metavar="FILE|NAME",
        nargs="+",
        help="try these recipes early, then the built-in ones that fit the search: the first three at once, "
        "then every second trial is one",
    )
    what.add_argument(
        "--warm-start",
        metavar="DIR",
        nargs="+",
        help="learn from former searches, such as results/OLD, also on other data and over another space: by "
        "their trials whose recipes are in this one's; their best are tried after --start-from",
    )
    what.add_argument(
        "--max-params",
        metavar="N",
        help="leave out networks with more parameters, such as 300k or 25M",
    )
    what.add_argument(
        "--max-latency-ms",
        metavar="MS",
        type=float,
        help="leave out networks that take longer over one picture, measured on this machine",
    )
    how = top.add_argument_group("how much")
    how.add_argument(
        "--trials",
        metavar="N",
        type=int,
        help=f"recipes to try (default {DEFAULT_TRIALS}, or as many as another limit allows)",
    )
    how.add_argument(
        "--epochs-total",
        metavar="N",
        type=int,
        help="epochs, passes over the training part, that all trials together may take",
    )
    how.add_argument(
        "--time",
        metavar="4h",
        help="for search, rematch and retrain, from the first trial on, over all sessions: 90s, 30m, 1h30m",
    )
    how.add_argument(
        "--gpu-hours",
        metavar="N",
        type=float,
        help="for search, rematch and retrain: the seconds of the epochs, times the GPUs that a trial has",
    )
    how.add_argument(
        "--cost",
        metavar="AMOUNT",
        type=float,
        help="for search, rematch and retrain, in any currency: the time, times the nodes and --price",
    )
    how.add_argument("--price", metavar="AMOUNT", type=float, help="of one node for an hour; with --cost")
    how.add_argument(
        "--patience",
        metavar="N",
        type=int,
        help="begin no further trial when N in a row ended, early or not, without a better score",
    )
    how.add_argument(
        "--max-epochs",
        metavar="N",
        type=int,
        help="full length of a trial, in epochs: passes over the training part (default {})".format(
            _default("max_epochs")
        ),
    )
    how.add_argument(
        "--metric",
        choices=sorted(METRICS),
        help="ranks trials (default {})".format(_default("metric")),
    )
    how.add_argument(
        "--objectives",
        metavar="COST:WEIGHT,...",
        help=f"costs that count beside the metric ({', '.join(COSTS)}), each with by how much a tenfold "
        f"of it makes a score worse (default {WEIGHT}; 0: it is only shown), such as {EXAMPLE}",
    )
    how.add_argument(
        "--sampler",
        choices=SAMPLERS,
        help="what suggests recipes: "
        + "; ".join(f"{name} {purpose}" for name, purpose in SAMPLERS.items())
        + " (default {})".format(_default("sampler")),
    )
    how.add_argument(
        "--reduction",
        metavar="N",
        type=int,
        help=f"at each rung one trial in N goes on (default {_default('reduction')})",
    )
    how.add_argument(
        "--audit",
        metavar="SHARE",
        type=float,
        help="of the trials that would be stopped, this share, at least one, runs on to measure what "
        f"stopping costs; 0: none (default {_default('audit')})",
    )
    how.add_argument(
        "--rematch",
        metavar="N",
        type=int,
        help="train the best N trials again from scratch and compare them on pictures that nothing has seen "
        f"before; who wins that is the winner; 0: none (default {_default('rematch')})",
    )
    how.add_argument(
        "--rematch-seeds",
        metavar="N",
        type=int,
        help=f"how often each of them (default {_default('rematch_seeds')})",
    )
    how.add_argument(
        "--prefer",
        choices=["accuracy", "cost", "latency"],
        help="which of those wins that the rematch cannot tell apart: the one with the best score (default), "
        "the shortest epochs, or the quickest answer to one picture",
    )
    how.add_argument(
        "--cost-model",
        choices=["measured", "static"],
        help="what trials are expected to cost: measured (default) learns from the epochs so far; static "
        "counts the multiply-adds of their networks, which is the same everywhere and in every run",
    )
    how.add_argument(
        "--seed",
        metavar="N",
        type=int,
        help="of split, sampler and trials (default {})".format(_default("seed")),
    )
    where = top.add_argument_group("where it runs")
    where.add_argument(
        "--ray",
        metavar="auto|local|ADDRESS",
        help="auto (default) joins a running Ray cluster, else starts Ray here; local always starts one",
    )
    where.add_argument("--concurrency", metavar="N", type=int, help="trials at a time (default: what fits)")
    where.add_argument("--workers-per-trial", metavar="N", type=int, help="processes a trial (default 1)")
    where.add_argument(
        "--batch-norm",
        choices=["sync", "local"],
        help="with several workers on GPUs: sync (default) normalises over the whole batch, as one worker "
        "would; local, which is faster, over each worker's share of it. On CPUs it is always local",
    )
    where.add_argument("--cpus-per-trial", metavar="N", type=float, help="CPUs of each worker")
    where.add_argument(
        "--gpus-per-trial", metavar="N", type=float, help="GPUs of each worker; a fraction shares a GPU"
    )
    where.add_argument(
        "--resources",
        metavar="NETWORK=WHAT:N,...",
        nargs="+",
        help="what the workers of some networks get, where that is not the same for all: cpus, gpus and "
        f"accelerator_type (Ray's name of a kind of GPU), such as {ASK_EXAMPLE} 'plain_*=cpus:2,gpus:0'",
    )
    where.add_argument(
        "--pack",
        choices=["auto", "off"],
        help="auto (default) measures what trainings cost a GPU, and lets as many share one as keep it busy, "
        "unless told what a trial gets; with off a trial gets a GPU",
    )
    where.add_argument(
        "--timeout-min",
        metavar="N",
        type=float,
        help=f"give a trial up that reports no epoch for so long (default {_default('timeout_min'):g})",
    )
    where.add_argument(
        "--cache-dir",
        metavar="DIR",
        help="decoded pictures (default $CLASSIFIER_SEARCH_CACHE, else ~/.cache/classifier-search)",
    )
    where.add_argument(
        "--cache-gb",
        metavar="N",
        type=float,
        help="GB that the decoded pictures of all searches may take there, on each machine; those used least "
        f"recently are deleted first (default {_default('cache_gb'):g})",
    )
    result = top.add_argument_group("the result")
    result.add_argument("--name", metavar="NAME", help="folder under results/ (default: by data and time)")
    result.add_argument(
        "--storage",
        metavar="URI",
        help="keep all that is needed to go on there too, and the states of trials: a folder (of NFS, say), "
        "s3://BUCKET/FOLDER or gs://BUCKET/FOLDER, the same from every machine. With --resume, what is there "
        "is brought here first",
    )
    result.add_argument(
        "--keep-checkpoints",
        metavar="K",
        type=int,
        help="keep the states in which the best K trials ended (default {})".format(
            _default("keep_checkpoints")
        ),
    )
    for name, kind in KINDS.items():
        result.add_argument(
            f"--{name}",
            action=argparse.BooleanOptionalAction,
            help=f"show the search in {kind.title} while it runs: {kind.place}",
        )
    result.add_argument(
        "--resume",
        action="store_true",
        default=False,
        help="go on with the search of this --name; what is not given stays as it was",
    )
    result.add_argument(
        "--dry-run",
        action="store_true",
        default=False,
        help="check everything, print the plan, start nothing",
    )
    return top


def _default(name: str) -> Any:
    return Settings.model_fields[name].default


def settings_from(given: dict[str, Any], *, resume: bool) -> Settings:
    """The settings that options ask for; on a resume, over those that the search had.

    Raises:
        FolderError: `resume` without a name, of a search that is not there, or with another start.
        ValidationError: A value is out of range.
    """
    if resume:
        if "name" not in given:
            raise FolderError("--resume needs the --name of a search; python -m search.list shows them.")
        folder = SearchFolder.open(RESULTS / given["name"])
        stored = folder.settings()
        if stored.alone:
            raise FolderError(
                f"{folder.path} is the training of one recipe. Go on with it by {stored.resume_command}."
            )
        for option in ("start_from", "warm_start"):
            if option in given:
                raise FolderError(
                    f"--{option.replace('_', '-')} says how a search starts, and {folder.path} has started. "
                    "Leave it out, or start a new search under another --name."
                )
        return Settings.model_validate(from_options(given, **stored.model_dump()))
    data = given.get("data")
    name = name_after(subject(data) if data else "demo")
    return Settings.model_validate(from_options(given, name=name, space="scratch" if data else "demo"))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Its exit status: 0, 1 without a winner, 2 for faulty input, 130 when interrupted."""
    given = vars(parser().parse_args(arguments))
    return guarded(lambda: _run(given))


def _run(given: dict[str, Any]) -> int:
    console = Console(highlight=False, soft_wrap=True)
    resume, dry_run = given.pop("resume"), given.pop("dry_run")
    with contextlib.ExitStack() as stack:
        owner = _claimed(given, console, stack, dry_run=dry_run) if resume else None
        settings = settings_from(given, resume=resume)
        check_installed(settings.trackers)
        folder = SearchFolder(RESULTS / settings.name)
        if resume:
            with folder.held():
                refuse_changed_settings(folder, settings)
                if is_settled(folder, settings):
                    best = leave(folder, console, write=not dry_run)
                    if owner and settings.home:
                        level(folder, settings.home, owner, console.print)
                    return 0 if best else NOTHING_FOUND
            check_sources(settings)
        else:
            if folder.path.exists():
                SearchFolder.create(folder.path)  # refuses, before minutes go into the pictures
            check_names(settings)
            if settings.home:
                require_unused(settings.home)
                owner = None if dry_run else stack.enter_context(owned(settings.home, console.print))
        if dry_run:
            return _dry_run(settings, folder, console, resume=resume)
        from search.tune.connection import Connection  # only now: a mistyped option should not wait for it

        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: Ray has to be ended
        with contextlib.closing(Connection(settings)) as connection:
            # What goes wrong is told at once, not when Ray has ended.
            return guarded(lambda: _search(settings, folder, console, connection, owner, resume=resume))


def _claimed(
    given: dict[str, Any], console: Console, stack: contextlib.ExitStack, *, dry_run: bool
) -> Owner | None:
    """Takes over a search that has a storage, and brings its folder here; None where it has none."""
    folder = SearchFolder(RESULTS / given.get("name", ""))
    storage = given.get("storage")
    if storage is None and "name" in given and folder.settings_file.exists():
        storage = folder.settings().storage
    if storage is None or "name" not in given:
        return None
    home = Storage(storage_uri(storage)) / given["name"]
    Storage(home.root).require_writable()
    owner = None if dry_run else stack.enter_context(owned(home, console.print))
    console.print(escape(fetch(folder, home)))
    return owner


def _dry_run(settings: Settings, folder: SearchFolder, console: Console, *, resume: bool) -> int:
    """Says what would happen."""
    with uncollected():
        from search.tune.foreseen import foresee

    foreseen = list(foresee(settings))  # first: what nothing here has room for needs no plan
    _planned(settings, folder, console, resume=resume)
    for line in foreseen:
        console.print(escape(line))
    console.print("The plan is sound; nothing was started (--dry-run).")
    return 0


def _planned(settings: Settings, folder: SearchFolder, console: Console, *, resume: bool) -> Plan:
    """Plans a search, and prints the plan."""
    with uncollected():  # only now: torch takes seconds
        from search.planning.plan import describe, make_plan

    plan = make_plan(settings, console, before=folder if resume else None)
    if resume:
        refuse_changes(folder, plan)
    table = Table.grid(padding=(0, 2))
    for name, value in describe(plan):
        table.add_row(f"[bold]{name}[/]", escape(value))
    console.print(table)
    return plan


def _search(
    settings: Settings,
    folder: SearchFolder,
    console: Console,
    connection: Connection,
    owner: Owner | None,
    *,
    resume: bool,
) -> int:
    """Plans a search, and runs it."""
    plan = _planned(settings, folder, console, resume=resume)
    connection.cluster()  # until then it imports modules of Ray, and two threads should not at a time
    from search import experiment

    with hint_when_interrupted(folder, f"go on with it: {settings.resume_command}"):
        finished = (experiment.resume if resume else experiment.start)(plan, connection, owner=owner)
    _say_result(console, finished, settings)
    if finished.state is State.INTERRUPTED:
        return INTERRUPTED
    return 0 if finished.best else NOTHING_FOUND


def _say_result(console: Console, finished: Any, settings: Settings) -> None:
    from search.console.progress import main_settings

    metric, best = settings.scored_by, finished.best
    if best is None:
        console.print("No trial has a score yet.")
    else:
        named = "Winner" if finished.state is State.FINISHED else "Best so far"
        console.print(
            f"{named}: trial {best.number}, {metric.title} {best.score(metric):.4f} in the search "
            f"({escape(main_settings(best))})",
        )
        if settings.objectives:
            console.print(f"It has {settings.all_objectives.said(best)}.")
    if finished.state is State.INTERRUPTED:
        console.print(f"Go on with it:  {settings.resume_command}")
    if best is not None:
        console.print(f"Train it for real:  python -m search.retrain {finished.folder}")
    console.print(f"Leaderboard:  {finished.folder / 'leaderboard.html'}")


if __name__ == "__main__":
    sys.exit(main())
