"""How often each way of classifying is right: one table, one run, the same texts for all.

    python benchmarks/accuracy.py --train FILE [--test FILE] [--exclude-test-from-train]
        [--ood FILE …] [--only NAME …] [--setfit-steps N] [--examples N] [--json]

Files are what `frontdesk train` reads: texts with an intent (`label`), a sentiment or both. Without
--test a fifth of --train is held out. The rivals learn each kind of label by a model of its own:

    tfidf      TF-IDF of words (1-2) and characters (2-5), logistic regression
    frozen     MiniLM as it is, logistic regression on its sentence vectors
    setfit     SetFit on that MiniLM, its defaults
    article    the article's recipe: padded to 128 tokens, AdamW at 2e-5, batches of 16, 5 epochs
    frontdesk  the default recipe, as `frontdesk train` runs it, calibration and export included

SetFit pairs every text with every other: 770 texts are 36,000 steps, and 10,000 would be 6 million,
so that many texts need --setfit-steps (its `max_steps`; 20 pairs of each kind a text, as in its
paper, are 2.5 steps a text).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# Nothing here is to ask the hub; set before its client is imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# isort: split

# Before torch: it sets how OpenMP's threads wait.
from benchmarks.common import (
    Asked,
    Probabilities,
    circumstances,
    drawn,
    hold_out,
    indices,
    need,
    quiet,
    train_article,
)

# isort: split

import numpy as np

from classifier import Classifier
from classifier.base import BaseModel, BaseModelError, find_base
from classifier.data import DataError, Example, content_hash, read_examples
from classifier.devices import pick_device
from classifier.evaluate import evaluate
from classifier.training import train_to_directory
from classifier.vocabulary import OUT_OF_SCOPE, Prediction, Scored

ARTICLE_EPOCHS = 5
INVERSE_PENALTY = 10.0
"""`C` of the logistic regressions; at scikit-learn's own 1 both know too little of few examples."""
HEADLINES = (
    "rows",
    "accuracy",
    "in_scope_accuracy",
    "macro_f1",
    "ece",
    "ood_auroc",
    "sentiment_rows",
    "sentiment_accuracy",
    "sentiment_macro_f1",
    "sentiment_ece",
)
PROMISED = ("coverage", "coverage_error", "coverage_error_bound")


@dataclass(frozen=True)
class Data:
    """`strange` has the out-of-scope texts of each --ood file, by its name."""

    train: list[Example]
    test: list[Example]
    strange: dict[str, list[Example]]


@dataclass(frozen=True)
class Settings:
    base: BaseModel
    setfit_steps: int | None


Rival = Callable[[list[str], list[int], int, Settings], Asked]
"""Trains on texts and their label indices below a number of labels."""


def tfidf(texts: list[str], truth: list[int], labels: int, settings: Settings) -> Asked:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    model = make_pipeline(
        make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
        ),
        LogisticRegression(C=INVERSE_PENALTY, max_iter=1000),
    )
    model.fit(texts, truth)
    return lambda asked: np.asarray(model.predict_proba(asked))


def frozen(texts: list[str], truth: list[int], labels: int, settings: Settings) -> Asked:
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression

    encoder = SentenceTransformer(str(settings.base.path))
    head = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000)

    def embed(asked: Sequence[str]) -> Any:
        return encoder.encode(list(asked), normalize_embeddings=True, show_progress_bar=False)

    head.fit(embed(texts), truth)
    return lambda asked: np.asarray(head.predict_proba(embed(asked)))


def setfit(texts: list[str], truth: list[int], labels: int, settings: Settings) -> Asked:
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    model = SetFitModel.from_pretrained(str(settings.base.path))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=settings.setfit_steps or -1,
            report_to="none",
            save_strategy="no",
            show_progress_bar=False,
        )
        rows = Dataset.from_dict({"text": texts, "label": truth})
        Trainer(model=model, args=arguments, train_dataset=rows).train()
    return lambda asked: np.asarray(model.predict_proba(list(asked), as_numpy=True))


def article(texts: list[str], truth: list[int], labels: int, settings: Settings) -> Asked:
    return train_article(texts, truth, labels, settings.base.path, pick_device(), ARTICLE_EPOCHS)


RIVALS: dict[str, Rival] = {
    "tfidf": tfidf,
    "frozen": frozen,
    "setfit": setfit,
    "article": article,
}
NEEDED = {
    "tfidf": ("sklearn",),
    "frozen": ("sklearn", "sentence_transformers"),
    "setfit": ("setfit", "datasets", "sentence_transformers"),
}
NAMES = (*RIVALS, "frontdesk")


