"""What a command says of a command line that it cannot take."""

from __future__ import annotations

from typing import Any

import pytest

from search import evaluate, export, fetch, leaderboard, predict, preview, retrain, run, track, train
from search import list as listing
from search.compare import __main__ as compare
from search.console.command_line import CommandLine, near_options

MODULES = [
    *(run, train, preview, retrain, predict, evaluate),
    *(export, fetch, leaderboard, listing, track, compare),
]


def refused(main: Any, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is said, without the pointer to the help at its end."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    out, error = capsys.readouterr()
    first, last = error.splitlines()
    assert out == ""
    assert first.startswith("error: ")
    assert last.startswith("All options: python -m search.")
    assert last.endswith(" --help")
    return first.removeprefix("error: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--trails", "3"], "there is no option --trails. Did you mean --trials?"),
        (["--trails=3"], "there is no option --trails. Did you mean --trials?"),
        (["-trials", "3"], "there is no option -trials. Did you mean --trials?"),
        (["--epochs", "3"], "there is no option --epochs. Did you mean --epochs-total or --max-epochs?"),
        (["--zzz"], "there is no option --zzz."),
        (["pictures"], "no option takes pictures."),
        (["--trials"], "argument --trials: expected one argument."),
        (["--trials", "many"], "--trials 'many': must be a whole number."),
        (["--trials", "2.5"], "--trials '2.5': must be a whole number."),
        (["--price", "much"], "--price 'much': must be a number."),
        (["--metric", "beauty"], "--metric 'beauty': must be one of val_accuracy, val_loss, val_macro_f1."),
        (
            ["--sampler", "forcast"],
            "--sampler 'forcast': must be one of forecast, tpe, gp, cmaes, nsga2, random, qmc. "
            "Did you mean forecast?",
        ),
    ],
)
def test_what_is_no_option_or_not_for_it_is_refused_with_what_was_meant_perhaps(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert refused(run.main, arguments, capsys) == said


@pytest.mark.parametrize("module", MODULES)
def test_every_command_says_what_a_mistyped_option_may_be(
    capsys: pytest.CaptureFixture[str], module: Any
) -> None:
    """Also where something that it needs is missing."""
    assert refused(module.main, ["--hepl"], capsys) == "there is no option --hepl. Did you mean --help?"


def test_options_are_to_be_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    parser = CommandLine(prog="python -m search.x")
    parser.add_argument("--epochs-total", type=int)
    parser.add_argument("--mlflow", action="store_true")
    assert parser.parse_args(["--epochs-total=3", "--mlflow"]).epochs_total == 3
    assert "Did you mean --epochs-total?" in refused(parser.parse_args, ["--epochs", "3"], capsys)


def test_a_value_may_look_like_an_option_after_two_dashes_or_where_it_is_a_number() -> None:
    parser = CommandLine()
    parser.add_argument("--weight", type=float)
    parser.add_argument("pictures", nargs="*")
    found = parser.parse_args(["--weight", "-1.5", "--", "--odd.jpg"])
    assert (found.weight, found.pictures) == (-1.5, ["--odd.jpg"])


def test_at_most_three_options_are_named() -> None:
    known = ["--max-epochs", "--max-params", "--max-latency-ms", "--max-cost", "--min-per-class"]
    assert near_options("--max", known) == known[:3]
    assert near_options("--minper-class", known) == ["--min-per-class"]
    assert near_options("--colour", known) == []
