"""What the embedded servers share: one owner per data folder, a child, and the verbs that tests hurt it with."""

import fcntl
import importlib.util
import json
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import IO, ClassVar, Self

import psycopg

from backend.cli.child import Child, LineSink, describe_exit
from backend.cli.errors import UserError
from backend.cli.unprivileged import leave_socket_folder, reachable_folder, server_account

START_SECONDS = 60
"""A crashed database of a busy night may replay its log for a while."""

SERVER_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": os.defpath}


class Server(ABC):
    """A server on a data folder. `with` starts it and leaves no process behind."""

    title: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, data_dir: Path, *, durable: bool = True, on_line: LineSink = lambda line: None) -> None:
        self.account = server_account(data_dir)
        self.data_dir = reachable_folder(data_dir.absolute(), self.account)
        self.durable = durable
        self.on_line = on_line
        self.child: Child | None = None
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def sockets(self) -> Path:
        """The folder of the sockets, with the detour over a short name already taken."""
        return (self.data_dir / "socket").resolve()

    def start(self) -> None:
        """Start and wait until it answers. Raises UserError when the folder is taken or the server does not start."""
        is_first = self._lock is None
        if self._lock is None:
            self._lock = self._claim()
        try:
            self._start()
        except BaseException as error:
            if is_first:
                self.stop()
            elif self.child is not None:
                self.child.stop()  # one that was brought back keeps its folder and its addresses
            if isinstance(error, psycopg.Error):
                raise UserError(f"{self.title} did not start: {' '.join(str(error).split())}") from error
            raise

    def stop(self, *, grace: float = 20) -> None:
        """Stop cleanly and leave no process, socket or lock. A server that is not running is left in peace."""
        if self.child is not None:
            self.child.stop(grace=grace)
            self.child = None
        leave_socket_folder(self.data_dir / "socket", self.account)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def is_ready(self) -> bool:
        """`start()` has waited for it."""
        return True

    def kill(self) -> None:
        """End it as a crash would; `start()` brings it back."""
        if self.child is not None:
            self.child.kill()

    def pause(self) -> None:
        """Freeze it: connections stay open and nobody answers."""
        if self.child is not None:
            self.child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self.child is not None:
            self.child.signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop cleanly and start again under the same addresses."""
        if self.child is not None:
            self.child.stop()
        self.start()

    @abstractmethod
    def _start(self) -> None: ...

    @abstractmethod
    def _answers(self) -> bool: ...

    def _claim(self) -> IO[str]:
        handle = (self.data_dir / "lock").open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            raise UserError(f"Callout runs already on {self.data_dir}; CALLOUT_HOME chooses another folder.") from None
        return handle

    def _spawn(self, command: Sequence[str | Path]) -> None:
        self.child = Child(
            command,
            on_line=self._tell,
            env=SERVER_ENVIRONMENT,
            cwd=Path("/"),
            account=self.account,
            stop_signal=self.stop_signal,
        )

    def _tell(self, line: str) -> None:
        if "Memory overcommit" not in line:  # advice for machines that run nothing but Redis
            self.on_line(line)

    def _await_answer(self) -> bool:
        """Whether the child answers in time; False when it ended before."""
        assert self.child is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._answers():
                return True
            if not self.child.is_alive():
                return False
            time.sleep(0.02)
        raise UserError(f"{self.title} did not answer within {START_SECONDS} seconds; its data are in {self.data_dir}.")

    def _failure(self) -> UserError:
        assert self.child is not None
        ending = describe_exit(self.child.wait())
        said = [line for line in self._last_lines() if "FATAL" in line] or self._last_lines()[-1:]
        return UserError(": ".join([f"{self.title} did not start, it {ending}", *said[:1]]))

    def _last_lines(self) -> list[str]:
        """What the ended child said last."""
        assert self.child is not None
        self.child.wait()
        return list(self.child.last_lines)


def package_folder(name: str) -> Path:
    """Where a wheel was installed, found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise UserError(
            f"The package {name} is missing: start again with ./callout, or set DATABASE_URL and REDIS_URL."
        )
    return Path(spec.origin).parent


def secret_file(path: Path, make: Callable[[], dict[str, str]]) -> dict[str, str]:
    """The values in a JSON file that its owner alone may read, made once."""
    if not path.exists():
        with NamedTemporaryFile("w", dir=path.parent) as file, suppress(FileExistsError):  # made with mode 0600
            json.dump(make(), file)
            file.flush()
            os.link(file.name, path)  # whole or not at all; of two at once the first wins
    values: dict[str, str] = json.loads(path.read_text())
    return values
