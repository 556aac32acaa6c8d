"""What a check has to say: one thing to mend, with its place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error keeps data from being used or makes its numbers wrong; a warning costs quality."""

    ERROR = "error"
    WARNING = "warning"


class Kind(StrEnum):
    """What a finding is about, for scripts."""

    PACK = "pack"
    ROW = "row"
    """A file or a row that can't be used as it is."""
    ENCODING = "encoding"
    SPACES = "spaces"
    """Spaces around a text, a byte order mark, line ends."""
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    TWO_LABELS = "two_labels"
    LEAK = "leak"
    FEW_EXAMPLES = "few_examples"
    LABEL_ERROR = "label_error"
    ALIKE = "alike"
    UNREAD = "unread"
    """Words that the base model can't read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend: where it stands, and what to do. `line` counts from 1."""

    severity: Severity
    kind: Kind
    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.severity}: {self.message}"


def counted(count: int) -> str:
    """How many examples, in words."""
    return f"{count} example" if count == 1 else f"{count} examples"
