"""Rasa's nlu.yml: the examples in it, read and written.

Read are the sections `nlu: - intent: …`, whose examples are lines that begin with `-` or a list of
`text` and `metadata`. Rasa has no sentiment; one stands in `metadata: {sentiment: …}` of an example
or of an intent (then it is all its examples'), a place that Rasa leaves to its users. Synonyms,
regexes and lookup tables say nothing of intents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from classifier import yaml_text

VERSION = "3.1"
"""Of Rasa's training data format."""
OTHER_SECTIONS = ("synonym", "regex", "lookup")


class NluError(ValueError):
    """A nlu.yml that can't be used; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def rows(content: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each example with its line, as `text` without entity marks, `intent`, maybe `sentiment`.

    A file without a `version` is of the newest, as in Rasa. Raises `NluError` for what is not YAML,
    is nested too deeply or blown up by aliases, has no `nlu`, an intent without a name, or a line
    that Rasa would pass over.
    """
    root = _root(content)
    top = _mapping(root, "the file must be a mapping with version and nlu")
    if "nlu" not in top:
        raise NluError(1, "there is no `nlu` here; is this Rasa's nlu.yml?")
    for section in _items(top["nlu"], "`nlu` must be a list of intents"):
        fields = _mapping(section, "write `- intent: …` with its `examples`")
        if "intent" in fields:
            yield from _examples(fields)
        elif not any(other in fields for other in OTHER_SECTIONS):
            raise NluError(_line(section), "this is no intent, synonym, regex or lookup")


def plain(text: str) -> str:
    """A text without Rasa's marks of entities: `from [London](city)` is `from London`."""
    # No regular expression: it would look for every bracket's end anew, and take half a minute for
    # a text of brackets that never close.
    find = _Finder(text)
    parts, done = [], 0
    opening = find("[", 0)
    while (closing := find("]", opening + 1)) < len(text):
        end = _mark_end(text, find, closing + 1) if closing > opening + 1 else None
        if end is not None:
            parts += [text[done:opening], text[opening + 1 : closing]]
            done = end
        opening = find("[", closing + 1 if end is None else end)
    return "".join((*parts, text[done:]))


def dump(examples: Iterable[tuple[str, str, str | None]]) -> str:
    """A whole nlu.yml from (text, intent, sentiment) in intents' order of appearance.

    A text that only looks as if it had an entity in it is marked `metadata: {plain: true}`.
    """
    intents: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for text, intent, sentiment in examples:
        metadata: dict[str, Any] = {}
        if sentiment:
            metadata["sentiment"] = sentiment
        if plain(text) != text:
            metadata["plain"] = True
        intents.setdefault(intent, []).append((text, metadata))
    sections = [{"intent": intent, "examples": _listed(few)} for intent, few in intents.items()]
    return yaml_text.dump({"version": VERSION, "nlu": sections})


class _Finder:
    """Finds characters in a text. Asked for each at growing places, it reads the text once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[str, int] = {}

    def __call__(self, character: str, start: int) -> int:
        """The first place of a character from `start` on; the text's length where there is none."""
        if self._found.get(character, -1) < start:
            place = self._text.find(character, start)
            self._found[character] = len(self._text) if place < 0 else place
        return self._found[character]


def _mark_end(text: str, find: _Finder, start: int) -> int | None:
    """Where the mark ends that says from `start` on which entity the words before it are."""
    inside = start + 1
    match text[start:inside]:
        case "(":  # (city) or (city:LON)
            end, colon = find(")", inside), find(":", inside)
            whole = end > inside and colon not in (inside, end - 1)
        case "{":  # {"entity": "city", …}
            end = find("}", inside)
            whole = end > inside
        case "[":  # [{"entity": "city"}, …]
            end = find("]", inside)
            listed = text[inside:end].strip()
            whole = len(listed) > 1 and listed[0] == "{" and listed[-1] == "}"
        case _:
            return None
    return end + 1 if whole and end < len(text) else None


