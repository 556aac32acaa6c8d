"""classify: texts in, objects or lines out, and what stands in the way."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from classifier import Classifier, Prediction
from cli.classify import _lines
from tests.cli.conftest import Place, Result

Command = Callable[..., Result]


def test_without_a_model_the_sentence_says_how_to_make_one(
    no_models: Path, frontdesk: Command
) -> None:
    result = frontdesk("evaluate")
    assert result.code == 1
    assert "Run: frontdesk train" in result.err


def test_a_damaged_model_is_refused(own_models: Path, frontdesk: Command) -> None:
    weights = own_models / "champion" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    result = frontdesk("classify", "hello")
    assert result.code == 1
    assert "does not match the manifest" in result.err


def test_classify_gives_an_object_for_one_text_and_a_list_for_several(frontdesk: Command) -> None:
    one = frontdesk("classify", "where is my parcel", "--json").json()
    asked = {"text", "intent", "intent_ranking", "sentiment", "model"}
    reasons = {"threshold", "scope", "scope_threshold", "in_scope", "language", "neighbours"}
    assert set(one) == asked | reasons
    assert 0 < one["threshold"] <= 1
    assert one["intent"]["name"] == "where"
    several = frontdesk("classify", "refund the cup", "sing a song about a cup", "--json").json()
    assert [found["intent"]["name"] for found in several] == ["refund", "out_of_scope"]
    assert frontdesk("classify", "refund the cup").out.startswith("refund ")


def test_classify_reads_lines_and_writes_a_line_for_each(place: Place) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "classify", "-", "--json"],
        cwd=place.folder,
        env=place.environment(),
        input="where is my parcel\n\nrefund the cup",
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["text"] for result in found] == ["where is my parcel", "", "refund the cup"]


def test_classify_answers_a_line_before_it_is_given_the_next(place: Place) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "cli", "classify", "-", "--json"],
        cwd=place.folder,
        env=place.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for text in ("where is my parcel", "refund the cup"):
                process.stdin.write(f"{text}\n")
                assert select.select([process.stdout], [], [], 60)[0], "it waits for more"
                assert json.loads(process.stdout.readline())["text"] == text
        finally:
            process.kill()


def test_lines_are_waited_for_where_whoever_started_it_left_standard_input_without_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    later = threading.Timer(0.2, lambda: (os.write(writer, b"where is it\n"), os.close(writer)))
    with os.fdopen(reader) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        later.start()
        assert list(_lines()) == [["where is it"]]
    later.join()


def test_classify_takes_lines_that_are_there_at_once(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"where is parcel {number} {'ü' * 200}" for number in range(600)]
    file = place.folder / "texts.txt"
    file.write_bytes("\r\n".join(texts).encode())
    batches: list[int] = []
    predict = Classifier.__call__

    def counted(classifier: Classifier, batch: list[str]) -> list[Prediction]:
        batches.append(len(batch))
        return predict(classifier, batch)

    monkeypatch.setattr(Classifier, "__call__", counted)
    with file.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        found = [json.loads(line) for line in frontdesk("classify", "-", "--json").out.splitlines()]
    assert [result["text"] for result in found] == texts
    assert batches == [256, 256, 88]
