"""Networks of a user's own, for `--import odd_networks`: slow ones, and ones that go wrong on purpose."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

default_cfgs = generate_default_cfgs(
    {"odd_net": {"mean": (0.5,) * 3, "std": (0.5,) * 3, "classifier": "head", "first_conv": "stem"}}
)


class OddNet(nn.Module):
    """A linear model on a pooled convolution; `fault` strikes in training, at step `at_step`; not where
    only shapes are tried."""

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        width: int = 8,
        delay_s: float = 0.0,
        fault: str = "none",
        at_step: int = 1,
        flag: str = "",
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_features = width
        self.stem = nn.Conv2d(in_chans, width, 3)
        self.head = nn.Linear(width, num_classes)
        self.delay_s, self.fault, self.at_step, self.flag = delay_s, fault, at_step, flag
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def get_classifier(self) -> nn.Module:
        return self.head

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        return {"stem": "^stem", "blocks": "^head"}

    def forward(self, images: Tensor) -> Tensor:
        if self.training and not images.is_meta:
            self.steps += 1
            time.sleep(self.delay_s)
            if int(self.steps) == self.at_step:
                self._strike()
        return self.head(self.stem(images).relu().mean((2, 3)))

    def _strike(self) -> None:
        if self.fault == "raise":
            raise RuntimeError("this network raises on purpose")
        if self.fault == "tell":
            raise RuntimeError(f"no answer from https://me:pass-of-me@hub/ for {os.environ['HF_TOKEN']}")
        if self.fault == "hang":
            time.sleep(3600)
        if self.fault == "meet":
            self._meet(Path(self.flag))
        if self.fault == "die_once" and not Path(self.flag).exists():
            Path(self.flag).write_text("died")
            os.kill(os.getpid(), signal.SIGKILL)

    @staticmethod
    def _meet(folder: Path) -> None:
        """Waits until two processes have come."""
        folder.mkdir(exist_ok=True)
        (folder / str(os.getpid())).touch()
        deadline = time.monotonic() + 120
        while len(list(folder.iterdir())) < 2:
            if time.monotonic() > deadline:
                raise RuntimeError("nobody else came")
            time.sleep(0.1)


@register_model
def odd_net(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build_model_with_cfg(OddNet, "odd_net", pretrained, **kwargs)
