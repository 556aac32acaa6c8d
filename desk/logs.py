"""Logging: one JSON object a line on standard error, with tokens and passwords scrubbed.

Customers' texts are never logged at INFO or above; log ids instead.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import structlog

# A bot token stands in every Bot API address, and libraries put addresses into their errors.
_TOKEN = re.compile(r"\d{5,}:[A-Za-z0-9_-]{20,}")
_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@/\s]+@")


def scrub(text: str) -> str:
    """A text without bot tokens and without passwords in addresses."""
    return _PASSWORD.sub(r"\1***@", _TOKEN.sub("***", text))


def _scrub_event(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Any:
    return {key: scrub(value) if isinstance(value, str) else value for key, value in event.items()}


def configure(process: str, level: str = "INFO") -> None:
    """Set up logging for a process; both structlog's and the standard library's loggers write."""
    shared: list[structlog.typing.Processor] = [
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
    structlog.contextvars.bind_contextvars(process=process)
    # These speak for every request or job at INFO; ours say the same with ids.
    for noisy in ("aiogram.event", "aiohttp.access", "rq.worker", "alembic", "httpx"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
