"""Texts in, intents and sentiments out: one fine-tuned BERT with two heads, usable alone.

    from classifier import Classifier

    classifier = Classifier.load("models/champion")
    prediction = classifier(["where is my parcel?"])[0]

Importing this package, or `classifier.vocabulary`, loads no torch; using `Classifier` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from classifier import threads as threads  # first: libraries read its settings when they load
from classifier.vocabulary import OUT_OF_SCOPE, SENTIMENTS, Prediction, Scored

if TYPE_CHECKING:
    from classifier.engine import Classifier

__all__ = ["OUT_OF_SCOPE", "SENTIMENTS", "Classifier", "Prediction", "Scored"]


def __getattr__(name: str) -> Any:
    if name == "Classifier":
        try:
            from classifier.engine import Classifier
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == __name__:
                raise
            raise ImportError(
                f"Classifier needs {error.name}, which is not installed: run "
                '`pip install ".[cpu,embedded]"` in the folder of Frontdesk (cpu has what '
                "computes, embedded the base model)"
            ) from error

        return Classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
