"""How a search went about it: what suggested and what stopped, what it might use, and what it ran on.

Only what its folder has noted: of a search of an older version that may be less.
"""

from __future__ import annotations

from collections.abc import Iterator

from search import text
from search.policy.sampler_names import SAMPLERS
from search.report.facts.rungs import levels
from search.report.facts.view import SearchView
from spaces.parameters import said_prior
from spaces.priors import Prior

VERSIONS = ("torch", "timm", "ray", "optuna")
FORESEEN = {
    "measured": "by the epochs that have run so far",
    "static": "by the multiply-adds of each network",
}


def method(view: SearchView) -> list[tuple[str, str]]:
    """The lines, each with what it is about."""
    lines = [] if view.alone else [*_search(view), *_beginning(view), *_ends(view)]
    return [*lines, *_machine(view)]


def _search(view: SearchView) -> Iterator[tuple[str, str]]:
    given = view.settings
    if sampler := given.get("sampler"):
        yield "suggested by", f"{sampler}: {SAMPLERS.get(sampler, '')}".removesuffix(": ")
    if rungs := levels(view):
        at = text.listed(map(text.number, rungs))
        length, share = text.count(given["max_epochs"], "epoch"), f"one in {given['reduction']}"
        yield "stopped at", f"{at} of {length}: {share} goes on, and what is expected to end among the best"
    if audit := given.get("audit"):
        yield "controls", f"{100 * audit:.3g}% of what would be stopped runs on all the same"
    yield "ranked by", view.objectives.definition if view.objectives else view.metric.title
    if model := given.get("cost_model"):
        yield "costs foreseen", FORESEEN.get(model, model)


def _beginning(view: SearchView) -> Iterator[tuple[str, str]]:
    """What it knew before its first trial."""
    trials = {record.trial.source: record.number for record in view.records if record.trial.source}
    known = [
        f"{source} ({f'trial {trials[source]}' if source in trials else 'not tried'})"
        for source in view.starts
    ]
    if known:
        yield "given recipes", ", ".join(known)
    for former in view.formers:
        of = text.count(former["of"], "trial")
        yield "warm start", f"{former['source']}: {len(former['params'])} of its {of} count here"
    for path, alternatives in view.space.get("parameters", {}).items():
        for one in alternatives if isinstance(alternatives, list) else [alternatives]:
            if prior := one.get("prior"):
                yield "prior", said_prior(path, Prior(**prior), one.get("when", {}))


def _ends(view: SearchView) -> Iterator[tuple[str, str]]:
    given = view.settings
    if view.limits:
        ended = f"; ended by {view.ended_by.option}" if view.ended_by else ""
        yield "budget", ", ".join(view.limits.values()) + ended
    limits = [
        f"{text.amount(given['max_params'])} parameters" if given.get("max_params") else "",
        f"{given['max_latency_ms']:g} ms a picture" if given.get("max_latency_ms") else "",
    ]
    if any(limits):
        yield "networks up to", ", ".join(limit for limit in limits if limit)
    if "rematch" in given:
        best, seeds = given["rematch"], given["rematch_seeds"]
        decides = f"; among the tied, {given['prefer']} decides"
        yield "rematch", f"best {best}, {text.count(seeds, 'seed')} each{decides}" if best else "none"
    if "concurrency" in given:
        at_once = given["concurrency"] or "as many as fit"
        workers = given.get("workers_per_trial", 1)
        yield "trials at a time", f"{at_once}, {workers} workers each" if workers > 1 else str(at_once)


def _machine(view: SearchView) -> Iterator[tuple[str, str]]:
    if (seed := view.settings.get("seed")) is not None:
        yield "seed", str(seed)
    known = view.environment
    if not known:
        return
    gpus = [f"{known['gpus'].count(name)} x {name}" for name in dict.fromkeys(known["gpus"])]
    yield "driven on", f"{text.count(known['cpus'], 'CPU')}, {', '.join(gpus) or 'no GPU'}, {known['system']}"
    versions = [f"{name} {known['packages'][name]}" for name in VERSIONS if name in known["packages"]]
    yield "versions", ", ".join([f"Python {known['python']}", *versions])
    if known["git_commit"]:
        yield "code", known["git_commit"][:10] + (", with changes" if known["git_changes"] else "")
