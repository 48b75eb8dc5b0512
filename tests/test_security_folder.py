"""A search's folder may come from somebody else: it neither leads out of itself nor brings code."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from search import results
from search.storage.folder import FolderError, SearchFolder, State, readable
from search.trials.records import RecordFile, read
from search.trials.trials import Outcome
from search.tune import cluster
from search.tune.private import secure_token
from spaces.errors import InputError
from tests.compared import made
from tests.simulated import search_folder, trial
from trainables.secrets import without_secrets


@pytest.mark.parametrize("name", ["driver.log", "records.jsonl", "checkpoints", ".driver.lock"])
def test_a_link_that_leads_out_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    folder = search_folder(tmp_path / "results" / "foreign")
    (tmp_path / "outside").mkdir()
    (folder.path / name).unlink(missing_ok=True)
    (folder.path / name).symlink_to(tmp_path / "outside")
    with pytest.raises(FolderError, match=rf"foreign: {name} must not be a link that leads out"):
        SearchFolder.open(folder.path)


def test_links_within_and_a_linked_results_folder_are_fine(tmp_path: Path) -> None:
    folder = search_folder(tmp_path / "disk" / "mine")
    (folder.path / "latest").symlink_to("records.jsonl")
    (tmp_path / "results").symlink_to(tmp_path / "disk")
    assert SearchFolder.open(tmp_path / "results" / "mine").settings().name == "mine"


def test_a_link_in_a_model_is_found_too(tmp_path: Path) -> None:
    folder = search_folder(tmp_path / "foreign")
    explained = folder.model / "explained"
    explained.mkdir(parents=True)
    (explained / "example-1.webp").symlink_to("/etc/hostname")
    with pytest.raises(FolderError, match=r"model/explained/example-1\.webp must not be a link"):
        SearchFolder.open(folder.path)


def test_a_page_shows_no_file_that_a_link_leads_to(tmp_path: Path) -> None:
    folder = made(tmp_path / "results" / "foreign")
    explained = folder.model / "explained"
    explained.mkdir(parents=True, exist_ok=True)
    (tmp_path / "results" / "secret").write_text("a secret")
    (explained / "example-1.webp").symlink_to(tmp_path / "results" / "secret")
    (explained / "example-2.webp").write_bytes(b"picture")
    os.mkfifo(explained / "example-3.webp")  # reading it would never end
    assert results.view(folder, State.FINISHED).images == {"example-2.webp": b"picture"}


@pytest.mark.parametrize(
    ("module", "files"),
    [
        ("results.foreign.payload", ["payload.py"]),
        ("foreign", ["__init__.py"]),
        ("foreign.model.payload", ["model/payload/__init__.py"]),
    ],
)
def test_no_module_of_the_folder_itself_is_imported(
    tmp_path: Path, module: str, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as `python -m` has it
    monkeypatch.syspath_prepend(tmp_path / "results")
    folder = search_folder(tmp_path / "results" / "foreign", imports=(module,))
    for name in files:
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).write_text("raise SystemExit('executed')")
    with pytest.raises(FolderError, match=f"asks to import {module}, which lies in the folder itself"):
        folder.settings()
    assert module not in sys.modules


def test_modules_elsewhere_are_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_networks.py").touch()
    folder = search_folder(tmp_path / "results" / "mine", imports=("mine_networks", "no.such.module", "json"))
    assert folder.settings().imports == ("mine_networks", "no.such.module", "json")


def test_what_damaged_files_make_is_said_and_what_is_said_stays(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"a file of it is damaged \(ZeroDivisionError"), readable(tmp_path):
        print(1 / 0)
    with pytest.raises(InputError, match=r"^in words$"), readable(tmp_path):
        raise InputError("in words")
    with pytest.raises(OSError, match="disk"), readable(tmp_path):
        raise OSError("disk full")


def test_a_failed_trials_error_is_recorded_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "0123456789abcdef")
    file = RecordFile(tmp_path / "records.jsonl")
    file.trial(trial(0))
    told = "no answer from s3://id:geheim@bucket/x with 0123456789abcdef"
    file.end(0, Outcome.FAILED, told, f"Traceback\n  line\n{told}")
    file.close()
    record = read(tmp_path / "records.jsonl").trials[0]
    assert record.error == "no answer from s3://***@bucket/x with ***"
    assert record.traceback == f"Traceback\n  line\n{record.error}"


@pytest.mark.parametrize(
    ("said", "clean"),
    [
        ("https://h/x?X-Amz-Signature=abcdef0123&n=1", "https://h/x?X-Amz-Signature=***&n=1"),
        ("Authorization: Bearer abcdefghij0123456789", "Authorization: Bearer ***"),
        ('{"aws_secret_access_key": "abc/def+ghi"}', '{"aws_secret_access_key": "***"}'),
        ("connect(user=me, password='geheim99')", "connect(user=me, password='***')"),
        ("HF_TOKEN=hf_abcdefghijklmnopqrst", "HF_TOKEN=***"),
        ("token hf_abcdefghijklmnopqrst refused", "token *** refused"),
        ("key AKIAABCDEFGHIJKLMNOP", "key ***"),
        # What tells a programmer what happened stays.
        ("TypeError: no signature found: f(int)", "TypeError: no signature found: f(int)"),
        ("KeyError: 'class_token'", "KeyError: 'class_token'"),
        ("    token = self.patch_embed(x)", "    token = self.patch_embed(x)"),
        ("see http://host/a@b and me@host", "see http://host/a@b and me@host"),
    ],
)
def test_what_looks_like_a_secret_is_masked_and_nothing_else(said: str, clean: str) -> None:
    assert without_secrets(said) == clean


def test_the_token_is_made_for_its_user_alone_and_one_that_is_there_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    before = os.umask(0)
    try:
        secure_token()
    finally:
        os.umask(before)
    token = tmp_path / ".ray" / "auth_token"
    made_one = token.read_text()
    assert len(made_one) == 64
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700
    token.chmod(0o644)  # as Ray writes it
    secure_token()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text() == made_one


def test_a_cluster_is_not_joined_because_somebody_else_left_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(cluster, "_answers", lambda address: True)
    note = tmp_path / "ray" / "ray_current_cluster"
    assert cluster._started_here() is None
    note.parent.mkdir()
    note.write_text("10.0.0.1:6379\n")
    assert cluster._started_here() == "10.0.0.1:6379"
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    if note.stat().st_uid == 0:  # root's notes are everybody's
        os.chown(note, 4712, -1)
    assert cluster._started_here() is None
    note.rename(tmp_path / "elsewhere")
    note.symlink_to(tmp_path / "elsewhere")
    monkeypatch.undo()
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(cluster, "_answers", lambda address: True)
    assert cluster._started_here() is None
