"""Pages in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

DRAWN = """[...document.querySelectorAll('.chart')].every((chart) => chart.closest('[hidden]')
    || chart.dataset.drawn
    && Math.abs(chart.querySelector('.main-svg').getBoundingClientRect().width - chart.clientWidth) < 2)"""
TABLE = (
    "[...document.querySelectorAll('tr.trial')]"
    ".map(row => [...row.cells].slice(1).map(cell => cell.textContent))"
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium; the test is skipped where there is none."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


class Opened:
    """A page in a browser, drawn to its end, with everything that went wrong in it.

    Args:
        clock: Whether the page gets a clock that `page.clock` can put forward.
        narrowed_to: A width that the window gets as soon as the page begins to load.
        options: Of the browser's context, such as `color_scheme`.
    """

    def __init__(
        self,
        browser: Any,
        path: Path,
        width: int = 1280,
        *,
        clock: bool = False,
        narrowed_to: int | None = None,
        **options: object,
    ) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        if clock:
            self.page.clock.install()
        self.page.set_default_timeout(120_000)  # machines that run tests are slow at times
        self.troubles: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.troubles.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri(), wait_until="commit" if narrowed_to else "load")
        if narrowed_to:
            self.page.set_viewport_size({"width": narrowed_to, "height": 900})
            self.page.wait_for_load_state()
        self.drawn()

    def drawn(self) -> None:
        """Waits until all figures that can be seen are drawn, as wide as they are to be."""
        for _ in range(600):
            if self.page.evaluate(DRAWN):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError("figures stay undrawn")

    def outside(self) -> list[str]:
        """What was asked of a network."""
        return [url for url in self.requests if not url.startswith(("file:", "data:", "blob:"))]

    def table(self) -> list[list[str]]:
        """The cells of the table as they are shown, a list a row."""
        found: list[list[str]] = self.page.evaluate(TABLE)
        return found

    def trials(self) -> list[int]:
        """The trials in the table, from its top."""
        return [int(row[1]) for row in self.table()]

    def faults(self) -> list[str]:
        """What axe-core finds that is more than a matter of taste, with the places."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{fault['id']} ({fault['impact']}): {[node['target'] for node in fault['nodes']]}"
            for fault in found
            if fault["impact"] in ("moderate", "serious", "critical")
        ]
