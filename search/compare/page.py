"""The comparison as one self-contained HTML file."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from search import text
from search.compare import look
from search.compare.sections import Sections
from search.compare.told import interval
from search.report.page import HERE, own_script, script_hash, script_json, template
from search.storage.folder import FolderError, SearchFolder, write_text

PAGE = "compare.html"
SCRIPTS = ("figures", "numbers", "compare", "page")
"""The page's own, each after those that it needs."""

MOST_STANDINGS = 8
"""Searches that the summary names beside the first one."""


def write_comparison(path: Path, sections: Sections) -> None:
    """Writes the page, whole or not at all.

    Raises:
        FolderError: The file cannot be written.
    """
    page = page_text(sections, links(sections.places, path))
    try:
        write_text(path, page)
    except OSError as fault:
        raise FolderError(f"{path} cannot be written: {fault.strerror}.") from fault


def links(places: Mapping[int, Path], page: Path) -> dict[int, str]:
    """By search, where its own page is, as seen from a page; nothing for a search without one.

    Args:
        places: The searches' folders.
    """
    here = page.resolve().parent
    pages = {number: SearchFolder(place).page_file for number, place in places.items()}
    return {
        number: "./" + quote(Path(os.path.relpath(file.resolve(), here)).as_posix())
        for number, file in pages.items()
        if file.is_file()
    }


def page_text(sections: Sections, links: Mapping[int, str]) -> str:
    """The whole page; see `search.report.page.page_text` for why nothing in it can do harm."""
    scripts = [own_script(SCRIPTS), get_plotlyjs()]
    css = [(HERE / name).read_text(encoding="utf-8") for name in ("page.css", "compare.css")]
    return template("compare.html.j2").render(
        sections=sections,
        links=links,
        names={row.number: row.name for row in sections.rows},
        written=time.strftime("%d %B %Y, %H:%M"),
        samples={row.number: Markup(look.sample(row.number)) for row in sections.rows},
        most_standings=MOST_STANDINGS,
        figures=script_json(sections.charts.plain()),
        css=Markup("".join(css)),
        scripts=[Markup(source) for source in scripts],
        script_hashes=[script_hash(source) for source in scripts],
        text=text,
        interval=interval,
    )
