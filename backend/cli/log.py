"""What the command line says: prefixed lines for a person, JSON lines for a machine."""

import contextlib
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Any

_COLOURS = {"backend": 36, "realtime": 35, "worker": 33, "relay": 32, "postgres": 34, "redis": 31, "callout": 1}
_POSTGRES_LEVELS = {"FATAL": "critical", "PANIC": "critical", "ERROR": "error", "WARNING": "warning"}

Tell = Callable[[str, str], None]
"""Takes a process's name and one line of its output."""


class Log:
    """The lines of all processes, in the order in which they came."""

    def __init__(self, *, as_json: bool, coloured: bool = False) -> None:
        self.as_json = as_json
        self._coloured = coloured
        self._lock = Lock()

    def __call__(self, process: str, line: str) -> None:
        text = self._as_json(process, line) if self.as_json else self._prefixed(process, line)
        # A reader that went away (`| head`) must not stop a process.
        with self._lock, contextlib.suppress(OSError, ValueError):
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def _prefixed(self, process: str, line: str) -> str:
        if not self._coloured:
            return f"{process:<9}| {line}"
        return f"\033[{_COLOURS.get(process.partition('-')[0], 0)}m{process:<9}|\033[0m {line}"

    @staticmethod
    def _as_json(process: str, line: str) -> str:
        entry: Any = None
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
        if not isinstance(entry, dict):
            level = _POSTGRES_LEVELS.get(line.partition(":")[0], "info")
            entry = {"event": line, "level": level, "timestamp": datetime.now(UTC).isoformat()}
        return json.dumps({"process": process, **entry}, ensure_ascii=False)


def silent(process: str, line: str) -> None:
    """For commands that start the servers for a moment: their lines are nobody's business."""
