"""Every reader of outside input, as `tests.fuzzing` takes it."""

from __future__ import annotations

import io
import json
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from search import results
from search.costs import networks, packing
from search.images.explained_files import FILE as EXPLAINED_FILE
from search.model.model_card import CARD_FILE, card
from search.planning.warm_start import stored_formers
from search.preview import is_preview
from search.report import facts
from search.storage.folder import EXPLAINED, METRICS_FILE, SearchFolder, readable
from search.storage.owner import Owner
from spaces.recipe import Recipe
from spaces.recipe_files import load_trial_config
from spaces.space_files import load_space
from tests.compared import made
from tests.fuzzing import FaultError, Reader
from tests.pictures import class_folders, noise
from tests.synthetic import synthetic_search
from trainables import export
from trainables.answers import load_answers, save_answers
from trainables.checkpoint import Checkpoint
from trainables.data import read_listing, read_split, write_split
from trainables.data.cache import build_or_open
from trainables.data.cache_folder import INDEX, MANIFEST, open_cache
from trainables.data.decode import decode
from trainables.models.create import create_model
from trainables.models.weights import load_start
from trainables.storage import Storage

RECIPE = Recipe.model_validate(
    {
        "model": {"name": "plain_cnn", "args": {"width": 4, "blocks": 1, "dense": 4}},
        "geometry": {"size_px": 16},
    }
)
CLASSES = ["anna", "bert"]


def _pictures(folder: Path) -> None:
    class_folders(folder, {"anna": 2, "bert": 2})


def _table(folder: Path) -> pd.DataFrame:
    _pictures(folder)
    files = [f"{name}/{number}.png" for name in CLASSES for number in (0, 1)]
    return pd.DataFrame(
        {
            "path": files,
            "label": ["anna", "anna", "bert", "bert"],
            "group": "",
            "part": ["train", "", "test", "val"],
        }
    )


def _csv_manifest(folder: Path) -> None:
    _table(folder).to_csv(folder / "manifest.csv", index=False)


def _parquet_manifest(folder: Path) -> None:
    _table(folder).to_parquet(folder / "manifest.parquet", index=False)


def _listed(folder: Path) -> None:
    """The listing, and its split written and read again: names go through both."""
    listing = read_listing(folder)
    for file in listing.files["file"]:
        path = listing.root / file
        if not os.path.isabs(file) and not Path(os.path.realpath(path)).is_relative_to(listing.root):
            raise FaultError(f"{file} lies outside of the folder")
    split = listing.files.assign(part="train")
    write_split(split, folder / "split.csv")
    if not read_split(folder / "split.csv").equals(split.reset_index(drop=True)):
        raise FaultError("the split does not read back as it was written")


def _named(folder: Path) -> None:
    """Makes the files that the lines of `names` say, below `pictures`, and lists them."""
    root = folder / "pictures"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for line in (folder / "names").read_bytes().split(b"\n")[:20]:
        name, _, target = line.partition(b" -> ")
        parts = [
            part[:250] for part in name.replace(b"\x00", b"").split(b"/") if part not in (b"", b".", b"..")
        ]
        place = os.path.join(os.fsencode(root), *parts[:4])
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            if target.strip(b"\x00"):
                os.symlink(target.replace(b"\x00", b""), place)
            else:
                with open(place, "xb") as file:
                    file.write(b"a picture")
        except OSError:  # the name is taken, or a link is in the way
            continue
    _listed(root)


def _decoded(folder: Path) -> None:
    for short_side_px in (None, 8):
        found = decode(folder / "picture", short_side_px=short_side_px)
        if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3:
            raise FaultError(f"decoded to {found.dtype} {found.shape}")


