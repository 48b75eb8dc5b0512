"""A Ray of this search alone, on this machine: only this user gets in.

Whoever reaches Ray runs code as its user. By itself Ray listens on every interface of the machine, keeps its
sockets and logs in a folder that everybody may write to, and writes the token, without which nobody gets in,
into a file that everybody may read.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants

_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's switch for systems whose firewalls would ask: with 0 a node's address is 127.0.0.1, and all listen
there. Processes read it when they import Ray, this one has."""


def start_private(folder: Path, **options: Any) -> None:
    """Starts a Ray on this machine and connects this process to it, until `ray.shutdown`.

    Args:
        folder: For its sockets, logs and spilled objects. Ray's own folder, in it, is open to everybody, so
            it must be closed. Its path is short, for a socket's has at most 107 characters.
        options: For `ray.init`.
    """
    secure_token()
    with _on_loopback():
        ray.init(address="local", _temp_dir=str(folder / "r"), **options)


def secure_token() -> None:
    """Makes sure that nobody else can read the token that Ray takes; where there is none it is made."""
    given = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(given) if given else Path.home() / ".ray" / "auth_token"
    with contextlib.suppress(
        OSError
    ):  # another user's, or on a disk that cannot be written to: left as it is
        file.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            file.chmod(file.stat().st_mode & 0o700)
        else:
            with os.fdopen(made, "w") as content:
                content.write(secrets.token_hex(32))


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    before = os.environ.get(_LOOPBACK), ray_constants.ENABLE_RAY_CLUSTER
    os.environ[_LOOPBACK], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before[1]
        if before[0] is None:
            del os.environ[_LOOPBACK]
        else:
            os.environ[_LOOPBACK] = before[0]
