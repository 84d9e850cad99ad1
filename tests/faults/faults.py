"""What can go wrong with machines, as acts on a running platform. Each returns when the harm is over."""

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
import redis

from backend.cli.child import Child
from backend.cli.embedded import EmbeddedRedis
from backend.cli.stack import Stack, role_of

ROLES = ("relay", "worker", "realtime", "backend")


@dataclass(frozen=True)
class Fault:
    """A named harm. `strike` blocks until the part is there again."""

    name: str
    strike: Callable[[Stack], None]


def kill(name: str) -> Fault:
    """`kill -9`; the supervisor brings it back."""

    def strike(stack: Stack) -> None:
        stack.kill(name)
        time.sleep(0.1)  # until the keeper has seen it
        stack.keeper(name).wait_ready_again()

    return Fault(f"kill {name}", strike)


def freeze(name: str, seconds: float) -> Fault:
    """SIGSTOP, for so long, to all of a process; of a server it makes a deaf one."""

    def strike(stack: Stack) -> None:
        child = _child(stack, name)
        child.signal(signal.SIGSTOP)
        time.sleep(seconds)
        child.signal(signal.SIGCONT)

    return Fault(f"freeze {name}", strike)


def restart(name: str) -> Fault:
    """A clean stop, and the way back."""
    return Fault(f"restart {name}", lambda stack: stack.restart(name))


def empty_redis() -> Fault:
    return Fault("empty redis", lambda stack: _redis(stack).empty())


def cut_off_redis(seconds: float) -> Fault:
    """Redis is gone at once and with all it held, for so long."""

    def strike(stack: Stack) -> None:
        keeper = stack.keeper("redis")
        keeper.hold(kill=True)
        time.sleep(seconds)
        keeper.release()
        wait_for_redis(stack)

    return Fault("cut off redis", strike)


def slow_redis(seconds: float, *, latency: float = 0.3) -> Fault:
    """Redis answers, but each time only after up to `latency` seconds: it runs for a moment between two sleeps."""

    def strike(stack: Stack) -> None:
        child = _child(stack, "redis")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            child.signal(signal.SIGSTOP)
            time.sleep(latency)
            child.signal(signal.SIGCONT)
            time.sleep(0.02)

    return Fault("slow redis", strike)


def forget_listeners() -> Fault:
    """Redis drops every subscriber's connection."""

    def strike(stack: Stack) -> None:
        with redis.Redis.from_url(_redis(stack).url) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    return Fault("forget listeners", strike)


def restart_postgres() -> Fault:
    """`pg_ctl restart -m immediate`: every session is cut, and the log is replayed."""

    def strike(stack: Stack) -> None:
        child = _child(stack, "postgres")
        os.kill(child.pid, signal.SIGQUIT)
        while child.is_alive():
            time.sleep(0.02)
        wait_for_postgres(stack)

    return Fault("restart postgres", strike)


def wait_for_postgres(stack: Stack, seconds: float = 30) -> None:
    """Until it answers again."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(stack.environment["DATABASE_URL"], connect_timeout=2).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def wait_for_redis(stack: Stack, seconds: float = 30) -> None:
    """Until it answers again."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with redis.Redis.from_url(_redis(stack).url, socket_timeout=2, retry=None) as client:
                client.ping()
        except redis.RedisError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def every_fault(names: Sequence[str], *, freeze_seconds: float) -> list[Fault]:
    """All there are, for the processes of these names."""
    return [
        *(kill(name) for name in names),
        *(freeze(name, freeze_seconds) for name in names),
        *(restart(name) for name in names if role_of(name) in ROLES),
        empty_redis(),
        restart("redis"),
        cut_off_redis(freeze_seconds),
        freeze("redis", freeze_seconds),
        slow_redis(freeze_seconds),
        forget_listeners(),
        restart_postgres(),
    ]


def endless(faults: Sequence[Fault], rng: random.Random) -> Callable[[], Fault]:
    """Each fault once in every round, in an order of its own."""
    left: list[Fault] = []

    def following() -> Fault:
        if not left:
            left.extend(rng.sample(faults, len(faults)))
        return left.pop()

    return following


def _child(stack: Stack, name: str) -> Child:
    child = stack.keeper(name).unit.child
    assert child is not None
    return child


def _redis(stack: Stack) -> EmbeddedRedis:
    unit = stack.keeper("redis").unit
    assert isinstance(unit, EmbeddedRedis)
    return unit
