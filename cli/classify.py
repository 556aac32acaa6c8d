"""`frontdesk classify`: what a model says of texts, and why."""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import MisconfiguredError
from cli.options import DeviceOption, ModelOption, load_model, settings_for
from cli.screen import JsonOption, as_json, harmless, print_json

if TYPE_CHECKING:
    from classifier import Prediction

LINES_AT_ONCE = 256
BYTES_AT_ONCE = 65536


def classify(
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="Texts; - reads lines from stdin.")
    ],
    model: ModelOption = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Also show threshold, scope, language and nearest training examples."
        ),
    ] = False,
    device: DeviceOption = None,
    json_: JsonOption = False,
) -> None:
    """Classify texts with a model alone: no bot, no queue, no policy.

    With --json: an object for one text, a list for several, and for - an object a line.
    """
    settings = settings_for(device)
    streamed = texts == ["-"]
    if "-" in texts and not streamed:
        raise MisconfiguredError("- reads the texts from standard input, so it stands alone.")
    if streamed and sys.stdin is None:  # as Python has it where the shell closed it: <&-
        raise MisconfiguredError("Standard input is closed; - reads the texts from there.")
    classifier = load_model(settings, model)
    left = classifier.calibration.never_answered

    def said(prediction: Prediction) -> str:
        lines = [_line(prediction), *(_reasons(prediction, left) if explain else ())]
        return harmless("\n".join(lines))

    if streamed:
        for batch in _lines():
            for prediction in classifier(batch):
                if json_:
                    print(as_json(prediction.as_dict()), flush=True)
                else:
                    print(said(prediction), flush=True)
        return
    predictions = classifier(texts)
    if not json_:
        for prediction in predictions:
            print(said(prediction))
    else:
        found = [prediction.as_dict() for prediction in predictions]
        print_json(found[0] if len(found) == 1 else found)


def _lines() -> Iterator[list[str]]:
    """Lines of standard input, so many at once as are there: no answer waits for a later line."""
    # With a mark of its byte order, as files of Windows begin, and without.
    utf8 = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
    decoder = io.IncrementalNewlineDecoder(utf8, translate=True)
    # Not through sys.stdin: what that has read ahead is not seen by `select`.
    stdin = sys.stdin.fileno()
    batch: list[str] = []
    rest, more = "", True
    while more:
        try:
            read = os.read(stdin, BYTES_AT_ONCE)
        except BlockingIOError:  # as whoever started us, or shares the pipe, may have set it
            select.select([stdin], [], [])
            continue
        more = bool(read)
        *lines, rest = (rest + decoder.decode(read, final=not more)).split("\n")
        batch += lines
        while len(batch) >= LINES_AT_ONCE:
            yield batch[:LINES_AT_ONCE]
            del batch[:LINES_AT_ONCE]
        if batch and not select.select([stdin], [], [], 0)[0]:
            yield batch
            batch = []
    if rest:
        batch.append(rest)
    if batch:
        yield batch


def _line(prediction: Prediction) -> str:
    intent, sentiment = prediction.intent, prediction.sentiment
    parts = [
        f"{intent.name} {intent.confidence:.2f}" if intent else "–",
        f"{sentiment.name} {sentiment.confidence:.2f}" if sentiment else "–",
        prediction.text,
    ]
    return "\t".join(parts)


def _reasons(prediction: Prediction, left_to_people: Collection[str]) -> Iterator[str]:
    from desk.pack import Policy
    from desk.percent import compared

    if prediction.intent is not None and prediction.threshold is not None:
        confidence, least = compared(prediction.intent.confidence, prediction.threshold)
        # As `Calibration` has it where nothing is proven, and for what people always answer.
        never = prediction.threshold >= 1
        answered = "never answered unasked" if never else f"answered from {least} on"
        yield f"  confidence {confidence} ({answered})"
        if prediction.intent.name in left_to_people:
            usual = f"{Policy().threshold:.0%}"
            yield (
                f"  left to people: what to do until one is there is said from {usual} on, or from "
                "the pack's own threshold, if the pack has an answer to it"
            )
    if prediction.scope is not None and prediction.scope_threshold is not None:
        scope, least = compared(prediction.scope, prediction.scope_threshold)
        yield f"  scope {scope} (from {least} on)"
    if prediction.language is not None:
        yield f"  language {prediction.language}: the model was not trained on it"
    if not prediction.in_scope:
        yield "  out of scope: not to be answered automatically"
    for neighbour in prediction.neighbours:
        yield f"  {neighbour.similarity:.2f} like\t{neighbour.intent}\t{neighbour.text}"
