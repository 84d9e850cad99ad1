"""Logs: one line per fact, JSON or coloured text; library loggers go through the same lines. Never a token."""

import logging
import sys

import structlog

LIBRARY_LOGGER = "realtime.library"
"""What python-socketio and python-engineio log to: only their errors."""


def configure_logs(log_format: str, log_level: str) -> None:
    """Send structlog and the standard library's loggers to standard error as `json` or `console` lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # The plain traceback: the renderers' own ones show local variables, and with them tokens.
    last: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    logging.basicConfig(handlers=[handler], level=log_level, force=True)
    for noisy in ("aiohttp.access", "asyncio", LIBRARY_LOGGER):
        logging.getLogger(noisy).setLevel(logging.ERROR)
