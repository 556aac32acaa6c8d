"""What can be mended without deciding anything: `frontdesk validate --fix`.

Never chosen: which of two labels is right, whether a label is wrong, what a lost character was.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from classifier import csv_text
from classifier.likeness import normalised
from desk.locking import locked
from desk.validation.checks import covers, leaks
from desk.validation.encodings import repaired
from desk.validation.near import exact_key
from desk.validation.rows import BOM, DataFile, Row, encoded


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one line; `line` is its number before anything was changed."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class Mending:
    """The changes to one or two files, planned; `write` makes them.

    Texts first: a repair may turn a text into one that stands there already. Removing rows comes
    last, and makes nothing new to mend: a second mending has nothing to do.
    """

    def __init__(self, train: DataFile, test: DataFile | None = None) -> None:
        files = [train] if test is None else [train, test]
        if any(data.nlu for data in files):
            files, test = [], None  # a row of YAML can't be changed without its neighbours
        self.changes: list[Change] = []
        self._records: dict[Path, list[str]] = {}
        rows = {data.path: self._texts(data) for data in files}
        for data in files:
            rows[data.path] = self._repeats(data, rows[data.path])
        if test is not None:
            self._leaks(train, rows[train.path], test, rows[test.path])
        order = [data.name for data in files]
        self.changes.sort(key=lambda change: (order.index(change.file), change.line))
        self._touched = [data for data in files if any(c.file == data.name for c in self.changes)]

    def write(self) -> None:
        """Replace the files that change, each at once: whoever reads one finds the old or the new.

        Raises OSError where one can't be written, or was changed by somebody else since it was
        read; it is then as it was.
        """
        for data in self._touched:
            with locked(data.path.parent):
                read = encoded((BOM if data.bom else "") + "".join(data.records))
                if data.path.read_bytes() != read:
                    raise OSError(f"{data.path} has changed since it was read; try it again")
                _replace(data.path, encoded("".join(self._records[data.path])))

    def _texts(self, data: DataFile) -> list[Row]:
        records = self._records[data.path] = list(data.records)
        if data.bom and data.csv and records:  # a spreadsheet knows UTF-8 by it
            records[0] = BOM + records[0]
        rows = []
        for row in data.rows:
            # A no-break space at an end may be the end of a garbled letter, or a space like others.
            text = (repaired(row.written) or repaired(row.text) or row.written).strip()
            # What a spreadsheet would take for a formula stays as whoever wrote it has it.
            if text == row.written or (data.csv and csv_text.guarded(text) != text):
                rows.append(row)
                continue
            mended = replace(row, written=text, key=exact_key(text), near_key=normalised(text))
            records[row.record] = data.rewritten(mended)
            rows.append(mended)
            said = f"{row.written!r} is now {text!r}"
            self.changes.append(Change(data.name, row.line, said))
        if not data.csv:
            self._ends(data, records)
        return rows

    def _ends(self, data: DataFile, records: list[str]) -> None:
        if data.bom:
            self.changes.append(Change(data.name, 1, "removed the byte order mark"))
        ended = [number for number, record in enumerate(records) if record.endswith("\r\n")]
        for number in ended:
            records[number] = records[number].removesuffix("\r\n") + "\n"
        if ended:
            said = f"{len(ended)} lines, from this one, ended in CR LF and now end in LF"
            self.changes.append(Change(data.name, ended[0] + 1, said))

    def _repeats(self, data: DataFile, rows: Sequence[Row]) -> list[Row]:
        kept: defaultdict[str, list[Row]] = defaultdict(list)
        left = []
        for row in rows:
            same = next((each for each in kept[row.key] if covers(each, row)), None)
            if same is None:
                kept[row.key].append(row)
                left.append(row)
            else:
                self._remove(data, row, f"stands already in line {same.line}")
                marked = _marked(same, row)
                if marked != same:
                    self._records[data.path][same.record] = data.rewritten(marked)
                    said = f"{same.text!r} has the marks of line {row.line}, too"
                    self.changes.append(Change(data.name, same.line, said))
                    kept[row.key][kept[row.key].index(same)] = marked
                    left[left.index(same)] = marked
        return left

    def _leaks(
        self, train: DataFile, train_rows: Sequence[Row], test: DataFile, test_rows: Sequence[Row]
    ) -> None:
        removed: dict[int, tuple[Row, str]] = {}
        found = leaks(train_rows, test_rows)
        # To remove one of two rows with different labels would be to decide for the other.
        disputed = {each.record for row, seen in found if _differ([row, *seen]) for each in seen}
        for row, seen in found:
            for each in seen:
                if each.record not in disputed:
                    how = "is" if each.key == row.key else "is nearly the text"
                    why = f"{how} in {test.name}, line {row.line}"
                    removed.setdefault(each.record, (each, why))
        if len(removed) > len(train_rows) / 2:
            return  # such a test is the training data, or a part of it: a mistake to be told
        for each, why in removed.values():
            self._remove(train, each, why)

    def _remove(self, data: DataFile, row: Row, why: str) -> None:
        self._records[data.path][row.record] = ""
        self.changes.append(Change(data.name, row.line, f"removed {row.text!r}: it {why}"))


def _marked(same: Row, row: Row) -> Row:
    """A row with what marks a repeat of it has: it is a customer's own words where either is, and
    measures where either does under that intent."""
    return replace(
        same,
        private=same.private or row.private,
        measures=same.measures or (row.measures and row.intent == same.intent),
    )


def _differ(rows: Sequence[Row]) -> bool:
    """Whether rows say, or may say, different things; what one lacks is no difference."""
    intents, sentiments = {row.intent for row in rows}, {row.sentiment for row in rows}
    unsure = any(row.unsure for row in rows)
    return unsure or len(intents - {None}) > 1 or len(sentiments - {None}) > 1


def _replace(path: Path, content: bytes) -> None:
    target = path.resolve()  # a link stays one
    number, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(target, name)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
