"""A folder that a path or a URI names: on a disk, NFS, S3 or Google Cloud Storage, through pyarrow."""

from __future__ import annotations

import contextlib
import functools
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from spaces.errors import InputError

SCHEMES = ("s3", "gs")
HOW = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, ~/.aws/credentials, or the "
    "machine's role",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS in the environment, `gcloud auth application-default login`, or "
    "the machine's service account",
}
"""Where credentials are looked for, by scheme."""
PARTIAL = ".partial"
"""What files are called in the end, as long as they are not whole."""
GS_RETRIES = "retry_limit_seconds"
"""Of a gs:// URI: Google's client would try for 15 minutes, and all that while nothing is told."""


class StorageError(InputError):
    """A storage cannot be used as asked."""


def storage_uri(given: str) -> str:
    """What `--storage` was given, in the form in which it is noted: a URI, or an absolute path.

    Raises:
        StorageError: It names another kind of storage, or holds a password.
    """
    if "://" not in given:
        return str(Path(given).expanduser().resolve())
    parts = urlsplit(given)
    if parts.scheme == "file":
        return str(Path(parts.path).resolve())
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise StorageError(
            f"{parts.scheme}:// is no storage that can be used, or no bucket is named. Give a folder's path, "
            "s3://BUCKET/FOLDER or gs://BUCKET/FOLDER."
        )
    if parts.username is not None and (parts.scheme, parts.username) != ("gs", "anonymous"):
        raise StorageError(
            "credentials do not belong into the URI of a storage, which is noted in settings and logs. Give "
            f"them by {HOW[parts.scheme]}."
        )
    return given


@dataclass(frozen=True)
class Storage:
    """A folder; what is in it is named by paths with `/`. Nothing is looked at before it is used.

    What fails raises OSError.
    """

    root: str
    """As `storage_uri` returns it."""
    below: str = ""
    """Path of the folder below the root."""

    @classmethod
    def of(cls, folder: Path) -> Storage:
        """A folder of this machine."""
        return cls(str(folder.resolve()))

    def __truediv__(self, name: str) -> Storage:
        return replace(self, below=f"{self.below}/{name}".lstrip("/"))

    def __str__(self) -> str:
        """For people, without the options of the URI."""
        root, _, _ = self.root.partition("?")
        return f"{root.rstrip('/')}/{self.below}".rstrip("/")

    @property
    def is_local(self) -> bool:
        """Whether it is a path."""
        return "://" not in self.root

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""
        from pyarrow.fs import FileType

        files, path = self._at(name)
        return bool(files.get_file_info(path).type == FileType.File)

    def files(self) -> dict[str, int]:
        """The bytes of all files in the folder and below, by name; none where there is no folder."""
        from pyarrow.fs import FileSelector, FileType

        files, path = self._at("")
        found = files.get_file_info(FileSelector(path, allow_not_found=True, recursive=True))
        start = len(path) + 1
        return {info.path[start:]: info.size for info in found if info.type == FileType.File}

    def read(self, name: str) -> bytes:
        """What a file holds.

        Raises:
            FileNotFoundError: It is not there.
        """
        files, path = self._at(name)
        with files.open_input_stream(path, compression=None) as stream:
            return bytes(stream.read())

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """A file, open for reading here and there.

        Raises:
            FileNotFoundError: It is not there.
        """
        if not self.is_local:  # where each of many small readings would be a request
            yield io.BytesIO(self.read(name))
            return
        files, path = self._at(name)
        with files.open_input_file(path) as stream:
            yield stream

    def write(self, name: str, content: bytes) -> None:
        """Writes a file whole or not at all."""
        with self.writing(name) as stream:
            stream.write(content)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """A stream whose content becomes the file at the end of the `with` block, or not at all."""
        files, path = self._at(name)
        target = path
        if self.is_local:  # an object appears when it is whole; a file is given its name when it is
            folder, _, last = path.rpartition("/")
            files.create_dir(folder, recursive=True)
            target = f"{folder}/.{last}.{os.getpid()}-{uuid4().hex[:8]}{PARTIAL}"
        try:
            with files.open_output_stream(target, compression=None) as stream:
                yield stream
            if target != path:
                files.move(target, path)
        except BaseException:
            with contextlib.suppress(OSError):
                files.delete_file(target)
            raise

    def delete(self, name: str) -> None:
        """Deletes a file, if there is one."""
        files, path = self._at(name)
        with contextlib.suppress(FileNotFoundError):
            files.delete_file(path)

    def delete_empty(self) -> None:
        """Deletes the folder if nothing is in it; in a bucket there are no folders."""
        if self.is_local:
            with contextlib.suppress(OSError):
                Path(self._at("")[1]).rmdir()

    def require_writable(self) -> None:
        """Makes sure that files can be written, read and deleted.

        Raises:
            StorageError: They cannot; the message says why, and what to do.
        """
        name, content = f".trial-of-{uuid4().hex}", b"can be deleted"
        try:
            self.write(name, content)
            if self.read(name) != content:
                raise OSError("what was written is not what is read")
            self.delete(name)
        except OSError as fault:
            raise StorageError(
                f"{self} cannot be used as storage: {fault}. {self._advice(str(fault))}"
            ) from fault

    def _advice(self, fault: str) -> str:
        if self.is_local:
            return "Give a folder that can be written to."
        scheme = urlsplit(self.root).scheme
        if "NO_SUCH_BUCKET" in fault or ("Bucket" in fault and "not found" in fault):
            return "Create the bucket first, or correct its name."
        if "NETWORK_CONNECTION" in fault:
            return "Is there a network, and is the address right?"
        return f"Credentials that may read, write, list and delete there are taken from {HOW[scheme]}."

    def _at(self, name: str) -> tuple[Any, str]:
        """The file system, and the path of a file or, without a name, of the folder itself."""
        files, root = _opened(self.root)
        return files, "/".join(part for part in (root.rstrip("/"), self.below, name) if part)


def is_partial(name: str) -> bool:
    """Whether a file of this name is one that was being written."""
    return name.startswith(".") and name.endswith(PARTIAL)


@functools.cache
def _opened(root: str) -> tuple[Any, str]:
    """The file system of a root, and the root's path in it."""
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem, LocalFileSystem

    if "://" not in root:
        return LocalFileSystem(), root
    parts = urlsplit(root)
    if parts.scheme == "gs" and GS_RETRIES not in parse_qs(parts.query):
        root += f"{'&' if parts.query else '?'}{GS_RETRIES}=20"
    try:
        files, path = FileSystem.from_uri(root)
    except ArrowInvalid as fault:  # an option that it does not know
        raise StorageError(f"--storage {root}: {fault}.") from fault
    return files, path