def measure_rival(name: str, data: Data, settings: Settings) -> dict[str, Any]:
    """A row of the table: one model for each kind of label that the data has."""
    train = RIVALS[name]
    models: dict[str, tuple[Asked, list[str]]] = {}
    started = time.perf_counter()
    for kind in ("intent", "sentiment"):
        rows = [(e.text, label) for e in data.train if (label := getattr(e, kind)) is not None]
        names = sorted({label for _, label in rows})
        if len(names) > 1:
            texts, truth = [text for text, _ in rows], indices([lab for _, lab in rows], names)
            models[kind] = train(texts, truth, len(names), settings), names
    seconds = time.perf_counter() - started

    def ask(texts: list[str]) -> list[Prediction]:
        said = {kind: (model(texts), names) for kind, (model, names) in models.items()}
        return [
            Prediction(
                text=text,
                intent=ranking[0] if (ranking := _ranking(said.get("intent"), row)) else None,
                intent_ranking=ranking,
                sentiment=moods[0] if (moods := _ranking(said.get("sentiment"), row)) else None,
                threshold=None,
                model=name,
            )
            for row, text in enumerate(texts)
        ]

    return {"train_s": seconds, **judge(ask, data)}


def _ranking(said: tuple[Probabilities, list[str]] | None, row: int) -> tuple[Scored, ...]:
    if said is None:
        return ()
    probabilities, names = said
    order = np.argsort(-probabilities[row], kind="stable")
    return tuple(Scored(names[label], float(probabilities[row, label])) for label in order)


