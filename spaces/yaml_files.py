"""YAML in and out: safe, exact, and with the line of every value kept for messages.

What is read is what `yaml.safe_load` reads, with these differences: a key given twice is a fault (the
first would be lost without a word), keys are text, the top is a mapping, `1e-3` is a number (YAML 1.1
wants `1.0e-3`), and neither aliases, deep nesting nor large files are taken, so that no file can fill the
memory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spaces.faults import Fault, Place, SpaceError, name_hint

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32

_FLOAT_WITHOUT_POINT = re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$")
_SURROGATE = re.compile("[\\ud800-\\udfff]")


class _Loader(yaml.SafeLoader):
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="must not use aliases; write the value out", problem_mark=mark)
        if self.depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"must not nest over {MAX_DEPTH} deep", problem_mark=mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if isinstance(node, yaml.ScalarNode) and _SURROGATE.search(node.value):
            raise yaml.MarkedYAMLError(
                problem="must not use halves of characters (\\ud800)", problem_mark=mark
            )
        return node


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    # PyYAML quotes these line breaks in a style in which reading them back makes spaces of them.
    style = '"' if any(mark in text for mark in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT_WITHOUT_POINT, list("-+.0123456789"))


@dataclass(frozen=True)
class Document:
    """A YAML file as read."""

    file: str
    """How messages call it."""
    data: dict[str, Any]
    lines: dict[Place, int]
    """The line, counted from 1, of every key and list entry."""

    def error(self, faults: Sequence[Fault]) -> SpaceError:
        """The faults with this file's name and lines."""
        return SpaceError(self.file, faults, self.lines)


def read_yaml(path: Path) -> Document:
    """Reads a YAML file.

    Raises:
        SpaceError: It cannot be read, is not YAML, or breaks a rule of this module.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode() if len(content) <= MAX_BYTES else ""
    except OSError as error:
        raise SpaceError(str(path), [Fault((), f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise SpaceError(str(path), [Fault((), f"must be UTF-8 text: {error.reason}")]) from error
    if len(content) > MAX_BYTES:
        raise SpaceError(str(path), [Fault((), f"must be at most {MAX_BYTES // 1024} KiB long")])
    return parse_yaml(text, str(path))


def parse_yaml(text: str, file: str) -> Document:
    """Reads YAML text; `file` is what messages call it.

    Raises:
        SpaceError: It is not YAML, or breaks a rule of this module.
    """
    lines: dict[Place, int] = {}
    faults: list[Fault] = []
    data: Any = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            faults.append(Fault((), "must hold a mapping (lines of `key: value`) at its top"))
        else:
            _scan(node, (), lines, faults)
        if not faults:
            data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        lines = {(): mark.line + 1} if mark else {}
        faults = [Fault((), _one_line(error.problem or error.context or "is not YAML"))]
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or number that Python cannot hold
        faults = [Fault((), f"is not YAML: {_one_line(error)}")]
    if faults:
        raise SpaceError(file, faults, lines)
    return Document(file, data, lines)


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def _scan(node: yaml.Node, place: Place, lines: dict[Place, int], faults: list[Fault]) -> None:
    """Notes the line of every value below `node`, and the faults that building the values would hide."""
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _scan(child, (*place, index), lines, faults)
    elif isinstance(node, yaml.MappingNode):
        for key_node, child in node.value:
            if key_node.tag != "tag:yaml.org,2002:str":
                rule = f"must have text as keys (line {key_node.start_mark.line + 1})"
                faults.append(Fault(place, rule, key_node.value, "Put the key in quotes."))
                continue
            below = (*place, key_node.value)
            if below in lines:
                rule = f"is given twice (lines {lines[below]} and {key_node.start_mark.line + 1})"
                faults.append(Fault(below, rule, hint="Keep one of the two."))
                continue
            lines[below] = key_node.start_mark.line + 1
            _scan(child, below, lines, faults)


def dump_yaml(data: dict[str, Any]) -> str:
    """The plain values as YAML text that `parse_yaml` reads back exactly."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def built_in_names(folder: Path) -> list[str]:
    """The names under which the YAML files of a folder of this package can be asked for."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def find_yaml(name_or_path: str | Path, folder: Path, kind: str) -> Path:
    """The file that a user means by a built-in name, or by a path (which ends in `.yaml` or `.yml`).

    Args:
        name_or_path: As the user gave it.
        folder: Where the built-in files are.
        kind: What to call them in the message: `space`.

    Raises:
        SpaceError: There is no such built-in name; the message says which there are.
    """
    text = str(name_or_path)
    names = built_in_names(folder)
    if text in names:
        return folder / f"{text}.yaml"
    path = Path(text).expanduser()
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    hint = f"{name_hint(text, names)} A file of your own is given by its path, ending in .yaml."
    raise SpaceError(text, [Fault((), f"must be the name of a built-in {kind}, or a file", hint=hint)])
