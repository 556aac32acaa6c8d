"""A file of examples, JSONL, CSV or Rasa's nlu.yml, read row by row: what is wrong with one row
hides no other, but for YAML's own mistakes.

`classifier.data` reads the same files for training and stops at the first mistake; what it refuses
is an error here.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier import csv_text, nlu
from classifier.data import each_once, json_problem, rename_of, renames_of
from classifier.formats import NO_WORKBOOK, ZIP, mistaken_format
from classifier.likeness import normalised
from classifier.vocabulary import OUT_OF_SCOPE, SENTIMENTS, sentiment_of
from desk.exchange import canned
from desk.exchange.names import slug
from desk.validation.encodings import REPLACEMENT, garbled, repaired
from desk.validation.findings import Finding, Kind, Severity
from desk.validation.near import exact_key

COLUMNS = frozenset({"text", "intent", "label", "sentiment"})
PACK_COLUMNS = COLUMNS - {"label"}
LABELS = COLUMNS - {"text"}
FLAGS = {"private": False, "measures": True}
"""In JSONL alone, with what they are where they are not written: whether a row is a customer's own
words, which nothing quotes; whether models are measured by it."""
MOST_TEXT = 4096
LINES_TOLD = 5
BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_STRAY = re.compile("[\udc80-\udcff]+")
"""Bytes that are not UTF-8, as `surrogateescape` keeps them."""
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Row:
    """An example that can be compared. `record` counts the file's records from 0."""

    record: int
    line: int
    written: str
    """The text as it stands in the file; `text` is without the spaces around it."""
    key: str
    """Rows with the same are of the same text: `exact_key`."""
    near_key: str
    """The text as it counts for likeness: `normalised`."""
    intent: str | None = None
    sentiment: str | None = None
    unsure: bool = False
    """Whether there is more that might be a label or a mark, but can't be read as one."""
    private: bool = FLAGS["private"]
    measures: bool = FLAGS["measures"]

    @property
    def text(self) -> str:
        return self.written.strip()


