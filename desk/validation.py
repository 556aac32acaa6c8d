"""Everything that can be said about a pack without training on it, for `frontdesk validate`.

An error keeps a pack from being used or makes its numbers wrong; a warning costs quality.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from classifier.vocabulary import SENTIMENTS
from desk import pack as packs
from desk.pack import Pack, PackError

KEYS = frozenset({"text", "intent", "sentiment"})
FEW_EXAMPLES = 20
"""Below this an intent is learned badly; see docs/packs.md."""
FEW_TESTS = 5
"""Below this an intent's figures on the test are chance."""
FEW_OUT_OF_SCOPE = 100
NEAR = 0.9
"""Test and training texts whose character 4-grams overlap (Jaccard) this much tell the answer."""
_GRAM = 4
_MOST_TEXT = 4096


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend: where it stands, and what to do. `line` counts from 1."""

    severity: Severity
    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.severity}: {self.message}"


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    text: str
    key: str
    """The text as it counts: without case, accents of width, spaces and punctuation."""
    intent: str | None
    sentiment: str | None


def validate(folder: Path) -> list[Finding]:
    """All findings about a pack's folder, file by file and line by line; none means clean."""
    findings: list[Finding] = []
    pack: Pack | None = None
    try:
        pack = packs.load(folder)
    except PackError as error:
        findings += [
            Finding(Severity.ERROR, "pack.yml", found.line, found.message)
            for found in error.problems
        ]
    else:
        findings += _untranslated(pack)
    train = _Data(folder, "examples.jsonl", pack, findings)
    test = _Data(folder, "test.jsonl", pack, findings)
    train.check_counts(FEW_EXAMPLES)
    test.check_counts(FEW_TESTS)
    train.check_out_of_scope(FEW_OUT_OF_SCOPE)
    test.check_out_of_scope(FEW_TESTS)
    _check_leaks(train, test)
    order = {"pack.yml": 0, train.name: 1, test.name: 2}
    return sorted(findings, key=lambda found: (order[found.file], found.line or 0, found.message))


def normalised(text: str) -> str:
    """A text as it counts when texts are compared: case, spaces and punctuation say nothing."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(c if unicodedata.category(c)[0] in "LNMS" else " " for c in folded)
    return " ".join(kept.split()) or " ".join(text.split())  # "??" is a text of its own


class _Data:
    """One file of examples, checked while it is read."""

    def __init__(self, folder: Path, name: str, pack: Pack | None, findings: list[Finding]) -> None:
        self.name, self.pack, self._findings = name, pack, findings
        self.rows: list[_Row] = []
        self.present = self._read(folder / name)
        self._check_repeats()

    def error(self, line: int | None, message: str) -> None:
        self._findings.append(Finding(Severity.ERROR, self.name, line, message))

    def warn(self, line: int | None, message: str) -> None:
        self._findings.append(Finding(Severity.WARNING, self.name, line, message))

    def _read(self, path: Path) -> bool:
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            self.error(
                None,
                f"the file can't be read ({error.strerror}); it holds one example a line, as in "
                '{"text": "where is my order?", "intent": "order_status"}',
            )
            return False
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError:
                self.error(number, "this line is not UTF-8; save the file as UTF-8")
            except ValueError as error:
                self.error(number, f"this line is not JSON ({error}); write one object a line")
            else:
                self._keep(number, entry)
        if not self.rows:
            self.error(None, "there is no example in this file")
        return bool(self.rows)

    def _keep(self, line: int, entry: Any) -> None:
        if not isinstance(entry, dict):
            self.error(line, 'this is no object; write {"text": …, "intent": …}')
            return
        for key in entry.keys() - KEYS:
            self.error(line, f"key {key!r} is not known; use text, intent and sentiment")
        text, intent, sentiment = (entry.get(key) for key in ("text", "intent", "sentiment"))
        if not isinstance(text, str) or not text.strip():
            self.error(line, "the text is missing or empty; write one or remove the line")
            return
        if len(text) > _MOST_TEXT:
            self.error(line, f"the text has {len(text)} characters; a message has at most 4096")
        row = _Row(line, text, normalised(text), self._intent(line, intent), None)
        if sentiment is not None:
            if sentiment in SENTIMENTS:
                row = _Row(line, text, row.key, row.intent, sentiment)
            else:
                known = ", ".join(SENTIMENTS)
                self.error(
                    line, f"sentiment {sentiment!r} is not known; use {known}, or leave it out"
                )
        elif intent is None:
            self.error(line, "there is neither an intent nor a sentiment; add one of them")
        self.rows.append(row)

    def _intent(self, line: int, intent: Any) -> str | None:
        if intent is None:
            return None
        if not isinstance(intent, str) or not intent:
            self.error(line, f"intent {intent!r} is no name; write the name of an intent")
            return None
        if self.pack is not None and intent not in self.pack.intents:
            self.error(
                line, f"intent {intent!r} is not in pack.yml; add it there or label the text anew"
            )
            return None
        return intent

    def _check_repeats(self) -> None:
        first: dict[str, _Row] = {}
        for row in self.rows:
            known = first.setdefault(row.key, row)
            if known is row:
                continue
            if known.intent != row.intent and None not in (known.intent, row.intent):
                self.error(
                    row.line,
                    f"{row.text!r} is {row.intent} here and {known.intent} in line {known.line}; "
                    "decide for one and remove the other",
                )
            else:
                self.error(
                    row.line, f"{row.text!r} stands already in line {known.line}; remove one"
                )

    def check_counts(self, few: int) -> None:
        """Intents without rows, or with so few that they say little."""
        if self.pack is None or not self.present:
            return
        counts = Counter(row.intent for row in self.rows)
        for name in self.pack.intents:
            if name == self.pack.policy.out_of_scope:
                continue
            if not counts[name]:
                self.error(None, f"intent {name} has no example; write some or take it out")
            elif counts[name] < few:
                self.warn(None, f"intent {name} has {counts[name]} examples; write at least {few}")

    def check_out_of_scope(self, few: int) -> None:
        """Without texts that are none of the shop's business, the model takes all for intents."""
        if self.pack is None or not self.present:
            return
        name = self.pack.policy.out_of_scope
        count = sum(row.intent == name for row in self.rows)
        if not count:
            self.error(
                None,
                f"intent {name} has no example; write texts that are none of the desk's business",
            )
        elif count < few:
            self.warn(None, f"{name} has {count} examples; write at least {few}")


