"""Everything that Frontdesk counts and measures, in one vocabulary.

docs/monitoring.md explains each metric and is tested against this file, as are the dashboard and
the alerts in ops/. A process shows the metrics that it can know (`registry`). What SQL and Redis
know is read by the scheduler alone, from time to time: see `desk/gauges.py`.

Names are Prometheus': base units, `_total` for counters. A label's values come from the code, never
from a customer.
"""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics import MetricWrapperBase

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(name, text, labels, registry=None)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(name, text, labels, registry=None)


def _seconds(name: str, text: str, *labels: str) -> Histogram:
    return Histogram(name, text, labels, registry=None, buckets=SECONDS)


# --- Every process ----------------------------------------------------------------------------

BUILD = _gauge("frontdesk_build_info", "Always 1; which version this process is.", "version")
HEARTBEAT = _gauge(
    "frontdesk_heartbeat_age_seconds", "Seconds since the process's loop last turned."
)
READY = _gauge("frontdesk_ready", "Whether the process has what it needs (1) or not (0).", "need")
LEASE = _gauge(
    "frontdesk_lease_held", "Whether this process holds the lease (1) or stands by (0).", "lease"
)
PROBLEMS = _counter("frontdesk_problems_total", "Warnings and errors in the log.", "level", "event")
CLOCK_OFFSET = _gauge(
    "frontdesk_clock_offset_seconds",
    "By how much this host's clock is ahead of the database's; negative: behind.",
)
FREE = _gauge("frontdesk_free_bytes", "Bytes left on a directory's disk.", "directory")
DECISIONS = _counter("frontdesk_decisions_total", "Decisions committed.", "action", "rule")

# --- The bot ----------------------------------------------------------------------------------

UPDATES = _counter("frontdesk_updates_total", "Updates of Telegram stored, each once.")
HANDLED = _counter(
    "frontdesk_updates_handled_total", "Attempts at handling a stored update.", "outcome"
)
HANDLE_SECONDS = _seconds("frontdesk_update_handle_seconds", "Time of one attempt at an update.")
DELIVERIES = _counter("frontdesk_deliveries_total", "Ends of attempts at a delivery.", "outcome")
DELIVERY_SECONDS = _seconds(
    "frontdesk_delivery_seconds", "From when a delivery was due until Telegram accepted it."
)
TELEGRAM_SECONDS = _seconds(
    "frontdesk_telegram_call_seconds", "Calls to the Bot API, without getUpdates.", "method"
)
TELEGRAM_ERRORS = _counter(
    "frontdesk_telegram_errors_total", "Calls to the Bot API that failed.", "code"
)
LAST_POLL = _gauge(
    "frontdesk_last_poll_timestamp_seconds",
    "When Telegram last answered a poll for updates; 0 where and while this process expects none.",
)
OPERATORS_CHAT = _gauge(
    "frontdesk_operators_chat_usable",
    "Whether cards reach the operators' chat and the bot has its rights there (1) or not (0).",
)
WEBHOOK_PENDING = _gauge(
    "frontdesk_webhook_pending_updates", "Updates that wait at Telegram for the webhook."
)
WEBHOOK_ERROR = _gauge(
    "frontdesk_webhook_last_error_timestamp_seconds",
    "When Telegram last failed to deliver to the webhook; 0 if it never did.",
)
WEBHOOK_LOST = _gauge(
    "frontdesk_webhook_lost",
    "1 when Telegram called another address or none at the last look.",
)

# --- The inference worker ---------------------------------------------------------------------

JOBS = _counter("frontdesk_jobs_total", "Classification jobs worked on.", "outcome")
BATCH_SIZE = Histogram(
    "frontdesk_batch_size", "Messages in one forward pass.", registry=None, buckets=SIZES
)
QUEUE_SECONDS = _seconds(
    "frontdesk_queue_seconds", "From a message's enqueueing until a worker took it."
)
TOKENISE_SECONDS = _seconds("frontdesk_tokenise_seconds", "Tokenising one batch.")
MODEL_SECONDS = _seconds("frontdesk_model_seconds", "The model's forward passes of one batch.")
COMMIT_SECONDS = _seconds("frontdesk_commit_seconds", "Deciding and committing one batch.")
TOKENS = _counter(
    "frontdesk_tokens_total", "Tokens of texts, and tokens computed with padding.", "kind"
)
MODEL = _gauge(
    "frontdesk_model_info", "Always 1; the model that serves.", "version", "device", "dtype"
)
MODEL_LOADED = _gauge("frontdesk_model_loaded_timestamp_seconds", "When the model was loaded.")
MODEL_REFUSED = _gauge(
    "frontdesk_model_refused",
    "1 while the champion can't be loaded, whether an older model serves or none.",
)

# --- The training worker ----------------------------------------------------------------------

RUNS = _counter("frontdesk_training_runs_total", "Training runs that came to an end.", "state")
RUN_SECONDS = Histogram(
    "frontdesk_training_run_seconds",
    "Duration of a training run.",
    registry=None,
    buckets=(30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400),
)

# --- The scheduler ----------------------------------------------------------------------------

