"""A file of examples in another format than the one in which its name has it read."""

from __future__ import annotations

import re

_JSONL = (".jsonl", ".ndjson", ".json")


def mistaken_format(suffix: str, content: str) -> tuple[int, str] | None:
    """The line (from 1) that tells a file's format, and what to do where the format is a wrong one.

    It goes by the first line that is not blank. `suffix` is the file's: `.csv` is read as CSV with
    commas, any other as JSONL. None where nothing speaks against that.
    """
    lines = enumerate(content.split("\n"), 1)
    number, line = next(((number, line) for number, line in lines if line.strip()), (1, ""))
    csv = suffix.lower() == ".csv"
    problem = _no_csv(line) if csv else _no_jsonl(suffix.lower(), line.strip())
    return None if problem is None else (number, problem)


def _no_csv(line: str) -> str | None:
    if "," not in line and len(_cells(line, r"[;\t|]")) > 1:
        return "separate the columns with commas, as in text,intent,sentiment"
    return None


def _no_jsonl(suffix: str, line: str) -> str | None:
    if line.startswith("{"):
        return None
    if line.startswith("["):
        return (
            "this is a JSON array; write one object a line, with no brackets and commas around "
            "them (`jq -c '.[]'` does that)"
        )
    if "text" in _cells(line, ","):
        return "this is CSV; name the file .csv"
    if "text" in _cells(line, r"[;\t|]"):
        return (
            "this is a table; separate the columns with commas, as in text,intent,sentiment, and "
            "name the file .csv"
        )
    if suffix not in _JSONL and line:
        return (
            "the file's format is not known by its name; it is .jsonl (one JSON object a line), "
            ".csv (columns separated by commas) or, for Rasa's nlu, .yml"
        )
    return None


def _cells(line: str, separator: str) -> list[str]:
    """The cells of a header, as they count; none where there is but one."""
    cells = [cell.strip().strip('"').strip().lower() for cell in re.split(separator, line)]
    return cells if len(cells) > 1 else []
