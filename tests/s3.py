"""A server on this machine that speaks S3, with credentials that are good for nothing else."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator

import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from pyarrow.fs import S3FileSystem
from werkzeug.serving import BaseWSGIServer, make_server

BUCKET = "bucket"


class S3Server:
    """Keeps what it holds when it is stopped and started again."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._server: BaseWSGIServer | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def options(self) -> str:
        """Of a URI, which lead here."""
        return f"endpoint_override={self.address}&scheme=http&region=us-east-1"

    def start(self) -> None:
        """Begins to answer."""
        app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", self.port, app, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Refuses all connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3Server]:
    """Runs, with an empty bucket."""
    server = S3Server()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for each request
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
