"""A folder that a path or a URI names: what is refused, and that files in it are whole or not there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from search.settings.settings import Settings, from_options
from tests.stored import assert_keeps_files
from trainables.storage import Storage, StorageError, storage_uri


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.of(tmp_path / "a folder")


def test_a_path_is_noted_as_an_absolute_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert storage_uri("store") == str(tmp_path / "store")
    assert storage_uri("~/store") == str(tmp_path / "me/store")
    assert storage_uri("file:///mnt/store") == "/mnt/store"
    assert storage_uri("s3://bucket/store?region=eu-west-1") == "s3://bucket/store?region=eu-west-1"


@pytest.mark.parametrize(
    "uri", ["s3://KEY:hunter2@bucket/store", "gs://KEY:hunter2@bucket", "s3://hunter2@bucket"]
)
def test_credentials_in_a_uri_are_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(StorageError, match="credentials do not belong into the URI") as refused:
        storage_uri(uri)
    assert "hunter2" not in str(refused.value)
    with pytest.raises(StorageError) as refused:
        from_options({"storage": uri})
    assert "hunter2" not in str(refused.value)
    with pytest.raises(ValidationError) as invalid:
        Settings(name="mine", space="demo", cache_dir="cache", storage=uri)
    assert "hunter2" not in str(invalid.value)


@pytest.mark.parametrize("uri", ["ftp://host/store", "hdfs://host/store", "s3:///store", "gs://"])
def test_what_is_no_storage_is_refused(uri: str) -> None:
    with pytest.raises(StorageError, match="no storage that can be used, or no bucket is named"):
        storage_uri(uri)


def test_an_option_that_pyarrow_does_not_know_is_told() -> None:
    with pytest.raises(StorageError, match="regoin"):
        Storage("s3://bucket/store?regoin=eu-west-1").exists("a")


def test_what_is_written_is_read_listed_and_deleted(storage: Storage) -> None:
    assert_keeps_files(storage)


def test_a_writing_that_fails_half_way_leaves_the_old_file_and_nothing_else(storage: Storage) -> None:
    storage.write("state.pt", b"old")
    with contextlib.suppress(RuntimeError), storage.writing("state.pt") as stream:
        stream.write(b"half of the ne")
        raise RuntimeError
    assert {name: storage.read(name) for name in storage.files()} == {"state.pt": b"old"}


def test_files_are_not_writable_by_everybody(storage: Storage) -> None:
    storage.write("settings.json", b"{}")
    for path in (Path(storage.root), Path(storage.root) / "settings.json"):
        assert not path.stat().st_mode & 0o002


def test_the_options_of_a_uri_stay_behind_the_path() -> None:
    storage = Storage("s3://bucket/store?endpoint_override=127.0.0.1:9&scheme=http") / "mine"
    assert str(storage / "checkpoints") == "s3://bucket/store/mine/checkpoints"


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be used as storage: .*Give a folder that can be written"):
        Storage.of(tmp_path / "a file").require_writable()
    Storage.of(tmp_path / "new").require_writable()
    assert os.listdir(tmp_path / "new") == []
