"""Canned answers as CSV: Chatwoot's `short_code,content` and Zammad's `name,content`.

Read with semicolons or tabs between the columns, too: a spreadsheet writes them so where the comma
is the decimal sign.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from classifier import csv_text
from desk.exchange import markup
from desk.exchange.files import read_text
from desk.exchange.material import Answer, ExchangeError, Material, Notice
from desk.pack import Pack


class System(StrEnum):
    """Whose canned answers; the value names the command's format."""

    CHATWOOT = "chatwoot"
    ZAMMAD = "zammad"


MOST_CONTENT = 16_384
"""Characters of a text as it is written, with its markup: Telegram sends 4,096 of what is read."""
NAMES = {System.CHATWOOT: "short_code", System.ZAMMAD: "name"}
_CLOSING = r"(?:\S{1,20}[^\S\n]{1,3}){0,3}\S{1,20}[,，]\s{0,4}"
"""Up to four words such as "Best regards,"; without bounds the time grows with their square."""
_SIGNATURE = re.compile(
    rf"\n(?:{_CLOSING})?[^\w\n]*"
    r"(?P<name>(?:#\{ *user\.\w+ *\}|\{\{ *agent\.\w+ *\}\})[^\w\n]*)+\Z"
)
"""A last line that is filled in with whoever answers, and the words that lead to it, there or on
the line before: the bot has no such name."""
_READ = {System.CHATWOOT: markup.from_chatwoot, System.ZAMMAD: markup.from_zammad}
_WRITE = {System.CHATWOOT: markup.to_chatwoot, System.ZAMMAD: markup.to_zammad}


def system_of(header: list[str]) -> System | None:
    """Whose export has these columns (in small letters); None for none we know."""
    for system, name in NAMES.items():
        if name in header and "content" in header:
            return system
    return None


def read(path: Path) -> Material:
    """The answers in an export of Chatwoot or Zammad; what Zammad marks inactive is left out.

    Raises `ExchangeError` for other columns, a broken row, and a row without a name or a text.
    """
    material = Material()
    lost: list[str] = []
    for where, row, system in _rows(path):
        name, content = row[NAMES[system]].strip(), row["content"].strip()
        if row.get("active", "").strip().lower() == "false":
            material.notices.append(Notice(f"{name!r} is not active; it is not imported", where))
            continue
        if not name or not content:
            missing = "content" if name else NAMES[system]
            raise ExchangeError(f"{where}: `{missing}` is empty; fill it in or remove the row")
        if len(content) > MOST_CONTENT:
            size = f"{len(content):,} characters, and at most {MOST_CONTENT:,} are read"
            said = f"{name!r} has {size}: shorten it; it is not imported"
            material.notices.append(Notice(said, where))
            continue
        text = _READ[system](content, lost)
        if (signed := _SIGNATURE.search(text)) is not None:
            text = text[: signed.start()].rstrip()
            ending = " ".join(signed[0].split())
            said = f"{name!r}: left out is its end, {ending}: it signs with an agent's name"
            material.notices.append(Notice(said, where))
        material.answers.append(Answer(where, name, text, makes_reply=True))
    if not material.answers and material.notices:
        first = material.notices[0]
        raise ExchangeError(f"{first.where}: {first.message}, and no other row has an answer")
    if not material.answers:
        raise ExchangeError(f"{path}: the file holds no answers")
    if lost:
        said = (
            f"links of which only the words are imported: {len(lost)}. An address must begin with "
            "https://, http://, mailto:, tel: or a pack's {value}, and have no {customer} in it"
        )
        material.notices.append(Notice(said, str(path)))
    return material


def dump(pack: Pack, system: System) -> str:
    """The pack's answers and replies in its first language, its values filled in, as that system's
    CSV."""
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow((NAMES[system], "content"))
    texts = {name: i.answer for name, i in pack.intents.items() if i.answer is not None}
    texts |= {name: reply.text for name, reply in pack.replies.items()}
    for name, text in texts.items():
        filled = pack.text(text, pack.languages[0], customer="{customer}")
        writer.writerow((name, _WRITE[system](filled)))
    return lines.getvalue()


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str], System]]:
    content = read_text(path)
    header: list[str] = []
    system = None
    try:
        for line, cells in csv_text.rows(content, csv_text.separator_of(content)):
            where = f"{path}:{line}"
            if system is not None:
                yield where, dict(zip(header, cells, strict=True)), system
                continue
            header, system = cells, system_of(cells)
            if system is None:
                raise ExchangeError(f"{where}: needs `content` and `short_code` or `name`")
    except csv_text.CsvError as error:
        raise ExchangeError(f"{path}:{error.line}: {error}") from None