def picture_seeds() -> dict[str, bytes]:
    """A small picture in every format and in its odd forms, by name."""
    rgb, found = Image.fromarray(noise(11, 17, 0)), {}

    def add(name: str, picture: Image.Image, form: str, **options: object) -> None:
        file = io.BytesIO()
        picture.save(file, form, **options)
        found[name] = file.getvalue()

    exif = Image.Exif()
    exif[0x0112] = 6
    grey16 = Image.fromarray((np.arange(11 * 17).reshape(11, 17) * 300).astype(np.uint16))
    add("jpeg", rgb, "JPEG")
    add("jpeg-progressive-exif", rgb, "JPEG", progressive=True, exif=exif)
    add("jpeg-cmyk", rgb.convert("CMYK"), "JPEG")
    add("mpo", rgb, "MPO", save_all=True, append_images=[rgb])
    add("png", rgb, "PNG")
    add("png-palette", rgb.quantize(16), "PNG", transparency=3)
    add("png-16-bit", grey16, "PNG")
    add("png-alpha", rgb.convert("RGBA"), "PNG", exif=exif)
    add("png-animated", rgb, "PNG", save_all=True, append_images=[rgb.rotate(90)])
    add("gif-animated", rgb.quantize(8), "GIF", save_all=True, append_images=[rgb.rotate(90).quantize(8)])
    add("bmp", rgb, "BMP")
    add("bmp-palette", rgb.quantize(16), "BMP")
    add("webp", rgb, "WEBP", exif=exif)
    add("webp-animated", rgb, "WEBP", save_all=True, append_images=[rgb.rotate(90)], lossless=True)
    add("tiff", rgb, "TIFF")
    add("tiff-lzw", rgb, "TIFF", compression="tiff_lzw")
    add("tiff-jpeg", rgb, "TIFF", compression="jpeg")
    add("tiff-float", Image.fromarray(np.linspace(0, 1, 187, dtype=np.float32).reshape(11, 17)), "TIFF")
    add("tiff-group4", rgb.convert("1"), "TIFF", compression="group4")
    add("ppm", rgb, "PPM")
    add("pgm-16-bit", grey16, "PPM")
    found["ppm-plain"] = b"P3\n# plain\n2 2\n255\n255 0 0 0 255 0\n0 0 255 9 9 9\n"
    return found


def _model(folder: Path) -> None:
    """A model's folder, without the programs."""
    torch.manual_seed(0)
    model = create_model(RECIPE, len(CLASSES)).eval()
    export.save_timm_folder(model, RECIPE, folder, classes=CLASSES)
    description = {
        "classes": CLASSES,
        "geometry": RECIPE.geometry.model_dump(mode="json"),
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "recipe": RECIPE.to_dict(),
        "calibration": {"temperature": 1.5, "unknown_below": 0.4, "false_alarm_rate": 0.05},
    }
    (folder / export.DESCRIPTION_FILE).write_text(json.dumps(description))
    (folder / METRICS_FILE).write_text(json.dumps(_metrics()))
    (folder / CARD_FILE).write_text(card(folder).replace("---\n", "---\nlicense: mit\n", 1))


