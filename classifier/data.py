"""Labelled examples: read from JSONL, CSV or Rasa's nlu.yml, with errors that name file and line.

Documented columns: `text`, `intent` (or `label`, the same thing), `sentiment`. A row carries a text
and at least one of the two labels; a file may hold rows of either kind. In JSONL a row may also
have `"private": true` and `"measures": false`: see `Example`. Encoding: UTF-8, with or without a
byte order mark.

In CSV a cell that begins with an apostrophe and then a sign that a spreadsheet would take for a
formula loses that apostrophe; `dump_csv` puts it there.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier import csv_text, nlu
from classifier.formats import NO_WORKBOOK, ZIP, mistaken_format
from classifier.vocabulary import SENTIMENTS, sentiment_of

COLUMNS = ("text", "intent", "label", "sentiment")
JSON_COLUMNS = (*COLUMNS, "private", "measures")
MAX_CHARACTERS = 100_000
"""A longer text is cut here: a model reads its first hundred or so words in any case."""


class DataError(ValueError):
    """Examples that cannot be used as they are; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text with what is known of it: an intent, a sentiment of `SENTIMENTS`, or both."""

    text: str
    intent: str | None = None
    sentiment: str | None = None
    private: bool = False
    """Whether it is somebody's own words: learned from, and quoted nowhere."""
    measures: bool = True
    """Whether a model may be measured by it, and a promise proved: not where it has its label
    because a model was right about it. Such a one is only trained on, and left out of what
    `evaluate`, `compare`, `thresholds` and a training are given to measure by; a pack's own
    test.jsonl should have none."""


def read_examples(path: str | Path, *, labelled: bool = True) -> list[Example]:
    """All examples of a `.csv`, a `.yml` or `.yaml` (Rasa's nlu) or a JSONL file (any other
    suffix), in the file's order.

    With `labelled=False` a row may also carry a text alone. Texts over `MAX_CHARACTERS` are cut.
    Raises `DataError` for a missing or unreadable file, an encoding other than UTF-8, NUL bytes,
    broken JSON, CSV or YAML, unknown columns, an empty text, a row without a label, an unknown
    sentiment, and a file without rows.
    """
    return [example for _, example in read_placed(path, labelled=labelled)]


def read_placed(
    path: str | Path, *, labelled: bool = True, other_sentiments: bool = False
) -> list[tuple[str, Example]]:
    """As `read_examples`, each example with the place where it stands, as in `data.csv:3`.

    With `other_sentiments` one that is not known is passed over.
    """
    path = Path(path)
    content = _decode(path)
    read = _READERS.get(path.suffix.lower(), _json_rows)
    mistaken = None if read is _nlu_rows else mistaken_format(path.suffix, content)
    if mistaken is not None:
        line, problem = mistaken
        raise DataError(f"{path}:{line}: {problem}")
    rows = read(path, content)
    examples = [(where, _example(where, row, labelled, other_sentiments)) for where, row in rows]
    if not examples:
        raise DataError(f"{path}: the file holds no examples")
    return examples


def dump_jsonl(examples: Iterable[Example]) -> str:
    """Examples as JSONL, one object a line; what is not known of one is left out."""
    lines = []
    for example in examples:
        row: dict[str, Any] = {k: v for k, v in _row(example).items() if v is not None}
        if example.private:
            row["private"] = True
        if not example.measures:
            row["measures"] = False
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(lines)


def dump_csv(examples: Iterable[Example]) -> str:
    """Examples as CSV with text, intent and sentiment; no cell begins like a formula."""
    lines = io.StringIO()
    # All in quotes: where a spreadsheet separates by `;` or tabs, a bare text would be several.
    writer = csv.writer(lines, quoting=csv.QUOTE_ALL)
    writer.writerow(("text", "intent", "sentiment"))
    for example in examples:
        writer.writerow([csv_text.guarded(cell or "") for cell in _row(example).values()])
    return lines.getvalue()


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What JSON makes of an object's pairs; raises ValueError where a key stands twice."""
    entry = dict(pairs)
    if len(entry) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands twice in it")
    return entry


def json_problem(error: Exception) -> str:
    """What is wrong with a line that is not JSON. json counts lines within it, which misleads."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, column {error.colno}"
    return str(error)


_OTHER_NAMES = {
    "text": "message messages msg utterance question query sentence",
    "intent": "category class topic tag",
    "sentiment": "mood tone emotion",
}
"""What others call the columns."""


def rename_of(columns: Iterable[str]) -> str | None:
    """What to say of `renames_of`; None where there are none."""
    renames = [f"`{there}` to `{name}`" for there, name in renames_of(columns).items()]
    return f"rename {', '.join(renames)}" if renames else None


def renames_of(columns: Iterable[str]) -> dict[str, str]:
    """What to rename, and into what, where a column has another common name, or where texts have no
    label, but one column that is not known."""
    columns = list(columns)
    named = set(columns)
    renames = {}
    for name, others in _OTHER_NAMES.items():
        there = next((column for column in columns if column in others.split()), None)
        if there and not named & ({"intent", "label"} if name == "intent" else {name}):
            renames[there] = name
    if renames:
        return renames
    unknown = named.difference(COLUMNS)
    if "text" not in named or len(unknown) != 1 or len(named) != 2:
        return {}
    [name] = unknown
    if any(separator in name for separator in csv_text.SEPARATORS):
        return {}  # of a header that mixes them
    return {name: "intent"}


def csv_header(path: str | Path) -> list[str]:
    """The names of a CSV file's columns as they count, in small letters; none in an empty file."""
    content = _decode(Path(path))
    try:
        _, header = next(csv_text.rows(content, csv_text.separator_of(content)), (1, []))
    except csv_text.CsvError as error:
        raise DataError(f"{path}:{error.line}: {error}") from None
    return header


