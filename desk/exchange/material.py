"""What an import works on: examples, answers and remarks, each with the place it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field

from desk.domain import DeskError
from desk.pack import Intent


class ExchangeError(DeskError):
    """Files that can't be imported or exported as they are; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """An example; `where` is its file and line, as in `nlu.yml:12`."""

    where: str
    text: str
    intent: str | None = None
    sentiment: str | None = None
    private: bool = False
    """Whether it is a customer's own words: learned from, and quoted nowhere."""
    measures: bool = True
    """Whether models are measured by it, and not only trained on it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in a pack's markup, under its name in the other system.

    Where there is no intent of that name, it becomes one of its own (`makes_intent`), or a reply,
    which people alone send (`makes_reply`), or is left out.
    """

    where: str
    name: str
    text: str
    makes_intent: bool = False
    makes_reply: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that was left out or needs a look, and where it stands (None: the whole)."""

    message: str
    where: str | None = None


@dataclass(slots=True)
class Material:
    """All that the sources of an import hold."""

    examples: list[Labelled] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    intents: dict[str, str] = field(default_factory=dict)
    """Intents that are declared, with or without examples: a name and its place."""
    values: dict[str, str] = field(default_factory=dict)
    """What other systems fill into their answers: a name and its text."""
    language: str | None = None
    notices: list[Notice] = field(default_factory=list)
    tests: list[Labelled] = field(default_factory=list)
    """Rows for the pack's test.jsonl."""
    definitions: dict[str, Intent] = field(default_factory=dict)
    """Of intents that another pack has, what that pack says of them, by name."""

    def add(self, other: Material) -> None:
        """Take in what another source holds; of values and the language the first ones stay."""
        self.examples += other.examples
        self.answers += other.answers
        self.intents = {**other.intents, **self.intents}
        self.values = {**other.values, **self.values}
        self.language = self.language or other.language
        self.notices += other.notices
        self.tests += other.tests
        self.definitions = {**other.definitions, **self.definitions}
