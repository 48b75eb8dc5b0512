"""Names of files and classes: of other people, and shown in a terminal, which obeys control characters."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def has_control_characters(name: str) -> bool:
    """Whether a name is more than text: with a line break, or with a terminal's commands."""
    return _CONTROL.search(name) is not None


def printable(name: str) -> str:
    """The name with backslashes for what is no text."""
    text = name.encode(errors="backslashreplace").decode()
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
