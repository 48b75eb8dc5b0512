"""The leaderboard: one self-contained HTML file, one CSV and one Parquet, all from the same ranked table."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import secrets
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from search import text
from search.report import facts, opened, rows, style
from search.report.facts import SearchView
from search.report.parquet import parquet_bytes
from search.report.sections import Sections

HERE = Path(__file__).parent
PAGE = "leaderboard.html"
TABLE = "leaderboard.csv"
TYPED_TABLE = "leaderboard.parquet"
SCRIPTS = ("figures", "numbers", "opened", "table", "page", "live")
"""The page's own, each after those that it needs."""


REFRESH_S = 30.0
"""At least, between two looks of a browser at the page of a running search."""


def write_leaderboard(folder: Path, view: SearchView) -> Path:
    """Writes `leaderboard.html`, `.csv` and `.parquet` into the folder and returns the page's path.

    Each file appears whole or not at all: it is written beside its place and moved there.

    Raises:
        OSError: The folder does not exist or cannot be written to.
    """
    table = facts.ranked_table(view)
    _replace(folder / TABLE, csv_text(table).encode())
    _replace(folder / TYPED_TABLE, parquet_bytes(table))
    _replace(folder / PAGE, page_text(view, table).encode())
    return folder / PAGE


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def csv_text(table: pd.DataFrame) -> str:
    """The ranked table as CSV (RFC 4180, but with newlines alone as line ends), in full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([rows.in_full(value) for value in row] for row in table.itertuples(index=False))
    return out.getvalue()


def page_text(view: SearchView, table: pd.DataFrame) -> str:
    """The whole page. It loads nothing, and its policy forbids the browser to load anything.

    Only the page's own scripts run: the policy names them by their hashes, so that even a name that got
    past the escaping could not bring in code.
    """
    palette = style.colours(facts.families(view.records))
    summary = facts.summary(view)
    leader = summary.leader.trial if summary.leader else None
    sections = Sections(view, palette, leader)
    columns = rows.columns(table, view)
    scripts = [own_script(SCRIPTS), get_plotlyjs()]
    return template("page.html.j2").render(
        view=view,
        summary=summary,
        palette=palette,
        marks=rows.legend(summary.outcomes),
        columns=columns,
        sections=sections,
        stopping=facts.stopping(view),
        data={
            "figures": script_json(sections.charts.plain()),
            "rows": script_json(
                {"colours": palette, "leader": leader, "columns": [column._asdict() for column in columns]}
            ),
            "opened": script_json(opened.opened(view)),
        },
        opened=opened,
        css=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        scripts=[Markup(source) for source in scripts],
        script_hashes=[script_hash(source) for source in scripts],
        least_refresh_s=REFRESH_S,
        text=text,
    )


def own_script(names: Sequence[str]) -> str:
    """A page's own scripts as one; they share their functions with each other, and with nobody else."""
    parts = [(HERE / "scripts" / f"{name}.js").read_text(encoding="utf-8") for name in names]
    return f'"use strict";\n(() => {{\n{"".join(parts)}}})();\n'


def script_json(value: Any) -> Markup:
    """JSON for a `<script type="application/json">`: no byte of it can end the element."""
    dumped = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(dumped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


@cache
def template(name: str) -> jinja2.Template:
    """One of the pages' templates; whatever it is given is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def script_hash(script: str) -> str:
    """By which a page's policy names a script that may run."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode()
