"""A storage on a server that speaks Google's protocol for storage: the same as a folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from gcp_storage_emulator.server import create_server

from tests.stored import assert_keeps_files
from trainables.storage import Storage


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    """A folder of a bucket on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    server.start()
    yield Storage(f"gs://anonymous@bucket/folder?endpoint_override=127.0.0.1:{port}&scheme=http")
    server.stop()


def test_what_is_written_is_read_listed_and_deleted(storage: Storage) -> None:
    storage.require_writable()
    assert_keeps_files(storage)


def test_a_large_file_comes_back_as_it_was(storage: Storage) -> None:
    content = os.urandom(20_000_000)
    storage.write("large", content)
    with storage.reading("large") as stream:
        assert stream.read() == content
    storage.delete("large")
