"""Networks to start from, small to large, and their table in `docs/networks.md`."""

from __future__ import annotations

from pathlib import Path

import trainables.torch_setup  # noqa: F401  (before timm)

import timm  # isort: skip
import torch
from timm.layers import set_fused_attn, use_fused_attn
from torch.utils.flop_counter import FlopCounterMode

from spaces.timm_names import timm_models

DOCUMENT = Path(__file__).parent.parent / "docs" / "networks.md"
BEGIN, END = "<!-- written by python -m trainables.catalogue -->", "<!-- end of what is written -->"

CNN, TRANSFORMER = "CNN", "transformer"

NETWORKS = {
    "convnext_atto": (CNN, "the smallest ConvNeXt"),
    "mobilenetv4_conv_small": (CNN, "fewest operations: for CPUs and phones"),
    "efficientnet_b0": (CNN, "much accuracy for few operations"),
    "resnet10t": (CNN, "a ResNet of four blocks, quick to train"),
    "mobilenetv3_large_100": (CNN, "few operations: for CPUs and phones"),
    "vit_tiny_patch16_224": (TRANSFORMER, "the smallest plain transformer"),
    "regnety_016": (CNN, "made to be quick on GPUs"),
    "resnet18": (CNN, "the baseline of small networks"),
    "convnext_nano": (CNN, "a ConvNeXt between ResNet-18 and ResNet-50"),
    "tiny_vit_21m_224": (TRANSFORMER, "distilled from a large one on 14 million pictures"),
    "tf_efficientnetv2_s": (CNN, "made for pictures that grow during the training"),
    "resnet34": (CNN, "a deeper baseline"),
    "vit_small_patch16_224": (TRANSFORMER, "the plain transformer to start from"),
    "resnext50_32x4d": (CNN, "a ResNet-50 of grouped convolutions"),
    "resnet50": (CNN, "the baseline of all, with weights of many trainings"),
    "swin_tiny_patch4_window7_224": (TRANSFORMER, "attention in windows, stages like a CNN's"),
    "convnext_tiny": (CNN, "first choice for fine-tuning on a GPU"),
    "resnet101": (CNN, "a deeper ResNet-50"),
    "vit_base_patch16_224": (TRANSFORMER, "much data, or much augmentation"),
    "convnext_base": (CNN, "the largest here: for a GPU with much memory"),
}
"""By name: what kind it is, and what speaks for it."""


def gmacs(name: str) -> float:
    """Billions of multiplications with addition for one picture of the network's own size."""
    model, side = timm_models()[name], timm_models()[name].input_px
    fused = use_fused_attn()
    set_fused_attn(False)  # the counter knows the products that attention is made of
    try:
        with torch.device("meta"):
            network = timm.create_model(model.name).eval()
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                network(torch.zeros(1, 3, side, side))
    finally:
        set_fused_attn(fused)
    return counter.get_total_flops() / 2e9


def table() -> str:
    """The table in Markdown, by number of parameters."""
    models = sorted((timm_models()[name] for name in NETWORKS), key=lambda model: model.parameters)
    lines = [
        "| `model.name` | kind | parameters | GMACs | at | small stem | licence of weights | speaks for it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model in models:
        kind, reason = NETWORKS[model.name]
        stem = "yes" if model.abilities.small_stem else "no"
        lines.append(
            f"| `{model.name}` | {kind} | {model.parameters / 1e6:.1f}M | {gmacs(model.name):.2f} "
            f"| {model.input_px} px | {stem} | {model.license or 'not stated'} | {reason} |"
        )
    return "\n".join(lines) + "\n"


def write_table() -> None:
    """Puts the table in its place in the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    DOCUMENT.write_text(f"{before}\n\n{table()}\n{after}", encoding="utf-8")