def _row(example: Example) -> dict[str, str | None]:
    return {"text": example.text, "intent": example.intent, "sentiment": example.sentiment}


def content_hash(examples: Iterable[Example]) -> str:
    """sha256 (64 hex digits) of a set of examples; their order does not change it."""
    lines = sorted(
        json.dumps([e.text, e.intent, e.sentiment], ensure_ascii=True, separators=(",", ":"))
        for e in examples
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _decode(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if raw.startswith(ZIP):
        raise DataError(f"{path}: {NO_WORKBOOK}")
    nul = raw.find(b"\0")
    if nul >= 0:
        line = raw.count(b"\n", 0, nul) + 1
        raise DataError(
            f"{path}:{line}: holds a NUL byte; is this a text file? "
            "Save it as UTF-8 (UTF-16 looks like this too)"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{line}: is not UTF-8 (byte 0x{raw[error.start]:02x}); save the file as UTF-8"
        ) from None


def _json_rows(path: Path, content: str) -> Iterator[tuple[str, dict[str, Any]]]:
    # Not splitlines(): that also splits at U+2028 and its kin, which JSON allows inside a string.
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line, object_pairs_hook=each_once)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{where}: is not JSON ({json_problem(error)}); one object a line"
            ) from None
        if not isinstance(row, dict):
            raise DataError(f'{where}: is not a JSON object such as {{"text": …, "intent": …}}')
        yield where, row


def _csv_rows(path: Path, content: str) -> Iterator[tuple[str, dict[str, Any]]]:
    header: list[str] = []
    try:
        for line, cells in csv_text.rows(content, csv_text.separator_of(content, COLUMNS)):
            where = f"{path}:{line}"
            if not header:
                header = cells
                _check_header(where, [name for name in header if name])
                continue
            for problem in csv_text.unnamed(cells, header):
                raise DataError(f"{where}: {problem}")
            plain = zip(header, map(csv_text.unguarded, cells), strict=True)
            yield where, {name: cell for name, cell in plain if name}
    except csv_text.CsvError as error:
        raise DataError(f"{path}:{error.line}: {error}") from None


def _nlu_rows(path: Path, content: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        for line, row in nlu.rows(content):
            yield f"{path}:{line}", row
    except nlu.NluError as error:
        raise DataError(f"{path}:{error.line}: {error}") from None


_READERS = {".csv": _csv_rows, ".yml": _nlu_rows, ".yaml": _nlu_rows}


def _check_header(where: str, header: list[str]) -> None:
    _check_columns(where, header)
    if "text" not in header:
        raise DataError(f"{where}: the header has no column `text`")
    if len(set(header)) < len(header):
        raise DataError(f"{where}: the header names a column twice")


def _check_columns(where: str, columns: Collection[str], known: Collection[str] = COLUMNS) -> None:
    unknown = [column for column in columns if column not in known]
    if unknown:
        rename = rename_of(columns) or (
            "is the first line a header?" if known is COLUMNS and "text" not in columns else None
        )
        raise DataError(
            f"{where}: unknown column {', '.join(f'`{c}`' for c in unknown)}; "
            f"known are {', '.join(f'`{c}`' for c in known)}" + (f"; {rename}" if rename else "")
        )


def _example(where: str, row: dict[str, Any], labelled: bool, other_sentiments: bool) -> Example:
    _check_columns(where, row, JSON_COLUMNS)
    if "text" not in row:
        raise DataError(f"{where}: has no `text`")
    text = _string(where, row, "text")
    if text is None:
        raise DataError(f"{where}: the text is empty")
    intent, label = _string(where, row, "intent"), _string(where, row, "label")
    if intent and label and intent != label:
        raise DataError(f"{where}: `intent` and `label` differ; they mean the same, keep one")
    sentiment = _string(where, row, "sentiment")
    if sentiment is not None:
        sentiment = sentiment.lower()
        if sentiment not in SENTIMENTS and other_sentiments:
            sentiment = None
        elif sentiment not in SENTIMENTS:
            meant = sentiment_of(sentiment)
            raise DataError(
                f"{where}: unknown sentiment {sentiment!r}; known are {', '.join(SENTIMENTS)}"
                + (f"; write {meant}" if meant else "")
            )
    if labelled and not (intent or label or sentiment):
        raise DataError(f"{where}: has neither an intent nor a sentiment")
    private, measures = _flag(where, row, "private", False), _flag(where, row, "measures", True)
    return Example(text[:MAX_CHARACTERS], intent or label, sentiment, private, measures)


def _flag(where: str, row: dict[str, Any], column: str, default: bool) -> bool:
    value = row.get(column, default)
    if not isinstance(value, bool):
        raise DataError(f"{where}: `{column}` is {value!r}; it must be true or false")
    return value


def _string(where: str, row: dict[str, Any], column: str) -> str | None:
    """The trimmed value, or None where it is absent, null or blank."""
    value = row.get(column)
    if value is None:
        return None
    if not isinstance(value, str):
        raise DataError(f"{where}: `{column}` is {value!r}; it must be a string")
    value = value.strip()
    if "\0" in value:
        raise DataError(f"{where}: `{column}` holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DataError(f"{where}: `{column}` holds half of a surrogate pair") from None
    return value or None
