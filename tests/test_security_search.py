"""What a whole search leaves and opens: no secrets, nothing that others may write, no port to the network."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

from tests.commands import Desk

pytestmark = pytest.mark.slow

SECRETS = {
    "HF_TOKEN": "hf_sentinelOfTheHub0123",
    "WANDB_API_KEY": "sentinelofwandb0123456789abcdef",
    "AWS_SECRET_ACCESS_KEY": "sentinel/of/Aws+0123456789",
    "AWS_SESSION_TOKEN": "sentinelOfASession",
    "MLFLOW_TRACKING_PASSWORD": "sentinel-of-mlflow",
}
SPACE = """
base:
  geometry: {size_px: 16}
  optim: {batch_size: 24}
  model: {name: odd_net, args: {delay_s: 0.3, at_step: 4}}
parameters:
  model.args.fault: {choice: [none, tell]}
  optim.lr: {log: [1.0e-3, 1.0e-2]}
"""


def descendants(pid: int) -> dict[int, list[str]]:
    """The command lines of a process and of all that it has started, by their ids."""
    process, found = psutil.Process(pid), {}
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended
            found[one.pid] = one.cmdline()
    return found


def listening(pids: Iterable[int]) -> set[tuple[str, str]]:
    """Name of the process and address, in hexadecimal, of each TCP port that these listen on."""
    owners = {}
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                owners[os.readlink(descriptor)] = Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:  # it has ended, or closed it
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in owners:
                found.add((owners[f"socket:[{inode}]"], local.split(":")[0]))
    return found


def test_a_search_keeps_secrets_others_and_the_network_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = desk.folder / "home"
    home.mkdir()
    for name, secret in {**SECRETS, "HOME": str(home)}.items():
        monkeypatch.setenv(name, secret)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    space = desk.space(SPACE)
    arguments = ("--space", space, "--trials", "4", "--max-epochs", "2", "--sampler", "random")
    before = os.umask(0)
    try:
        search = desk.start(
            "search.run",
            *desk.search_arguments(*arguments, "--name", "closed", "--tensorboard", "--mlflow"),
        )
    finally:
        os.umask(before)
    desk.wait(search, lambda: (desk.folder / "results/closed/records.jsonl").exists())
    desk.wait(search, lambda: bool(desk.records("closed").order))
    processes = descendants(search.pid)
    ports = listening(processes)
    (raylet,) = (words for words in processes.values() if words and words[0].endswith("/raylet"))
    (session,) = (word.partition("=")[2] for word in raylet if word.startswith("--session_dir="))
    folder = Path(session).parents[1]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    output, _ = search.communicate(timeout=240)
    assert search.returncode == 0, output

    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert {name for name, _ in ports} >= {"raylet", "gcs_server"}
    assert {address for _, address in ports} <= loopback, ports
    assert not folder.exists()

    records = desk.records("closed").all()
    told = [record.error for record in records if record.error]
    assert told, "no trial raised"
    assert set(told) == {"RuntimeError: no answer from https://***@hub/ for ***"}

    token = home / ".ray" / "auth_token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    written = [path for path in (desk.folder / "results").rglob("*") if path.is_file()]
    assert {"records.jsonl", "driver.log", "environment.json", "leaderboard.html"} <= {
        path.name for path in written
    }
    secrets = [*SECRETS.values(), "pass-of-me", token.read_text()]
    found = {
        (path.name, secret) for path in written for secret in secrets if secret.encode() in path.read_bytes()
    }
    assert found == set()
    assert not [secret for secret in secrets if secret in output]

    everything = [*(desk.folder / "results").rglob("*"), *(desk.folder / "cache").rglob("*")]
    open_to_others = [path for path in everything if path.lstat().st_mode & 0o022 and not path.is_symlink()]
    assert open_to_others == []