def _metrics() -> dict[str, object]:
    per_class = [
        {"class": name, "precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2} for name in CLASSES
    ]
    return {
        "test": {
            **{"accuracy": 0.5, "macro_f1": 0.5, "log_loss": 0.7, "accuracy_95": [0.4, 0.6]},
            **{"macro_f1_95": [0.4, 0.6], "n": 4, "confusion_matrix": [[1, 1], [1, 1]], "classes": CLASSES},
            **{"top_k": {"1": 0.5}, "per_class": per_class, "ece": 0.1, "called_unknown": 1},
            "reliability": [{"confidence": 0.6, "accuracy": 0.5, "count": 4}],
        },
        "calibration": {
            **{"temperature": 1.5, "fitted_on": {"runs": 3, "pictures": 300}},
            **{"unknown_below": 0.4, "false_alarm_rate": 0.05},
        },
        **{"not_calibrated": None, "test_uncalibrated": {"log_loss": 0.8, "ece": 0.2}, "test_readings": 1},
        "trained_on": {"parts": ["train"], "pictures": 8, "epochs": 2, "train_loss": 0.7},
        **{"data": "simpsons", "search": "mine", "trial": 0, "search_score": {"val_accuracy": 0.5}},
        **{"ensemble": None, "seed": 0, "seconds": 1.0, "recipe": RECIPE.to_dict()},
    }


def _loaded(folder: Path) -> None:
    classifier = export.load(folder)
    size_px = classifier.geometry.size_px
    if size_px <= 64 and sum(weight.numel() for weight in classifier.model.parameters()) < 10**6:
        card(folder)


def _weights(folder: Path) -> None:
    torch.manual_seed(0)
    torch.save({"state_dict": create_model(RECIPE, 2).state_dict(), "epoch": 3}, folder / "weights.pt")


_network = create_model(RECIPE, 2)


def _started(folder: Path, file: str) -> None:
    load_start(_network, folder / file, RECIPE.model.name)


def _checkpoint(folder: Path) -> None:
    weights = {"weight": torch.arange(6.0).view(2, 3)}
    Checkpoint(
        recipe=RECIPE.to_dict(),
        seed=1,
        epochs=9,
        history=[{"epoch": 1, "train_loss": 0.5}],
        model=weights,
        ema=None,
        optimizer={"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"params": [0]}]},
        schedule={"last_epoch": 1},
        scaler={},
        best={"loss": 0.5, "epochs_since": 0, "weights": weights},
    ).save(folder / "state.pt")


def _cache(folder: Path) -> None:
    listing = read_listing(class_folders(folder / "pictures", {"anna": 2, "bert": 2}))
    build_or_open(listing, size_px=16, cache_dir=folder / "caches")
    (cache,) = (folder / "caches").glob("*px")
    cache.rename(folder / "cache")
    shutil.rmtree(folder / "caches")
    shutil.rmtree(folder / "pictures")


def _opened(folder: Path) -> None:
    cache = open_cache(folder / "cache")
    for row in range(0 if cache is None else len(cache.files)):
        cache.picture(row)  # type: ignore[union-attr]


def _search(folder: Path) -> None:
    search = made(
        folder / "mine", records=synthetic_search(3), ability=1.0, readings=2, start_from=("plain_cnn",)
    )
    (search.model / METRICS_FILE).write_text(json.dumps(_metrics()))
    known = search.read_json(search.environment_file)
    more = {"system": "Linux", "python": "3.11", "packages": {"ray": "2"}, "git_changes": False}
    search.write_json(search.environment_file, known | more)
    explained = search.model / EXPLAINED
    explained.mkdir(exist_ok=True)
    example = {
        **{"kind": "right", "path": "anna/1.jpg", "class": "anna", "predicted": "anna", "probability": 0.9},
        **{"probability_of_class": 0.9, "file": "example-1.webp"},
        "heats": [{"class": "anna", "file": "example-1-heat-1.webp", "blank": False}],
    }
    layer = {"layer": "conv", "shape": [4, 3, 3], "words": "What it says."}
    (explained / EXPLAINED_FILE).write_text(
        json.dumps(
            {
                "examples": [example, {**example, "kind": "wrong", "predicted": "bert"}],
                "grad_cam": layer,
                "kernels": [{**layer, "which": "first", "drawn": 4, "of": 4, "file": "kernels.webp"}],
                "feature_maps": {**layer, "channels": [1, 2], "file": "maps.webp"},
                "missing": ["The network has no 1 x 1 convolution."],
            }
        )
    )
    for name in ("example-1.webp", "example-1-heat-1.webp", "kernels.webp", "maps.webp"):
        (explained / name).write_bytes(picture_seeds()["webp"])


def _told(folder: Path) -> None:
    """All facts that a page tells of a search; as `search.results.write_page`, but nothing is drawn."""
    search = SearchFolder.open(folder / "mine")
    with readable(search.path):
        view = results.view(search, search.state)
        for told in (
            facts.summary,
            facts.ranked_table,
            facts.model,
            facts.rematch,
            facts.method,
            facts.explained,
        ):
            told(view)  # type: ignore[operator]


def _formers(folder: Path) -> None:
    search = made(folder / "mine", records=synthetic_search(3), warm_start=("results/old",))
    search.space_file.write_text(
        "parameters:\n  model.name: {choice: [plain_cnn, vgg4_cnn]}\n  optim.lr: {log: [1e-4, 1e-2]}\n"
    )
    params = {
        str(number): {"model.name": "plain_cnn", "optim.lr": 0.001 * (1 + number)} for number in range(3)
    }
    former = {"source": "results/old", "of": 3, "max_passes": 9, "reduction": 3, "params": params}
    reports = [[0, 1.0, 0.5], [1, 1.0, None], [0, 3.0, 0.6]]
    search.write_json(search.former_file, [{**former, "reports": reports}])


def _networks(folder: Path) -> None:
    measured = {"network": {"name": "plain_cnn", "size_px": 32}, "parameters": 1000, "latency_ms": 1.5}
    (folder / "networks.json").write_text(json.dumps([measured]))


def _costs(folder: Path) -> None:
    cost = {"images_per_s": 10.0, "busy": 0.4, "memory_bytes": 1000, "device_bytes": 10**9, "at_once": None}
    (folder / "costs.json").write_text(json.dumps({"GPU": {"form": cost}}))


def _saved_answers(folder: Path) -> None:
    save_answers(folder / "run-0.npz", np.log(np.full((6, 2), 0.5, np.float32)))


def _driver_note(folder: Path) -> None:
    (folder / "driver.json").write_text('{"token": "a", "beats": 3, "host": "h", "process": 1}')


_WORDS = (
    *("model.name", "optim.lr", "choice", "float", "int", "log", "share", "fixed", "when", "prior", "step"),
    *(
        "centre",
        "confidence",
        "not resnet*",
        "resnet*",
        "*",
        "plain_cnn",
        "resnet18",
        "freeze.epoch",
        "model",
    ),
    *("geometry.size_px", "model.args.width", "model.weights", "high", "description", "base", "parameters"),
)


READERS = (
    Reader("space", {"space.yaml": "yaml"}, lambda folder: load_space(folder / "space.yaml"), words=_WORDS),
    Reader(
        "recipe",
        {"recipe.yaml": "yaml"},
        lambda folder: load_trial_config(folder / "recipe.yaml"),
        words=_WORDS,
    ),
    Reader(
        "manifest-csv",
        {"manifest.csv": "text"},
        _listed,
        _csv_manifest,
        ("anna/1.png", "/etc/x.png", "val", "NA", '"', "../x.png"),
    ),
    Reader("manifest-parquet", {"manifest.parquet": "bytes"}, _listed, _parquet_manifest),
    Reader(
        "names",
        {"names": "text"},
        _named,
        words=("train", "val", " -> ", "..", "/", "simpsons_dataset", ".png"),
    ),
    Reader("picture", {"picture": "bytes"}, _decoded),
    Reader("preview", {"preview.png": "bytes"}, lambda folder: is_preview(folder / "preview.png")),
    Reader(
        "split",
        {"split.csv": "text"},
        lambda folder: read_split(folder / "split.csv"),
        words=("train", "test", '""'),
    ),
    Reader(
        "records",
        {"mine/records.jsonl": "lines", "mine/rematch.jsonl": "lines"},
        _told,
        _search,
        ("session", "trial", "epoch", "control", "retry", "end", "complete", "val_accuracy"),
    ),
    Reader(
        "search",
        {
            "mine/settings.json": "json",
            "mine/data.json": "json",
            "mine/rematch.json": "json",
            "mine/environment.json": "json",
            "mine/manifest.json": "json",
            "mine/test_readings.jsonl": "lines",
            "mine/model/metrics.json": "json",
            "mine/model/explained/explained.json": "json",
        },
        _told,
        _search,
        (
            "val_loss",
            "4h",
            "25M",
            "latency",
            "this",
            "running",
            "cost",
            "../../settings.json",
            "example-1.webp",
        ),
    ),
    Reader(
        "formers",
        {"mine/former_searches.json": "json"},
        lambda folder: stored_formers(SearchFolder.open(folder / "mine"), ()),
        _formers,
        ("optim.lr", "vgg4_cnn"),
    ),
    Reader(
        "networks",
        {"networks.json": "json"},
        lambda folder: networks.load(folder / "networks.json"),
        _networks,
    ),
    Reader(
        "gpu-costs",
        {"costs.json": "json"},
        lambda folder: packing.load_costs(folder / "costs.json", "GPU"),
        _costs,
    ),
    Reader(
        "model",
        {"classifier.json": "json", "config.json": "json", METRICS_FILE: "json", CARD_FILE: "text"},
        _loaded,
        _model,
        (
            *("plain_cnn", "test_resnet", "url", "file", "custom_load", "hf_hub_id", "https://localhost:1/x"),
            *("state_dict", "license: mit", "---", "model-index:", "- name: x", "local-dir:/etc", "ensemble"),
        ),
    ),
    Reader(
        "driver-note",
        {"driver.json": "json"},
        lambda folder: Owner(Storage(str(folder)), print).is_ours(),
        _driver_note,
    ),
    Reader("model-weights", {"model.safetensors": "bytes"}, _loaded, _model),
    Reader(
        "start-safetensors",
        {"model.safetensors": "bytes"},
        partial(_started, file="model.safetensors"),
        _model,
    ),
    Reader("start-torch", {"weights.pt": "bytes"}, partial(_started, file="weights.pt"), _weights),
    Reader(
        "checkpoint", {"state.pt": "bytes"}, lambda folder: Checkpoint.load(folder / "state.pt"), _checkpoint
    ),
    Reader(
        "answers", {"run-0.npz": "bytes"}, lambda folder: load_answers(folder / "run-0.npz"), _saved_answers
    ),
    Reader("cache-manifest", {f"cache/{MANIFEST}": "json"}, _opened, _cache),
    Reader("cache-index", {f"cache/{INDEX}": "bytes"}, _opened, _cache),
)
