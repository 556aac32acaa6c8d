from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifier import artifact, engine, registry, threads
from classifier.artifact import ModelError
from classifier.backends.heads import IntentHead
from classifier.backends.mapped import map_tensors
from classifier.data import MAX_CHARACTERS
from classifier.devices import find_device, pick_device
from classifier.engine import Classifier
from classifier.tokenising import MANY
from tests.classifier.tiny import make_examples

ODD = ["", "   ", "🙂🙂", "\0", "a\ud83d", "你好", "x" * (MAX_CHARACTERS + 10), "parcel " * 3000]


def test_a_prediction_has_the_documented_shape(classifier: Classifier) -> None:
    prediction = classifier(["where is my parcel i am so angry"])[0]
    assert prediction.intent is not None
    assert prediction.sentiment is not None
    assert prediction.intent.name == "where"
    assert prediction.sentiment.name == "negative"
    names = [scored.name for scored in prediction.intent_ranking]
    assert sorted(names) == ["out_of_scope", "refund", "thanks", "where"]
    confidences = [scored.confidence for scored in prediction.intent_ranking]
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(1)
    assert prediction.intent == prediction.intent_ranking[0]
    assert prediction.threshold == classifier.calibration.threshold_for("where")
    assert prediction.model == classifier.version
    json.dumps(prediction.as_dict())


def test_a_batch_gives_each_text_the_same_prediction_as_alone(classifier: Classifier) -> None:
    texts = [
        "refund the lamp",
        "thanks",
        "where is my parcel " * 5,
        *ODD,
        "sing a song about a chair i love it",
    ]
    together = classifier(texts)
    for text, batched in zip(texts, together, strict=True):
        alone = classifier([text])[0]
        assert batched.text == text
        assert batched.intent is not None
        assert alone.intent is not None
        mine = {s.name: s.confidence for s in alone.intent_ranking}
        theirs = {s.name: s.confidence for s in batched.intent_ranking}
        assert mine == pytest.approx(theirs, abs=0.02)


