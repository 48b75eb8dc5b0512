"""A push sends the model and nothing else, in one commit, and what goes wrong is told without the token.

The hub is a fake on this machine, behind the library's own HTTP.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from search import export as command
from search.model.hub import HubError, check_hub, push
from search.storage.folder import SearchFolder
from tests.fake_hub import TOKEN, FakeHub, hub
from tests.test_model_card import folder_of

assert hub  # a fixture


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's folder with what must not leave the machine in it."""
    folder = folder_of(tmp_path / "model", model={"weights": "/home/me/start.safetensors"})
    (folder / "test_predictions.csv").write_text("private/picture.jpg")
    (folder / "explained").mkdir()
    (folder / "explained" / "example-1.webp").write_bytes(b"private")
    return folder


def test_the_model_goes_in_one_commit_to_a_private_repository(hub: FakeHub, model: Path) -> None:
    assert push(model, "me/mine") == f"{hub.url}/me/mine"
    assert hub.created == [("me/mine", True)]
    assert hub.commits == 1
    sent = hub.files["me/mine"]
    alike = {"config.json", "model.safetensors", "model.pt2", "classifier.json", "metrics.json"}
    assert set(sent) == alike | {"README.md"}
    assert all(sent[name] == (model / name).read_bytes() for name in alike)
    card = sent["README.md"].decode()
    assert 'timm.create_model("hf-hub:me/mine", pretrained=True)' in card
    assert ModelCard(card).data.library_name == "timm"
    assert "THIS_FOLDER" in (model / "README.md").read_text(encoding="utf-8")
    assert not [name for name, content in sent.items() if b"private" in content or b"/home/me" in content]


def test_onnx_goes_with_it_and_the_repository_is_public_when_asked_for(hub: FakeHub, tmp_path: Path) -> None:
    model = folder_of(tmp_path / "model", onnx=True)
    push(model, "us/mine", public=True)
    assert hub.created == [("us/mine", False)]
    assert hub.files["us/mine"]["model.onnx"] == (model / "model.onnx").read_bytes()


def test_a_repository_that_is_there_gets_another_commit(hub: FakeHub, model: Path) -> None:
    hub.there.add("me/mine")
    push(model, "me/mine")
    assert (hub.created, hub.commits) == ([], 1)


@pytest.mark.parametrize("path", ["/repos/create", "/preupload/", "/commit/"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_push_that_fails_says_so_without_the_token(
    hub: FakeHub, model: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # between its tries
    hub.fails_at = path
    with pytest.raises(
        HubError, match=r"model could not be pushed to me/mine: .*503.*bearer of \*\*\*"
    ) as raised:
        push(model, "me/mine")
    assert TOKEN not in str(raised.value)
    assert hub.commits == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mine", "must be USER/NAME, such as somebody/mine"),
        ("me/mi ne", "alphanumeric"),
        ("me/..", "me/.."),
        ("a/b/c", "namespace/repo_name"),
        ("", "''"),
        ("me/mine.git", ".git"),
        ("you/mine", "the token may write to me, us, not to you"),
    ],
)
def test_a_name_that_is_not_valid_is_refused(hub: FakeHub, name: str, said: str) -> None:
    with pytest.raises(HubError) as raised:
        check_hub(name)
    assert said in str(raised.value)


def test_a_user_and_her_organisations_may_be_pushed_to(hub: FakeHub) -> None:
    assert (check_hub("me/mine"), check_hub("us/mine")) == (None, None)


def test_a_token_that_is_missing_or_refused_is_told_before(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_revoked")
    with pytest.raises(HubError, match=r"the hub refuses the token: .*Invalid user token") as raised:
        check_hub("me/mine")
    assert "hf_revoked" not in str(raised.value)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match=r"there is no token .*hf auth login.*HF_TOKEN"):
        check_hub("me/mine")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        check_hub("me/mine")


def test_a_hub_that_cannot_be_asked_stops_nothing(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.fails_at = "whoami"
    assert "503" in (check_hub("me/mine") or "")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert "refused" in (check_hub("me/mine") or "").lower()


def test_the_command_pushes_a_model_that_is_there(
    hub: FakeHub, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(model), "--push-to-hub", "me/mine", "--public"]) == 0
    assert capsys.readouterr().out == f"Pushing {model} to me/mine ...\nOn the hub:  {hub.url}/me/mine\n"
    assert hub.created == [("me/mine", False)]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_failed_push_leaves_the_model_and_says_how_to_try_again(
    hub: FakeHub, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.fails_at = "/commit/"
    arguments = [str(model), "--import", "json", "--push-to-hub", "me/mine", "--public"]
    assert command.main(arguments) == 2
    said = capsys.readouterr()
    assert f"To try again: python -m search.export {' '.join(arguments)}" in said.err
    assert TOKEN not in said.out + said.err
    assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is nothing to do: add --onnx, --push-to-hub USER/NAME, or both"),
        (["--onnx", "--public"], "--public says who may see what --push-to-hub sends"),
        (["--push-to-hub", "mine"], "must be USER/NAME"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    hub: FakeHub, model: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert command.main([str(model), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert hub.created == []


def test_a_folder_that_is_no_model_is_not_pushed(
    hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(tmp_path), "--push-to-hub", "me/mine"]) == 2
    assert "metrics.json cannot be read" in capsys.readouterr().err
    assert hub.created == []


def test_a_model_of_before_files_were_freed_of_this_machines_paths_is_not_pushed(
    hub: FakeHub, model: Path
) -> None:
    metrics = SearchFolder.read_json(model / "metrics.json")
    del metrics["data"]
    SearchFolder.write_json(model / "metrics.json", metrics)
    with pytest.raises(HubError, match="is of an earlier version, whose files may hold paths"):
        push(model, "me/mine")
    assert hub.created == []


def test_the_licence_that_the_user_has_chosen_is_kept(hub: FakeHub, model: Path) -> None:
    card = model / "README.md"
    text = card.read_text(encoding="utf-8")
    assert ModelCard(text).data.license is None
    card.write_text(text.replace("---\n", "---\nlicense: apache-2.0\n", 1), encoding="utf-8")
    push(model, "me/mine")
    assert ModelCard(hub.files["me/mine"]["README.md"].decode()).data.license == "apache-2.0"


@pytest.mark.parametrize(
    ("file", "faulty"),
    [
        ("classifier.json", {"recipe": {"model": 1}}),
        ("classifier.json", {"recipe": None}),
        ("classifier.json", {"classes": None}),
        ("metrics.json", {"test": {}}),
    ],
)
def test_a_damaged_file_of_a_model_is_told(
    hub: FakeHub, model: Path, file: str, faulty: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    SearchFolder.write_json(model / file, {**SearchFolder.read_json(model / file), **faulty})
    assert command.main([str(model), "--push-to-hub", "me/mine"]) == 2
    error = capsys.readouterr().err
    assert f"{model}: classifier.json or metrics.json is damaged" in error
    assert "Traceback" not in error
    assert hub.created == []
