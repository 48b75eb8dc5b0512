"""A storage on a server that speaks S3: the same as a folder, but for what only a server can do."""

from __future__ import annotations

import contextlib
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from search.engine.engine import Engine
from search.fetch import fetch, require_unused
from search.storage.folder import SearchFolder
from search.storage.owner import Owner
from tests.s3 import BUCKET, S3Server
from tests.s3 import s3_server as s3_server
from tests.simulated import Workers, engine, finish, search_folder, space
from tests.simulated import story as sim_story
from tests.stored import assert_keeps_files
from tests.test_mirror import Watched
from trainables.checkpoint import Checkpoint
from trainables.storage import Storage, StorageError


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
