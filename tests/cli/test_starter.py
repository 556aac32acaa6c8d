"""The starter model that `make run` trains: packs/retail with the default recipe, as promised."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Place, Result

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1700)]


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place whose model is the starter model, trained by the command itself."""
    folder: Path = tmp_path_factory.mktemp("starter")
    made = Place(
        folder,
        {
            "DATA_DIR": str(folder / "data"),
            "MODELS_DIR": str(folder / "models"),
            "PACK": str(ROOT / "packs" / "retail"),
            "DEVICE": "cpu",
            "OMP_NUM_THREADS": str(os.cpu_count() or 1),
        },
    )
    trained = made.run("train", timeout=1500)
    assert trained.code == 0, trained.err
    yield made
    made.close()


@pytest.fixture(scope="module")
def evaluation(starter: Place) -> Result:
    model = str(Path(starter.settings["MODELS_DIR"]) / "champion")
    data = str(ROOT / "packs" / "retail" / "test.jsonl")
    return starter.run("evaluate", "--model", model, "--data", data, "--json")


def test_the_starter_model_knows_nine_in_ten_messages_of_the_test_set(evaluation: Result) -> None:
    found = evaluation.json()
    assert found["in_scope_accuracy"] >= 0.90
    assert {"accuracy", "macro_f1", "ece", "sentiment_accuracy"} <= found.keys()


def test_the_starter_model_reads_sentiment(evaluation: Result) -> None:
    assert evaluation.json()["sentiment_macro_f1"] >= 0.85


def test_what_the_readme_lets_a_newcomer_try_is_read_as_the_readme_says(starter: Place) -> None:
    texts = ["where is my parcel?", "i want to talk to a human!!"]
    parcel, person = starter.run("classify", *texts, "--json").json()
    assert parcel["intent"]["name"] == "order_status"
    assert parcel["sentiment"]["name"] == "neutral"
    assert person["intent"]["name"] == "talk_to_person"
