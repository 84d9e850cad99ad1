"""One line of JSON per happening (or a readable one on a terminal), always with the id of the request behind it."""

import logging
import re
import sys
from datetime import UTC, datetime

import msgspec
import structlog

from backend.core.environment import environment


def configure() -> None:
    """Send our lines and the libraries' through one format. Values that could be secrets are never passed in."""
    env = environment()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if env.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
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
                structlog.processors.format_exc_info,
                _without_rows,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(env.log_level)
    # Each request is told once, by our own middleware.
    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    logging.getLogger("django.server").setLevel(logging.CRITICAL)
    # The pool tells each loan and each return; what goes wrong there comes back to whoever asked.
    logging.getLogger("psycopg.pool").setLevel(logging.WARNING)


_requests = logging.getLogger("callout.request")
_encode = msgspec.json.Encoder(enc_hook=str).encode


def tell_request(**fields: object) -> None:
    """The line of a request. It is written so often that its cost counts: as JSON it is made and written at once."""
    if environment().log_format != "json":
        structlog.get_logger("callout.request").info("request", **fields)
    elif _requests.isEnabledFor(logging.INFO):
        marks = {"event": "request", "logger": "callout.request", "level": "info", "timestamp": datetime.now(UTC)}
        sys.stderr.write(_encode({**fields, **marks}).decode() + "\n")


def _without_rows(_logger: object, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """PostgreSQL tells with an error which row it was about: that is people's data, and no log's."""
    if "exception" in line:
        line["exception"] = _ROW.sub("DETAIL:  (left out)", line["exception"])
    return line


_ROW = re.compile(r"DETAIL: .*?(?=\n\n(?:The above|During handling)|\Z)", re.DOTALL)
