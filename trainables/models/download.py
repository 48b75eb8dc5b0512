"""Whether the Hugging Face hub can be reached, asked once, before timm asks it over and over."""

from __future__ import annotations

import contextlib
from pathlib import Path

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import repo_folder_name
from timm.models import get_pretrained_cfg


def require_hub(name: str) -> None:
    """Makes sure that the weights of a network can be asked for, where they are not in the cache.

    timm asks for several files in turn, each six times with waits in between: most of a minute until one
    learns that there is no network, and minutes behind a wall that swallows what is sent. This asks once,
    and waits as long as `HF_HUB_ETAG_TIMEOUT` says (10 s).

    Args:
        name: Of timm's registry, with or without a tag.

    Raises:
        Exception: What the connection raised; the hub's own answers, whatever they are, raise nothing.
    """
    cfg = get_pretrained_cfg(name)
    if cfg is None or not cfg.hf_hub_id:
        return
    repository, _, revision = cfg.hf_hub_id.partition("@")
    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")
    if any(folder.glob("snapshots/*/*")):
        return
    url = hf_hub_url(repository, "config.json", revision=revision or None)
    # Where the hub answers, whatever it says, timm's own question will bring out what is wrong.
    with contextlib.suppress(HfHubHTTPError):
        get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
