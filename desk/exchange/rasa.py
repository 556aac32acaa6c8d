"""Rasa's domain.yml: intents, responses to them, and slots, read and written.

A response `utter_<intent>` is the answer to that intent. Slots of text with an `initial_value` are
what a pack calls values: Rasa fills them into responses in the same way, `{name}`. Rasa has no
languages, buttons with addresses, rules for calling a person or working hours: these stay behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from classifier import yaml_text
from classifier.nlu import VERSION
from classifier.vocabulary import SENTIMENTS
from desk.exchange import markup
from desk.exchange.files import read_text
from desk.exchange.material import Answer, ExchangeError, Material, Notice
from desk.exchange.names import original
from desk.pack import Pack

USED = frozenset({"nlu", "responses", "slots"})
UNUSED = ("stories", "rules", "forms", "actions", "entities", "e2e_actions")
_SKIPPED = frozenset({"tests", "train_test_split"})
_PREFIX = "utter_"
_RASAS_OWN = frozenset({"back", "nlu_fallback", "restart", "session_start"})
"""Intents that no customer has: Rasa itself has them, and a domain may still declare them."""


def project_files(folder: Path) -> list[Path]:
    """The YAML files under a folder, by name; hidden folders and Rasa's test data are left out."""
    found = []
    for path in sorted(folder.rglob("*")):
        folders = path.relative_to(folder).parts[:-1]
        if path.suffix.lower() not in (".yml", ".yaml") or not path.is_file():
            continue
        if not any(part.startswith(".") or part in _SKIPPED for part in folders):
            found.append(path)
    return found


@dataclass(frozen=True, slots=True)
class RasaFile:
    """A file of a Rasa project; its examples, if it has any, are read by `classifier.data`."""

    material: Material
    usable: bool
    """Whether it has a section that is imported at all."""
    has_examples: bool


def read(path: Path) -> RasaFile:
    """What a YAML file holds of Rasa's intents, responses, slots and language.

    Raises `ExchangeError` for a file that can't be read, is not YAML or has other responses.
    """
    root = _root(path)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    sections = {str(key.value): (key, value) for key, value in pairs}
    material = Material()
    if "pipeline" in sections and "language" in sections:
        material.language = str(sections["language"][1].value)
    if "intents" in sections:
        material.intents = dict(_declared(path, sections["intents"][1]))
    if "responses" in sections:
        material.answers = list(_answers(path, sections["responses"][1], material))
    if "slots" in sections:
        material.values = dict(_initial_values(sections["slots"][1]))
    for name in UNUSED:
        if name in sections and not _empty(sections[name][1]):
            where = f"{path}:{_line(sections[name][0])}"
            material.notices.append(Notice(f"`{name}` is not imported", where))
    others = []
    if "nlu" in sections:
        others = list(_other_nlu(path, sections["nlu"][1]))
        material.notices += (*others, *_other_sentiments(path, sections["nlu"][1]))
    return RasaFile(
        material,
        usable=bool(USED & sections.keys() or material.intents or material.language),
        has_examples="nlu" in sections and not (others and not _intents(sections["nlu"][1])),
    )


def names(pack: Pack) -> dict[str, str]:
    """What a pack's intents are called in Rasa, which takes names in any script."""
    return {name: original(name, intent.title.values()) for name, intent in pack.intents.items()}


def dump_domain(pack: Pack) -> str:
    """A domain.yml with the pack's intents, its answers in its first language, and its values."""
    first, called = pack.languages[0], names(pack)
    slots = {
        name: {
            "type": "text",
            "influence_conversation": False,
            **({"initial_value": markup.to_plain(value)} if value is not None else {}),
            "mappings": [{"type": "custom"}],
        }
        for name, value in {"customer": None, **pack.values}.items()
    }
    responses = {
        f"{_PREFIX}{called[name]}": [{"text": markup.to_plain(intent.answer[first])}]
        for name, intent in pack.intents.items()
        if intent.answer is not None
    }
    return yaml_text.dump(
        {
            "version": VERSION,
            "intents": list(called.values()),
            "slots": slots,
            "responses": responses,
        }
    )


def dump_config(pack: Pack) -> str:
    """A config.yml with the language of the pack's answers; its pipeline is left to Rasa."""
    return yaml_text.dump({"recipe": "default.v1", "language": pack.languages[0], "pipeline": None})


