"""Redis, when it is there: a request never waits long for it, and not at all for a second after it failed.

Nothing asked here may be needed: `ask` answers None while Redis is away, slow or deaf.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from threading import Lock
from typing import Any, TypeVar

import redis
import structlog
from redis.backoff import NoBackoff
from redis.connection import ConnectionInterface
from redis.retry import Retry

from backend.core.environment import environment

REST_SECONDS = 1.0
"""A deaf Redis costs one request its time limit, not every one."""

log = structlog.get_logger("callout.redis")

Answer = TypeVar("Answer")


class Script:
    """A Lua script, known to Redis by its digest once it has run."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class RedisLink:
    """One use of Redis with its own time limit (seconds) and circuit breaker, shared by the process's threads."""

    def __init__(self, purpose: str, *, timeout_s: float) -> None:
        self.purpose = purpose
        self.timeout_s = timeout_s
        self._resting_until = 0.0
        self._speaking = Lock()
        self._free: list[ConnectionInterface] = []
        """Open connections on which nothing is asked."""

    @cached_property
    def client(self) -> redis.Redis:
        """The connection pool itself, for what must be prepared once, such as a script."""
        return redis.Redis.from_url(
            environment().redis_url,
            socket_timeout=self.timeout_s,
            socket_connect_timeout=self.timeout_s,
            retry=Retry(NoBackoff(), 0),
        )

    def say(self, *command: str) -> None:
        """Send a command whose answer nobody reads: Redis is told to give none on the connection kept for it."""
        if time.monotonic() < self._resting_until:
            return
        with self._speaking:
            try:
                try:
                    self._mute.send_command(*command)
                except redis.RedisError:
                    self.__dict__.pop("_mute", None)  # closed meanwhile, as by a restart: another one may be had
                    self._mute.send_command(*command)
            except redis.RedisError as error:
                self.__dict__.pop("_mute", None)
                self._rest(error)

    @cached_property
    def _mute(self) -> ConnectionInterface:
        connection = self.client.connection_pool.make_connection()
        connection.connect()
        connection.send_command("CLIENT", "REPLY", "OFF")
        return connection

    def ask(self, question: Callable[[redis.Redis], Answer]) -> Answer | None:
        """The answer, or None when Redis did not give one in time."""
        if time.monotonic() < self._resting_until:
            return None
        try:
            return question(self.client)
        except redis.RedisError as error:
            self._rest(error)
            return None

    def evaluate(self, script: "Script", keys: Sequence[str], arguments: Sequence[object]) -> Any:
        """What the script answers, or None when Redis did not answer in time.

        Asked of every request, so it goes past the client, which costs four times as much.
        """
        if time.monotonic() < self._resting_until:
            return None
        command = (script.digest, len(keys), *keys, *arguments)
        try:
            try:
                return self._evaluate(script, command)
            except redis.ConnectionError:
                self._free.clear()  # closed meanwhile, as by a restart: another one may be had
                return self._evaluate(script, command)
        except redis.RedisError as error:
            self._rest(error)
            return None

    def _evaluate(self, script: "Script", command: tuple[object, ...]) -> Any:
        try:
            connection = self._free.pop()
        except IndexError:
            connection = self.client.connection_pool.make_connection()
            connection.connect()
        connection.send_command("EVALSHA", *command)
        try:
            answer = connection.read_response()
        except redis.exceptions.NoScriptError:
            connection.send_command("EVAL", script.text, *command[1:])
            answer = connection.read_response()
        self._free.append(connection)
        return answer

    def _rest(self, error: redis.RedisError) -> None:
        self._resting_until = time.monotonic() + REST_SECONDS
        log.warning("redis.away", purpose=self.purpose, error=type(error).__name__)
