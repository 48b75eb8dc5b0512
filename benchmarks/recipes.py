"""What the recipes come to: test accuracy with its spread, macro-F1, seconds an epoch.

    python benchmarks/recipes.py small --data DIR
        the small recipes from random weights; binary_cnn at its own length, on the first two classes
    python benchmarks/recipes.py transfer --data DIR --weights MODEL
        a small ResNet with a freeze plan on 50 pictures a class, from MODEL and from random weights
    python benchmarks/recipes.py strong --data DIR --weights MODEL
        the two ResNet-101 plans carried by that small ResNet, and the strong one without each ingredient

MODEL is a model that `search.train small_resnet` wrote, pretrained on other pictures. All trainings of a run
have the same parts and the same length; each is a line of --out, and a run that is started again goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spaces.flat import flatten, unflatten
from spaces.recipe import Recipe
from spaces.recipe_files import load_trial_config
from trainables.cache_dir import default_cache_dir
from trainables.data import Dataset, Pictures, load, prepare, read_listing
from trainables.evaluate import evaluate
from trainables.loop import TrainData, train

SMALL = ("binary_cnn", "default", "plain_cnn", "small_resnet", "mini_xception", "vgg4_cnn")
CARRIER = {"name": "small_resnet", "args": {"width": 32, "depth": 1}}
INGREDIENTS: dict[str, dict[str, Any]] = {
    "background mixing": {"augment.background": 0.0},
    "MixUp and CutMix": {"augment.mixup": 0.0, "augment.cutmix": 0.0},
    "label smoothing": {"loss.label_smoothing": 0.0},
    "EMA": {"ema.decay": None},
    "slow backbone": {"optim.backbone_lr_mult": 1.0},
    "strong policy": {"augment.strong_share": 0.0},
}
"""What makes resnet101_strong of resnet101_baseline, and what undoes each."""


Plan = tuple[Recipe, int]
"""What is trained, and for how many epochs."""


def few(pictures: Pictures, a_class: int, seed: int) -> Pictures:
    rng = np.random.default_rng(seed)
    chosen = [
        rng.choice(np.flatnonzero(pictures.labels == label), a_class, replace=False)
        for label in range(len(pictures.classes))
    ]
    return pictures.chosen(np.sort(np.concatenate(chosen)))


def changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    return Recipe.model_validate(unflatten(flatten(recipe.to_dict()) | changes))


def carried(plan: str, weights: str | None, epochs: int) -> Recipe:
    """A plan for a large pretrained network, on the small one and small pictures."""
    config = load_trial_config(plan)
    recipe = config.recipe.rescaled(config.epochs or epochs, epochs).to_dict()
    model = {**CARRIER, "weights": weights}
    return Recipe.model_validate(
        {**recipe, "model": model, "geometry": {**recipe["geometry"], "size_px": 32}}
    )


def small(options: argparse.Namespace) -> dict[str, Plan]:
    plans = {}
    for name in options.recipes or SMALL:
        config = load_trial_config(name)
        # Epochs of a few steps are no passes: such a recipe has its own length.
        epochs = (config.recipe.steps_per_epoch and config.epochs) or options.epochs
        plans[name] = (config.recipe.rescaled(config.epochs or epochs, epochs), epochs)
    return plans


def transfer(options: argparse.Namespace) -> dict[str, Plan]:
    plan = {
        "optim.name": "sgd",
        "optim.lr": 0.05,
        "optim.weight_decay": 5e-4,
        "optim.batch_size": 32,
        "optim.backbone_lr_mult": 0.3,
        "freeze.epoch": options.epochs // 4,
        "freeze.then": "gradual",
    }
    base = Recipe.model_validate({"model": CARRIER, "geometry": {"size_px": 32}})
    scratch = {**plan, "optim.backbone_lr_mult": 1.0, "freeze.epoch": 0}
    recipes = {
        "pretrained, freeze plan": changed(base, {**plan, "model.weights": options.weights}),
        "random weights": changed(base, scratch),
        "random weights, freeze plan": changed(base, plan),
    }
    return {name: (recipe, options.epochs) for name, recipe in recipes.items()}


def strong(options: argparse.Namespace) -> dict[str, Plan]:
    baseline, best = (
        carried(f"resnet101_{plan}", options.weights, options.epochs) for plan in ("baseline", "strong")
    )
    without = {f"strong without {name}": changed(best, undo) for name, undo in INGREDIENTS.items()}
    recipes = {"baseline": baseline, "strong": best, **without}
    return {name: (recipe, options.epochs) for name, recipe in recipes.items()}


def train_once(plan: Plan, data: Dataset, options: argparse.Namespace, seed: int) -> dict[str, Any]:
    recipe, epochs = plan
    pictures: Pictures = data.part("train")
    if options.a_class:
        pictures = few(pictures, options.a_class, seed)
    history: list[dict[str, float]] = []
    model = train(
        recipe,
        TrainData(pictures, data.part("validation")),
        lambda metrics, checkpoint: history.append(metrics),
        seed=seed,
        epochs=epochs,
    )
    test = evaluate(model, recipe, data.part("test"))
    frozen = [epoch["train_s"] for epoch in history[: recipe.freeze.epoch]]
    free = [epoch["train_s"] for epoch in history[-max(1, epochs // 3) :]]
    return {
        "accuracy": test["accuracy"],
        "macro_f1": test["macro_f1"],
        "first_loss": history[0]["train_loss"],
        "last_loss": history[-1]["train_loss"],
        "train_s": statistics.median(epoch["train_s"] for epoch in history),
        "frozen_s": statistics.median(frozen) if frozen else None,
        "free_s": statistics.median(free),
        "pictures": len(pictures),
        "test_pictures": test["n"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("small", "transfer", "strong"))
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights")
    parser.add_argument("--recipes", nargs="*", help="for small: only these")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--a-class", type=int, help="training pictures of each class (transfer: 50)")
    parser.add_argument("--out", default=f"results/recipes-{time.strftime('%Y%m%d-%H%M%S')}.jsonl")
    options = parser.parse_args()
    if options.what != "small" and not options.weights:
        parser.error(f"{options.what} needs --weights MODEL")
    if options.what == "transfer":
        options.a_class = options.a_class or 50
    plans = {"small": small, "transfer": transfer, "strong": strong}[options.what](options)

    out = Path(options.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    source, cache_dir = Path(options.data), default_cache_dir()
    data: dict[tuple[int, bool], Dataset] = {}
    for seed in range(options.seeds):
        for name, plan in plans.items():
            if any((line["name"], line["seed"]) == (name, seed) for line in done):
                continue
            recipe, _ = plan
            size_px, binary = key = recipe.geometry.size_px, recipe.loss.name == "sigmoid"
            if key not in data:
                classes = read_listing(source).classes[: 2 if binary else None]
                split = prepare(source, size_px=size_px, classes=classes, cache_dir=cache_dir).split
                data[key] = load(source, split, size_px=size_px, cache_dir=cache_dir)
            line = {"name": name, "seed": seed, **train_once(plan, data[key], options, seed)}
            done.append(line)
            with out.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{name:<34} seed {seed}  {line['accuracy']:.4f}", flush=True)

    print(
        f"\n{'recipe':<34} {'accuracy':>9} {'spread':>7} {'macro-F1':>9} {'s/epoch':>8} {'frozen/free':>12}"
    )
    for name in plans:
        lines = [line for line in done if line["name"] == name]
        accuracies = [line["accuracy"] for line in lines]
        spread = statistics.stdev(accuracies) if len(lines) > 1 else 0.0
        ratio = ""
        if lines[0]["frozen_s"]:
            ratio = f"{statistics.median(line['frozen_s'] / line['free_s'] for line in lines):.2f}"
        print(
            f"{name:<34} {statistics.mean(accuracies):>9.4f} {spread:>7.4f} "
            f"{statistics.mean(line['macro_f1'] for line in lines):>9.4f} "
            f"{statistics.median(line['train_s'] for line in lines):>8.1f} {ratio:>12}"
        )
    print(
        f"{options.seeds} seeds, {plans[name][1]} epochs, {lines[0]['pictures']} training pictures, "
        f"{lines[0]['test_pictures']} test pictures ({name}); spread is the standard deviation over seeds"
    )


if __name__ == "__main__":
    main()
