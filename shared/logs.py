"""JSON logs, one object a line, with the ids of their request and without customers' text."""

import logging
import sys
from typing import Any

import structlog
from structlog.contextvars import merge_contextvars

__all__ = ["configure_logs"]

QUIET = ("uvicorn.access", "httpx", "aiosqlite", "alembic", "kombu", "amqp")


def configure_logs(service: str, level: str = "info") -> None:
    """Sends structlog's and the standard library's records to standard output as JSON."""

    def add_service(_logger: Any, _method: str, record: structlog.typing.EventDict) -> structlog.typing.EventDict:
        record["service"] = service
        return record

    shared: list[structlog.typing.Processor] = [
        merge_contextvars,
        add_service,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        # Filter first: records below the level are not built.
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
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
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