def test_results_come_in_the_order_of_the_input_whatever_the_budget(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{'many ' * (i % 7)}thanks for the cup {i}" for i in range(40)]
    whole = classifier.scores(texts).intent
    for budget in (1, 50, 100_000):
        monkeypatch.setattr(classifier, "token_budget", budget)
        assert [p.text for p in classifier(texts)] == texts
        again = classifier.scores(texts).intent
        assert whole is not None
        assert again is not None
        assert np.abs(whole - again).max() < 0.02


def test_several_threads_get_what_one_gets(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        """A tokenizer that takes its time where texts are joined."""

        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

        def encode_batch_fast(self, texts: list[str], **options: bool) -> Any:
            if options:
                time.sleep(0.02)
            return tokenizer.encode_batch_fast(texts, **options)

    tokenizer = classifier._tokenizer
    monkeypatch.setattr(classifier, "_tokenizer", Slow())
    long, many = ["parcel " * 40], ["where is my parcel"] * MANY
    expected = [classifier.forward(texts).pooled[-1] for texts in (long, many)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda at: classifier.forward((long, many)[at % 2]), range(16)))
    for at, forward in enumerate(found):
        assert np.allclose(forward.pooled[-1], expected[at % 2], atol=0.02)


@pytest.mark.parametrize("several", [np.array, tuple, iter, dict.fromkeys])
def test_texts_may_be_anything_that_can_be_gone_through(
    classifier: Classifier, several: Callable[[list[str]], Any]
) -> None:
    texts = ["thanks for the cup", "where is my parcel"]
    found = classifier(several(texts))
    assert [p.text for p in found] == texts
    assert {type(p.text) for p in found} == {str}
    assert classifier.embed(several(texts)).shape == (2, classifier.backend.hidden)
    scores = classifier.scores(several(texts)).intent
    assert scores is not None
    assert len(scores) == 2


@pytest.mark.parametrize("verb", ["__call__", "outputs", "forward", "logits", "scores", "embed"])
def test_one_text_alone_is_refused_and_so_is_what_is_no_text(
    classifier: Classifier, verb: str
) -> None:
    ask = getattr(classifier, verb)
    for one in ("hello", b"hello"):
        with pytest.raises(TypeError, match=r"classifier\(\[text\]\)\[0\]"):
            ask(one)
    for odd in (None, float("nan"), b"hello", 5):
        with pytest.raises(TypeError, match=rf"texts\[1\] is {type(odd).__name__} and not str"):
            ask(["secret", odd])


def test_no_texts_give_no_predictions(classifier: Classifier) -> None:
    assert classifier([]) == []


def test_a_long_text_is_cut_to_the_recipes_tokens(classifier: Classifier) -> None:
    classifier(["parcel " * 3000])
    assert classifier.timings.tokens == 32


def test_timings_tell_what_the_last_call_cost(classifier: Classifier) -> None:
    classifier(["thanks", "where is my parcel"])
    timings = classifier.timings
    assert timings.texts == 2
    assert 0 < timings.tokens <= timings.padded_tokens
    assert timings.tokenise_s > 0
    assert timings.model_s > 0


def test_many_texts_are_compared_by_several_threads_and_keep_their_order(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [e.text for e in make_examples(seed=5, each=5)]
    whole = classifier.outputs(texts)
    monkeypatch.setattr(engine, "LEAST_SHARE", 3)
    monkeypatch.setattr(engine, "count_threads", lambda: 4)
    shared = classifier.outputs(texts)
    assert whole.nearness is not None
    assert shared.nearness is not None
    assert np.allclose(whole.nearness, shared.nearness, atol=0.01)
    for alone, together in zip(whole.neighbours, shared.neighbours, strict=True):
        near = zip(alone, together, strict=True)
        assert all(mine.similarity == pytest.approx(own.similarity, abs=1e-3) for mine, own in near)
    assert len({tuple(n.text for n in near) for near in shared.neighbours}) > 3


@pytest.mark.parametrize("with_scope", [True, False])
@pytest.mark.parametrize("with_neighbours", [True, False])
def test_many_texts_are_compared_with_what_the_model_has(
    classifier: Classifier,
    monkeypatch: pytest.MonkeyPatch,
    with_scope: bool,
    with_neighbours: bool,
) -> None:
    own = classifier
    other = Classifier(
        own.backend,
        own._tokenizer,
        own.labels,
        own.calibration,
        own.manifest,
        own.scope if with_scope else None,
        own.neighbours if with_neighbours else None,
    )
    monkeypatch.setattr(engine, "LEAST_SHARE", 3)
    monkeypatch.setattr(engine, "count_threads", lambda: 4)
    texts = [e.text for e in make_examples(seed=5, each=5)]
    found = other.outputs(texts)
    assert (found.nearness is not None) == with_scope
    assert len(found.neighbours) == (len(texts) if with_neighbours else 0)
    assert [p.text for p in other(texts)] == texts


def test_many_texts_are_tokenised_in_chunks_and_keep_their_order(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{'many ' * (i % 5)}thanks for the cup {i}" for i in range(50)]
    whole = classifier.forward(texts)
    tokens = classifier.timings.tokens
    monkeypatch.setattr(engine, "CHUNK", 7)
    chunked = classifier.forward(texts)
    assert classifier.timings.tokens == tokens
    assert np.abs(whole.pooled[-1] - chunked.pooled[-1]).max() < 0.05
    assert whole.intent is not None
    assert chunked.intent is not None
    assert np.abs(whole.intent - chunked.intent).max() < 0.1


def test_the_embedding_is_what_the_intent_is_told_by(classifier: Classifier, trained: Any) -> None:
    texts = ["where is my parcel", "thanks"]
    embedding = classifier.embed(texts)
    assert embedding.dtype == np.float32
    expected = IntentHead(map_tensors(trained[0] / "model.safetensors"))(embedding)
    found = classifier.forward(texts).intent
    assert found is not None
    assert np.allclose(found, expected, atol=1e-4)


def test_a_model_loads_through_its_pointer(trained: Any, tmp_path: Path) -> None:
    name = registry.new_version_name()
    directory = trained[0]
    files = {p.name: p.read_bytes() for p in directory.iterdir() if p.name != "manifest.json"}
    artifact.save(tmp_path / name, files, {"version": name})
    registry.promote(tmp_path, name)
    loaded = Classifier.load(str(tmp_path / "champion"), device="cpu")
    assert loaded.version == name
    assert loaded(["thanks"])[0].model == name


def test_a_damaged_model_is_refused_on_load(model_copy: Path) -> None:
    path = model_copy / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ModelError, match=r"model\.safetensors: does not match"):
        Classifier.load(model_copy, device="cpu")


def test_a_model_whose_parts_do_not_fit_together_is_refused(
    model_copy: Path, tmp_path: Path
) -> None:
    files = {p.name: p.read_bytes() for p in model_copy.iterdir() if p.name != "manifest.json"}
    files["labels.json"] = json.dumps({"intents": ["a", "b"], "sentiments": []}).encode()
    artifact.save(tmp_path / "odd", files, {"version": "odd"})
    with pytest.raises(ModelError, match="intent head"):
        Classifier.load(tmp_path / "odd", device="cpu")


def test_of_a_folder_of_models_the_champion_is_named(trained: Any, tmp_path: Path) -> None:
    name = registry.new_version_name()
    shutil.copytree(trained[0], tmp_path / name)
    with pytest.raises(ModelError, match=rf"name one in it, such as {tmp_path}/{name}$"):
        Classifier.load(tmp_path, device="cpu")
    registry.promote(tmp_path, name)
    with pytest.raises(ModelError, match=f"such as {tmp_path}/champion$"):
        Classifier.load(tmp_path, device="cpu")


def test_a_missing_model_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="frontdesk models list"):
        Classifier.load(tmp_path / "champion")


def test_where_no_gpu_can_be_the_device_is_told_without_torch() -> None:
    code = (
        "import sys; from classifier import devices; devices.GPU_FILES = ();"
        "assert devices.find_device('auto') == devices.find_device('cpu') == 'cpu';"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:0", ""])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be auto, cpu, cuda or cuda:N"):
        find_device(name)


def test_a_device_may_be_torchs_own() -> None:
    assert find_device(torch.device("cpu")) == find_device(torch.device("cpu", 0)) == "cpu"


def test_a_cuda_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="CUDA devices here"):
        pick_device(f"cuda:{torch.cuda.device_count()}")


