"""A Hugging Face hub on this machine: as much of its HTTP interface as a push uses, for small files."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

TOKEN = "hf_" + "s3cret" * 6


@dataclass
class FakeHub:
    """What a push has told it, and how it answers."""

    url: str = ""
    user: str = "me"
    organisations: tuple[str, ...] = ("us",)
    there: set[str] = field(default_factory=set)
    """Repositories."""
    created: list[tuple[str, bool]] = field(default_factory=list)
    """Names of new ones, and whether they are private."""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """By repository, by name."""
    commits: int = 0
    fails_at: str = ""
    """A part of the path of requests that it answers by an error."""

    def answer(self, path: str, token: str, body: bytes) -> tuple[int, Any]:
        if self.fails_at and self.fails_at in path:
            return 503, {"error": f"out of order, dear bearer of {token}"}
        if token != TOKEN:
            return 401, {"error": "Invalid credentials in Authorization header"}
        if path == "/api/whoami-v2":
            return 200, {"name": self.user, "orgs": [{"name": name} for name in self.organisations]}
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            url = {"url": f"{self.url}/{name}"}
            if name in self.there:
                return 409, {"error": "You already created this model repo", **url}
            self.there.add(name)
            # Versions of the library tell it in two ways.
            private = asked.get("visibility") == "private" or bool(asked.get("private"))
            self.created.append((name, private))
            return 200, url
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        repository = "/".join(path.split("/")[3:5])
        if path.endswith("/preupload/main"):
            asked = json.loads(body)["files"]
            modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in asked]
            return 200, {"files": modes}
        if path.endswith("/commit/main"):
            entries = [json.loads(line) for line in body.splitlines()]
            sent = [entry["value"] for entry in entries if entry["key"] == "file"]
            self.commits += 1
            self.files[repository] = {file["path"]: base64.b64decode(file["content"]) for file in sent}
            return 200, {"commitUrl": f"{self.url}/{repository}/commit/abc", "commitOid": "abc"}
        return 404, {"error": f"nothing at {path}"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """The hub that `huggingface_hub` talks to, with a token in the environment that it takes."""
    fake = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, answer = fake.answer(self.path.partition("?")[0], token, body)
            said = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", fake.url)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere/token")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()
