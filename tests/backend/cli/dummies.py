"""A stack whose four processes are small stand-ins: they answer `/readyz`, and `-c` makes them what a test needs.

Run as a script it is a supervisor to be stopped or killed from outside: it prints its children's ids, one a line.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from backend.cli.commands import end_on_signals
from backend.cli.stack import Stack

PROGRAM = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *arguments):
        pass
print("serving", os.environ[sys.argv[1]], flush=True)
HTTPServer(("127.0.0.1", int(os.environ[sys.argv[1]])), Answer).serve_forever()
"""

FREE_PORTS = {"backend": 0, "realtime": 0, "worker": 0, "relay": 0}


def soon(condition: Callable[[], bool], seconds: float = 5) -> bool:
    """Whether the condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class DummyStack(Stack):
    """Everything is real but the programs."""

    program = PROGRAM

    def _command(self, role: str, env: Mapping[str, str]) -> list[str]:
        variable = {"worker": "WORKER_HEALTH_PORT", "relay": "RELAY_HEALTH_PORT"}.get(role, f"{role.upper()}_PORT")
        return [sys.executable, "-S", "-c", self.program, variable]


def own_servers() -> dict[str, str]:
    """Lets a stack start servers of its own although the suite's are named in the environment."""
    return {"DATABASE_URL": "", "DATABASE_OWNER_URL": "", "REDIS_URL": "", "ENVIRONMENT": "development"}


def main(home: Path) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under `nohup` the suite itself ignores it, and what it starts would
    end_on_signals()
    stack = DummyStack(home, ports=FREE_PORTS, env=own_servers(), migrate=False, durable=False)
    try:
        stack.start()
        for name in (*stack.processes, "postgres", "redis"):
            child = stack.keeper(name).unit.child
            assert child is not None
            say(str(child.pid))
        say("up")
        while True:
            sys.stdin.read()
    except KeyboardInterrupt:
        pass
    finally:
        stack.stop()
    say("stopped")


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
