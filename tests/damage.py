"""Inputs for `tests.fuzzing`: seeds that are damaged, values of other kinds in them, and plain noise."""

from __future__ import annotations

import copy
import json
from functools import lru_cache
from random import Random
from typing import Any

import yaml

from tests.fuzzing import Ground, Input

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 0.5, -0.0, 1e-300, 1e308, 2**31, 2**63, -(2**63), 10**30),
    *(float("inf"), float("-inf"), float("nan"), "", " ", "x", "nan", "1e999", "null", "true", "0", "-1"),
    *("../../../../etc/passwd", "/etc/passwd", "~root/x", "a/../b", ".", "..", "\x00", "\x1b[2J", "\u202e"),
    *("<script>alert(1)</script>", "{{7*7}}", "${HOME}", "$(id)", "%s%n", "é漢🙂", "\ud800", "x" * 3000),
    *(
        "!!python/object/apply:os.system [id]",
        "&a [*a]",
        "[bold]",
        "'\"`",
        "\n",
        "\r\n---\n",
        "NA",
        "__class__",
    ),
    *(
        [],
        {},
        [[]],
        [None],
        {"": None},
        [0] * 50,
        {"a": {"b": {"c": {}}}},
        [1, "a", None, {}],
        [[[[[[[[1]]]]]]]],
    ),
)
"""Values that fields are given in place of their own."""
TOKENS = (
    *(
        b"\x00",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\n",
        b"\r",
        b",",
        b'"',
        b"'",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
    ),
    *(
        b"---\n",
        b"&a",
        b"*a",
        b"!!",
        b"? ",
        b"- ",
        b"#",
        b"|",
        b">",
        b"%",
        b"@",
        b"`",
        b"\t",
        b"..",
        b"/",
        b"~",
    ),
    *(
        b"9" * 5000,
        b"[" * 2000,
        b"{" * 400,
        b'{"a":' * 3000,
        b"1e999",
        b"NaN",
        b"Infinity",
        b"\\ud800",
        b"null",
    ),
    *(
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
        b"\x80\x00\x00\x00",
        b"\xff\xff\xff\x7f",
    ),
)
MOST_CONTENT = 200_000


def damaged(random: Random, ground: Ground) -> Input:
    """An input for the reader: mostly a seed with a few changes, now and then noise."""
    file = random.choice(list(ground.reader.files))
    return file, _content(random, ground.seeds[file], ground.reader.files[file], ground.reader.words)[
        :MOST_CONTENT
    ]


def _content(random: Random, seeds: list[bytes], form: str, words: tuple[str, ...]) -> bytes:
    way = random.randrange(20)
    if way == 0:
        return random.randbytes(random.randrange(64))
    if way == 1:
        return b"".join(random.choice(TOKENS) for _ in range(random.randrange(1, 12)))
    content = random.choice(seeds)
    if form in _FORMS and way < 14:
        return _FORMS[form](random, content, words)
    for _ in range(random.randrange(1, 6)):
        content = _cut(random, content, seeds, words)
    return content


def _cut(random: Random, content: bytes, seeds: list[bytes], words: tuple[str, ...]) -> bytes:
    """One change among the bytes."""
    at = random.randrange(len(content) + 1)
    until = min(len(content), at + random.choice((0, 1, 1, 2, 4, 16, 256)))
    way = random.randrange(9)
    if way == 0 and content:
        at = min(at, len(content) - 1)
        return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]
    if way == 1:
        return content[:at] + random.choice(TOKENS) + content[until:]
    if way == 2:
        return content[:at] + content[until:]
    if way == 3:
        return content[:at]
    if way == 4:
        return content[:until] + content[at:until] * random.choice((1, 2, 100)) + content[until:]
    if way == 5:
        other = random.choice(seeds)
        return content[:at] + other[random.randrange(len(other) + 1) :]
    if way == 6 and words:
        return content[:at] + random.choice(words).encode() + content[until:]
    if way == 7:
        size = random.choice((1, 2, 4, 8))
        return content[:at] + random.getrandbits(8 * size).to_bytes(size, "big") + content[at + size :]
    return content[:at] + bytes([random.randrange(256)]) + content[at + 1 :]


@lru_cache
def _parsed_yaml(content: bytes) -> Any:
    return yaml.safe_load(content)


def _of_yaml(random: Random, content: bytes, words: tuple[str, ...]) -> bytes:
    try:
        value = _parsed_yaml(content)
    except (yaml.YAMLError, ValueError, RecursionError):
        return content + b"\n: ["
    changed = _other(random, value, words)
    return yaml.safe_dump(changed, sort_keys=False, allow_unicode=True).encode(errors="surrogatepass")


def _of_json(random: Random, content: bytes, words: tuple[str, ...]) -> bytes:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return content + b"}"
    return json.dumps(_other(random, value, words)).encode()


def _of_lines(random: Random, content: bytes, words: tuple[str, ...]) -> bytes:
    lines = content.split(b"\n")
    at = random.randrange(len(lines))
    way = random.randrange(6)
    if way == 0:
        lines.insert(random.randrange(len(lines)), lines[at])
    elif way == 1:
        del lines[at]
    else:
        lines[at] = _of_json(random, lines[at], words) if lines[at] else b"{}"
    return b"\n".join(lines)


def _of_text(random: Random, content: bytes, words: tuple[str, ...]) -> bytes:
    """A cell of a table, or a line, gets another value."""
    lines = content.split(b"\n")
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(lines))
        cells = lines[at].split(b",")
        odd = random.choice(words) if words and random.randrange(2) else random.choice(ODD)
        text = (odd if isinstance(odd, str) else json.dumps(odd)).encode(errors="surrogatepass")
        cells[random.randrange(len(cells))] = text
        lines[at] = b",".join(cells)
    return b"\n".join(lines)


_FORMS = {"yaml": _of_yaml, "json": _of_json, "lines": _of_lines, "text": _of_text}


def _other(random: Random, value: Any, words: tuple[str, ...]) -> Any:
    """The value with one to three of its parts changed."""
    value = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        holder = [value]
        _change(random, holder, words)
        value = holder[0]
    return value


def _change(random: Random, top: list[Any], words: tuple[str, ...]) -> None:
    holder: Any = top
    key: Any = 0
    while isinstance(holder[key], dict | list) and holder[key] and random.randrange(6):
        holder = holder[key]
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        key = random.choice(keys)
    way = random.randrange(8)
    if way == 0 and holder is not top:
        del holder[key]
    elif way == 1 and isinstance(holder, dict):
        name = random.choice(words) if words and random.randrange(2) else str(random.choice(ODD))
        holder[name] = holder[key] if random.randrange(2) else copy.deepcopy(random.choice(ODD))
    elif way == 2 and isinstance(holder, list) and holder is not top:
        holder.insert(key, copy.deepcopy(random.choice(holder)))
    elif way == 3 and isinstance(holder[key], int | float):
        holder[key] = holder[key] * random.choice((-1, 0, 0.5, 1.0, 2, 1000, 10**9))
    elif way == 4 and words:
        holder[key] = random.choice(words)
    else:
        holder[key] = copy.deepcopy(random.choice(ODD))
