"""The life of a process made of threads: they start together, and the unexpected end of one ends them all."""

import os
import signal
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

import django
import structlog
from django.conf import settings

from backend.core.starting import loading

Part = Callable[[threading.Event], None]
"""What a thread does until the event is set; it looks at it several times a second."""

STOP_SECONDS = 0.8

log = structlog.get_logger("callout.process")


def set_up(*, connections: int) -> None:
    """Load Django, with so many pooled connections to PostgreSQL at most."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
    with loading():
        django.setup()
    settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"] = connections


class Process:
    """Runs parts in named threads until a signal comes or one of them ends by itself."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._endings: SimpleQueue[int] = SimpleQueue()  # its put() may be called from a signal's handler
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: self._endings.put(0))

    def start(self, name: str, part: Part) -> None:
        thread = threading.Thread(target=self._run, args=(name, part), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self) -> int:
        """The exit code: 0 after SIGTERM or SIGINT, 1 when a part ended that should not have."""
        return self._endings.get()

    def stop(self) -> None:
        """Ask all parts to end, and wait a moment for them."""
        self.stopping.set()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, name: str, part: Part) -> None:
        try:
            part(self.stopping)
        except BaseException:
            log.exception("process.part_failed", part=name)
        if not self.stopping.is_set():
            log.critical("process.part_ended", part=name)
            self._endings.put(1)
