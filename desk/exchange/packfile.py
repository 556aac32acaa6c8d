"""pack.yml, written: a new one, and intents added to one that people have edited.

PyYAML forgets comments, so a pack.yml that exists is never written anew. New intents go in as lines
behind the last intent, and the result is read again: it must hold what was there and the new
intents, and nothing else may have changed.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from classifier import yaml_text
from desk import pack as packs
from desk.exchange.files import told
from desk.exchange.material import ExchangeError
from desk.pack import Pack, PackError

_HEAD = """\
# Made by `frontdesk import`. docs/packs.md explains every field. To do by hand:
#   * titles (an intent's name on a button), descriptions (the labelling guide), greeting and menu;
#   * answers for intents with `escalate: always`: these go to a person until they have one;
#   * what to do until a person is there: `meanwhile` of an intent, and `urgent` in general;
#   * hours, when people are at the desk.

"""
_LINE = re.compile("[^\n\x85\u2028\u2029]*[\n\x85\u2028\u2029]|[^\n\x85\u2028\u2029]+")
"""A line as PyYAML counts them."""


def new_pack(
    name: str, language: str, intents: Mapping[str, Any], values: Mapping[str, str]
) -> str:
    """The text of a pack.yml with these intents (as in `Intent`) and values."""
    head: dict[str, Any] = {
        "name": name,
        "title": name,
        "languages": [language],
        "greeting": {language: "Hello {customer}!"},
        "menu": [],
    }
    if values:
        head["values"] = dict(values)
    blocks = (_indented(yaml_text.dump({name: intent}), "  ") for name, intent in intents.items())
    return f"{_HEAD}{yaml_text.dump(head)}\nintents:\n" + "\n".join(blocks)


def add_intents(path: Path, text: str, intents: Mapping[str, Any]) -> str:
    """The text of a pack.yml with more intents at the end of its `intents`, all else as it was.

    Raises `ExchangeError` where that can't be done safely, as when `intents` stands in braces.
    """
    before = yaml.safe_load(text)
    wanted = {**before, "intents": {**before["intents"], **intents}}
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = _LINE.findall(text)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += newline
    for place, indent in _places(text, len(lines)):
        block = _indented(yaml_text.dump(dict(intents)), indent).replace("\n", newline)
        changed = "".join((*lines[:place], block, *lines[place:]))
        if _holds(changed, wanted):
            return changed
    raise ExchangeError(
        f"{path}: can't add intents to this file by itself; write `intents:` with each intent on "
        f"lines of its own, or add by hand: {', '.join(intents)}"
    )


def check(path: Path, text: str) -> Pack:
    """The pack that a text would be as `path`; raises `PackError` as loading it would."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "pack.yml"
        with told(trial):
            trial.write_bytes(text.encode())
        try:
            return packs.load(Path(folder))
        except PackError as error:
            raise PackError(path, error.problems) from None


def _indented(block: str, indent: str) -> str:
    return "".join(indent + line if line.strip() else line for line in _LINE.findall(block))


def _places(text: str, count: int) -> Iterator[tuple[int, str]]:
    """Where more intents could go: the number of lines before them, and their indentation."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return
    lines = _LINE.findall(text)
    for key, value in root.value:
        if key.value == "intents" and isinstance(value, yaml.MappingNode) and not value.flow_style:
            indent = " " * value.start_mark.column
            end = value.end_mark.line if value.end_mark.column == 0 else value.end_mark.line + 1
            end = before = min(end, count)
            # Comments before the next key belong to that key, but what looks like one may also be
            # the end of an answer: the result tells.
            while before > 0 and lines[before - 1].lstrip()[:1] in ("", "#"):
                before -= 1
            yield before, indent
            yield end, indent


def _holds(text: str, wanted: Mapping[str, Any]) -> bool:
    # As JSON, in which the order counts and 1 is not true.
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return False
    return json.dumps(found, default=str) == json.dumps(wanted, default=str)
