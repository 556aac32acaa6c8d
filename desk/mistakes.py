"""What pydantic finds wrong with a pack or the settings, as sentences that say what to write."""

from __future__ import annotations

import json
import re
from datetime import date
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_DECIMAL = re.compile(r"(\d+)[.,](\d+)")
_PERCENT = re.compile(r"(\d+) ?%")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_DAY_FIRST = re.compile(r"([0-3]?\d)\.([01]?\d)\.(\d{4})")


def sentence(error: ErrorDetails, model: type[BaseModel]) -> str:
    """What is wrong, and what to write instead; `model` is the one that was validated.

    It repeats no value but a list's, a number's and a day's, since a setting may hold a secret.
    """
    kind, given, told = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(error["loc"], model)
    if kind == "invalid_key" or error["loc"][-1:] == ("[key]",):
        return _key(kind, given)
    if kind == "string_type" and given is None:
        return "there is nothing here; write a text"
    if kind == "tuple_type":
        return _list(error["loc"], given)
    if kind in ("float_type", "float_parsing"):
        return _number(str(given))
    if kind in ("less_than", "less_than_equal"):
        return error["msg"] + _share(given, told["le" if "le" in told else "lt"])
    if kind.startswith("date_"):
        return _day(str(given))
    if kind == "too_short":
        return f"at least {told['min_length']} must stand here"
    if kind == "too_long":
        return f"at most {told['max_length']} fit here, and there are {told['actual_length']}"
    return _SENTENCES.get(kind) or error["msg"].removeprefix("Value error, ")


_SENTENCES = {
    "missing": "this is missing; write it",
    "string_type": 'put it in quotes ("…"), so that YAML reads it as a text',
    "dict_type": "write its keys below it, each indented by two more spaces",
    "model_type": "write its keys below it, each indented by two more spaces",
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "finite_number": "write a number",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
}


def _unknown_key(where: tuple[int | str, ...], model: type[BaseModel]) -> str:
    inner: Any = model
    for part in where[:-1]:
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            inner = inner.model_fields[str(part)].annotation
        else:  # a mapping's or a list's type: what it holds is a model, or there were no such key
            inner = next(held for held in get_args(inner) if held not in (str, ...))
    known = list(inner.model_fields)
    near = get_close_matches(str(where[-1]), known, n=1)
    if near:
        return f"no such key here; did you mean `{near[0]}`?"
    return f"no such key here; there are {', '.join(known)}"


def _number(given: str) -> str:
    if percent := _PERCENT.fullmatch(given):
        return f"write a number with a point: {int(percent[1]) / 100:g}"
    if decimal := _DECIMAL.fullmatch(given):
        return f"write a number with a point: {decimal[1]}.{decimal[2]}"
    return "write a number"


def _key(kind: str, given: object) -> str:
    # {first_reply_minutes: 1,5} is a 1 and the name 5, and no name of a model's is a number.
    if kind == "invalid_key" and type(given) is int:
        return "a number is no name; if a comma cut it, write a whole one, or one with a point"
    return 'put each name here in quotes (such as "no"), so that YAML reads it as a text'


def _share(given: object, most: float) -> str:
    """What to add where a share was written as if in percent."""
    if isinstance(given, int | float) and most <= 1 and given / 100 <= most:
        return f"; for {given:g} % write {given / 100:g}"
    return ""


def _list(where: tuple[int | str, ...], given: object) -> str:
    if where[:2] == ("hours", "weekly") and (given is None or not re.search(r"\d", str(given))):
        return 'write spans, such as ["09:00-18:00"]; leave a closed day out, or write []'
    if not isinstance(given, str):
        return 'write a list: each entry after "- ", or all between [ and ]'
    if re.match(r"-\S", given):
        return "put a space after each -"
    if given.startswith("-"):
        return "begin the list on the next line"
    entries = [entry.strip() for entry in given.split(",")]
    return f"write a list: {json.dumps(entries, ensure_ascii=False)}"


def _day(given: str) -> str:
    day = _DAY_FIRST.fullmatch(given)
    meant = f"{day[3]}-{day[2]:0>2}-{day[1]:0>2}" if day else given
    if not _DAY.fullmatch(meant):
        return "write a day as year-month-day: 2026-12-25"
    try:
        date.fromisoformat(meant)
    except ValueError:
        return f"there is no such day as {given}"
    return f"write a day as year-month-day: {meant}"
