"""Canned answers as CSV: Chatwoot's `short_code,content` and Zammad's `name,content`.

Read with semicolons or tabs between the columns, too: a spreadsheet writes them so where the comma
is the decimal sign.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from desk.exchange import markup
from desk.exchange.files import read_text
from desk.exchange.material import Answer, ExchangeError, Material, Notice
from desk.pack import Pack


class System(StrEnum):
    """Whose canned answers; the value names the command's format."""

    CHATWOOT = "chatwoot"
    ZAMMAD = "zammad"


NAMES = {System.CHATWOOT: "short_code", System.ZAMMAD: "name"}
_READ = {System.CHATWOOT: markup.from_chatwoot, System.ZAMMAD: markup.from_zammad}
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_WRITE = {System.CHATWOOT: markup.to_chatwoot, System.ZAMMAD: markup.to_zammad}


def system_of(header: list[str]) -> System | None:
    """Whose export has these columns (in small letters); None for none we know.

    A single one is taken for a line whose separator is not the comma.
    """
    if len(header) == 1:
        header = [cell.strip().strip('"') for cell in header[0].split(_separator(header[0]))]
    for system, name in NAMES.items():
        if name in header and "content" in header:
            return system
    return None


def read(path: Path) -> Material:
    """The answers in an export of Chatwoot or Zammad; what Zammad marks inactive is left out.

    Raises `ExchangeError` for other columns, a broken row, and a row without a name or a text.
    """
    material = Material()
    for where, row, system in _rows(path):
        name, content = row[NAMES[system]].strip(), row["content"].strip()
        if row.get("active", "").strip().lower() == "false":
            material.notices.append(Notice(f"{name!r} is not active; it is not imported", where))
            continue
        if not name or not content:
            missing = "content" if name else NAMES[system]
            raise ExchangeError(f"{where}: `{missing}` is empty; fill it in or remove the row")
        material.answers.append(Answer(where, name, _READ[system](content), makes_intent=True))
    if not material.answers:
        raise ExchangeError(f"{path}: the file holds no answers")
    return material


def dump(pack: Pack, system: System) -> str:
    """The pack's answers in its first language, its values filled in, as that system's CSV."""
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow((NAMES[system], "content"))
    for name, intent in pack.intents.items():
        if intent.answer is not None:
            filled = pack.text(intent.answer, pack.languages[0], customer="{customer}")
            writer.writerow((name, _WRITE[system](filled)))
    return lines.getvalue()


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str], System]]:
    content = read_text(path)
    separator = _separator(_first_line(content))
    limit = csv.field_size_limit(max(len(content), 131_072))  # of the whole process
    try:
        lines = io.StringIO(content, newline="")
        reader = csv.reader(lines, delimiter=separator, strict=True)
        header: list[str] = []
        system = None
        line = 1
        while True:
            where = f"{path}:{line}"
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise ExchangeError(f"{where}: is not CSV ({error})") from None
            line = reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip().lower() for cell in cells]
                system = system_of(header)
                if system is None:
                    raise ExchangeError(f"{where}: needs `content` and `short_code` or `name`")
            elif len(cells) != len(header):
                raise ExchangeError(
                    f"{where}: has {len(cells)} cells where the header has {len(header)}; "
                    f"put a text with {_SEPARATORS[separator]} in double quotes"
                )
            elif system is not None:
                yield where, dict(zip(header, cells, strict=True)), system
    finally:
        csv.field_size_limit(limit)


def _first_line(content: str) -> str:
    return next((line for line in content.splitlines() if line.strip()), "")


def _separator(line: str) -> str:
    """What stands between the names of the columns; a comma where nothing does."""
    return next((each for each in _SEPARATORS if each in line), ",")
