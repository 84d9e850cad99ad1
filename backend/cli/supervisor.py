"""Keeps processes running: starts them, says when one dies, brings it back, stops them in order."""

import contextlib
import http.client
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Protocol

from backend.cli.child import Child, describe_exit
from backend.cli.errors import UserError
from backend.cli.log import Tell

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 5.0
STEADY_SECONDS = 30
"""A process that ran for so long is not in a crash loop: its next pause is the first again."""

READY_SECONDS = 60


class Unit(Protocol):
    """Something that runs as one child process."""

    child: Child | None

    def start(self) -> None: ...
    def stop(self, *, grace: float = ...) -> None: ...
    def is_ready(self) -> bool: ...


class Program:
    """One of our own processes, ready when its `/readyz` says so."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        tell: Tell,
        health: tuple[str, int] | None = None,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.command = command
        self.env = env
        self.cwd = cwd
        self.health = health
        self.child: Child | None = None
        self._tell = tell
        self._before = before

    def start(self) -> None:
        self._before()
        self.child = Child(self.command, on_line=lambda line: self._tell(self.name, line), env=self.env, cwd=self.cwd)

    def stop(self, *, grace: float = 15) -> None:
        if self.child is not None:
            self.child.stop(grace=grace)

    def is_ready(self) -> bool:
        return self.health is None or fetch(*self.health, "/readyz")[0] == 200


def fetch(host: str, port: int, path: str) -> tuple[int, str]:
    """GET a page of one of our processes: its status and text, (0, "") when nobody answers."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


class Keeper:
    """Keeps one unit running from a thread of its own.

    The thread lives as long as the unit does: the kernel ends a child when the thread that started it ends.
    """

    def __init__(self, name: str, unit: Unit, say: Callable[[str], None]) -> None:
        self.name = name
        self.unit = unit
        self._say = say
        self._changed = Condition()
        self._wanted = True
        self._ended = False
        self._failure: UserError | None = None
        self._was_ready = Event()
        self._settled = Event()
        self._thread = Thread(target=self._keep, name=f"keeper of {name}", daemon=True)

    def start(self) -> None:
        """Start the unit; `wait_ready` tells how it went."""
        self._thread.start()

    def wait_ready(self) -> None:
        """Wait until the unit is ready for the first time. Raises UserError when it is not, within READY_SECONDS."""
        if not self._settled.wait(READY_SECONDS):
            raise UserError(f"{self.name} was not ready within {READY_SECONDS} seconds.")
        if self._failure is not None:
            raise self._failure

    def wait_ready_again(self, timeout: float = READY_SECONDS) -> None:
        """Wait until the unit is ready now, whatever happened to it before. Raises TimeoutError (seconds)."""
        deadline = time.monotonic() + timeout
        while not (self.is_alive() and self.unit.is_ready()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} was not ready within {timeout} seconds")
            time.sleep(0.05)

    def is_alive(self) -> bool:
        return self.unit.child is not None and self.unit.child.is_alive()

    def kill(self) -> None:
        """End the process as a crash would; it comes back by itself."""
        if self.unit.child is not None:
            self.unit.child.kill()

    def hold(self, *, kill: bool = False) -> None:
        """Stop the process, or kill it, and keep it down until `release()`."""
        with self._changed:
            self._wanted = False
        child = self.unit.child
        if child is not None:
            child.kill() if kill else child.stop()

    def release(self, *, within: float = READY_SECONDS) -> None:
        """Bring a held process back, and wait until it is ready. Raises TimeoutError (seconds)."""
        with self._changed:
            self._wanted = True
            self._changed.notify_all()
        self.wait_ready_again(within)

    def stop(self, *, grace: float) -> None:
        """Stop for good. Seconds after which it is made to end."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self.unit.stop(grace=grace)
        if self._thread.is_alive():
            self._thread.join(grace + 5)

    def _keep(self) -> None:
        pause = FIRST_PAUSE
        while self._await_wanted():
            began = time.monotonic()
            ending = self._run_once()
            if self._ended or not self._wanted:
                continue
            if not self._was_ready.is_set():
                self._fail(UserError(f"{self.name} did not start: {ending}"))
                return
            pause = FIRST_PAUSE if time.monotonic() - began > STEADY_SECONDS else pause
            self._say(f"{self.name} {ending}; it starts again in {pause:g} s.")
            with self._changed:
                self._changed.wait_for(lambda: self._ended, pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _await_wanted(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._wanted or self._ended)
            return not self._ended

    def _run_once(self) -> str:
        """Run the unit until it ends, and say how it ended."""
        came_back = self._was_ready.is_set()
        pause = 0.05
        began = time.monotonic()
        try:
            self.unit.start()
        except (UserError, OSError) as error:
            return str(error)
        child = self.unit.child
        assert child is not None
        if self._ended or not self._wanted:  # asked to stop while it started
            self.unit.stop(grace=0)
        while child.is_alive() and not self._ended and self._wanted:
            if self.unit.is_ready():
                if came_back:
                    self._say(f"{self.name} is back after {time.monotonic() - began:.1f} s.")
                self._was_ready.set()
                self._settled.set()
                break
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
        code = child.wait()
        said = "" if self._was_ready.is_set() or not child.last_lines else f", saying: {child.last_lines[-1]}"
        return describe_exit(code) + said

    def _fail(self, failure: UserError) -> None:
        self._failure = failure
        self._settled.set()


class Supervisor:
    """Several units, started in the order in which they were added."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.keepers: dict[str, Keeper] = {}
        self._say = say

    def add(self, name: str, unit: Unit) -> Keeper:
        """Start a unit and keep it running from now on."""
        keeper = self.keepers[name] = Keeper(name, unit, self._say)
        keeper.start()
        return keeper

    def stop(self, names: Sequence[str], *, grace: float) -> None:
        """Stop these one after the other, each ended by force after `grace` seconds."""
        for name in names:
            with contextlib.suppress(Exception):  # one that will not stop must not keep the others running
                self.keepers[name].stop(grace=grace)
            del self.keepers[name]  # only now: an impatient second Ctrl-C stops again what is left
