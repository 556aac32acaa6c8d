"""Operators' words that are for colleagues, by what they say: those that name one, or read like a
note."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from desk.flow.kept_back import is_addressed, is_like_note
from desk.tables import Customer, Operator

_NAMES = re.compile(r"(?<![\w@])@(\w+)")
_CALLING = (":", ",", "：", "，")
"""What follows the name of whom one speaks to."""


def for_colleagues(
    session: Session,
    customer: Customer,
    writer: int | None,
    text: str | None,
    marks: Iterable[Mapping[str, Any]] = (),
) -> str | None:
    """Why a text or caption in a customer's topic is for colleagues of the operator `writer`, as
    the name of a text; None where it is for the customer."""
    text, marks = text or "", list(marks)
    if is_addressed(text, marks):
        return "kept-addressed"
    if _names_one(session, customer, writer, text, marks):
        return "kept-named"
    return "kept-like-note" if is_like_note(text) else None


def _names_one(
    session: Session,
    customer: Customer,
    writer: int | None,
    text: str,
    marks: Iterable[Mapping[str, Any]],
) -> bool:
    """Whether a colleague's @name stands anywhere, or a mention of one, or it begins with the name
    of one whom it speaks to. Nobody speaks to themselves, and whoever is called like a colleague
    may be the customer."""
    names = {name.casefold() for name in _NAMES.findall(text)}
    marked = {(mark.get("user") or {}).get("id") for mark in marks}
    for operator in session.scalars(select(Operator)):
        if operator.user_id == writer:
            continue
        if operator.user_id in marked or (operator.username or "").casefold() in names:
            return True
        if _speaks_to(text, operator.name, customer):
            return True
    return False


def _speaks_to(text: str, name: str, customer: Customer) -> bool:
    first = name.casefold().split()[:1]
    if not first or first[0] in customer.name.casefold().split():
        return False
    return any(
        text.casefold().removeprefix(called).lstrip().startswith(_CALLING)
        for called in (first[0], name.casefold())
        if text.casefold().startswith(called)
    )
