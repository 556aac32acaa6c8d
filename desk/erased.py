"""Who was erased, noted outside the database: a backup that is put back has them again.

A note is the number of their row and the moment of its making. Both stay when a customer is erased,
and neither says who it was.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from sqlalchemy import func, select

from desk.store import Store
from desk.tables import Customer

FOLDER = "erased"
FILE = "customers.jsonl"
CHUNK = 500
"""So many rows are asked for at a time."""

Note = tuple[int, str]
"""`Customer.id` and `Customer.created_at` (ISO 8601)."""


class Erasures:
    """The notes in one `DATA_DIR`, in a file that its owner alone may read, and that only grows."""

    def __init__(self, data_dir: Path) -> None:
        self.file = data_dir / FOLDER / FILE
        self._seen = -1
        """How many were erased when all of them were last noted."""

    def note(self, store: Store) -> int:
        """Note all who are erased in the database and are not noted; returns how many.

        It may be missed and repeated: whoever was erased before, or by another process, is noted
        then. Raises `OSError` where the file can't be written.
        """
        with store.reading() as session:
            number = session.scalar(select(func.count()).where(Customer.erased)) or 0
            if number == self._seen:
                return 0
            rows = session.execute(
                select(Customer.id, Customer.created_at)
                .where(Customer.erased)
                .order_by(Customer.id)
            ).all()
        known = self.notes()
        new = [note for id_, since in rows if (note := (id_, since.isoformat())) not in known]
        # An empty file says that nobody was erased, and none that nobody knows.
        if new or not self.file.exists():
            self._append(new)
        self._seen = number
        return len(new)

    def notes(self) -> set[Note]:
        """All notes; none where there is no file. Raises `OSError` where it can't be read."""
        try:
            lines = self.file.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return set()
        found = set()
        for line in lines:
            try:
                row = json.loads(line)
                found.add((int(row["id"]), str(row["since"])))
            except (ValueError, KeyError, TypeError):
                continue  # the half line of a disk that was full: it was written anew since
        return found

    def back(self, store: Store) -> list[int]:
        """The ids of those noted who are in the database unerased. Works on any version of it."""
        notes = self.notes()
        noted = sorted({id_ for id_, _ in notes})
        found: list[int] = []
        with store.reading() as session:
            for start in range(0, len(noted), CHUNK):
                query = select(Customer.id, Customer.created_at).where(
                    Customer.id.in_(noted[start : start + CHUNK]), ~Customer.erased
                )
                rows = session.execute(query.order_by(Customer.id))
                found += [id_ for id_, since in rows if (id_, since.isoformat()) in notes]
        return found

    def _append(self, notes: list[Note]) -> None:
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = "".join(json.dumps({"id": id_, "since": since}) + "\n" for id_, since in notes)
        descriptor = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            # Behind half a line of one that failed, in a line of its own.
            half = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
            data = (b"\n" if half else b"") + lines.encode()
            while data:  # a disk that fills up takes a part, and refuses the next
                data = data[file.write(data) or 0 :]
            os.fsync(descriptor)
