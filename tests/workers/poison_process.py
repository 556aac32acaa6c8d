"""An inference worker in a process of its own whose model may die, or hang, over a text.

    python tests/workers/poison_process.py DATABASE_URL REDIS_URL [broken]

A text with `poison` in it kills the process, one with `freeze` hangs it as a broken driver does,
deaf to every signal but SIGKILL, and one with `illegal` in it breaks the device for good: that
text's prediction and every later one fail. With `broken` as a third argument it is so from the
start.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from redis import Redis

ROOT = Path(__file__).parents[2]


def main(database: str, redis: str, broken: bool) -> None:
    from classifier.engine import Timings
    from classifier.vocabulary import Prediction
    from desk import logs, queues
    from desk import pack as packs
    from desk.flow.desk import Desk
    from desk.store import Store
    from tests.conftest import FLORIST, OPERATOR_CHAT
    from tests.desk.acting import predict
    from workers.batching import BatchWorker
    from workers.inference import Champion, Inference
    from workers.watchdog import Watchdog

    class Brittle:
        version, token_budget, timings = "brittle", 2048, Timings()
        broke = broken

        def __call__(self, texts: Sequence[str]) -> list[Prediction]:
            for text in texts:
                if "poison" in text:
                    os.kill(os.getpid(), signal.SIGKILL)
                if "freeze" in text:
                    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
                    time.sleep(3600)
                self.broke = self.broke or "illegal" in text
            if self.broke:
                import torch  # takes seconds

                raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
            return [predict(text) for text in texts]

    logs.configure("inference")
    connection = Redis.from_url(redis)
    champion = Champion(Path(), "cpu")
    champion.classifier = Brittle()  # type: ignore[assignment]
    desk = Desk(Store(database), packs.load(FLORIST), OPERATOR_CHAT)
    with Watchdog() as watchdog:
        worker = BatchWorker(
            queues.CLASSIFY,
            connection=connection,
            run_batch=Inference(desk, connection, champion).run_batch,
            max_batch=64,
            watchdog=watchdog,
        )
        worker.watchdog_margin = 0.5
        worker.work(logging_level="WARNING")


def start(database: str, redis: str, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, __file__, database, redis, *more],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "broken" in sys.argv[3:])
