"""The table of timm's model names."""

from __future__ import annotations

import subprocess
import sys

import pytest

from spaces.timm_names import TABLE, timm_models


def test_the_table_holds_well_known_names() -> None:
    models = timm_models()
    assert len(models) > 1000
    assert models["resnet50"].input_px == 224
    assert "a1_in1k" in models["resnet50"].tags
    assert all(model.input_px > 0 for model in models.values())


@pytest.mark.slow
def test_the_table_is_what_the_installed_timm_says() -> None:
    # In a process of its own, where nothing else has registered networks with timm.
    script = "import trainables.catalogue as c; print(c.table(), end='')"
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    table = TABLE.read_text(encoding="utf-8")
    if made.splitlines()[0] != table.splitlines()[0]:
        pytest.skip(f"the table is of another version: {table.splitlines()[0]}")
    assert made == table