def test_the_encoder_of_a_saved_model_loads_in_transformers(trained: Any) -> None:
    from transformers import BertModel

    ours = map_tensors(trained[0] / "model.safetensors")
    theirs = BertModel.from_pretrained(trained[0], add_pooling_layer=False)
    word = theirs.get_parameter("embeddings.word_embeddings.weight")
    assert np.array_equal(word.numpy(force=True), ours["bert.embeddings.word_embeddings.weight"])


@pytest.mark.parametrize("module", ["classifier", "classifier.vocabulary", "classifier.registry"])
def test_the_vocabulary_and_the_registry_load_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_engine_itself_loads_neither_torch_nor_transformers() -> None:
    unwanted = "{'torch', 'transformers'}"
    code = f"import sys, classifier.engine; sys.exit(bool({unwanted} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("module", ["classifier.backends.torch_backend", "classifier.training"])
def test_torchs_threads_sleep_while_they_wait_unless_the_environment_says_otherwise(
    module: str,
) -> None:
    code = f"import {module}, os; print(os.environ['OMP_WAIT_POLICY'])"
    unset = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    for environment, expected in (
        (unset, "PASSIVE"),
        (unset | {"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE"),
    ):
        run = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert run.stdout.strip() == expected


LATE = """
import numpy, sys, threadpoolctl
from classifier import Classifier
from classifier.neighbours import Neighbours

def threads():
    return {
        library["num_threads"]
        for library in threadpoolctl.threadpool_info()
        if "numpy" in library["filepath"]
    }

nearest, seen = Neighbours.nearest, []
Neighbours.nearest = lambda *texts: (seen.append(threads()), nearest(*texts))[1]
before = threads()
Classifier.load(sys.argv[1], "cpu")(["where is my parcel"])
print(before, *seen, threads())
"""


@pytest.mark.parametrize(("chosen", "inside"), [(None, "{1}"), ("2", "{2}")])
def test_numpy_multiplies_with_one_thread_meanwhile_though_it_was_imported_first(
    chosen: str | None, inside: str, trained: tuple[Path, Any, Any]
) -> None:
    environment = {name: v for name, v in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    if chosen is not None:
        environment["OPENBLAS_NUM_THREADS"] = chosen
    run = subprocess.run(
        [sys.executable, "-c", LATE, str(trained[0])],
        env=environment,
        capture_output=True,
        text=True,
    )
    before, meanwhile, after = run.stdout.split()
    assert meanwhile == inside, run.stderr
    assert before == after
    assert before != "{1}" or threads.count_threads() == 1
