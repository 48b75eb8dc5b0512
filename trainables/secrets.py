"""Takes secrets out of what libraries say, before it is written down or shown."""

from __future__ import annotations

import os
import re

_NAMES = re.compile("KEY|TOKEN|PASSW|SECRET|CREDENTIAL", re.IGNORECASE)
_LEAST = 8
"""Characters of a secret: what is shorter would be found in ordinary words."""
_FORMS = (
    (re.compile(r"//[^/@\s]+@"), "//***@"),  # the password in an address
    (re.compile(r"(?i)\b(bearer )[\w.~+/=-]{16,}"), r"\1***"),
    # `...?X-Amz-Signature=...`, `password=...`, `"aws_secret_access_key": "..."`
    (
        re.compile(
            r"(?i)((?:token|passw(?:or)?d|secret|signature|credential|api_?key|access_?key)[\w-]*"
            r"(?:=|[\"']\s*:\s*)[\"']?)[^\s\"'&;,)]{4,}"
        ),
        r"\1***",
    ),
    (re.compile(r"\b(?:hf_\w{16,}|AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,})"), "***"),
)


def without_secrets(text: str) -> str:
    """The text without passwords in addresses, without what looks like a key, and without what this process
    has in its environment as keys, tokens and the like."""
    found = (value for name, value in os.environ.items() if _NAMES.search(name) and len(value) >= _LEAST)
    for value in sorted(found, key=len, reverse=True):  # one may be the beginning of another
        text = text.replace(value, "***")
    for form, masked in _FORMS:
        text = form.sub(masked, text)
    return text
