"""What of the sources goes into a pack. An import only adds: nothing in the pack is changed.

An example is left out where the pack has the text (`validation.exact_key`, so that what `validate`
calls the same is the same here), or where it would leak the test; so is a row for the test, which
examples would leak. What several new rows say of one text becomes one row. An intent that the pack
has keeps its answer or its lack of one. A canned answer without an intent of its name becomes a
reply: an intent that nothing is learned of serves nobody.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from classifier.likeness import normalised
from classifier.links import resolved
from classifier.vocabulary import OUT_OF_SCOPE
from desk import pack as packs
from desk.exchange import from_pack, markup, packfile
from desk.exchange.files import marked, partial_of, read_text, write_files, write_folder
from desk.exchange.material import Answer, ExchangeError, Labelled, Material, Notice
from desk.exchange.names import slug, title
from desk.pack import MAX_ANSWER, PLACEHOLDER, Escalate, Intent, Pack, Policy, folded
from desk.telegram_html import html_problems
from desk.validation import conflict, counted, exact_key, mistyped, small_talk

MOST_TEXT = 4096
"""Telegram sends no longer message, so `validate` refuses a longer example."""
_DEFAULT_OUT_OF_SCOPE = Policy().out_of_scope
_DEFAULT_LANGUAGE = "en"
MOST_IN_MENU = 6
"""Topics in a new pack's menu: eight fit, and two more are easily thought of."""
_BY_HAND = "make it an intent in pack.yml by hand, with its text as `answer`"


@dataclass(slots=True)
class Plan:
    """What an import will do; `write` does it."""

    folder: Path
    new: bool
    pack_yml: str | None
    """The whole new text; None where pack.yml stays as it is."""
    language: str
    intents: tuple[str, ...]
    """Names of new intents."""
    unanswered: tuple[str, ...]
    """New intents that go to a person, since no answer came with them."""
    replies: tuple[str, ...]
    """Names of new replies."""
    added: tuple[Labelled, ...]
    """New examples, with the pack's names of intents."""
    examples: dict[str, int]
    answers: dict[str, int]
    tests: tuple[Labelled, ...]
    """New rows of the test, with the pack's names of intents."""
    test: dict[str, int]
    notices: list[Notice] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not self.new and self.pack_yml is None and not (self.added or self.tests)

    def write(self, lines: str, test_lines: str) -> None:
        """Write pack.yml, examples.jsonl and test.jsonl, or on an error none of them; `lines` are
        `added`, and `test_lines` `tests`."""
        if self.new and not self.folder.exists():
            files = {"pack.yml": self.pack_yml or "", "examples.jsonl": lines}
            if self.tests:
                files["test.jsonl"] = test_lines
            write_folder(self.folder, files)
            return
        # An empty folder stays the one that it is: somebody may be in it, and its owner chose it.
        changed: dict[Path, str] = {}
        if self.pack_yml is not None:  # first: killed in between, a second import does the rest
            path = self.folder / "pack.yml"
            changed[path] = marked(path, self.pack_yml)
        if self.added or self.new:
            path = self.folder / "examples.jsonl"
            changed[path] = _lengthened(path, lines)
        if self.tests:
            path = self.folder / "test.jsonl"
            changed[path] = _lengthened(path, test_lines)
        write_files(changed)


def is_new(folder: Path) -> bool:
    """Whether an import makes this pack. Raises `ExchangeError` for a folder of other things."""
    try:
        resolved(folder)
    except OSError as error:
        raise ExchangeError(
            f"{folder}: {error.strerror}; name a pack's folder, or a new one"
        ) from None
    if (folder / "pack.yml").exists():
        return False
    # What an import that was killed left is written over.
    left = {partial_of(folder / name) for name in ("pack.yml", "examples.jsonl", "test.jsonl")}
    if folder.exists() and (not folder.is_dir() or set(folder.iterdir()) - left):
        raise ExchangeError(
            f"{folder} has no pack.yml, so it is no pack, but it is not empty. "
            "Name a pack's folder, or a new one."
        )
    return True


def plan(
    folder: Path,
    material: Material,
    present: Iterable[Labelled] = (),
    held_out: Iterable[Labelled] = (),
    language: str | None = None,
) -> Plan:
    """What importing the material into a pack's folder (or a new one) means; writes nothing.

    `present` and `held_out` are the rows of the pack's examples.jsonl and test.jsonl. `language` is
    the answers'; for a new pack it is asked of the material where it is None. Raises
    `ExchangeError` where nothing can be made of the material, `PackError` for a broken pack.yml.
    """
    pack = None if is_new(folder) else packs.load(folder)
    return _Merge(folder, pack, material, language).plan(present, held_out)


