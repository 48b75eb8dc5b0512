"""A search whose head is lost twice, kept in a storage that speaks S3: a real search, real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator

import pytest

from search.storage.folder import SearchFolder
from search.storage.owner import NOTE
from tests.aftermath import assert_each_trial_is_recorded_once
from tests.commands import Desk
from tests.faulty import SLOW
from tests.s3 import BUCKET, S3Server
from tests.s3 import s3_server as s3_server
from trainables.storage import Storage

pytestmark = pytest.mark.slow

EPOCH = b'"event": "epoch"'
SECRETS = ("hunter2", "a-key-of-tests")
RANDOM = ("--sampler", "random", "--cost-model", "static", "--concurrency", "1", "--trials", "6")
SEARCH = (*RANDOM, "--max-epochs", "4", "--reduction", "2", "--rematch", "2", "--rematch-seeds", "2")


@pytest.fixture
def disturbed(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """To be stopped and started again."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{s3_server.address}")
    yield s3_server
    s3_server.stop()
    s3_server.start()


def story(folder: SearchFolder) -> list[tuple]:
    """What became of each trial, without what takes another time each time."""
    return [
        (one.trial, one.outcome, one.control, [epoch.metrics["val_loss"] for epoch in one.history])
        for one in folder.records().all()
    ]


def test_a_search_whose_head_is_lost_twice_goes_on_from_s3_as_if_nothing_had_happened(
    desk: Desk, disturbed: S3Server
) -> None:
    space = desk.space(SLOW)
    status, output = desk.search("--space", space, *SEARCH, "--name", "whole")
    assert status == 0, output
    whole = SearchFolder(desk.folder / "results" / "whole")

    uri = f"s3://{BUCKET}/searches"
    home = Storage(uri) / "lost"
    folder = SearchFolder(desk.folder / "results" / "lost")
    process = desk.start(
        "search.run",
        *desk.search_arguments("--space", space, *SEARCH, "--name", "lost", "--storage", uri),
    )
    desk.wait(process, lambda: home.exists("records.jsonl"))

    # Another head, while the first one lives.
    status, output = desk.run("search.run", "--name", "lost", "--resume", "--storage", uri)
    assert (status, "runs this search" in output) == (2, True), output

    # The storage fails for a while. The search goes on, and what it lacks is copied later.
    disturbed.stop()
    before = len(folder.records().order)
    desk.wait(process, lambda: len(folder.records().order) >= before + 2)
    disturbed.start()
    desk.wait(process, lambda: home.read("records.jsonl").count(EPOCH) >= before + 2)

    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    shutil.rmtree(folder.path)

    status, output = desk.run("search.run", "--name", "lost", "--resume", "--storage", uri)
    assert status == 0, output
    assert "left no word" in output
    assert_each_trial_is_recorded_once(folder.path, 6)
    assert story(folder) == story(whole)
    # Nothing but what is needed, and the same here and there.
    there = home.files()
    best = json.loads(folder.manifest_file.read_text())
    states = [name for name in there if "checkpoints" in name]
    assert len(states) == 1
    assert NOTE not in there
    assert best["state"] == "finished"
    for name in there:
        if name not in states:
            assert home.read(name) == (folder.path / name).read_bytes(), name
    for path in folder.path.rglob("*"):
        if path.is_file():
            assert not [secret for secret in SECRETS if secret.encode() in path.read_bytes()], path
