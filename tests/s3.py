"""A server on this machine that speaks S3, with credentials that are good for nothing else."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer
from pyarrow.fs import S3FileSystem

BUCKET = "bucket"


class S3Server:
    """Keeps what it holds when it is stopped and started again."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._server: ThreadedMotoServer | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def options(self) -> str:
        """Of a URI, which lead here."""
        return f"endpoint_override={self.address}&scheme=http&region=us-east-1"

    def start(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3Server]:
    """Runs, with an empty bucket."""
    server = S3Server()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_ACCESS_KEY_ID", "a-key-of-tests")
        patched.setenv("AWS_SECRET_ACCESS_KEY", "hunter2-of-tests")
        patched.setenv("AWS_EC2_METADATA_DISABLED", "true")
        server.start()
        S3FileSystem(
            endpoint_override=server.address, scheme="http", region="us-east-1", allow_bucket_creation=True
        ).create_dir(BUCKET)
        yield server
        server.stop()
