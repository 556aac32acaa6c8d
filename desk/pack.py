"""A pack: what a desk knows. Intents with their answers, buttons, rules for handing over, hours.

`packs/<name>/pack.yml` is meant to be edited by a support lead, so every mistake in it is reported
at once, each with the place where it stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Set
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from classifier.vocabulary import OUT_OF_SCOPE
from desk import mistakes, pack_file
from desk.hours import Hours
from desk.masking import is_region
from desk.pack_file import PackError as PackError
from desk.pack_file import Problem
from desk.telegram_html import html_problems

MAX_ANSWER = 3500  # Telegram takes 4096 characters; names and values are filled in later
PLACEHOLDER = re.compile(r"\{ *(\w+) *\}")
"""What is filled in for a customer: a name of `values`, or `customer`."""
RETENTION = "retention"
"""In `privacy` alone: for how long what customers write is kept."""
INTENT_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
LANGUAGE = re.compile(r"[a-z]{2,3}")


def _by_language(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError('write it by language: {en: "…"}')
    for key, text in value.items():
        # What follows a comma in {en: Yes, please}, and the whole of {en:"Yes"}, is a name to YAML.
        if text is None and not LANGUAGE.fullmatch(str(key)):
            raise ValueError('write {en: "…"}: quotes around the text, a space after the colon')
    return value


Text = Annotated[dict[str, str], BeforeValidator(_by_language), Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Escalate(StrEnum):
    NEVER = "never"
    WHEN_NEGATIVE = "when_negative"
    ALWAYS = "always"


class PackButton(_Strict):
    """A button under an answer: opens a page, shows another intent's answer or calls a person."""

    text: Text
    url: str | None = None
    intent: str | None = None
    person: bool = False

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.url is not None) + (self.intent is not None) + self.person != 1:
            raise ValueError("give exactly one of url, intent and person")
        if self.url is not None and not self.url.startswith(("https://", "http://", "tg://")):
            told = f"url {self.url!r} must start with https://"
            if PLACEHOLDER.search(self.url):
                told += (
                    "; no {value} is filled in here: write a label before the value, as in "
                    'page: &page "https://…", and url: *page here'
                )
            raise ValueError(told)
        return self


class Intent(_Strict):
    """What customers want, how the desk calls it, and what it answers."""

    title: Text
    description: str = ""
    answer: Text | None = None
    meanwhile: Text | None = None
    """What to do until a person is there, where one is called although the bot could answer."""
    buttons: tuple[PackButton, ...] = ()
    thumbs: bool = True
    """Whether the answer asks for a thumb up or down; small talk needs none, and is known by it."""
    closing: bool = False
    """Whether such words end a conversation, as thanks do: nobody is reminded to reply to them."""
    formerly: tuple[str, ...] = ()
    """Names that it had, or that intents had which are part of it now: what people taught under
    these counts as its own."""
    escalate: Escalate = Escalate.NEVER
    priority: bool = False
    """Whether who is handed over with it goes before all others, and everybody is told."""
    threshold: float | None = Field(None, gt=0, le=1)
    target_error: float | None = Field(None, gt=0, lt=0.5)
    """The share of this intent's automatic answers that may be wrong; None: the policy's."""


class Reply(_Strict):
    """A text that people alone send, by /answer: of no intent, so it takes no examples."""

    title: Text
    text: Text


class Policy(_Strict):
    """The numbers behind `desk.policy.decide`; every confidence is between 0 and 1."""

    out_of_scope: str = "out_of_scope"
    threshold: float = Field(0.6, gt=0, le=1)
    """The least confidence for an answer where neither the intent nor the model asks for more. So
    for that of an intent which always gets a person: for these no model has a threshold."""
    target_error: float = Field(0.05, gt=0, lt=0.5)
    """The share of automatic answers that may be wrong: training chooses thresholds by it."""
    clarify_from: float = Field(0.15, gt=0, le=1)
    """An intent at least this probable is offered as a choice when the bot asks back."""
    choices: int = Field(3, ge=2, le=5)
    clarifications: int = Field(1, ge=0, le=5)
    """How often in a row the bot may ask back before it calls a person."""
    negative_confidence: float = Field(0.8, gt=0, le=1)
    negatives_in_a_row: int = Field(2, ge=1, le=10)
    same_answer: int = Field(2, ge=1, le=10)
    """How often in a row the same answer is given before a person is called."""
    quiet_hours: int = Field(24, ge=1)
    """A conversation in which nobody said anything for so long is over, unless a person is awaited:
    what its customer does next begins a new one, with the bot. Where a person is in charge and the
    customer spoke last, opening hours count only."""


class Sla(_Strict):
    """Within what time a person replies, in working hours."""

    first_reply_minutes: int = Field(30, ge=1, le=525_600)
    next_reply_minutes: int | None = Field(None, ge=1, le=525_600)
    """To what a customer writes once a person has spoken; None: as at first."""


