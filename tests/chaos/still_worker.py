"""The inference worker, whose forward pass stands still when a file asks it to.

    python tests/chaos/still_worker.py FOLDER

With a file `wanted` in the folder the next forward pass computes its texts, makes the file
`standing` in place of `wanted` and goes no further: whoever waits for that kills the process there.
The points of desk/faultpoints.py stand around the forward pass; the classifier, a library of its
own, has none.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from classifier.backends import Batch
from classifier.engine import Classifier
from cli.main import main

folder = Path(sys.argv[1])
batches = Classifier._batches


def stand_still(self: Classifier, *given: Any) -> Iterator[Batch]:
    yield from batches(self, *given)
    # The backend asks for more when it has computed all there was.
    if (folder / "wanted").exists():
        (folder / "wanted").rename(folder / "standing")
        time.sleep(3600)


Classifier._batches = stand_still  # type: ignore[method-assign]
sys.argv[1:] = ["worker", "inference"]
sys.exit(main())