LATE = _counter("frontdesk_messages_late_total", "Messages given to a person for being late.")
AGAIN = _counter("frontdesk_messages_enqueued_again_total", "Messages whose job had got lost.")
CHORES_FAILED = _counter(
    "frontdesk_chores_failed_total", "Chores that ended in an error nobody foresaw.", "chore"
)


class Read(NamedTuple):
    """A gauge whose values are read from SQL or Redis by the scheduler."""

    name: str
    text: str
    labels: tuple[str, ...] = ()


INBOX = Read("frontdesk_inbox_updates", "Updates not handled, or parked.", ("state",))
INBOX_OLDEST = Read("frontdesk_inbox_oldest_seconds", "Age of the oldest update not handled.")
PENDING = Read("frontdesk_messages_pending", "Messages without a decision.")
PENDING_OLDEST = Read(
    "frontdesk_messages_oldest_pending_seconds", "Age of the oldest message without a decision."
)
BACKLOG = Read("frontdesk_deliveries", "Deliveries not sent.", ("state",))
BACKLOG_OLDEST = Read(
    "frontdesk_deliveries_oldest_seconds",
    "Age of the oldest delivery not sent, but deletions of topics.",
)
WAITING = Read("frontdesk_conversations_waiting", "Conversations that wait for a person's word.")
LONGEST_WAITING = Read(
    "frontdesk_conversations_longest_waiting_seconds",
    "How long the one that waits longest has waited, in opening hours.",
)
LAST_RUN = Read("frontdesk_training_last_run", "1 for the state the last run ended in.", ("state",))
QUEUE_JOBS = Read("frontdesk_queue_jobs", "Jobs in Redis.", ("queue", "state"))
QUEUE_OLDEST = Read("frontdesk_queue_oldest_seconds", "Age of the oldest queued job.", ("queue",))
QUEUE_WORKERS = Read("frontdesk_queue_workers", "Workers registered on a queue.", ("queue",))
READ_AT = Read(
    "frontdesk_read_timestamp_seconds", "When the scheduler last read a source.", ("source",)
)
READ_SECONDS = Read(
    "frontdesk_read_seconds", "How long the scheduler's last reading took.", ("source",)
)

OF_EVERY_PROCESS = (BUILD, HEARTBEAT, READY, CLOCK_OFFSET, PROBLEMS)
OF: dict[str, tuple[MetricWrapperBase, ...]] = {
    "bot": (
        *(LEASE, DECISIONS, UPDATES, HANDLED, HANDLE_SECONDS, DELIVERIES, DELIVERY_SECONDS),
        *(TELEGRAM_SECONDS, TELEGRAM_ERRORS, LAST_POLL, OPERATORS_CHAT, LATE),
        *(WEBHOOK_PENDING, WEBHOOK_ERROR, WEBHOOK_LOST),
    ),
    "inference": (
        *(DECISIONS, JOBS, BATCH_SIZE, QUEUE_SECONDS, TOKENISE_SECONDS, MODEL_SECONDS),
        *(COMMIT_SECONDS, TOKENS, MODEL, MODEL_LOADED, MODEL_REFUSED, FREE),
    ),
    "training": (RUNS, RUN_SECONDS, FREE),
    "scheduler": (LEASE, DECISIONS, LATE, AGAIN, CHORES_FAILED, FREE),
}
"""Which process shows which metrics."""
READ = (
    *(INBOX, INBOX_OLDEST, PENDING, PENDING_OLDEST, BACKLOG, BACKLOG_OLDEST, LAST_RUN),
    *(WAITING, LONGEST_WAITING),
    *(QUEUE_JOBS, QUEUE_OLDEST, QUEUE_WORKERS, READ_AT, READ_SECONDS),
)
"""What the scheduler shows besides."""

# A counter that appears with its first event hides that event from `increase`: these start at 0.
for _outcome in ("done", "failed", "parked"):
    HANDLED.labels(_outcome)
for _outcome in ("sent", "again", "uncertain", "failed", "cancelled", "gone"):
    DELIVERIES.labels(_outcome)
# Those that call somebody: of a counter that begins with its first error, that one is no increase.
for _code in ("401", "404", "409"):
    TELEGRAM_ERRORS.labels(_code)
for _outcome in ("decided", "stale", "failed"):
    JOBS.labels(_outcome)
for _state in ("promoted", "rejected", "held", "unchanged", "failed"):
    RUNS.labels(_state)
for _chore in (
    "compare_clocks",
    "give_up_late",
    "enqueue_stuck",
    "enqueue_runs",
    "retrain",
    "remind",
    "close_quiet",
    "erase_old",
    "keep_ids",
    "note_erased",
    "share_no_redis",
):
    CHORES_FAILED.labels(_chore)


def registry(process: str) -> CollectorRegistry:
    """The metrics that a process (bot, inference, training or scheduler) shows."""
    # They would double the number of series and serve nobody here.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    found = CollectorRegistry()
    ProcessCollector(registry=found)
    for metric in (*OF_EVERY_PROCESS, *OF[process]):
        found.register(metric)
    return found
