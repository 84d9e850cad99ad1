"""The backend's server: granian, which goes on for a while when it is to stop.

A connection that is closed before its request was read is a failed request to whoever opened it. So SIGTERM first makes
`/readyz` say no, for BACKEND_DRAIN_SECONDS, in which everything is answered; a second signal ends that.
"""

import argparse

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import MPServer

from backend.core import draining

WAITING_THREADS = 256
"""In which requests wait for their bodies and their turn (backend.core.reception)."""
OPEN_CONNECTIONS = 1024
"""Not requests: too few, and idle ones that are kept alive lock everyone else out."""
STOPPED_SECONDS = 10


class Server(MPServer):
    """Granian's, with a beginning of its end."""

    drain_seconds = 0.0

    def shutdown(self, exit_code: int = 0) -> None:
        if self.drain_seconds:
            draining.begin()
            self.main_loop_interrupt.clear()
            self.main_loop_interrupt.wait(self.drain_seconds)
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--host", required=True)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--workers", type=int, required=True)
    options.add_argument("--drain-seconds", type=float, required=True)
    chosen = options.parse_args()
    server = Server(
        "backend.config.wsgi:application",
        address=chosen.host,
        port=chosen.port,
        interface=Interfaces.WSGI,
        workers=chosen.workers,
        blocking_threads=WAITING_THREADS,
        backpressure=OPEN_CONNECTIONS,
        websockets=False,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=STOPPED_SECONDS,
    )
    server.drain_seconds = chosen.drain_seconds
    server.serve()


if __name__ == "__main__":
    main()
