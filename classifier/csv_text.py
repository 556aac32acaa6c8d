"""CSV as tables of labelled texts have it: a header, and rows with as many cells, each with its
line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
"""What may stand between cells: a spreadsheet takes no commas where these are decimal signs."""
_DECLARED = re.compile('"?sep=([,;\t])"?[,;\t ]*[\r\n]*', re.IGNORECASE)
"""A first line that says what stands between cells, as Excel reads it; it is no header."""
_FORMULA = re.compile(r"'*[=+\-@＝＋－＠\t\r\n]")


class CsvError(ValueError):
    """What is not CSV, or a row that does not fit the header; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def guarded(cell: str) -> str:
    """A cell with an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguarded(cell: str) -> str:
    """A cell as it was before `guarded`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def separator_of(content: str, known: Collection[str] = ()) -> str:
    """What stands between the names of the columns: what makes the most `known` ones of the header,
    else the first of `SEPARATORS` that is in it; a comma where none is. A first line `sep=;` says
    it, as in Excel."""
    if declared := _DECLARED.fullmatch(next(iter(content.splitlines()), "")):
        return declared[1]
    header = next((line for line in content.splitlines() if line.strip()), "")
    present = [each for each in SEPARATORS if each in header] or [","]
    return max(present, key=lambda each: len(set(known).intersection(header_names(header, each))))


def rows(content: str, separator: str = ",") -> Iterator[tuple[int, list[str]]]:
    """The header, its names in small letters, and then each row that is not blank; each with the
    line where it begins.

    Raises `CsvError` for what is not CSV, and for a row with more or fewer cells than the header.
    """
    header: list[str] | None = None
    for line, _, cells in records(content, separator):
        if is_blank(cells):
            continue
        if header is None:
            header = names(cells)
            yield line, header
        elif problem := miscounted(cells, header, separator):
            raise CsvError(line, problem)
        else:
            yield line, cells


def records(content: str, separator: str = ",") -> Iterator[tuple[int, str, list[str]]]:
    """Each record, blank ones too: its first line, what is written, and its cells, of which a line
    `sep=;` has none.

    Raises `CsvError` for what is not CSV.
    """
    lines = list(io.StringIO(content, newline=""))
    # A cell that is written after a space keeps its quotes otherwise, and its separators split it.
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    start = 0
    with cells_of_any_length(content):
        while start < len(lines):
            try:
                cells = next(reader)
            except csv.Error as error:
                raise CsvError(start + 1, f"is not CSV ({error})") from None
            written = "".join(lines[start : reader.line_num])
            declares = start == 0 and _DECLARED.fullmatch(written)
            yield start + 1, written, [] if declares else cells
            start = reader.line_num


def header_names(line: str, separator: str) -> list[str]:
    """What a line would name as a header, whether or not it is CSV."""
    return names([cell.strip().strip('"') for cell in line.split(separator)])


def is_blank(cells: Sequence[str]) -> bool:
    return not any(cell.strip() for cell in cells)


def names(cells: Sequence[str]) -> list[str]:
    """A header's names as they count."""
    return [cell.strip().lower() for cell in cells]


def miscounted(cells: Sequence[str], header: Sequence[str], separator: str = ",") -> str | None:
    """What is wrong where a row has not as many cells as the header."""
    if len(cells) == len(header):
        return None
    return (
        f"has {len(cells)} cells where the header has {len(header)}; "
        f"put a text with {SEPARATORS[separator]} in double quotes"
    )


def unnamed(cells: Sequence[str], header: Sequence[str]) -> list[str]:
    """What is wrong with a row that fills columns without a name, column by column; blank ones,
    as spreadsheets leave them, are nothing."""
    return [
        f"column {number} has no name; name it in the header, or take it away"
        for number, (cell, name) in enumerate(zip(cells, header, strict=True), 1)
        if cell.strip() and not name
    ]


@contextmanager
def cells_of_any_length(content: str) -> Iterator[None]:
    """The csv module refuses fields over 131,072 characters by default, process-wide."""
    limit = csv.field_size_limit(max(len(content), 131_072))
    try:
        yield
    finally:
        csv.field_size_limit(limit)
