"""pack.yml, written: a new one, and intents and replies added to one that people have edited.

PyYAML forgets comments, so a pack.yml that exists is never written anew. New intents go in as lines
behind the last intent, new replies behind the last reply (the first ones behind the intents), and
the result is read again: it must hold what was there and the new ones, and nothing else may have
changed.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from classifier import yaml_text
from desk import pack as packs
from desk.exchange.files import told
from desk.exchange.material import ExchangeError
from desk.pack import Pack, PackError
from desk.texts import say

_HEAD = """\
# Made by `frontdesk import`. docs/packs.md explains every field. To do by hand:
#   * titles (an intent's name on a button), descriptions (the labelling guide), greeting and menu;
#   * answers for intents with `escalate: always`: these go to a person until they have one;
#   * what to do until a person is there: `meanwhile` of an intent, and `urgent` in general;
#   * hours, when people are at the desk: without them it is always open.

"""
_HOURS = """
# hours:
#   timezone: Europe/London
#   weekly: # a day left out is closed
#     mon: ["09:00-17:00"]
#     tue: ["09:00-17:00"]
#     wed: ["09:00-17:00"]
#     thu: ["09:00-17:00"]
#     fri: ["09:00-17:00"]
# sla:
#   first_reply_minutes: 30 # customers are told so, in working hours
"""
_LINE = re.compile("[^\n\x85\u2028\u2029]*[\n\x85\u2028\u2029]|[^\n\x85\u2028\u2029]+")
"""A line as PyYAML counts them."""


def new_pack(
    name: str,
    language: str,
    menu: Sequence[str],
    intents: Mapping[str, Any],
    values: Mapping[str, str],
    replies: Mapping[str, Any],
) -> str:
    """The text of a pack.yml with this menu, intents (as in `Intent`), values and replies
    (`Reply`)."""
    head: dict[str, Any] = {
        "name": name,
        "title": name,
        "languages": [language],
        "greeting": {language: say("pack-greeting", language, customer="{customer}")},
        "menu": list(menu),
    }
    if values:
        head["values"] = dict(values)
    text = f"{_HEAD}{yaml_text.dump(head)}{_HOURS}"
    for section, entries in (("intents", intents), ("replies", replies)):
        blocks = [_indented(yaml_text.dump({key: entry}), "  ") for key, entry in entries.items()]
        if blocks:
            text += f"\n{section}:\n" + "\n".join(blocks)
    return text


def add(path: Path, text: str, section: str, entries: Mapping[str, Any]) -> str:
    """The text of a pack.yml with more entries at the end of `intents` or of `replies` (without
    any yet, or in empty braces, of new ones behind the intents), all else as it was.

    Raises `ExchangeError` where that can't be done safely, as when the section stands in braces.
    """
    before = yaml.safe_load(text)
    if before.get(section) == {}:  # in braces nothing can be added; where it is missing, it can
        empty = rf"^{section}: *\{{ *\}}[ \t]*(\r?\n|(?=#)|\Z)"
        text, found = re.subn(empty, "", text, count=1, flags=re.MULTILINE)
        if found:
            del before[section]
    wanted: dict[str, Any] = {}
    for key, value in before.items():
        wanted[key] = {**value, **entries} if key == section else value
        if key == "intents" and section not in before:
            wanted[section] = dict(entries)
    behind = section if section in before else "intents"
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = _LINE.findall(text)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += newline
    for place, indent, outer in _places(text, len(lines), behind):
        block = _indented(yaml_text.dump(dict(entries)), indent)
        if section not in before:
            block = f"\n{outer}{section}:\n{block}"
        block = block.replace("\n", newline)
        changed = "".join((*lines[:place], block, *lines[place:]))
        if _holds(changed, wanted):
            return changed
    raise ExchangeError(
        f"{path}: can't add {section} to this file by itself; write `{behind}:` with each of them "
        f"on lines of its own, or add by hand: {', '.join(entries)}"
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


def _places(text: str, count: int, section: str) -> Iterator[tuple[int, str, str]]:
    """Where more of a section could go: the number of lines before, its entries' indentation, and
    its own."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return
    lines = _LINE.findall(text)
    for key, value in root.value:
        if key.value == section and isinstance(value, yaml.MappingNode) and not value.flow_style:
            indent, outer = (" " * node.start_mark.column for node in (value, key))
            end = value.end_mark.line if value.end_mark.column == 0 else value.end_mark.line + 1
            end = before = min(end, count)
            # Comments before the next key belong to that key, but what looks like one may also be
            # the end of an answer: the result tells.
            while before > 0 and lines[before - 1].lstrip()[:1] in ("", "#"):
                before -= 1
            yield before, indent, outer
            yield end, indent, outer


def _holds(text: str, wanted: Mapping[str, Any]) -> bool:
    # As JSON, in which the order counts and 1 is not true.
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return False
    return json.dumps(found, default=str) == json.dumps(wanted, default=str)
