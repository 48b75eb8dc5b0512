"""The page of a comparison and its command: whole, harmless, and clear about what cannot be compared."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from search.compare.__main__ import main
from search.compare.cohorts import cohorts
from search.compare.entry import read_entries
from search.compare.page import links, page_text
from search.compare.sections import Sections
from search.report import style
from search.settings.objectives import weights
from search.storage.folder import State
from tests.compared import made, pictures_split
from tests.synthetic import HOSTILE, synthetic_search


def sections(*paths: Path) -> Sections:
    return Sections(cohorts(read_entries(paths)))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `results/` of two searches that compare and one that does not."""
    made(tmp_path / "results" / "good", seed=1, ability=2.5, readings=2)
    made(tmp_path / "results" / "bad", seed=2, ability=1.0)
    made(
        tmp_path / "results" / "other",
        seed=3,
        fingerprint="xyz",
        split=pictures_split(("a", "b")),
        data="signs",
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> int:
    return main(list(arguments))


def test_the_command_writes_the_page_and_prints_the_table(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("results/good", "results/bad", "results/other") == 0
    said = capsys.readouterr().out
    first, second = said.split("Not comparable with the first: ")
    assert second.startswith("other pictures, signs; 2 classes, not 3.")
    assert "good" in first
    assert next(line for line in said.splitlines() if line.startswith("1  good")).split()[:7] == [
        *("1", "good", "finished", "16", "9", "3", "4"),
    ]
    assert "90.0% [85.0%, 94.0%]  2 times" in said
    assert "It is better than that of bad by" in said
    assert "may overlap all the same" in said
    assert said.endswith("Comparison:  results/compare.html\n")
    page = (desk / "results" / "compare.html").read_text()
    assert '<a href="./good/leaderboard.html">good</a>' in page
    assert "Not comparable with the first block: other pictures, signs; 2 classes, not 3." in page
    assert [path.name for path in (desk / "results").iterdir() if path.is_file()] == ["compare.html"]


def test_the_test_accuracy_of_an_ensemble_is_not_taken_for_the_winners(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "joined", seed=1, ability=2.5, readings=1)
    made(tmp_path / "other", seed=2, ability=2.0, readings=1)
    metrics = folder.read_json(folder.model / "metrics.json")
    joined = {"kept": True, "trials": [3, 8, 1], "parameters": 1_234_567, "latency_ms": 21.5}
    folder.write_json(folder.model / "metrics.json", metrics | {"trial": None, "ensemble": joined})
    assert run(str(tmp_path / "joined"), str(tmp_path / "other"), "--out", str(tmp_path / "c.html")) == 0
    assert "90.0% [85.0%, 94.0%], of an ensemble of trials 3, 8 and 1" in capsys.readouterr().out
    page = (tmp_path / "c.html").read_text()
    assert page.count('<small class="of">of an ensemble of trials 3, 8 and 1</small>') == 1
    assert '<small class="of">1.235M parameters, 21.5 ms a picture</small>' in page
    # One that was not better was not made: the model is a trial, here not the winner of the rematch.
    folder.write_json(folder.model / "metrics.json", metrics | {"trial": 6, "ensemble": {"kept": False}})
    page = page_text(sections(folder.path, tmp_path / "other"), {})
    assert '<small class="of">of trial 6</small>' in page
    assert "an ensemble of" not in page


def test_only_searches_that_compare_share_a_figure(desk: Path) -> None:
    found = sections(*(desk / "results" / name for name in ("good", "bad", "other")))
    for name, figure in found.charts.plain().items():
        shown = {
            custom[0] if isinstance(custom, list) else custom
            for trace in figure["data"]
            for custom in trace.get("customdata", ())
        }
        assert shown == {1, 2}, name
    assert {name.split("-")[0] for name in found.charts.plain()} == {"best", "scores", "curves", "winners"}


def test_figures_hold_the_numbers_of_the_facts(desk: Path) -> None:
    found = sections(desk / "results" / "good", desk / "results" / "bad")
    (shown,) = found.cohorts
    bars = found.charts.figure("winners-1").data[0::3]
    for (number, one), bar in zip(shown.winners.items(), bars, strict=True):
        assert one.interval is not None
        assert list(bar.x) == [one.interval[0], one.mean, one.interval[1]]
        assert set(bar.customdata) == {number}
    for trace, row in zip(found.charts.figure("best-1-time").data, shown.rows, strict=True):
        assert trace.y[-1] == row.best
        assert trace.line.shape == "hv"
    numbers = [note.text for note in found.charts.figure("best-1-time").layout.annotations]
    assert numbers == ["<b>1</b>", "<b>2</b>"]


def test_searches_after_different_things_are_marked(tmp_path: Path) -> None:
    made(tmp_path / "plain", seed=1)
    made(tmp_path / "other", seed=2)
    records = synthetic_search(seed=3)
    for record in records:
        for epoch in record.history:
            epoch.metrics.update({"parameters": 1e6, "penalised_val_accuracy": epoch.metrics["val_accuracy"]})
    made(tmp_path / "small", records=records, objectives=weights("params:0.1"))
    found = sections(*(tmp_path / name for name in ("plain", "other", "small")))
    (shown,) = found.cohorts
    (small,) = [row.number for row in shown.rows if row.name == "small"]
    assert shown.marked == {small}
    assert [trace.name for trace in found.charts.figure("best-1-time").data].count("small *") == 1
    assert "small *" in page_text(found, {})
    assert any(
        "small by penalised validation accuracy = validation accuracy - 0.1 * log10(parameters in millions)"
        in line
        for line in shown.said.remarks
    )


def test_searches_that_run_or_were_cut_off_are_shown_as_they_stand(tmp_path: Path) -> None:
    records = synthetic_search(6, seed=1)
    for record in records[3:]:
        record.outcome, record.ended, record.error = None, None, None
    running = made(tmp_path / "running", records=records, state=None)
    made(tmp_path / "stopped", seed=2, state=State.INTERRUPTED, ability=2.0)
    made(tmp_path / "begun", records=[], state=None)
    with running.held():
        found = sections(*(tmp_path / name for name in ("running", "stopped", "begun")))
    (shown,) = found.cohorts
    assert {row.name: row.state for row in shown.rows} == {
        "running": "running",
        "stopped": "interrupted",
        "begun": "cut off",
    }
    assert "running is still running: what is shown is how far it has come." in shown.said.remarks
    page = page_text(found, {})
    assert "3 not ended" in page
    assert '<span class="state cut_off">cut off</span>' in page


def test_a_page_without_anything_to_compare_says_so(tmp_path: Path) -> None:
    made(tmp_path / "a", seed=1)
    made(tmp_path / "b", seed=2, split=pictures_split(seed=1))
    page = page_text(sections(tmp_path / "a", tmp_path / "b"), {})
    assert "No two of these searches compare" in page
    assert "the same pictures, but divided otherwise into parts." in page
    assert 'class="chart"' not in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["results/good"], "one search alone compares with nothing"),
        (["results/good", "results/bad", "results/good/"], "results/good is named 2 times"),
        (["results/good", "results/../results/good"], "results/good is named 2 times"),
        (
            ["results/good", "results/none"],
            "results/none is not a search's folder. Searches in results: bad,",
        ),
        (["results/good", "results"], "results is not a search's folder"),
        (["results/good", "results/good/records.jsonl"], "is a file, not a search's folder"),
        (
            ["results/good", "results/bad", "--out", "results/good/records.jsonl"],
            "must be a file that ends in .html",
        ),
        (["results/good", "results/bad", "--out", "none/c.html"], "there is no folder none"),
    ],
)
def test_what_cannot_be_compared_is_named(
    desk: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    before = (desk / "results" / "good" / "records.jsonl").read_bytes()
    assert run(*arguments) == 2
    assert said in capsys.readouterr().err
    assert (desk / "results" / "good" / "records.jsonl").read_bytes() == before
    assert not list(desk.rglob("compare.html"))


@pytest.mark.parametrize(
    "file", ["settings.json", "split.csv", "data.json", "records.jsonl", "rematch.json", "manifest.json"]
)
def test_a_damaged_file_is_named_and_no_page_is_written(
    desk: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    (desk / "results" / "bad" / file).write_text("[]\n")
    assert run("results/good", "results/bad") == 2
    said = capsys.readouterr().err
    assert "error: results/bad cannot be compared: " in said
    assert "Traceback" not in said
    assert not (desk / "results" / "compare.html").exists()


def test_a_rematch_of_trials_that_are_not_there_is_a_damaged_search(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = desk / "results" / "bad" / "rematch.json"
    file.write_text(json.dumps(json.loads(file.read_text())).replace('"trial": ', '"trial": 9'))
    assert run("results/good", "results/bad") == 2
    assert "results/bad cannot be compared: a file of it is damaged" in capsys.readouterr().err


def test_the_page_is_written_whole_or_not_at_all(
    desk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("results/good", "results/bad", "--out", "c.html") == 0
    before = (desk / "c.html").read_bytes()

    def full(self: Path, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert run("results/good", "results/other", "--out", "c.html") == 2
    assert "c.html cannot be written: No space left on device" in capsys.readouterr().err
    assert (desk / "c.html").read_bytes() == before
    assert not [path for path in desk.iterdir() if path.name.startswith(".")]


def test_links_lead_from_the_page_to_the_searches_that_have_one(tmp_path: Path) -> None:
    for place in ("a b", "c#d", f"e{HOSTILE.replace('/', '')}", "javascript:f"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "leaderboard.html").write_text("")
    (tmp_path / "without").mkdir()
    (tmp_path / "pages").mkdir()
    places = {n: path for n, path in enumerate(sorted(tmp_path.iterdir()), start=1) if path.name != "pages"}
    found = links(places, tmp_path / "pages" / "compare.html")
    assert list(found.values()) == [
        "./../a%20b/leaderboard.html",
        "./../c%23d/leaderboard.html",
        "./../e%3Cscript%3Ealert%281%29%3Cscript%3E/leaderboard.html",
        "./../javascript%3Af/leaderboard.html",
    ]
    here = links({1: tmp_path / "javascript:f"}, tmp_path / "compare.html")
    assert here == {1: "./javascript%3Af/leaderboard.html"}


def test_twenty_searches_each_have_a_look_of_their_own(tmp_path: Path) -> None:
    for seed in range(20):
        made(tmp_path / f"s{seed}", records=synthetic_search(5, seed=seed), ability=1.5 if seed % 2 else None)
    found = sections(*sorted(tmp_path.iterdir()))
    looks = {(trace.line.color, trace.line.dash) for trace in found.charts.figure("best-1-time").data}
    assert len(looks) == 20
    assert {colour for colour, _ in looks} == set(style.PALETTE)
    page = page_text(found, {})
    assert "and 11 more, see below" in page
    assert len(page) < 6_000_000


def test_hostile_names_are_escaped_in_page_and_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hostile = "<img src=x onerror=alert(1)> [red]$a$"
    split = pictures_split((HOSTILE, "b"))
    made(tmp_path / "first", split=split, ability=2.0, data=hostile)
    os.rename(tmp_path / "first", tmp_path / hostile)
    made(tmp_path / "b", split=split, ability=1.5, seed=1)
    assert run(hostile, "b", "--out", "c.html") == 0
    page = (tmp_path / "c.html").read_text()
    assert "<img" not in page.split("<script>")[0]
    assert HOSTILE not in page
    assert "&lt;img src=x onerror=alert(1)&gt; [red]$a$" in page
    assert hostile in capsys.readouterr().out
