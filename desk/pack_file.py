"""A pack.yml as a file: YAML whose mistakes are told with the lines where they stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from classifier import yaml_text
from desk.domain import DeskError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a pack.yml, and the line where it stands (None: the whole)."""

    message: str
    line: int | None = None


class PackError(DeskError):
    """A pack that can't be used; the text lists every problem found."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.path, self.problems = path, tuple(problems)
        lines = [
            f"{found.message}{f' (line {found.line})' if found.line else ''}" for found in problems
        ]
        super().__init__(f"{path} has problems:\n  " + "\n  ".join(lines))


def read(path: Path) -> tuple[yaml.Node, dict[str, Any]]:
    """The YAML as nodes, which know their lines, and as plain data. Raises `PackError`."""
    text = _read(path)
    try:
        yaml_text.check(text, yaml.SafeLoader)
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        raw: Any = loader.construct_document(root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        found = "; ".join(filter(None, (error.context, error.problem)))
        mark = error.problem_mark
        problem = Problem(f"this is not valid YAML: {found}", mark.line + 1 if mark else None)
        raise PackError(path, [problem]) from None
    except yaml_text.YamlLimitError as error:
        problem = Problem(f"this is not valid YAML: {error}", error.line)
        raise PackError(path, [problem]) from None
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2026-02-30 is a ValueError
        raise PackError(path, [Problem(f"this is not valid YAML: {error}")]) from None
    if root is None or not isinstance(raw, dict):
        message = "the file must hold a mapping with name, title, intents …"
        raise PackError(path, [Problem(message)])
    return root, raw


def repeated(node: yaml.Node, where: str = "") -> Iterator[Problem]:
    """Keys that stand twice in a mapping: YAML itself would silently keep the last one."""
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from repeated(child, f"{where}{index}.")
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, child in node.value:
            name = str(key.value)
            if name in seen:
                message = f"{where}{name}: this stands here a second time; keep one of the two"
                yield Problem(message, key.start_mark.line + 1)
            seen.add(name)
            yield from repeated(child, f"{where}{name}.")


def line_of(root: yaml.Node, where: str) -> int | None:
    """The line of a dotted path such as `intents.refund.answer`, or of what exists of it."""
    node, line = root, None
    for part in where.split("."):
        if isinstance(node, yaml.MappingNode):
            found = {str(key.value): (key, child) for key, child in node.value}.get(part)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and part.isdecimal() and node.value[int(part) :]:
            node = node.value[int(part)]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        message = "the file is missing. Set PACK to a pack's folder, or to a name under packs/."
        raise PackError(path, [Problem(message)]) from None
    except OSError as error:
        message = f"the file can't be read: {error.strerror}"
        if isinstance(error, PermissionError):
            message += (
                f". Let the user read it that Frontdesk runs as (a container's is 10001): "
                f"chmod -R a+rX {path.parent}"
            )
        raise PackError(path, [Problem(message)]) from None
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        message = "the file is not UTF-8. Save it as UTF-8."
        raise PackError(path, [Problem(message, number)]) from None
