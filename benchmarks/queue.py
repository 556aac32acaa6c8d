"""The batching worker beside stock RQ, celery-batches and LitServe, with the real model.

    python benchmarks/queue.py [--only PART …] [--jobs 1536] [--rounds 5] [--million] [--json]

One worker each, on the CPU, each a process of its own, in turn; a ratio is the median of the
rounds' ratios. Parts:

    model    jobs/s with the model: the engine alone, our worker (texts from memory), the desk with
             all of its SQL, stock SimpleWorker with our engine and with transformers' pipeline,
             celery-batches, LitServe
    noop     jobs/s with nothing to do
    latency  Poisson arrivals at half of what each can do
    two      two workers beside one, with an engine that sleeps
    growth   the cost of a job with 1 to 100,000 in the queue
    inbox    messages/s on the bot's side, from the inbox to the queue
    million  memory of worker and Redis over a million jobs (--million; minutes)

The model is MODELS_DIR/champion (`frontdesk train` makes one); texts are the retail pack's.
"""

from __future__ import annotations

import sys

if __name__ == "queue":
    # Python puts a script's folder first on its path, where this file passes for the standard
    # library's `queue`. Whoever imports that one shall have it.
    import importlib.util
    import sysconfig
    from pathlib import Path

    _spec = importlib.util.spec_from_file_location(
        "queue", Path(sysconfig.get_path("stdlib")) / "queue.py"
    )
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["queue"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["queue"])
else:
    from benchmarks.queue_report import main

    if __name__ == "__main__":
        main(__doc__ or "")
