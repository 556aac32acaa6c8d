"""YAML from outside, checked before anybody builds it; and plain data as YAML for people."""

from __future__ import annotations

import re
from typing import Any

import yaml

DEEPEST = 50
MOST_ADDED = 1_000_000
"""Characters that aliases may add to a text, each counted as what it stands for."""
RARE_BREAK = re.compile("[\r\x85\u2028\u2029]")
"""What YAML takes for an end of a line beside the usual one."""
_UNLIKE_ITSELF = re.compile(r"(?:\A|\n)\n\Z")
"""Ends of a text that PyYAML marks with `...` where it writes it as a block."""

LOADER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class YamlLimitError(Exception):
    """What is YAML, but of a kind that no file of ours is; the message says which.

    `line` counts from 1.
    """

    def __init__(self, event: yaml.Event, message: str) -> None:
        super().__init__(message)
        self.line = event.start_mark.line + 1 if event.start_mark else 1


def check(text: str, loader: Any = LOADER) -> None:
    """Raise `YamlLimitError` for a text nested too deeply, or one whose aliases blow it up.

    A loader recurses into brackets, and whoever walks the result visits an alias as often as it
    stands somewhere: nine lines of nine aliases are some 400 million nodes, and thirty kilobytes
    of a list and aliases of it three million examples. Raises `yaml.YAMLError` for what is not
    YAML, with the words and the lines of the `loader`.
    """
    sizes: dict[str, int] = {}
    # Of each open collection: its anchor, and what it holds so far, aliases in full.
    around: list[tuple[str | None, int]] = [(None, 0)]
    written = 0
    for event in yaml.parse(text, Loader=loader):
        anchor: str | None
        if isinstance(event, yaml.CollectionStartEvent):
            around.append((event.anchor, 1))
            written += 1
            if len(around) > DEEPEST:
                raise YamlLimitError(event, "it is nested too deeply")
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = around.pop()
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise YamlLimitError(event, _unknown(event.anchor, [name for name, _ in around]))
            anchor, size = None, sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1 + len(event.value)
            written += size
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        outer, total = around.pop()
        around.append((outer, total + size))
        if total + size - written > MOST_ADDED:
            raise YamlLimitError(event, "its aliases make it far larger than it looks")


def _unknown(alias: str | None, open_anchors: list[str | None]) -> str:
    if alias in open_anchors:
        return f"the alias *{alias} stands within itself"
    return f"there is no &{alias} for *{alias}"


def dump(value: Any) -> str:
    """Plain data as YAML: keys in their order, texts of several lines as blocks."""
    return yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=100)


class _Dumper(yaml.SafeDumper):
    pass


def _string(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    if RARE_BREAK.search(value) or _UNLIKE_ITSELF.search(value):
        style = '"'  # in which all of these are escaped
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)


_Dumper.add_representer(str, _string)
