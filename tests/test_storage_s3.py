"""A storage on a server that speaks S3: the same as a folder, but for what only a server can do."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from search.engine.engine import Engine
from search.fetch import fetch, require_unused
from search.storage.folder import SearchFolder
from search.storage.owner import NOTE, Owner
from tests.aftermath import assert_each_trial_is_recorded_once
from tests.commands import Desk
from tests.faulty import SLOW
from tests.s3 import BUCKET, S3Server
from tests.s3 import s3_server as s3_server
from tests.simulated import Workers, engine, finish, search_folder, space
from tests.simulated import story as sim_story
from tests.stored import assert_keeps_files
from tests.test_mirror import Watched
from trainables.checkpoint import Checkpoint
from trainables.storage import Storage, StorageError

EPOCH = b'"event": "epoch"'
SECRETS = ("hunter2", "a-key-of-tests")


@pytest.fixture
def storage(s3_server: S3Server, request: pytest.FixtureRequest) -> Storage:
    return Storage(f"s3://{BUCKET}/a-folder?{s3_server.options}") / request.node.name


def test_what_is_written_is_read_listed_and_deleted(storage: Storage) -> None:
    assert_keeps_files(storage)


def test_a_writing_that_fails_half_way_leaves_nothing_half(storage: Storage) -> None:
    with contextlib.suppress(RuntimeError), storage.writing("state.pt") as stream:
        stream.write(b"half of the ne")
        raise RuntimeError
    assert storage.files() == {}


def test_a_checkpoint_of_several_parts_of_an_upload_comes_back_as_it_was(storage: Storage) -> None:
    torch.manual_seed(0)
    weights = {"large": torch.randn(5_000_000), **{f"small {n}": torch.randn(9) for n in range(300)}}
    saved = Checkpoint({}, 0, 1, [{"epoch": 1}], weights, None, {}, {}, {}, {})
    with storage.writing("trial-00000.pt") as stream:
        saved.write(stream)
    with storage.reading("trial-00000.pt") as stream:
        found = Checkpoint.read(stream, "trial-00000.pt")
    assert all(torch.equal(found.model[name], value) for name, value in weights.items())


def test_a_search_is_claimed_and_let_go(storage: Storage) -> None:
    owner, other = Owner(storage, print), Owner(storage, print, sleep=lambda seconds: owner.beat())
    owner.claim()
    with pytest.raises(StorageError, match="runs this search"):
        other.claim()
    owner.release()
    assert storage.files() == {}


def test_what_is_wrong_with_a_storage_is_told_with_what_to_do(
    s3_server: S3Server, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_unused(storage)
    assert storage.files() == {}
    with pytest.raises(StorageError, match=r"s3://none/store cannot be used.*Create the bucket first"):
        Storage(f"s3://none/store?{s3_server.options}").require_writable()
    silent = s3_server.options.replace(str(s3_server.port), "9")
    with pytest.raises(StorageError, match="Is there a network"):
        Storage(f"s3://{BUCKET}/store?{silent}").require_writable()


def test_the_server_may_be_named_by_the_environment(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{s3_server.address}")
    Storage(f"s3://{BUCKET}/by-environment").require_writable()


@pytest.mark.parametrize("seed", range(3))
def test_heads_that_are_lost_again_and_again_come_to_the_very_same_end(
    storage: Storage, tmp_path: Path, seed: int
) -> None:
    searched = space(tmp_path)

    def driven_in(folder: SearchFolder) -> Engine:
        return engine(folder.records_file, searched, trials=16, sampler="random", seed=seed)

    undisturbed = finish(driven_in(search_folder(tmp_path / "undisturbed")), Workers(1))
    rng, heads = np.random.default_rng(seed), 0
    folder = search_folder(tmp_path / "head-0" / "mine")
    while not (driven := driven_in(folder)).finished:
        watched = Watched(folder, storage)
        for _ in islice(Workers(1).run(driven), int(rng.integers(5, 60))):
            if rng.random() < 0.2:  # what is recorded after the last time is lost with the head
                watched.level()
        watched.level()
        heads += 1
        folder = SearchFolder(tmp_path / f"head-{heads}" / "mine")
        fetch(folder, storage)
        if rng.random() < 0.5:  # the last copy came too late
            torn = storage.read("records.jsonl")
            storage.write("records.jsonl", torn[: int(len(torn) * 0.9)])
            folder = SearchFolder(tmp_path / f"head-{heads}-torn" / "mine")
            fetch(folder, storage)
    assert heads > 2
    assert sim_story(driven.records) == sim_story(undisturbed.records)


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


@pytest.mark.slow
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