class DataFile:
    """One file of examples, checked while it is read.

    `records` are the file's lines (in CSV a row may take several) with their ends: joined, and
    encoded by `encoded`, they are the file, byte for byte, but for a byte order mark (`bom`). Of
    nlu.yml no row knows its record.
    `findings` grow with each check. `unread` says whether some of the file could not be used, so
    that what the rows lack may be there.
    """

    def __init__(
        self,
        path: Path,
        name: str | None = None,
        columns: frozenset[str] = COLUMNS,
        intents: Container[str] | None = None,
    ) -> None:
        """`name` is what findings call the file; `intents` are those that exist, if known."""
        self.path, self.name = path, name or str(path)
        self.csv = path.suffix.lower() == ".csv"
        self.nlu = path.suffix.lower() in (".yml", ".yaml")
        self.bom = False
        self.unread = True
        self.records: list[str] = []
        self.rows: list[Row] = []
        self.findings: list[Finding] = []
        self._columns, self._intents = columns, intents
        self._foreign: defaultdict[str, list[int]] = defaultdict(list)
        """By names of intents that do not exist, the lines of their rows."""
        self._text_column = 0
        self._separator = ","
        self._mixed = False
        self._read()

    def error(self, kind: Kind, line: int | None, message: str) -> None:
        self.findings.append(Finding(Severity.ERROR, kind, self.name, line, message))

    def warn(self, kind: Kind, line: int | None, message: str) -> None:
        self.findings.append(Finding(Severity.WARNING, kind, self.name, line, message))

    def rewritten(self, row: Row) -> str:
        """The record of a row with the row's text and marks in it, all else as it was."""
        record = self.records[row.record]
        body = record.rstrip("\r\n")
        end = record[len(body) :]
        if not self.csv:
            entry = json.loads(body)
            entry["text"] = row.written
            for flag, mark in {"private": row.private, "measures": row.measures}.items():
                given = entry.get(flag, FLAGS[flag])
                if isinstance(given, bool) and given != mark:
                    entry[flag] = mark
            line = json.dumps(entry, ensure_ascii=False)
            return (json.dumps(entry) if _HALF.search(line) else line) + end
        with csv_text.cells_of_any_length(record):
            [cells] = csv.reader(
                io.StringIO(record, newline=""), delimiter=self._separator, skipinitialspace=True
            )
        cells[self._text_column] = row.written
        written = io.StringIO()
        # As `dump_csv` does, but with the file's own separator.
        csv.writer(written, delimiter=self._separator, quoting=csv.QUOTE_ALL).writerow(cells)
        return written.getvalue().removesuffix("\r\n") + end

    def _read(self) -> None:
        try:
            raw = self.path.read_bytes()
        except OSError as error:
            self.error(
                Kind.ROW,
                None,
                f"the file can't be read ({error.strerror}); it holds one example a line, as in "
                '{"text": "where is my order?", "intent": "order_status"}',
            )
            return
        if raw.startswith(ZIP):
            self.error(Kind.ENCODING, None, NO_WORKBOOK)
            return
        nul = raw.find(b"\0")
        if raw.startswith(_UTF16) or nul >= 0:
            line = None if raw.startswith(_UTF16) else raw.count(b"\n", 0, nul) + 1
            what = "this is UTF-16" if line is None else "there is a NUL byte here; is this text?"
            self.error(Kind.ENCODING, line, f"{what}; save the file as UTF-8")
            return
        content = raw.decode("utf-8", "surrogateescape")
        self.bom = content.startswith(BOM)
        if _STRAY.search(content):
            others = (line for line in content.split("\n") if not _STRAY.search(line))
            self._mixed = not all(line.removeprefix(BOM).isascii() for line in others)
        content = content.removeprefix(BOM)
        mistaken = None if self.nlu else mistaken_format(self.path.suffix, content)
        if mistaken is not None:
            self.error(Kind.ROW, *mistaken)
            self.bom = False  # and nothing of it is mended
            return
        read = self._csv if self.csv else self._nlu if self.nlu else self._jsonl
        entries = read(content)
        for record, line, entry in entries:
            self._keep(record, line, entry)
        self._tell_foreign()
        if not (self.csv or self.nlu):
            self._check_ends()
        self.unread = any(each.severity is Severity.ERROR for each in self.findings)
        if not self.rows and not self.unread:
            self.error(Kind.ROW, None, "there is no example in this file")

    def _jsonl(self, content: str) -> Iterator[tuple[int, int, Any]]:
        # Not splitlines(): that also splits at U+2028 and its kin, which JSON allows in a string.
        self.records = _LINE.findall(content)
        for record, line in enumerate(self.records):
            if not line.strip() or self._strange(record, record + 1):
                continue
            try:
                yield record, record + 1, json.loads(line, object_pairs_hook=each_once)
            except (ValueError, RecursionError) as error:
                self.error(
                    Kind.ROW,
                    record + 1,
                    f"this line is not JSON ({json_problem(error)}); write one object a line",
                )

    def _nlu(self, content: str) -> Iterator[tuple[int, int, Any]]:
        self.records = _LINE.findall(content)
        strange = [self._strange(number, number + 1) for number in range(len(self.records))]
        if any(strange):  # YAML is read whole or not at all
            return
        try:
            for record, (line, entry) in enumerate(nlu.rows(content)):
                yield record, line, {**entry, "text": entry["text"].strip()}
        except nlu.NluError as error:
            self.error(Kind.ROW, error.line, f"{error}; the rest was not looked at")

    def _csv(self, content: str) -> Iterator[tuple[int, int, Any]]:
        header: list[str] = []
        told: set[str] = set()
        self._separator = csv_text.separator_of(content, self._columns)
        records = csv_text.records(content, self._separator)
        try:
            for record, (line, written, cells) in enumerate(records):
                self.records.append(written)
                if csv_text.is_blank(cells) or self._strange(record, line):
                    continue
                if not header:
                    header = csv_text.names(cells)
                    if not self._check_header(line, [name for name in header if name]):
                        return
                    self._text_column = header.index("text")
                elif problem := csv_text.miscounted(cells, header, self._separator):
                    self.error(Kind.ROW, line, f"this row {problem}")
                else:
                    for problem in csv_text.unnamed(cells, header):
                        if problem not in told:  # of a column once, not row by row
                            told.add(problem)
                            self.error(Kind.ROW, line, problem)
                    plain = zip(header, map(csv_text.unguarded, cells), strict=True)
                    yield record, line, {name: cell for name, cell in plain if name or cell}
        except csv_text.CsvError as error:
            self.records.append(content[sum(map(len, self.records)) :])
            self.error(Kind.ROW, error.line, f"this {error}; the rest was not looked at")

    def _check_header(self, line: int, header: list[str]) -> bool:
        problem = None
        if "text" not in header:
            mend = rename_of(header) or "begin with a line such as text,intent"
            if canned.system_of(header) is not None:
                mend = "these are canned answers, not examples; `frontdesk import` reads them"
            problem = f"the header has no column text; {mend}"
        elif len(set(header)) < len(header):
            problem = "the header names a column twice"
        elif not set(header) & LABELS:  # each row would be told of
            rename = rename_of(header) or "name one intent or sentiment"
            problem = f"the header has no label column; {rename}"
        else:
            self._tell_unknown(line, "column", header, set(header) - self._columns)
        if problem:
            self.error(Kind.ROW, line, problem)
        return problem is None

    def _tell_unknown(
        self, line: int, what: str, named: Iterable[str], unknown: Iterable[str]
    ) -> None:
        renames = renames_of(named)
        for name in sorted(unknown):
            mend = f"rename it to `{renames[name]}`" if name in renames else self._known()
            self.error(Kind.ROW, line, f"{what} {name!r} is not known; {mend}")

    def _known(self) -> str:
        *names, last = sorted(self._columns, key=["text", "intent", "label", "sentiment"].index)
        return f"use {', '.join(names)} and {last}"

    def _strange(self, record: int, line: int) -> bool:
        """Whether there are bytes in a record that are not UTF-8."""
        found = _STRAY.search(self.records[record])
        if found is None:
            return False
        around = self.records[record][max(0, found.start() - 12) : found.end() + 12].strip()
        guess = around.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
        mixed = "; other lines are, so two encodings are mixed" if self._mixed else ""
        self.error(
            Kind.ENCODING,
            line + self.records[record].count("\n", 0, found.start()),
            f"this line is not UTF-8 (in Windows-1252 it reads {guess!r}){mixed}; save the file "
            "as UTF-8",
        )
        return True

    def _check_ends(self) -> None:
        if self.bom:
            self.warn(Kind.SPACES, 1, "the file begins with a byte order mark; --fix removes it")
        ends = [n for n, record in enumerate(self.records, 1) if record.endswith("\r\n")]
        if ends:
            self.warn(
                Kind.SPACES,
                ends[0],
                f"{len(ends)} lines end as on Windows (CR LF); --fix makes them end in LF",
            )

    def _keep(self, record: int, line: int, entry: Any) -> None:
        if not isinstance(entry, dict):
            self.error(Kind.ROW, line, 'this is no object; write {"text": …, "intent": …}')
            return
        unknown = sorted(entry.keys() - self._columns - FLAGS.keys())
        marks = {}
        for flag, default in FLAGS.items() if not self.csv else ():
            if isinstance(mark := entry.get(flag, default), bool):
                marks[flag] = mark
            else:
                self.error(Kind.ROW, line, f"{flag} must be true or false")
        if not self.csv:  # a CSV's header was told of once
            self._tell_unknown(line, "key", entry, unknown)
        text = entry.get("text")
        if not isinstance(text, str) or not text.strip():
            self.error(Kind.ROW, line, "the text is missing or empty; write one or remove the line")
            return
        if odd := _odd(text):
            self.error(Kind.ROW, line, f"the text holds {odd}; write it anew")
            return
        self._check_text(line, text)
        intent, intent_read = self._intent(line, entry)
        sentiment, sentiment_read = self._sentiment(line, entry.get("sentiment"))
        if all(_blank(entry.get(name)) for name in ("intent", "label", "sentiment")):
            self.error(
                Kind.ROW, line, "there is neither an intent nor a sentiment; add one of them"
            )
        more = any(not _blank(entry[key]) for key in unknown)
        marked = self.csv or len(marks) == len(FLAGS)
        unsure = more or not (marked and intent_read and sentiment_read)
        keys = exact_key(text), normalised(text)
        flags = [marks.get(flag, default) for flag, default in FLAGS.items()]
        self.rows.append(Row(record, line, text, *keys, intent, sentiment, unsure, *flags))

    def _check_text(self, line: int, text: str) -> None:
        if len(text) > MOST_TEXT:
            self.error(
                Kind.ROW,
                line,
                f"the text has {len(text)} characters; a message has at most {MOST_TEXT}",
            )
        if text != text.strip():
            bare = text.strip()
            left = self.csv and csv_text.guarded(bare) != bare
            mend = "take them away" if left else "--fix removes them"
            self.warn(Kind.SPACES, line, f"there are spaces around the text; {mend}")
        if REPLACEMENT in text:
            self.warn(
                Kind.ENCODING,
                line,
                f"{text.strip()!r} holds {REPLACEMENT}: a character was lost when it was "
                "converted; write it anew",
            )
        if garbled(text):
            meant = None if self.nlu else repaired(text) or repaired(text.strip())
            self.warn(
                Kind.ENCODING,
                line,
                f"{text.strip()!r} was UTF-8 and read in another encoding; "
                + (f"--fix makes it {meant.strip()!r}" if meant else "write it anew"),
            )

    def _intent(self, line: int, entry: dict[str, Any]) -> tuple[str | None, bool]:
        """A row's intent, and whether all that is said of it could be read."""
        given = {name: entry[name] for name in ("intent", "label") if entry.get(name) is not None}
        names = []
        for value in given.values():
            if not isinstance(value, str) or not (value.strip() or self.csv) or _odd(value):
                self.error(
                    Kind.ROW, line, f"intent {value!r} is no name; write the name of an intent"
                )
                return None, False
            if value.strip():
                names.append(value.strip())
        if len(set(names)) > 1:
            self.error(Kind.ROW, line, "intent and label mean the same, but differ; keep one")
        if names and self._intents is not None and names[0] not in self._intents:
            self._foreign[names[0]].append(line)
        name = names[0] if names else None
        if self._intents is None and name in OUT_OF_SCOPE:
            name = "out_of_scope"  # training takes both names for one
        return name, len(set(names)) < 2

    def _tell_foreign(self) -> None:
        """Of each intent that does not exist once: a copied pack has thousands of such rows."""
        for name, lines in self._foreign.items():
            own = slug(name)
            mend = "add it there or label the text anew"
            if self._intents is not None and own in self._intents:
                mend = f"write {own}, as `frontdesk import` does (--test: into test.jsonl)"
            elif len(self._foreign) > 1 and len(lines) > 1:
                mend = f"{mend}; rows of another pack, copied with it, are to be taken out"
            many = ""
            if len(lines) > 1:
                more = " …" if len(lines) > LINES_TOLD else ""
                many = (
                    f" ({len(lines)} rows: lines {', '.join(map(str, lines[:LINES_TOLD]))}{more})"
                )
            self.error(Kind.ROW, lines[0], f"intent {name!r} is not in pack.yml{many}; {mend}")

    def _sentiment(self, line: int, value: Any) -> tuple[str | None, bool]:
        if _blank(value):
            return None, True
        if isinstance(value, str) and value.strip().lower() in SENTIMENTS:
            return value.strip().lower(), True
        known = ", ".join(SENTIMENTS)
        meant = sentiment_of(value) if isinstance(value, str) else None
        mend = f"write {meant}" if meant else f"use {known}, or leave it out"
        self.error(Kind.ROW, line, f"sentiment {value!r} is not known; {mend}")
        return None, False


def encoded(content: str) -> bytes:
    """Joined records as the file's bytes, those that are not UTF-8 as they were."""
    return content.encode("utf-8", "surrogateescape")


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _odd(text: str) -> str | None:
    """What no model or database takes in a text; JSON can write it nevertheless."""
    if _HALF.search(text):
        return "half of a surrogate pair"
    return "a NUL character" if "\0" in text else None