def _untranslated(pack: Pack) -> list[Finding]:
    texts: dict[str, Mapping[str, str]] = {"greeting": pack.greeting}
    for name, intent in pack.intents.items():
        texts[f"intents.{name}.title"] = intent.title
        if intent.answer is not None:
            texts[f"intents.{name}.answer"] = intent.answer
        for index, button in enumerate(intent.buttons):
            texts[f"intents.{name}.buttons.{index}.text"] = button.text
    first = pack.languages[0]
    findings = [
        Finding(
            Severity.WARNING,
            "pack.yml",
            None,
            f"{where}: there is no text in {language!r}; customers will read the one in {first!r}",
        )
        for where, text in texts.items()
        for language in pack.languages
        if language not in text
    ]
    findings += [
        Finding(
            Severity.WARNING,
            "pack.yml",
            None,
            f"intents.{name}: write a description; the people who label messages go by it",
        )
        for name, intent in pack.intents.items()
        if not intent.description
    ]
    return findings


def _check_leaks(train: _Data, test: _Data) -> None:
    """Test texts that the model has seen in training, word for word or nearly so."""
    by_key = {row.key: row for row in train.rows}
    near = _NearTexts(train.rows)
    for row in test.rows:
        seen = by_key.get(row.key)
        if seen is not None:
            test.error(
                row.line,
                f"{row.text!r} is in {train.name} too, line {seen.line}: the test would measure "
                "memory; remove the training example",
            )
            continue
        close = near.closest(row.key)
        if close is not None:
            test.error(
                row.line,
                f"{row.text!r} is nearly {close.text!r} in {train.name}, line {close.line}; "
                "remove or rewrite the training example",
            )


class _NearTexts:
    """Texts by their character n-grams.

    A pair whose Jaccard similarity is s shares at least the part s of either's n-grams. So it
    shares one of the rarest 1-s (and one more) of each: only those are looked up (prefix
    filtering; Chaudhuri, Ganti and Kaushik, 2006).
    """

    def __init__(self, rows: Iterable[_Row]) -> None:
        self._rows = [(row, _grams(row.key)) for row in rows]
        self._rarity = Counter(gram for _, grams in self._rows for gram in grams)
        self._index: defaultdict[str, list[int]] = defaultdict(list)
        for number, (_, grams) in enumerate(self._rows):
            for gram in self._prefix(grams):
                self._index[gram].append(number)

    def closest(self, key: str) -> _Row | None:
        """The most similar text, if it is near enough."""
        grams = _grams(key)
        candidates = {number for gram in self._prefix(grams) for number in self._index[gram]}
        best, found = NEAR, None
        for number in sorted(candidates):
            row, others = self._rows[number]
            shared = len(grams & others)
            similarity = shared / (len(grams) + len(others) - shared)
            if similarity >= best:
                best, found = similarity, row
        return found

    def _prefix(self, grams: frozenset[str]) -> Iterator[str]:
        ordered = sorted(grams, key=lambda gram: (self._rarity[gram], gram))
        needed = -(-len(grams) * 9 // 10)  # NEAR of them, rounded up
        yield from ordered[: len(grams) - needed + 1]


def _grams(key: str) -> frozenset[str]:
    padded = f" {key} "
    return frozenset(padded[i : i + _GRAM] for i in range(max(1, len(padded) - _GRAM + 1)))
