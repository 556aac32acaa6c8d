"""Logging: one JSON object a line on standard error, with tokens and passwords scrubbed.

Customers' texts are never logged at INFO or above; log ids instead.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from desk import metrics
from desk.scrubbing import scrub_value


def _scrub_event(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Any:
    # structlog's own entries, such as the record of another library, are not for the log.
    return {
        key: value if key.startswith("_") else scrub_value(value) for key, value in event.items()
    }


def _count(
    _logger: Any, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Count warnings and errors. A library's words are not fixed: they count as its name."""
    level = logging.getLevelNamesMapping().get(method.upper(), logging.ERROR)
    if level >= logging.WARNING:
        record = event.get("_record")
        name = str(event["event"]) if record is None else record.name.partition(".")[0]
        metrics.PROBLEMS.labels("warning" if level == logging.WARNING else "error", name).inc()
    return event


def configure(process: str, level: str = "INFO") -> None:
    """Set up logging for a process; both structlog's and the standard library's loggers write."""

    def named(
        _logger: Any, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        # Not a context variable: a thread begins without those.
        return {**event, "process": process}

    shared: list[structlog.typing.Processor] = [
        named,
        _count,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _scrub_event,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)  # they would be lines that are not JSON
    # These speak for every request or job at INFO; ours say the same with ids.
    for noisy in ("aiogram.event", "aiohttp.access", "rq.worker", "alembic", "httpx"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
