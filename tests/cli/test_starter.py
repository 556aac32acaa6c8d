"""The starter model that `make run` trains: packs/retail with the default recipe, as promised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Place, Result
from tests.starter import StarterTraining

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1700)]


@pytest.fixture(scope="module")
def starter(starter_training: StarterTraining) -> Iterator[Place]:
    """A place whose model is the starter model, trained by the command itself."""
    starter_training.wait()
    made = Place(starter_training.folder, starter_training.settings)
    yield made
    made.close()


@pytest.fixture(scope="module")
def evaluation(starter: Place) -> Result:
    model = str(Path(starter.settings["MODELS_DIR"]) / "champion")
    data = str(ROOT / "packs" / "retail" / "test.jsonl")
    return starter.run("evaluate", "--model", model, "--data", data, "--json")


def test_the_starter_model_knows_five_in_six_messages_of_the_test_set(evaluation: Result) -> None:
    found = evaluation.json()
    assert found["in_scope_accuracy"] >= 5 / 6
    assert {"accuracy", "macro_f1", "ece", "sentiment_accuracy"} <= found.keys()


def test_the_starter_model_answers_without_a_person_and_keeps_its_promise(
    evaluation: Result,
) -> None:
    found = evaluation.json()
    assert found["coverage"] >= 0.3
    assert found["coverage_error"] <= 0.05


def test_the_starter_model_reads_sentiment(evaluation: Result) -> None:
    assert evaluation.json()["sentiment_macro_f1"] >= 0.85


def test_what_the_readme_lets_a_newcomer_try_is_read_as_the_readme_says(starter: Place) -> None:
    texts = ["where is my parcel?", "i want to talk to a human!!"]
    parcel, person = starter.run("classify", *texts, "--json").json()
    assert parcel["intent"]["name"] == "order_status"
    assert parcel["sentiment"]["name"] == "neutral"
    assert person["intent"]["name"] == "talk_to_person"


def test_an_angry_emoji_is_not_read_as_praise_nor_impatience_as_anger(starter: Place) -> None:
    angry = ["charged me twice, i want my money NOW😡", "where is my order 🤬", "nothing came 😤"]
    *found, impatient = starter.run("classify", *angry, "where is my parcel??", "--json").json()
    assert [one["sentiment"]["name"] for one in found] == ["negative"] * 3
    assert impatient["intent"]["name"] == "order_status"
    assert impatient["sentiment"]["name"] == "neutral"
