"""`frontdesk chat --explain`: what people at a terminal read about a decision."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from cli import chat, rundir
from cli.chat import _advice_from, _print
from cli.compose import read_settings
from cli.errors import CommandError
from desk.pack import load

RETAIL = Path(__file__).parents[2] / "packs" / "retail"
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


def test_from_where_on_advice_is_said_is_explained_beside_a_threshold_that_nothing_reaches(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pack = load(RETAIL)
    assert _advice_from("fraud_report", pack) == 0.6
    assert _advice_from("order_status", pack) is None, "the bot answers it"
    assert _advice_from(None, pack) is None
    _print(EXCHANGE | {"threshold": 1.0, "advice_from": 0.6}, explain=True)
    said = capsys.readouterr().out
    assert "always for people; what to do until one is there is said from 60% on" in said


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


def test_beside_a_start_that_trains_it_says_so_and_since_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env is
    monkeypatch.setattr(chat, "START_TIMEOUT", 0.3)
    lock = rundir.take_lock(tmp_path)
    starter = {"pid": 1, "started": time.time() - 130}
    run = {"pid": os.getpid(), "mode": "simulator", "ready": False}
    rundir.write(tmp_path, {**run, "children": {"starter": starter}})
    try:
        with (
            pytest.raises(CommandError, match="Nothing was ready"),
            chat._pipeline(read_settings(data_dir=tmp_path)),
        ):
            pass
    finally:
        os.close(lock)
    said = capsys.readouterr().err
    assert "It is training the starter model (once; five to ten minutes" in said
    assert said.count("2 min so far") == 1
