"""A pack.yml as a file: YAML whose mistakes are told with the lines where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from classifier import yaml_text
from desk.domain import DeskError

_CURLY = re.compile("[:\\[{,-] *[“”„‘’]")
"""A value, or an entry of a list, that begins with a quote of Word's."""
_SINGLE = re.compile("[:\\[{,-] *'")
_SIGN = ("while scanning an anchor", "while scanning an alias", "while scanning a tag")
_BRACED = re.compile(r"[:-] +\{ *\w+ *\} *[^\s}\]#]")
"""A text that begins with a placeholder: to YAML, something in braces with more behind it."""
_QUOTE_WITHIN = re.compile(r'[:\[{,-] *"(?:[^"\\]|\\.)*" *(?!\w+:)[^\s,:\]}#"]')
"""A text in quotes with more behind it that is neither the next name nor the next entry."""


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


class _Loader(yaml.SafeLoader):
    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """As ever, but what looks like a date and is none (2026-02-30) is told with its line."""
        if isinstance(node, yaml.ScalarNode):
            node.value = _meant(node)
        try:
            return super().construct_object(node, deep)
        except (ValueError, AttributeError, KeyError, IndexError):  # `!!timestamp foo`, `!!int ""`
            told = f"there is no such date or number as {str(node.value)[:40]!r}"
            raise _error(node, told) from None


def _meant(node: yaml.ScalarNode) -> str:
    """A text in which "\\uD83D\\uDE0A", as JSON writes a sign beyond U+FFFF, is that sign.

    Raises `ConstructorError` for half of one and for a NUL, which no database keeps.
    """
    text: str = node.value
    try:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        told = r"half of a character stands here; write the sign itself, not \u…"
        raise _error(node, told) from None
    if "\0" in text:
        raise _error(node, r"a NUL character stands here; leave \0 out")
    return text


def _error(node: yaml.Node, told: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, told, node.start_mark)


def read(path: Path) -> tuple[yaml.Node, dict[str, Any]]:
    """The YAML as nodes, which know their lines, and as plain data. Raises `PackError`."""
    text = _read(path)
    try:
        yaml_text.check(text, yaml.SafeLoader)
        loader = _Loader(text)
        root = loader.get_single_node()
        raw: Any = loader.construct_document(root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        found = "; ".join(filter(None, (error.context, error.problem, _hint(error, text))))
        mark = error.problem_mark
        problem = Problem(f"this is not valid YAML: {found}", mark.line + 1 if mark else None)
        raise PackError(path, [problem]) from None
    except yaml_text.YamlLimitError as error:
        problem = Problem(f"this is not valid YAML: {error}", error.line)
        raise PackError(path, [problem]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the control character U+{error.character:04X} stands here; take it out"
        raise PackError(path, [Problem(message, line)]) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # "\U00110000", "\UFFFFFFFF"
        raise PackError(path, [Problem(f"this is not valid YAML: {error}")]) from None
    if root is None or not isinstance(raw, dict):
        message = "the file must hold a mapping with name, title, intents …"
        raise PackError(path, [Problem(message)])
    return root, raw


def _hint(error: yaml.MarkedYAMLError, text: str) -> str | None:
    """What is likely to mend it, by the parser's words and the lines that it stumbled over."""
    context, problem = error.context or "", error.problem or ""
    lines = text.splitlines()
    at = error.problem_mark.line if error.problem_mark else 0
    begun = error.context_mark.line if error.context_mark else at
    near = [line for number in (begun, at - 1, at) for line in lines[max(0, number) :][:1]]
    here = near[-1]
    # A bracket that opened far above: the mistake is anywhere from there on.
    far = "flow" in context and begun < at - 1
    around = f"between line {begun + 1} and here" if far else "here or just above"
    unclosed = "scanning a quoted scalar" in context or any(map(_unclosed, near))
    no_value = "mapping values" in problem
    hints = (
        (r"'\t'" in problem, "use spaces, not a tab"),
        (_CURLY.search(here) or _CURLY.search(near[0]), 'use straight quotes (")'),
        ("block scalar" in context, "a text after | or > begins on the next line, indented"),
        ("escape" in problem, r"write \\ for a \ between quotes"),
        (
            _BRACED.search(here) and "scanning a quoted scalar" not in context,
            "put a text that begins with { in quotes",
        ),
        (unclosed, f"a quote is not closed {around}"),
        (_QUOTE_WITHIN.search(here), r"write \" for a quote within quotes"),
        (
            "<block end>, but found ','" in problem and here.rstrip().endswith(","),
            "take the comma at the end away",
        ),
        ("flow" in context, f"a quote or a bracket is not closed {around}"),
        (
            "sequence entries are not allowed here" in problem,
            "a list begins on the next line; put a text that begins with - in quotes",
        ),
        (_is_sign(context, problem), "put a text that begins with this sign in quotes"),
        (no_value and here.count(": ") > 1, "put a text with a colon in quotes"),
        (
            no_value or "expected ':'" in problem,
            "look at the indentation here or just above, and for a colon and a space after a name",
        ),
        ("<block end>" in problem, "look at the indentation here or just above"),
    )
    return next((hint for applies, hint in hints if applies), None)


def _is_sign(context: str, problem: str) -> bool:
    """Whether the parser took a text's first sign, such as @, & or !, for one of YAML's own."""
    words = (
        "cannot start any token",
        "keys are not allowed here",
        "a constructor for the tag '!",
    )
    return context.startswith(_SIGN) or any(each in problem for each in words)


def _unclosed(line: str) -> bool:
    return line.count('"') % 2 > 0 or bool(_SINGLE.search(line) and line.count("'") % 2)


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
        if (other := path.with_suffix(".yaml")).exists():
            message = f"the file must be called {path.name}: rename {other.name}."
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
