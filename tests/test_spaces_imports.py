"""`spaces` is light: it can be used, whole, where neither torch nor Ray is at hand."""

from __future__ import annotations

import subprocess
import sys


def test_loading_every_space_and_recipe_imports_neither_torch_nor_timm_nor_ray() -> None:
    script = """
import pkgutil, importlib, sys
import spaces
for module in pkgutil.iter_modules(spaces.__path__):
    importlib.import_module(f"spaces.{module.name}")
from spaces.space_files import load_space, space_names
from spaces.recipe_files import load_recipe, recipe_names
import optuna
optuna.logging.set_verbosity(optuna.logging.WARNING)
for name in space_names():
    load_space(name).suggest(optuna.create_study().ask(), epochs=5)
for name in recipe_names():
    load_recipe(name)
print(sorted({name.split(".")[0] for name in sys.modules} & {"torch", "torchvision", "timm", "ray"}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