def measure_frontdesk(data: Data, settings: Settings) -> dict[str, Any]:
    """A row of the table, with what the model promises and what it says of strange texts."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        started = time.perf_counter()
        metrics = train_to_directory(data.train, out, base=settings.base.name)
        seconds = time.perf_counter() - started
        classifier = Classifier.load(out)
    row = {"train_s": seconds, **judge(classifier, data, promised=True)}

    def by_softmax(texts: list[str]) -> list[Prediction]:
        """As a model that knows no scope: the largest probability decides."""
        plain = classifier(texts)
        return [replace(p, scope=None, scope_threshold=None, language=None) for p in plain]

    softmax = judge(by_softmax, data)
    row["ood_softmax"] = {
        name: strange["ood_auroc"] for name, strange in softmax.get("ood", {}).items()
    }
    if "ood_auroc" in softmax:
        row["ood_auroc_softmax"] = softmax["ood_auroc"]
    row |= {
        "engine": classifier.backend.name,
        "dtype": classifier.dtype,
        "target_error": classifier.calibration.target_error,
        "promised": classifier.calibration.promise is not None,
        "epochs": metrics["epochs"],
        "held_out_ece": metrics["validation"].get("ece"),
    }
    return row


def judge(
    ask: Callable[[list[str]], list[Prediction]], data: Data, *, promised: bool = False
) -> dict[str, Any]:
    """What `evaluate` says of the test rows, and of these together with each file of strange ones.

    `promised` adds what rests on thresholds: the share of the rows that may be answered
    automatically, the share of these that is wrong, and strange texts that would be answered.
    """
    told = ask([e.text for e in data.test])
    measures = evaluate(told, data.test)
    wanted = (*HEADLINES, *(PROMISED if promised else ()))
    found: dict[str, Any] = {key: measures[key] for key in wanted if key in measures}
    inside = [row for row, e in enumerate(data.test) if e.intent not in {None, *OUT_OF_SCOPE}]
    for name, strange in data.strange.items():
        both = evaluate(
            [told[row] for row in inside] + ask([e.text for e in strange]),
            [data.test[row] for row in inside] + strange,
        )
        keys = ("ood_auroc", "ood_fpr95", *(("ood_answered", "ood_recall") if promised else ()))
        found.setdefault("ood", {})[name] = {key: both[key] for key in keys}
    return found


def read(arguments: argparse.Namespace) -> tuple[Data, dict[str, Any]]:
    """The data of a run and what is to be known of it. Raises `DataError`."""
    train = read_examples(arguments.train)
    removed = 0
    if arguments.test:
        test = read_examples(arguments.test)
        if arguments.exclude_test_from_train:
            asked = {_plain(e.text) for e in test}
            kept = [e for e in train if _plain(e.text) not in asked]
            removed, train = len(train) - len(kept), kept
    else:
        train, test = hold_out(train)
    train = drawn(train, arguments.examples)
    learnt = {_plain(e.text) for e in train}
    known = sum(_plain(e.text) in learnt for e in test)
    if known:
        print(
            f"{known} of the {len(test)} test texts are trained on (but for case and spaces), "
            "which flatters all: use --exclude-test-from-train, or another --test",
            file=sys.stderr,
        )
    strange = {
        path.name: [Example(e.text, "out_of_scope") for e in read_examples(path, labelled=False)]
        for path in arguments.ood
    }
    if strange and not any(e.intent for e in test):
        raise DataError("--ood: the test rows have no intents to tell strange texts from")
    about = {
        "train": arguments.train.name,
        "train_rows": len(train),
        "train_hash": content_hash(train),
        "removed_from_train": removed,
        "test": arguments.test.name if arguments.test else "a fifth of the training file",
        "test_rows": len(test),
        "test_rows_trained_on": known,
        "test_hash": content_hash(test),
        "intents": len({e.intent for e in train if e.intent}),
        "sentiments": len({e.sentiment for e in train if e.sentiment}),
        "setfit_steps": arguments.setfit_steps,
        "article_epochs": ARTICLE_EPOCHS,
    }
    return Data(train, test, strange), about


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def show(name: str, row: dict[str, Any]) -> str:
    """A row as a line."""
    percent = {
        "accuracy": "accuracy",
        "macro_f1": "macro-F1",
        "ece": "ECE",
        "coverage": "answered",
        "coverage_error": "of these wrong",
        "sentiment_accuracy": "sentiment accuracy",
        "sentiment_macro_f1": "sentiment macro-F1",
    }
    parts = [
        f"{label} {100 * row[key]:.2f} %"
        for key, label in percent.items()
        if row.get(key) is not None
    ]
    for file, strange in row.get("ood", {}).items():
        parts.append(f"AUROC {file} {strange['ood_auroc']:.4f}")
        if file in row.get("ood_softmax", {}):
            parts.append(f"(softmax {row['ood_softmax'][file]:.4f})")
    return f"{name:10} {', '.join(parts)}; trained in {row['train_s']:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--train", type=Path, required=True, metavar="FILE")
    parser.add_argument("--test", type=Path, metavar="FILE", help="else a fifth of --train")
    parser.add_argument(
        "--exclude-test-from-train",
        action="store_true",
        help="leave out training rows whose text (but for case and spaces) is in --test",
    )
    parser.add_argument("--ood", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME")
    parser.add_argument("--setfit-steps", type=int, metavar="N", help="SetFit's max_steps")
    parser.add_argument("--examples", type=int, metavar="N", help="train on so many only")
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    arguments = parser.parse_args()
    if arguments.setfit_steps is not None and arguments.setfit_steps < 1:
        parser.error("--setfit-steps must be at least 1")
    if arguments.exclude_test_from_train and not arguments.test:
        parser.error("--exclude-test-from-train needs --test")
    chosen = [name for name in NAMES if name in arguments.only]
    needed = sorted({module for name in chosen for module in NEEDED.get(name, ())})
    need(*needed)
    quiet()
    libraries = {"sklearn": "scikit-learn", "sentence_transformers": "sentence-transformers"}
    result = circumstances(*(libraries.get(module, module) for module in needed))
    rows: dict[str, dict[str, Any]] = {}
    try:
        data, about = read(arguments)
        settings = Settings(find_base(), arguments.setfit_steps)
        for name in chosen:
            print(f"{name}: training on {len(data.train)} rows", file=sys.stderr, flush=True)
            # The libraries print what they do where the JSON goes.
            with redirect_stdout(sys.stderr):
                rows[name] = (
                    measure_frontdesk(data, settings)
                    if name == "frontdesk"
                    else measure_rival(name, data, settings)
                )
            # At once, and beside the JSON too: a run takes hours, and may be ended before it is.
            print(
                show(name, rows[name]),
                file=sys.stderr if arguments.json else sys.stdout,
                flush=True,
            )
    except (DataError, BaseModelError) as error:
        raise SystemExit(str(error)) from None
    if arguments.json:
        print(json.dumps({"rows": rows, "data": about, **result}))
        return
    machine = result["machine"]
    print(f"{machine['processor']}, {machine['cores']} cores, GPU {machine['gpu']}")
    print(", ".join(f"{name} {number}" for name, number in result["versions"].items()))
    print(f"commit {result['commit']}")


if __name__ == "__main__":
    main()
