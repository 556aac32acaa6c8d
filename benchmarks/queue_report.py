"""The command line of benchmarks/queue.py, and its table."""

from __future__ import annotations

# Before torch: it sets how OpenMP's threads wait.
from benchmarks.common import ROOT, absent, circumstances

# isort: split

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

GOALS = {
    "ratio_to_engine": 0.85,
    "ratio_to_stock": 12,
    "ratio_to_stock_same_engine": 4,
    "noop_jobs_per_s": 5000,
    "two_workers_ratio": 1.8,
}
SELDOM = ("million",)


def main(doc: str) -> None:
    from benchmarks.queue_parts import PARTS, RIVALS
    from benchmarks.queue_races import Ring

    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, help="run these parts")
    parser.add_argument("--jobs", type=int, default=1536, help="jobs of our worker in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64, help="most jobs in a batch")
    parser.add_argument("--million", action="store_true", help="run the part `million`, too")
    parser.add_argument("--data", type=Path, default=ROOT / "packs/retail/examples.jsonl")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    arguments = parser.parse_args()
    model = Path(os.environ.get("MODELS_DIR", ROOT / "models")) / "champion"
    if not (model / "manifest.json").exists():
        parser.error(f"there is no model at {model}; run: frontdesk train")
    if arguments.jobs < 64 or arguments.rounds < 1:
        parser.error("--jobs must be at least 64 and --rounds at least 1")
    wanted = arguments.only or [name for name in PARTS if name not in SELDOM]
    if arguments.million and "million" not in wanted:
        wanted.append("million")
    missing = absent(*RIVALS)
    if missing and "model" in wanted:
        print(
            f"left out: {', '.join(missing)}: not installed; pip install -e '.[bench]'",
            file=sys.stderr,
        )
    rivals = [] if missing else [name.replace("_", "-") for name in RIVALS]
    about = circumstances("rq", "redis", "sqlalchemy", *rivals)
    # The contestants end with this process however it is asked to.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    found: dict[str, Any] = {}
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        ring = Ring(Path(folder), model.resolve(), arguments.data, arguments.batch)
        try:
            for name in wanted:
                print(f"{name} …", file=sys.stderr, flush=True)
                began = time.monotonic()
                try:
                    found |= PARTS[name](ring, arguments.jobs, arguments.rounds)
                except SystemExit as ended:
                    # What the parts before it measured is not lost.
                    found["ended_early"] = f"{name}: {ended}"
                    break
                seconds[name] = round(time.monotonic() - began, 1)
        finally:
            ring.close()
    found |= {
        "model_version": model.resolve().name,
        "jobs": arguments.jobs,
        "rounds": arguments.rounds,
        "max_batch": arguments.batch,
        "seconds": seconds,
        "load_after": round(os.getloadavg()[0], 2),
        **about,
    }
    print(json.dumps(found, indent=2) if arguments.json else table(found), flush=True)
    if "ended_early" in found:
        raise SystemExit(1)


def table(found: dict[str, Any]) -> str:
    """One line a figure; goals beside those that have one."""
    lines = []
    for name, value in found.items():
        goal = f"   (goal {GOALS[name]:g})" if name in GOALS else ""
        if isinstance(value, dict):
            lines += [f"{name}.{key}: {inner}" for key, inner in value.items()]
        else:
            lines.append(f"{name}: {value}{goal}")
    return "\n".join(lines)
