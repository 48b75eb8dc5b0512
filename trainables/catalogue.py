"""Writes the table of timm's model names: `python -m trainables.catalogue`. Run it when timm is upgraded."""

from __future__ import annotations

from collections import defaultdict

import trainables.torch_setup  # noqa: F401  (before timm)

import timm  # isort: skip

from spaces.families import FAMILIES
from spaces.timm_names import TABLE


def table() -> str:
    """The table as CSV text: a comment with timm's version, a header, one line a model."""
    weights: dict[str, list[str]] = defaultdict(list)
    for tagged in timm.list_pretrained():
        name, _, tag = tagged.partition(".")
        weights[name].append(tag)
    lines = [f"# timm {timm.__version__}, written by python -m trainables.catalogue"]
    lines.append("name,input_px,tags")
    for name in timm.list_models():
        if name in FAMILIES:
            continue
        default = timm.models.get_pretrained_cfg(name)
        tags = sorted(weights[name], key=lambda tag: (tag != default.tag, tag))
        lines.append(f"{name},{default.input_size[-1]},{' '.join(tags)}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Rewrites the table."""
    TABLE.write_text(table(), encoding="utf-8")
    print(f"wrote {TABLE}: {len(TABLE.read_text(encoding='utf-8').splitlines()) - 2} models")


if __name__ == "__main__":
    main()
