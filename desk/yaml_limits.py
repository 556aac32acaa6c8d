"""YAML from outside: what a few lines of it could become, before anybody builds it."""

from __future__ import annotations

from typing import Any

import yaml

DEEPEST = 50
LARGEST = 1_000_000
"""Nodes, with each alias counted as what it stands for. The starter pack has some 2,000."""

LOADER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class YamlLimitError(Exception):
    """The text is YAML, but of a kind that no file of ours is; the text says which."""


def check(text: str, loader: Any = LOADER) -> None:
    """Raise `YamlLimitError` for a text nested too deeply, or one whose aliases blow it up.

    A loader recurses into brackets, and whoever walks the result visits an alias as often as it
    stands somewhere: nine lines of nine aliases are some 400 million nodes. Raises
    `yaml.YAMLError` for what is not YAML, with the words and the lines of the `loader`.
    """
    sizes: dict[str, int] = {}
    # Of each open collection: its anchor, and the nodes in it so far.
    around: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            around.append((event.anchor, 1))
            if len(around) > DEEPEST:
                raise YamlLimitError("it is nested too deeply")
            continue
        anchor: str | None
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = around.pop()
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise YamlLimitError(f"the alias *{event.anchor} stands within itself")
            anchor, size = None, sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        outer, total = around.pop()
        around.append((outer, total + size))
        if total + size > LARGEST:
            raise YamlLimitError("its aliases make it far larger than it looks")
