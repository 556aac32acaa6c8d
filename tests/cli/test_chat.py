"""`frontdesk chat --explain`: what people at a terminal read about a decision."""

from __future__ import annotations

from typing import Any

import pytest

from cli.chat import _print

EXCHANGE: dict[str, Any] = {
    "text": "blorp",
    "reply": "Could you say it in other words?",
    "intent": "where",
    "confidence": 0.64,
    "sentiment": None,
    "decision": "clarify",
    "rule": "unfamiliar",
    "model": "v1",
    "threshold": 0.82,
    "scope": 0.31,
    "scope_threshold": 0.5,
    "language": None,
    "neighbours": [{"text": "where [bold]is\nit", "intent": "where", "similarity": 0.912}],
}


def test_an_explanation_is_given_to_those_who_ask(capsys: pytest.CaptureFixture[str]) -> None:
    _print(EXCHANGE, explain=False)
    short = capsys.readouterr().out
    assert "by rule unfamiliar" in short
    assert "near" not in short
    _print(EXCHANGE, explain=True)
    said = capsys.readouterr().out
    assert said.startswith(short)
    assert [line.strip() for line in said.removeprefix(short).splitlines()] == [
        "why: unlike anything the bot has learned",
        "the model's threshold: 82% (confidence 64%)",
        "scope: 31% (from 50% on)",
        "other language: –",
        "near 0.91: where [bold]is it → where",
    ]


def test_a_message_without_a_prediction_is_explained_by_its_rule(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unknown = dict.fromkeys(EXCHANGE) | {"reply": "Hello", "decision": "escalate"}
    _print(unknown | {"rule": "late", "neighbours": []}, explain=True)
    said = capsys.readouterr().out
    assert "why: the classifier did not answer in time" in said
    assert "scope: – (from – on)" in said


def test_an_intent_with_square_brackets_is_shown_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _print(EXCHANGE | {"intent": "where[/x]"}, explain=False)
    assert "intent where[/x] (64.0%)" in capsys.readouterr().out