def _root(path: Path) -> yaml.Node | None:
    text = read_text(path)
    try:
        yaml_text.check(text)
        root: yaml.Node | None = yaml_text.LOADER(text).get_single_node()
    except yaml_text.YamlLimitError as error:
        raise ExchangeError(f"{path}:{error.line}: is no file of Rasa: {error}") from None
    except yaml.MarkedYAMLError as error:
        if error.context == "expected a single document in the stream":
            return None  # a project's other files, Kubernetes' say: Rasa's have one
        said = "; ".join(filter(None, (error.context, error.problem)))
        mark = error.problem_mark or error.context_mark
        raise ExchangeError(
            f"{path}:{mark.line + 1 if mark else 1}: is not YAML ({said})"
        ) from None
    except yaml.YAMLError as error:
        raise ExchangeError(f"{path}: is not YAML ({str(error).splitlines()[0]})") from None
    return root


def _answers(path: Path, responses: yaml.Node, material: Material) -> Iterator[Answer]:
    if not isinstance(responses, yaml.MappingNode):
        raise ExchangeError(f"{path}:{_line(responses)}: `responses` must be a mapping")
    for key, variations in responses.value:
        where, name = f"{path}:{_line(key)}", str(key.value)
        if not isinstance(variations, yaml.SequenceNode):
            raise ExchangeError(f"{where}: `{name}` must be a list, as in `- text: …`")
        entries = [_fields(variation) for variation in variations.value]
        texts = [entry for entry in entries if isinstance(entry.get("text"), yaml.ScalarNode)]
        # What is for some alone must not become everybody's answer. A condition asks who somebody
        # is, a channel only how they write.
        texts.sort(key=lambda entry: ("condition" in entry, "channel" in entry))
        if not texts:
            material.notices.append(Notice(f"`{name}` has no text; it is not imported", where))
            continue
        if len(entries) > 1:
            message = f"`{name}` has {len(entries)} variations; one is imported, a pack has one"
            material.notices.append(Notice(message, where))
        if "condition" in texts[0]:
            message = f"of `{name}` the text is imported, not its condition: it is everybody's now"
            material.notices.append(Notice(message, where))
        if {"buttons", "image", "attachment", "custom"} & texts[0].keys():
            message = f"of `{name}` only the text is imported, no buttons or pictures"
            material.notices.append(Notice(message, where))
        if translations := ", ".join(_fields(texts[0].get("translation"))):
            message = f"of `{name}` only the `text` is imported, no translation: {translations}"
            material.notices.append(Notice(message, where))
        intent = name.removeprefix(_PREFIX)
        text = markup.from_plain(texts[0]["text"].value.strip())
        yield Answer(where, intent, text, intent in material.intents)


def _declared(path: Path, intents: yaml.Node) -> Iterator[tuple[str, str]]:
    """The names of a domain's intents, each with its place."""
    for item in intents.value if isinstance(intents, yaml.SequenceNode) else []:
        # `- greet` or `- greet: {use_entities: []}`
        node = item.value[0][0] if isinstance(item, yaml.MappingNode) and item.value else item
        name = str(node.value).strip() if isinstance(node, yaml.ScalarNode) else ""
        if name and name not in _RASAS_OWN:
            yield name, f"{path}:{_line(node)}"


def _initial_values(slots: yaml.Node) -> Iterator[tuple[str, str]]:
    for name, slot in _fields(slots).items():
        value = _fields(slot).get("initial_value")
        if isinstance(value, yaml.ScalarNode) and not _empty(value):
            yield name, markup.from_plain(str(value.value))


def _intents(nlu: yaml.Node) -> bool:
    return any("intent" in _fields(item) for item in nlu.value)


def _other_nlu(path: Path, nlu: yaml.Node) -> Iterator[Notice]:
    items = nlu.value if isinstance(nlu, yaml.SequenceNode) else []
    for name in ("synonym", "regex", "lookup"):
        count = sum(name in _fields(item) for item in items)
        if count:
            message = f"{count} × `{name}` not imported; they say nothing of intents"
            yield Notice(message, str(path))


def _other_sentiments(path: Path, nlu: yaml.Node) -> Iterator[Notice]:
    """What stands where a sentiment may, but is none: Rasa's users may write anything there."""
    places = []
    for item in nlu.value if isinstance(nlu, yaml.SequenceNode) else []:
        section = _fields(item)
        examples = section.get("examples")
        listed = examples.value if isinstance(examples, yaml.SequenceNode) else []
        for fields in (section, *map(_fields, listed)):
            sentiment = _fields(fields.get("metadata")).get("sentiment")
            if sentiment is not None and str(sentiment.value).strip().lower() not in SENTIMENTS:
                places.append(_line(sentiment))
    if places:
        known = ", ".join(SENTIMENTS)
        message = f"{len(places)} × `sentiment` not imported, from this line on; known are {known}"
        yield Notice(message, f"{path}:{places[0]}")


def _fields(node: yaml.Node | None) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {str(key.value): value for key, value in node.value}


def _empty(node: yaml.Node) -> bool:
    return not node.value or node.tag == "tag:yaml.org,2002:null"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
