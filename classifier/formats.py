"""A file of examples in another format than the one in which its name has it read."""

from __future__ import annotations

import re

from classifier import csv_text

ZIP = b"PK\x03\x04"
"""How a zip file begins, and so a workbook of Excel."""
NO_WORKBOOK = "this is an Excel workbook or a zip file; save it as CSV UTF-8, and name it .csv"
_JSONL = (".jsonl", ".ndjson", ".json")


def mistaken_format(suffix: str, content: str) -> tuple[int, str] | None:
    """The line (from 1) that tells a file's format, and what to do where the format is a wrong one.

    It goes by the first line that is not blank. `suffix` is the file's: `.csv` is read as CSV with
    commas, semicolons or tabs, any other as JSONL. None where nothing speaks against that.
    """
    lines = enumerate(content.split("\n"), 1)
    number, line = next(((number, line) for number, line in lines if line.strip()), (1, ""))
    csv = suffix.lower() == ".csv"
    problem = _no_csv(line) if csv else _no_jsonl(suffix.lower(), line.strip())
    return None if problem is None else (number, problem)


def _no_csv(line: str) -> str | None:
    if not re.search(r"[,;\t]", line) and "|" in line:
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
    if any(_names_text(line, separator) for separator in csv_text.SEPARATORS):
        return "this is CSV; name the file .csv"
    if _names_text(line, "|"):
        return (
            "this is a table; separate the columns with commas, as in text,intent,sentiment, and "
            "name the file .csv"
        )
    if suffix not in _JSONL and line:
        return (
            "the file's format is not known by its name; it is .jsonl (one JSON object a line), "
            ".csv (columns separated by commas, semicolons or tabs) or, for Rasa's nlu, .yml"
        )
    return None


def _names_text(line: str, separator: str) -> bool:
    return separator in line and "text" in csv_text.header_names(line, separator)
