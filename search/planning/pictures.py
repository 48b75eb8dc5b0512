"""A source's pictures, made ready for a search or a training: listed, decoded and split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from search.console.bars import bars
from search.settings.settings import Settings
from trainables.data import SHARES, Cache, Prepared, build_or_open_each, prepare, read_listing
from trainables.data.demo import demo_source


def ready_pictures(
    settings: Settings, *, size_px: int, console: Console, shares: Mapping[str, float] = SHARES
) -> tuple[Path, Prepared]:
    """The source of the pictures and what there is to work on, decoded for one size of the square.

    Raises:
        DataError: The pictures cannot be used.
    """
    with bars(console) as bar:
        cache_dir = Path(settings.cache_dir)
        if settings.data is None:
            source = demo_source(cache_dir, progress=bar("drawing the demo's pictures"))
        else:
            source = Path(settings.data).resolve()
        prepared = prepare(
            source,
            size_px=size_px,
            classes=settings.classes,
            min_per_class=settings.min_per_class,
            seed=settings.seed,
            shares=shares,
            cache_dir=cache_dir,
            cache_gb=settings.cache_gb,
            progress=bar("decoding pictures"),
        )
    return source, prepared


def decode_for(
    source: Path,
    prepared: Prepared,
    sizes_px: Sequence[int],
    *,
    cache_dir: Path,
    cache_gb: float,
    console: Console,
) -> list[Cache]:
    """Decodes the pictures for all sizes of a search that are not there yet, so that no trial has to.

    Returns:
        The caches. As long as somebody holds them they are not deleted to make room for others.

    Raises:
        DataError: They do not fit, all together.
    """
    listing = read_listing(source).only(prepared.classes)
    with bars(console) as bar:
        return build_or_open_each(
            listing,
            sizes_px=sizes_px,
            cache_dir=cache_dir,
            cache_gb=cache_gb,
            progress=bar(f"decoding pictures for {', '.join(map(str, sizes_px))} px"),
        )
