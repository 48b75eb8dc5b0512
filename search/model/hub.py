"""A model's folder on the Hugging Face hub, through its own library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import huggingface_hub
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id

from search.storage.folder import METRICS_FILE, SearchFolder
from spaces.errors import InputError

SENT = (
    "config.json",
    "model.safetensors",
    "model.pt2",
    "model.onnx",
    "model.onnx.data",
    "classifier.json",
    METRICS_FILE,
)
"""What of a model's folder goes there, with a card: nothing that shows or names single pictures."""


class HubError(InputError):
    """A model cannot be pushed."""


def check_hub(repository: str) -> str | None:
    """Makes sure of what can be known before there is a model: a name, and a token that the hub takes.

    Returns:
        Why the hub could not be asked, in words; None where it was.

    Raises:
        HubError: The name is not valid, there is no token, or the hub refuses it or that user's name.
    """
    try:
        validate_repo_id(repository)
    except HFValidationError as fault:
        raise HubError(f"--push-to-hub: {fault}") from fault
    user, slash, _ = repository.partition("/")
    if not slash:
        raise HubError(f"--push-to-hub {repository}: must be USER/NAME, such as somebody/{repository}.")
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise HubError("--push-to-hub: HF_HUB_OFFLINE is set, so nothing can be pushed. Unset it.")
    if huggingface_hub.get_token() is None:
        raise HubError(
            "--push-to-hub: there is no token for the Hugging Face hub. Log in with `hf auth login`, or set "
            "HF_TOKEN to a token that may write."
        )
    try:
        found = HfApi().whoami()
    except HfHubHTTPError as fault:
        if fault.response.status_code in (401, 403):
            raise HubError(f"--push-to-hub: the hub refuses the token: {_reason(fault)}.") from fault
        return _reason(fault)
    except Exception as fault:  # what there is between here and the hub raises nearly everything
        return _reason(fault)
    names = [found["name"], *(entry["name"] for entry in found.get("orgs", ()))]
    if user not in names:
        raise HubError(
            f"--push-to-hub {repository}: the token may write to {', '.join(names)}, not to {user}."
        )
    return None


def push(model: Path, repository: str, *, public: bool = False, imports: Sequence[str] = ()) -> str:
    """Sends a model's folder in one commit, with a card that says how to load it from there.

    Args:
        repository: USER/NAME. It is made where it is not there; one that is there stays as visible as it is.
        public: Whether all may see a new one.
        imports: Modules that register the network, where it is the user's own.

    Returns:
        Its address.

    Raises:
        HubError: The hub does not take it, or cannot be reached.
        FolderError: The folder is not that of a model with its metrics.
    """
    from search.model.model_card import CARD_FILE, card  # only now: torch takes seconds to import

    if "data" not in SearchFolder.read_json(model / METRICS_FILE):
        raise HubError(
            f"{model} is of an earlier version, whose files may hold paths of this machine. Retrain it "
            "into another folder (--out), and push that."
        )
    files = {name: model / name for name in SENT if (model / name).exists()}
    sent = [CommitOperationAdd(name, file) for name, file in files.items()]
    sent.append(CommitOperationAdd(CARD_FILE, card(model, imports, repository).encode()))
    try:
        url = HfApi().create_repo(repository, private=not public, exist_ok=True)
        HfApi().create_commit(repository, sent, commit_message="A model of classifier-search")
    except Exception as fault:  # as above
        raise HubError(f"{model} could not be pushed to {repository}: {_reason(fault)}.") from fault
    return str(url)


def _reason(fault: Exception) -> str:
    """What was raised, in one line without the token."""
    said = " ".join(str(fault).split()).rstrip(".") or type(fault).__name__
    token = huggingface_hub.get_token()
    return said.replace(token, "***") if token else said