class _Merge:
    def __init__(
        self, folder: Path, pack: Pack | None, material: Material, language: str | None
    ) -> None:
        self.folder, self.pack, self.material = folder, pack, material
        self.notices = list(material.notices)
        self.language = self._language(language)
        self.out_of_scope = pack.policy.out_of_scope if pack else _DEFAULT_OUT_OF_SCOPE
        self.known = dict(pack.intents) if pack else {}
        self.replies = dict(pack.replies) if pack else {}
        self.labels: dict[str, str] = {}
        """By names of intents, the labels that they come from."""
        self.clashes: dict[tuple[str, str], str] = {}
        """What is wrong with each label that would get a name that another, or a reply, has."""
        self.values: dict[str, str] = {}

    def plan(self, present: Iterable[Labelled], held_out: Iterable[Labelled]) -> Plan:
        present, held_out = list(present), list(held_out)
        for name, taken in self.material.definitions.items():
            if self.language not in taken.title:
                [first] = taken.title
                raise ExchangeError(
                    f"{self.material.intents[name]}: its first language is {first!r}, in which "
                    f"{name} would come, and that of {self.folder} is {self.language!r}; take "
                    "intents from a pack that speaks it first"
                )
        renamed = [
            replace(row, intent=row.intent and self._named(row.intent, row.where))
            for row in self.material.examples
        ]
        added, examples = self._new_rows(renamed, present, held_out, "in_test")
        named = [row.intent for row in added if row.intent]
        used = {row.intent for row in self.material.examples if row.intent}
        used |= {answer.name for answer in self.material.answers}
        groups = {label.partition("/")[0] for label in used if "/" in label} - used
        named += [
            self._named(label, where)
            for label, where in self.material.intents.items()
            if label not in groups  # Rasa's retrieval intents: `faq` is `faq/ask_hours` and others
        ]
        new = self._new_intents([name for name in named if name not in self.known])
        intents, replies, answers = self._answers(new)
        whose = (self.labels.get(name, name) for name in intents)
        for where in dict.fromkeys(
            self.material.intents[label] for label in whose if label in self.material.definitions
        ):
            self._say(
                "read the answers and descriptions that come from it: they are its own", where
            )
        if self.material.definitions and self.values:
            names = ", ".join(self.values)
            self._say(f"new values: {names}. They are the other desk's; write your own", "pack.yml")
        if self.pack is None:
            if not intents.keys() - {self.out_of_scope}:
                raise ExchangeError("the sources hold no intent, and a pack needs one")
            if self.out_of_scope not in intents:
                intents[self.out_of_scope] = self._intent(self.out_of_scope, {})
        if self.clashes:
            raise ExchangeError("\n".join(self.clashes.values()))
        tested = self._tested({*self.known, *intents}, {*self.replies, *replies})
        tests, test = self._new_rows(tested, held_out, [*present, *added], "in_examples")
        useless = sum(not row.measures for row in self.material.tests)
        unknown = len(self.material.tests) - useless - len(tested)
        return Plan(
            folder=self.folder,
            new=self.pack is None,
            pack_yml=self._pack_yml(intents, replies),
            language=self.language,
            intents=tuple(intents),
            unanswered=tuple(
                name
                for name in intents
                if "answer" not in intents[name] and name != self.out_of_scope
            ),
            replies=tuple(replies),
            added=tuple(added),
            examples=examples,
            answers=answers,
            tests=tuple(tests),
            test=test
            | {
                "read": len(self.material.tests),
                "unknown": unknown,
                "measure_nothing": useless,
            },
            notices=[*self._mistyped(intents, [*present, *added]), *self.notices],
        )

    def _language(self, wanted: str | None) -> str:
        if self.pack is not None:
            first = self.pack.languages[0]
            if wanted not in (None, first):
                raise ExchangeError(
                    f"{self.folder} speaks {first!r} first, and answers are imported in a pack's "
                    f"first language only; leave the language out"
                )
            return first
        found = (self.material.language or "").split("-")[0].lower()
        return wanted or (found if packs.LANGUAGE.fullmatch(found) else _DEFAULT_LANGUAGE)

    def _name(self, label: str) -> str:
        if label in self.known:
            return label
        name = slug(label)
        return self.out_of_scope if name in OUT_OF_SCOPE else name

    def _mistyped(self, intents: Collection[str], rows: Sequence[Labelled]) -> Iterator[Notice]:
        """New intents that look like others, or others like them."""
        counts = dict.fromkeys((*self.known, *intents), 0)
        places: dict[str, str] = {}
        for row in rows:
            if row.intent:
                counts[row.intent] = counts.get(row.intent, 0) + 1
                places.setdefault(row.intent, row.where)
        for name, meant in mistyped(counts).items():
            if name in intents or meant in intents:
                said = f"intent {name} ({counted(counts[name])}) looks like {meant}"
                yield Notice(f"{said}; is it mistyped?", places.get(name))

    def _tested(self, intents: Container[str], replies: Container[str]) -> list[Labelled]:
        """The rows for the test, but for those of intents that the pack won't have, and those that
        measure nothing."""
        rows: list[Labelled] = []
        unknown: defaultdict[str, list[str]] = defaultdict(list)
        useless = []
        for row in self.material.tests:
            name = row.intent and self._name(row.intent)
            if not row.measures:
                useless.append(row.where)
            elif row.intent and name not in intents:
                unknown[row.intent].append(row.where)
            else:
                rows.append(replace(row, intent=name))
        if useless:
            self._say(
                f'rows that measure no model ({len(useless)} with "measures": false) are not '
                "imported into the test; import them as examples",
                useless[0],
            )
        for label, places in unknown.items():
            why, mend = f"no intent is called {label!r}", "import its examples first"
            if (name := self._name(label)) in replies:
                why, mend = f"{why}, but a reply is ({name})", f"rename it, or {_BY_HAND}"
            self._say(
                f"{why}, so its rows ({len(places)}) are not imported into the test; {mend}",
                places[0],
            )
        return rows

    def _new_rows(
        self,
        rows: Iterable[Labelled],
        present: Iterable[Labelled],
        apart: Iterable[Labelled],
        in_apart: str,
    ) -> tuple[list[Labelled], dict[str, int]]:
        """What to add to a file, which has the rows `present`, and how many rows are what.

        `apart` are the rows of the other of the two files; what is in it is counted as `in_apart`.
        """
        seen: defaultdict[str, list[Labelled]] = defaultdict(list)
        for row in present:
            seen[exact_key(row.text)].append(row)
        others: defaultdict[str, list[Labelled]] = defaultdict(list)
        for row in apart:
            others[normalised(row.text)].append(row)
        names = ("read", "added", "completed", "present", "conflicts", in_apart, "too_long")
        count = dict.fromkeys(names, 0)
        added: dict[str, Labelled] = {}
        unmarked = []
        for new in rows:
            count["read"] += 1
            key = exact_key(new.text)
            if key in seen:
                became = self._repeated(new, seen[key], added, key)
                count[became] += 1
                # A row that is not private was written and labelled by an author: it measures.
                places = [row.where for row in seen[key] if row.private and row.measures]
                if became == "present" and not new.measures:
                    unmarked += places[:1]
            elif any(_leaks(new, other) for other in others.get(normalised(new.text), ())):
                count[in_apart] += 1
            elif len(new.text) > MOST_TEXT:
                count["too_long"] += 1
                message = f"the text has {len(new.text)} characters, a message at most {MOST_TEXT}"
                self._say(f"{message}; it is not imported", new.where)
            else:
                seen[key].append(new)
                added[key] = new
        if unmarked:
            self._say(
                f'{counted(len(unmarked))} of the pack lack the "measures": false that they have '
                "here, and stay as they are; write it there where they came from an export of "
                "before there was that mark",
                unmarked[0],
            )
        count["added"] = len(added)
        return list(added.values()), count

    def _repeated(
        self, new: Labelled, known: list[Labelled], added: dict[str, Labelled], key: str
    ) -> str:
        """What becomes of a row whose text is known: the name under which it is counted."""
        said = repr(new.text[:80])
        for row in known:
            if differ := conflict(row, new):
                message = f"{said} is {differ[1]} here and {differ[0]} in {row.where}"
                self._say(f"{message}; it is not imported", new.where)
                return "conflicts"
        more = dict(_more(known, new))
        if not more:
            return "present"
        if key in added:
            known.append(new)
            row = added[key]
            added[key] = replace(
                row,
                intent=more.get("intent", row.intent),
                sentiment=more.get("sentiment", row.sentiment),
                private=row.private or new.private,
                measures=row.measures and new.measures,
            )
            return "completed"
        for kind, label in more.items():
            self._say(
                f"{said} is {label} here, and {known[0].where} has no {kind}; the pack's rows stay "
                "as they are: write it there",
                new.where,
            )
        return "present"

    def _named(self, label: str, where: str) -> str:
        """The name of a label's intent. Where another label or a reply has it, that is one of
        `clashes`."""
        name = self._name(label)
        if name in self.replies:
            self.clashes.setdefault(
                (name, label),
                f"{where}: {name} is a reply in the pack, and no intent can be called so, too; "
                f"rename the reply, or {_BY_HAND}",
            )
        other = self.labels.setdefault(name, label)
        if other != label and name != self.out_of_scope and name not in self.known:
            self.clashes.setdefault(
                (other, label),
                f"{where}: the intents {other!r} and {label!r} would both be called {name}; "
                "rename one",
            )
        return name

    def _new_intents(self, named: list[str]) -> list[str]:
        """The names of new intents: those that examples and declarations have, and answers' own."""
        names = dict.fromkeys(named)
        # A pack needs an intent: of canned answers alone each becomes one, to write examples for.
        alone = self.pack is None and not (
            names.keys() - {self.out_of_scope} or any(a.makes_intent for a in self.material.answers)
        )
        for answer in self.material.answers:
            name = self._name(answer.name)
            canned = answer.makes_reply and (alone or name == self.out_of_scope)
            if (answer.makes_intent or canned) and name not in self.known and name not in names:
                names[name] = None
                self.labels.setdefault(name, answer.name)
        return list(names)

    def _answers(
        self, new: list[str]
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]], dict[str, int]]:
        count = dict.fromkeys(("read", "added", "present", "left_out"), 0)
        texts: dict[str, str] = {}
        replies: dict[str, dict[str, Any]] = {}
        titles = self._titles(new)
        for answer in self.material.answers:
            count["read"] += 1
            name = self._name(answer.name)
            is_reply = answer.makes_reply and name not in new
            own = title(answer.name)
            if self._stands_already(name, answer, texts):
                count["present"] += 1
            elif wrong := self._objection(name, answer, is_reply or name in new, texts):
                count["left_out"] += 1
                self._say(f"the answer {answer.name!r} is not imported: {wrong}", answer.where)
            elif is_reply and (other := titles.setdefault(folded(own), name)) != name:
                count["left_out"] += 1
                wrong = f"{other} has the title {own!r} already; rename one of the two"
                self._say(f"the answer {answer.name!r} is not imported: {wrong}", answer.where)
            else:
                count["added"] += 1
                texts[name] = self._filled(answer.text)
                if is_reply:
                    by_language = {self.language: texts[name]}
                    replies[name] = {"title": {self.language: own}, "text": by_language}
        intents = {name: self._intent(name, texts) for name in new}
        return intents, replies, count

    def _titles(self, new: list[str]) -> dict[str, str]:
        """What has a title, by the title in the language of the import."""
        known = {name: intent.title for name, intent in self.known.items()}
        known |= {name: reply.title for name, reply in self.replies.items()}
        titles = {folded(words[self.language]): name for name, words in known.items()}
        return titles | {folded(self._title(name)): name for name in new}

    def _title(self, name: str) -> str:
        label = self.labels.get(name, name)
        taken = self.material.definitions.get(label)
        return title(label) if taken is None else taken.title[self.language]

    def _stands_already(self, name: str, answer: Answer, texts: dict[str, str]) -> bool:
        there = None
        if name in self.known:
            there = self.known[name].answer
        elif name in self.replies:
            there = self.replies[name].text
        elif name in texts:
            return texts[name] == self._filled(answer.text)
        text = (there or {}).get(self.language)
        return text is not None and markup.from_plain(text.strip()) == answer.text

    def _objection(
        self, name: str, answer: Answer, is_new: bool, texts: dict[str, str]
    ) -> str | None:
        """Why an answer is not taken; None where it is."""
        if name in self.known and self.known[name].answer is None:
            return f"{name} is in pack.yml and stays as it is, without an answer; write it there"
        if name in self.known or name in self.replies:
            return f"{name} is in pack.yml and stays as it is; change it there"
        if not is_new:
            return f"no intent is called {name}"
        if name in texts:
            return f"{name} has one already"
        return self._wrong(answer.text)

    def _wrong(self, text: str) -> str | None:
        foreign = markup.foreign_variable(text)
        if foreign is not None:
            return f"nothing is known to fill in {foreign}"
        known = {"customer", *self.material.values, *(self.pack.values if self.pack else ())}
        for name in PLACEHOLDER.findall(text):
            if name not in known:
                return f"nothing is known to fill in {{{name}}}"
        text = self._filled(text)
        if not text:
            return "it is empty"
        if len(text) > MAX_ANSWER:
            return f"it has {len(text)} characters; {MAX_ANSWER} fit"
        return next(iter(html_problems(text)), None)

    def _filled(self, text: str) -> str:
        """A text whose placeholders the pack knows: a pack that exists gets new values with intents
        of another pack alone, whose words are to be looked through and changed in one place."""

        def fill(found: re.Match[str]) -> str:
            name = found[1]
            value = self.material.values.get(name)
            if name == "customer" or value is None or (self.pack and name in self.pack.values):
                return found[0]
            written = self.pack is not None and not self.material.definitions
            if written or html_problems(value) or PLACEHOLDER.search(value):
                return value
            self.values[name] = value
            return found[0]

        return PLACEHOLDER.sub(fill, text)

    def _intent(self, name: str, texts: Mapping[str, str]) -> dict[str, Any]:
        """A new intent with its answer, if it is among `texts`."""
        label, answer = self.labels.get(name, name), texts.get(name)
        intent: dict[str, Any] = {"title": {self.language: title(label)}}
        if (taken := self.material.definitions.get(label)) is not None:
            answered = {known for known in self.known if self.known[known].answer is not None}
            intent = self._taken(label, taken, answered | texts.keys())
        if answer is not None:
            intent["answer"] = {self.language: answer}
            if taken is None and (talk := small_talk(name)):
                intent["thumbs"] = False
                if "greeting" not in talk:
                    intent["closing"] = True
        elif name != self.out_of_scope:
            intent["escalate"] = "always"
        return intent

    def _taken(self, label: str, taken: Intent, answered: Container[str]) -> dict[str, Any]:
        """What another pack has of an intent, but for its answer."""
        where = self.material.intents[label]
        intent, lost = from_pack.defined(taken, self.language, answered, self._filled)
        if lost:
            self._say(
                f"buttons of {label} to that desk's pages and topics stay there ({lost})", where
            )
        return intent

    def _pack_yml(self, intents: dict[str, Any], replies: dict[str, Any]) -> str | None:
        path = self.folder / "pack.yml"
        if self.pack is None:
            name = self.folder.resolve().name
            text = packfile.new_pack(
                name, self.language, self._menu(intents), intents, self.values, replies
            )
        elif intents or replies:
            text = read_text(path)
            sections = {"values": self.values, "intents": intents, "replies": replies}
            for section, entries in sections.items():
                text = packfile.add(path, text, section, entries) if entries else text
        else:
            return None
        packfile.check(path, text)
        return text

    def _menu(self, intents: dict[str, Any]) -> list[str]:
        """The first topics that the bot itself answers."""
        topics = [
            name
            for name, intent in intents.items()
            if "answer" in intent
            and intent.get("thumbs", True)
            and intent.get("escalate") != Escalate.ALWAYS
            and name != self.out_of_scope
        ]
        return topics[:MOST_IN_MENU]

    def _say(self, message: str, where: str) -> None:
        self.notices.append(Notice(message, where))


def _lengthened(path: Path, lines: str) -> str:
    """A file of rows, which may be missing, with more of them behind its last."""
    before = read_text(path) if path.exists() else ""
    between = "\n" if before and before[-1] != "\n" else ""
    return marked(path, before + between + lines)


def _leaks(one: Labelled, other: Labelled) -> bool:
    """Whether of two texts that differ in signs at most, an example and one of the test, the first
    teaches the answer to the second."""
    return exact_key(one.text) == exact_key(other.text) or conflict(one, other) is None


def _more(known: Sequence[Labelled], new: Labelled) -> Iterator[tuple[str, str]]:
    """The kinds of label that a row has and none of those before it, each with its label."""
    if new.intent is not None and all(row.intent is None for row in known):
        yield "intent", new.intent
    if new.sentiment is not None and all(row.sentiment is None for row in known):
        yield "sentiment", new.sentiment
