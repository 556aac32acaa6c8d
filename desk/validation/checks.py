"""What rows say together: repeats, two labels for one text, too few examples, leaks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Protocol

from classifier.vocabulary import OUT_OF_SCOPE, SENTIMENTS
from desk.exchange.names import slug
from desk.validation.findings import Kind, counted
from desk.validation.near import NearTexts
from desk.validation.rows import DataFile, Row
from desk.validation.spelling import mistyped, spelt

FEW_EXAMPLES = 20
"""Below this an intent is learned badly; see docs/packs.md."""
FEW_NEGATIVE = 60
"""The same of the sentiment that a desk acts on, and only where the model is sure; see there."""
FEW_TESTS = 5
"""Below this an intent's figures on the test are chance."""
FEW_OUT_OF_SCOPE = 100
_MOODS_WANTED = "write neutral for texts in no mood, and leave blank what you don't know"


class Labels(Protocol):
    """What is known of a text."""

    @property
    def intent(self) -> str | None: ...

    @property
    def sentiment(self) -> str | None: ...


def conflict(one: Labels, other: Labels) -> tuple[str, str] | None:
    """Two labels for one text that exclude each other; one may know what the other lacks."""
    for a, b in ((one.intent, other.intent), (one.sentiment, other.sentiment)):
        if a is not None and b is not None and a != b:
            return a, b
    return None


def covers(known: Row, row: Row) -> bool:
    """Whether a row of the same text adds nothing to one that is there already.

    What can't be read may be anything, so such a row covers none and is covered by none.
    """
    if known.unsure or row.unsure:
        return False
    return row.intent in (None, known.intent) and row.sentiment in (None, known.sentiment)


def check_repeats(data: DataFile) -> None:
    """Texts that stand twice, word for word or nearly so, under one label or two."""
    kept: defaultdict[str, list[Row]] = defaultdict(list)
    for row in data.rows:
        known = kept[row.key]
        same = next((each for each in known if covers(each, row)), None)
        other = next((each for each in known if conflict(each, row)), None)
        if same is not None:
            data.error(
                Kind.DUPLICATE,
                row.line,
                f"{row.text!r} stands already in line {same.line}; remove one",
            )
            continue
        if other is not None:
            data.error(Kind.TWO_LABELS, row.line, _two_labels(row, other))
        elif known:
            data.error(
                Kind.DUPLICATE,
                row.line,
                f"{row.text!r} stands already in line {known[0].line}; write all of its labels "
                "in one line",
            )
        known.append(row)
    _check_near([rows[0] for rows in kept.values()], data)


def _two_labels(row: Row, other: Row) -> str:
    if row.intent != other.intent and None not in (row.intent, other.intent):
        return (
            f"{row.text!r} is {row.intent} here and {other.intent} in line {other.line}; "
            "decide for one and remove the other"
        )
    return (
        f"{row.text!r} stands already in line {other.line}, {row.sentiment} here and "
        f"{other.sentiment} there; decide for one and remove the other"
    )


def _check_near(rows: Sequence[Row], data: DataFile) -> None:
    near = NearTexts([row.near_key for row in rows])
    for number, row in enumerate(rows):
        nearest = near.nearest_before(number)
        if nearest is None:
            continue
        close = rows[nearest]
        where = f"{row.text!r} is nearly {close.text!r} in line {close.line}"
        if differ := conflict(row, close):
            here, there = differ
            data.warn(
                Kind.TWO_LABELS,
                row.line,
                f"{where}, but {here} here and {there} there; is one of them wrong?",
            )
        else:
            data.warn(Kind.NEAR_DUPLICATE, row.line, f"{where}; another wording would teach more")


def check_counts(data: DataFile, intents: Iterable[str], few: int) -> None:
    """Intents (but for out of scope) without rows, or with so few that they say little."""
    if not data.rows:
        return
    counts = Counter(row.intent for row in data.rows)
    for name in intents:
        if not counts[name]:
            data.error(
                Kind.FEW_EXAMPLES,
                None,
                f"intent {name} has no example; write some or take it out",
            )
        elif counts[name] < few:
            data.warn(
                Kind.FEW_EXAMPLES,
                None,
                f"intent {name} has {counted(counts[name])}; write at least {few}",
            )


def check_out_of_scope(data: DataFile, name: str, few: int) -> None:
    """Without texts that are none of the shop's business, the model takes all for intents."""
    if not data.rows:
        return
    count = sum(row.intent == name for row in data.rows)
    if not count:
        data.error(
            Kind.FEW_EXAMPLES,
            None,
            f"intent {name} has no example; write texts that are none of the desk's business",
        )
    elif count < few:
        data.warn(Kind.FEW_EXAMPLES, None, f"{name} has {counted(count)}; write at least {few}")


def check_own_intents(train: DataFile, test: DataFile | None) -> None:
    """As `check_counts`, where no pack says which intents there are: the training rows do."""
    names = sorted({row.intent for row in train.rows if row.intent} - OUT_OF_SCOPE)
    check_counts(train, names, FEW_EXAMPLES)
    for name in names:
        if slug(name) in OUT_OF_SCOPE:  # so an import takes it
            train.warn(
                Kind.FEW_EXAMPLES,
                None,
                f"intent {name} is an intent like others; for what is out of scope write oos",
            )
    intents = {row.intent for row in train.rows if row.intent}
    _check_spelling(train)
    _check_single(train, "intent", intents)
    if len(names) == 1 < len(intents) and not train.unread:
        train.warn(
            Kind.FEW_EXAMPLES,
            None,
            f"{names[0]} is the only intent; a model tells it from texts out of scope alone",
        )
    if test is None:
        return
    tested = Counter(row.intent for row in test.rows if row.intent)
    for name in names:
        if tested and tested[name] < FEW_TESTS:
            test.warn(
                Kind.FEW_EXAMPLES,
                None,
                f"intent {name} has {counted(tested[name])}; write at least {FEW_TESTS}",
            )
    if train.unread:  # what it lacks may stand in what could not be read
        return
    for name in sorted(tested.keys() - set(names) - OUT_OF_SCOPE):
        test.error(
            Kind.FEW_EXAMPLES,
            None,
            f"intent {name} is tested, but has no example in {train.name}; write some there",
        )