def _listed(examples: list[tuple[str, dict[str, Any]]]) -> Any:
    if all(
        not (metadata or "\n" in text or yaml_text.RARE_BREAK.search(text))
        for text, metadata in examples
    ):
        return "".join(f"- {text}\n" for text, _ in examples)
    return [
        {"text": text, "metadata": metadata} if metadata else {"text": text}
        for text, metadata in examples
    ]


def _root(content: str) -> yaml.Node:
    # Nodes and not data: they know their lines, and `intent: yes` stays the word yes.
    try:
        yaml_text.check(content)
        root: yaml.Node | None = yaml_text.LOADER(content).get_single_node()
    except yaml_text.YamlLimitError as error:
        raise NluError(error.line, str(error)) from None
    except yaml.MarkedYAMLError as error:
        said = "; ".join(filter(None, (error.context, error.problem)))
        mark = error.problem_mark or error.context_mark
        raise NluError(mark.line + 1 if mark else 1, f"is not YAML ({said})") from None
    except yaml.YAMLError:
        found = yaml.reader.Reader.NON_PRINTABLE.search(content)
        line = content.count("\n", 0, found.start() if found else 0) + 1
        raise NluError(line, "holds a character that YAML does not allow; remove it") from None
    if root is None:
        raise NluError(1, "the file is empty")
    return root


def _examples(fields: dict[str, yaml.Node]) -> Iterator[tuple[int, dict[str, str]]]:
    intent = _scalar(fields["intent"], "an intent's name must be a word")
    if not intent:
        raise NluError(_line(fields["intent"]), "the intent has no name")
    node = fields.get("examples")
    if node is None or _is_null(node):
        return
    of_all = _sentiment(fields)
    if isinstance(node, yaml.ScalarNode):
        for line, text in _lines(node):
            yield line, {"text": plain(text), "intent": intent, **of_all}
        return
    for item in _items(node, "`examples` must be lines that begin with - or a list"):
        if isinstance(item, yaml.ScalarNode):
            yield _line(item), {"text": plain(item.value), "intent": intent, **of_all}
            continue
        entry = _mapping(item, "an example is a text, or has `text` and `metadata`")
        if "text" not in entry:
            raise NluError(_line(item), "the example has no `text`")
        text = _scalar(entry["text"], "`text` must be a text")
        text = text if "plain" in _metadata(entry) else plain(text)
        yield _line(item), {"text": text, "intent": intent, **of_all, **_sentiment(entry)}


def _metadata(fields: dict[str, yaml.Node]) -> dict[str, yaml.Node]:
    metadata = fields.get("metadata")
    return _mapping(metadata, "") if isinstance(metadata, yaml.MappingNode) else {}


def _sentiment(fields: dict[str, yaml.Node]) -> dict[str, str]:
    """The sentiment that metadata have, if it is a word: in Rasa it may be anything."""
    node = _metadata(fields).get("sentiment")
    if not isinstance(node, yaml.ScalarNode) or _is_null(node):
        return {}
    return {"sentiment": str(node.value).strip()}


def _lines(node: yaml.ScalarNode) -> Iterator[tuple[int, str]]:
    for number, written in enumerate(node.value.split("\n")):
        # Only a literal block keeps its lines; of other styles the first line is known.
        line = _line(node) + (1 + number if node.style == "|" else 0)
        text = written.strip()
        if not text or text.startswith("#"):
            continue
        if not text.startswith("-"):
            raise NluError(line, f"{text[:40]!r} does not begin with -, so Rasa passes it over")
        if text[1:].strip():
            yield line, text[1:].strip()


def _mapping(node: yaml.Node, otherwise: str) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        raise NluError(_line(node), otherwise)
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        name = str(key.value)
        if name in found:
            raise NluError(_line(key), f"`{name}` stands here a second time")
        found[name] = value
    return found


def _items(node: yaml.Node, otherwise: str) -> list[yaml.Node]:
    if _is_null(node):
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise NluError(_line(node), otherwise)
    items: list[yaml.Node] = node.value
    return items


def _scalar(node: yaml.Node, otherwise: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise NluError(_line(node), otherwise)
    return str(node.value).strip()


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
