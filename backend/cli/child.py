"""A child process that never outlives us, and whose output is read line by line."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

LineSink = Callable[[str], None]

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged account that a program runs as when we are root."""

    name: str
    uid: int
    gid: int


class Child:
    """A started program in a process group of its own, so that a terminal's Ctrl-C reaches us alone.

    On Linux the kernel sends it `stop_signal` when the thread that started it ends: a supervisor killed with SIGKILL
    leaves nothing behind. So the thread that makes a Child must live as long as the child shall.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        on_line: LineSink,
        env: Mapping[str, str],
        cwd: Path,
        account: Account | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.stop_signal = stop_signal
        self.last_lines: deque[str] = deque(maxlen=20)
        self._on_line = on_line
        self._swept = False
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            process_group=0,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            # It runs last, after the change of account, which would clear what it sets.
            preexec_fn=_follow_parent(os.getpid(), stop_signal),  # noqa: PLW1509 - one call into libc, nothing that locks
        )
        self._reader = Thread(target=self._read, name=f"output of {self.pid}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return its exit code: negative for a signal. Raises TimeoutExpired (seconds)."""
        code = self._process.wait(timeout)
        # What the program started itself, such as a server's workers, ends with it.
        self.signal(signal.SIGKILL)
        self._swept = True
        self._reader.join(1)
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group, unless it has ended: its number may be somebody else's by now."""
        if self._swept:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def stop(self, *, grace: float = 30) -> int:
        """Ask the program to end, after `grace` seconds make it, and return its exit code."""
        with contextlib.suppress(ProcessLookupError):
            if self.is_alive():
                os.kill(self.pid, self.stop_signal)
                self.signal(signal.SIGCONT)  # a paused program could not obey
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(grace)
        return self.kill()

    def kill(self) -> int:
        """End the program and all of its own at once, as a crash would."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                text = line.decode(errors="replace").rstrip()
                if text:
                    self.last_lines.append(text)
                    self._on_line(text)


def _follow_parent(parent: int, number: signal.Signals) -> Callable[[], None] | None:
    if _libc is None:
        return None
    libc = _libc

    def follow() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it ended before the kernel was told
            os._exit(1)

    return follow


def describe_exit(code: int) -> str:
    """An exit code in words, as in: it was killed by SIGKILL."""
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