def _check_spelling(train: DataFile) -> None:
    """Intents whose names are one but for signs, or rare and nearly another's."""
    rows: dict[str, Row] = {}
    for row in train.rows:
        if row.intent and row.intent not in OUT_OF_SCOPE:
            rows.setdefault(row.intent, row)
    seen: dict[str, tuple[str, Row]] = {}
    for name, row in rows.items():
        other, first = seen.setdefault(spelt(name), (name, row))
        if other != name:
            train.warn(
                Kind.ALIKE,
                row.line,
                f"intent {name!r} differs from {other!r} in line {first.line} by case, spaces, "
                "signs or the form of letters only; are they one?",
            )
    counts = Counter(row.intent for row in train.rows if row.intent)
    for name, other in mistyped(counts).items():
        train.warn(
            Kind.ALIKE,
            rows[name].line,
            f"intent {name!r} ({counted(counts[name])}) looks like {other!r}; is it mistyped?",
        )


def check_sentiments(train: DataFile, test: DataFile | None) -> None:
    """As `check_own_intents`, for the sentiments: rows and whole files may lack them."""
    trained = Counter(row.sentiment for row in train.rows if row.sentiment)
    _check_single(train, "sentiment", trained)
    if len(trained) == 2 and not train.unread:
        [missing] = set(SENTIMENTS) - trained.keys()
        train.warn(
            Kind.FEW_EXAMPLES,
            None,
            f"no example is {missing}, and a model takes each text for one of the others; "
            f"{_MOODS_WANTED}",
        )
    for name in sorted(trained) if len(trained) > 1 else ():
        few = FEW_NEGATIVE if name == "negative" else FEW_EXAMPLES
        if trained[name] < few:
            train.warn(
                Kind.FEW_EXAMPLES,
                None,
                f"sentiment {name} has {counted(trained[name])}; write at least {few}",
            )
    if test is None or not trained:
        return
    tested = Counter(row.sentiment for row in test.rows if row.sentiment)
    for name in sorted(trained):
        if tested and tested[name] < FEW_TESTS:
            test.warn(
                Kind.FEW_EXAMPLES,
                None,
                f"sentiment {name} has {counted(tested[name])}; write at least {FEW_TESTS}",
            )
    for name in sorted(tested.keys() - trained.keys()) if not train.unread else ():
        test.error(
            Kind.FEW_EXAMPLES,
            None,
            f"sentiment {name} is tested, but has no example in {train.name}; write some there",
        )


def _check_single(train: DataFile, kind: str, labels: Collection[str]) -> None:
    if len(labels) == 1 and not train.unread:  # training refuses it
        train.error(
            Kind.FEW_EXAMPLES,
            None,
            f"{next(iter(labels))} is the only {kind}; a model has nothing to tell it from"
            + (f": {_MOODS_WANTED}" if kind == "sentiment" else ""),
        )


def check_leaks(train: DataFile, test: DataFile) -> None:
    """Test texts that flatter: the model has seen them in training, word for word or nearly so, or
    they have their labels because one was right about them."""
    for row in test.rows:
        if not row.measures:
            test.warn(
                Kind.ROW,
                row.line,
                f'{row.text!r} is to measure no model ("measures": false), and a test measures by '
                f"each row: move it to {train.name}",
            )
    for row, seen in leaks(train.rows, test.rows):
        differ = conflict(row, seen[0])
        if seen[0].key == row.key:
            label = f" (as {differ[1]})" if differ else ""
            test.error(
                Kind.LEAK,
                row.line,
                f"{row.text!r} is in {train.name} too, line {seen[0].line}{label}: the test would "
                "measure memory; remove the training example",
            )
        elif differ:  # who remembers that one is wrong here
            here, there = differ
            test.warn(
                Kind.TWO_LABELS,
                row.line,
                f"{row.text!r} is nearly {seen[0].text!r} in {train.name}, line {seen[0].line}, "
                f"but {here} here and {there} there; is one of them wrong?",
            )
        else:
            test.error(
                Kind.LEAK,
                row.line,
                f"{row.text!r} is nearly {seen[0].text!r} in {train.name}, line {seen[0].line}; "
                "remove or rewrite the training example",
            )


def leaks(train: Sequence[Row], test: Sequence[Row]) -> list[tuple[Row, list[Row]]]:
    """Test rows that are in the training, each with the training rows, the nearest first.

    Before the nearest come those of the same text, and of these, as of the others, those that
    don't contradict the test row.
    """
    near = NearTexts([row.near_key for row in train])
    found = [(row, [train[number] for number in near.near(row.near_key)]) for row in test]
    return [(row, sorted(seen, key=partial(_apart, row))) for row, seen in found if seen]


def _apart(row: Row, seen: Row) -> tuple[bool, bool]:
    return seen.key != row.key, conflict(row, seen) is not None
