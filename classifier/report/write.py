"""A report's folder: whole or not at all, and never in place of something else."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from classifier.artifact import why_not_made
from classifier.data import DataError, Example
from classifier.evaluate import intent_outcomes
from classifier.links import resolved
from classifier.report.page import html_report
from classifier.vocabulary import Prediction

PAGE = "report.html"
FILES = (
    PAGE,
    "intent_report.json",
    "intent_errors.json",
    "intent_confusion_matrix.png",
    "intent_histogram.png",
)


def check_report_target(out: str | Path) -> None:
    """Raise `DataError` where no report may go: into a file, or a folder of anything else, or
    where nothing may be written.

    A folder that is new, empty, or holds an earlier report alone may be written to.
    """
    path = Path(out)
    try:
        if path.exists() and not path.is_dir():
            raise DataError(f"{path}: is not a folder; choose a new one for the report")
        if resolved(path) == Path.cwd():
            raise DataError(f"{path}: is the folder you are in; choose a new one for the report")
        found = [each.name for each in path.iterdir()] if path.is_dir() else []
        # A new folder takes the place of an earlier one.
        hindrance = why_not_made(path)
    except OSError as error:
        raise DataError(f"{path}: no report can be written there ({error.strerror})") from error
    others = sorted(set(found) - set(FILES))
    if others:
        raise DataError(
            f"{path}: holds {others[0]!r}, which is no part of a report; "
            "choose a new folder for the report"
        )
    if hindrance is not None:
        raise DataError(f"{path}: no report can be written there, since {hindrance}")


def write_report(
    out: str | Path,
    predictions: Sequence[Prediction],
    examples: Sequence[Example],
    title: str,
    *,
    remarks: Sequence[str] = (),
    cross_validation: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write the page and, where there are intents, the files that Rasa users know; their paths.

    Arguments after `out` are those of `html_report`. An earlier report in `out` is replaced as a
    whole, once the new one is complete; on any failure it stays as it was.

    Raises `DataError` as `check_report_target` does, and where it cannot be written.
    """
    target = Path(out)
    check_report_target(target)
    page = html_report(
        predictions, examples, title, remarks=remarks, cross_validation=cross_validation
    )
    files = {PAGE: page}
    if intents := intent_outcomes(predictions, examples):
        from classifier.report.rasa import rasa_files

        files |= rasa_files(intents)
    # Behind a link, the folder that it names is replaced and the link stays.
    target = target.resolve()
    mark = secrets.token_hex(4)
    partial, old = (target.parent / f".{target.name}.{mark}.{end}" for end in ("partial", "old"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        for name, content in files.items():
            (partial / name).write_bytes(content)
        if target.exists():
            target.rename(old)
        partial.rename(target)
    except OSError as error:
        raise DataError(f"{out}: the report could not be written ({error.strerror})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if old.exists() and not target.exists():  # after Ctrl-C in between, too
            old.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    return [Path(out) / name for name in files]