class Pack(_Strict):
    """A whole pack.yml. `languages[0]` is the language of last resort."""

    name: str
    title: str
    languages: tuple[str, ...] = Field(min_length=1)
    greeting: Text
    urgent: Text | None = None
    """What goes with the call for a person where nobody knows what the customer wants."""
    privacy: Text | None = None
    """What becomes of what customers write, for /privacy; None for the desk's own words."""
    menu: tuple[str, ...] = Field(max_length=8)
    phone_regions: tuple[str, ...] = ("GB", "US")
    """Whose phone numbers customers write without a country code; they are masked for training."""
    values: dict[str, str] = {}
    intents: dict[str, Intent] = Field(min_length=2)
    replies: dict[str, Reply] = {}
    """No name and no title of an intent: /answer finds both kinds by these."""
    policy: Policy = Policy()
    hours: Hours = Hours()
    sla: Sla = Sla()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = list(self._problems())
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _problems(self) -> list[str]:
        problems = self._name_problems()
        for name, intent in self.intents.items():
            unanswered = intent.answer is None and intent.escalate is not Escalate.ALWAYS
            if unanswered and name != self.policy.out_of_scope:
                problems.append(f"intents.{name}: give an answer, or escalate: always")
            for index, button in enumerate(intent.buttons):
                if button.intent is None:
                    continue
                target = self.intents.get(button.intent)
                if target is None or target.answer is None:
                    problems.append(
                        f"intents.{name}.buttons.{index}: no intent with an answer is called "
                        f"{button.intent!r}"
                    )
        problems += self._priority_problems()
        problems += self._meanwhile_problems()
        problems += self._reply_problems()
        for where, text in self.texts():
            also = {RETENTION} if where == "privacy" else set()
            problems += [f"{where}: {problem}" for problem in self._text_problems(text, also)]
        for name, value in self.values.items():
            problems += [f"values.{name}: {problem}" for problem in html_problems(value)]
            if PLACEHOLDER.search(value):
                problems.append(f"values.{name}: a value can't be filled with other values")
        return problems

    def _priority_problems(self) -> Iterator[str]:
        for name, intent in self.intents.items():
            if intent.priority and intent.escalate is not Escalate.ALWAYS:
                yield (
                    f"intents.{name}.priority: only what always gets a person can go first; add "
                    "escalate: always, or leave it out"
                )
            elif intent.priority and intent.answer is None:
                yield (
                    f"intents.{name}.priority: what can't wait needs an answer, which says what to "
                    "do until a person is there"
                )

    def _meanwhile_problems(self) -> Iterator[str]:
        for name, intent in self.intents.items():
            if intent.meanwhile is None:
                continue
            if intent.escalate is Escalate.ALWAYS:
                yield (
                    f"intents.{name}.meanwhile: with escalate: always the answer is that already; "
                    "write it into `answer`"
                )
            elif name == self.policy.out_of_scope:
                yield (
                    f"intents.{name}.meanwhile: nobody knows what such a message is about; "
                    "`urgent`, beside `greeting`, is what is said then"
                )

    def _reply_problems(self) -> Iterator[str]:
        known: dict[tuple[str, str], str] = {}
        for kind, entries in (("intents", self.intents), ("replies", self.replies)):
            for name, entry in entries.items():
                if kind == "replies" and name in self.intents:
                    yield f"replies.{name}: an intent is called so, too; write another name"
                for language, title in entry.title.items():
                    other = known.setdefault((language, folded(title)), f"{kind}.{name}")
                    if kind == "replies" and other != f"replies.{name}":
                        yield (
                            f"replies.{name}.title: {title!r} is the title of {other}, too; write "
                            "another, or nobody can tell the two apart"
                        )

    def _name_problems(self) -> list[str]:
        problems = [
            f"{kind}.{name}: a name has a-z, 0-9 and _ only, a letter first, and at most 40 of them"
            for kind, names in (("intents", self.intents), ("replies", self.replies))
            for name in names
            if not INTENT_NAME.fullmatch(name)
        ]
        problems += [
            f"languages: write {language!r} as two or three small letters, such as en"
            for language in self.languages
            if not LANGUAGE.fullmatch(language)
        ]
        problems += [
            f"phone_regions: {region!r} is no country with phone numbers; use letters such as GB"
            for region in self.phone_regions
            if not is_region(region)
        ]
        problems += [
            f"menu: no intent is called {name!r}" for name in self.menu if name not in self.intents
        ]
        if self.policy.out_of_scope not in OUT_OF_SCOPE:
            names = " or ".join(sorted(OUT_OF_SCOPE, reverse=True))
            problems.append(f"policy.out_of_scope: the model knows this intent as {names} only")
        elif self.intents.keys() >= OUT_OF_SCOPE:
            [other] = OUT_OF_SCOPE - {self.policy.out_of_scope}
            problems.append(
                f"intents.{other}: the model takes it and {self.policy.out_of_scope} for one; keep "
                "the one that policy.out_of_scope names"
            )
        if self.policy.out_of_scope not in self.intents:
            problems.append(f"policy.out_of_scope: no intent called {self.policy.out_of_scope!r}")
        return problems + self._former_problems()

    def _former_problems(self) -> list[str]:
        problems = []
        known: dict[str, str] = {}
        for name, intent in self.intents.items():
            for former in intent.formerly:
                where = f"intents.{name}.formerly: {former!r}"
                if former in self.intents:
                    problems.append(f"{where} is an intent today, so take it out of this list")
                elif former in known:
                    problems.append(
                        f"{where} stands under formerly of {known[former]} already; keep one of "
                        "the two"
                    )
                known.setdefault(former, name)
        return problems

    def _text_problems(self, text: Mapping[str, str], also: Set[str]) -> list[str]:
        problems = []
        # One mistake in `languages` would be told with each text.
        if all(map(LANGUAGE.fullmatch, self.languages)):
            if self.languages[0] not in text:
                problems.append(f"the text in {self.languages[0]!r} is missing")
            problems += [
                f"language {language!r} is not among {list(self.languages)}"
                for language in text
                if language not in self.languages
            ]
        for value in text.values():
            known = {"customer", *self.values, *also}
            problems += [
                f"nothing is known to fill in {{{name}}}; add it to values"
                for name in PLACEHOLDER.findall(value)
                if name not in known
            ]
            if not value.strip():
                problems.append("the text is empty")
            if len(value) > MAX_ANSWER:
                problems.append(f"the text has {len(value)} characters; {MAX_ANSWER} fit")
            problems += html_problems(value)
        return problems

    def texts(self) -> Iterator[tuple[str, Text]]:
        """Each text for customers, and each title, in all its languages, after its place."""
        yield "greeting", self.greeting
        if self.urgent is not None:
            yield "urgent", self.urgent
        if self.privacy is not None:
            yield "privacy", self.privacy
        for name, intent in self.intents.items():
            yield f"intents.{name}.title", intent.title
            if intent.answer is not None:
                yield f"intents.{name}.answer", intent.answer
            if intent.meanwhile is not None:
                yield f"intents.{name}.meanwhile", intent.meanwhile
            for index, button in enumerate(intent.buttons):
                yield f"intents.{name}.buttons.{index}.text", button.text
        for name, reply in self.replies.items():
            yield f"replies.{name}.title", reply.title
            yield f"replies.{name}.text", reply.text

    def targets(self) -> tuple[float, dict[str, float]]:
        """The share of automatic answers that may be wrong: in all, and of single intents."""
        single = {
            name: intent.target_error
            for name, intent in self.intents.items()
            if intent.target_error is not None
        }
        return self.policy.target_error, single

    def priorities(self) -> frozenset[str]:
        """The intents with `priority`."""
        return frozenset(name for name, intent in self.intents.items() if intent.priority)

    def small_talk(self) -> frozenset[str]:
        """The intents that the bot answers and nobody would choose where it asks what is meant, nor
        an operator send their answer: small talk has no thumbs, and is known by that."""
        return frozenset(
            name
            for name, intent in self.intents.items()
            if not intent.thumbs
            and intent.answer is not None
            and intent.escalate is not Escalate.ALWAYS
            and name != self.policy.out_of_scope
        )

    def never_answered(self) -> tuple[str, ...]:
        """The intents that always get a person: nothing the bot says of these is its answer."""
        return tuple(
            name for name, intent in self.intents.items() if intent.escalate is Escalate.ALWAYS
        )

    def names(self) -> dict[str, str]:
        """The intent of today by each name that it has or had."""
        former = {old: name for name, intent in self.intents.items() for old in intent.formerly}
        return former | {name: name for name in self.intents}

    def language(self, wanted: str | None) -> str:
        """The pack's language for a customer's IETF tag such as `en-GB`."""
        short = (wanted or "").split("-")[0].lower()
        return short if short in self.languages else self.languages[0]

    def text(self, text: Mapping[str, str], language: str, customer: str = "", **more: str) -> str:
        """A text in that language with its placeholders filled in; `customer` and what else is
        filled in are HTML-safe."""
        template = text.get(language) or text[self.languages[0]]
        filled = {**self.values, "customer": customer, **more}
        return PLACEHOLDER.sub(lambda match: filled.get(match[1], match[0]), template)


def folded(text: str) -> str:
    """A text without what two people may type differently: case, width, spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def load(folder: Path) -> Pack:
    """Read `folder/pack.yml`; raise `PackError` listing every problem."""
    path = folder / "pack.yml"
    root, raw = pack_file.read(path)
    problems = list(pack_file.repeated(root))
    try:
        pack = Pack.model_validate(raw)
    except ValidationError as error:
        wrongs = error.errors()
        for wrong in wrongs:
            loc = wrong["loc"]
            if wrong["type"] == "too_short" and any(
                other is not wrong and other["loc"][: len(loc)] == loc for other in wrongs
            ):
                continue  # entries are there, but wrong, which is told
            where = ".".join(map(str, loc[:-2] if loc[-1:] == ("[key]",) else loc))
            for line in mistakes.sentence(wrong, Pack).split("\n"):
                message = f"{where}: {line}" if where else line
                place = pack_file.line_of(root, message.partition(": ")[0])
                problems.append(Problem(message, place))
    if problems:
        raise PackError(path, problems)
    return pack
