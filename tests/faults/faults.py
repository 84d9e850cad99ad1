"""What can go wrong with machines, as acts on a running platform. Each returns when the harm is over."""

import os
import random
import signal
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import psycopg
import redis

from backend.cli.child import Child
from backend.cli.embedded import EmbeddedRedis
from backend.cli.stack import Stack
from backend.cli.supervisor import Program

ROLES = ("relay", "worker", "realtime", "backend")


LONG_SECONDS = 30.0
PATIENCE_SECONDS = 180.0
"""A part is not ready while another one that it needs is in harm's way, such as a sidecar whose backend is frozen."""
SKEW_SECONDS = 90.0
FROZEN_POSTGRES_SECONDS = 5.0
"""A request waits ten for its answer, and the whole platform is frozen with it."""
SKEWED = Path(__file__).parent / "skewed"
"""On the path of a process whose clock is wrong; see the module in it."""


@dataclass(frozen=True)
class Fault:
    """A named harm. `strike` blocks until the part is there again."""

    name: str
    strike: Callable[[Stack], None]
    part: str = ""
    """Whom it befalls: no second harm befalls the same part meanwhile."""
    lasts: bool = False
    """It takes so long that others should strike meanwhile."""


def kill(name: str) -> Fault:
    """`kill -9`; the supervisor brings it back."""

    def strike(stack: Stack) -> None:
        stack.kill(name)
        time.sleep(0.1)  # until the keeper has seen it
        stack.keeper(name).wait_ready_again(PATIENCE_SECONDS)

    return Fault(f"kill {name}", strike, name)


def freeze(name: str, seconds: float, *, until: Event | None = None) -> Fault:
    """SIGSTOP, for so long or until it is over, to all of a process; of a server it makes a deaf one."""

    def strike(stack: Stack) -> None:
        child = _child(stack, name)
        child.signal(signal.SIGSTOP)
        if until is None:
            time.sleep(seconds)
        else:
            until.wait()
        child.signal(signal.SIGCONT)

    return Fault(f"freeze {name}", strike, name, lasts=seconds > LONG_SECONDS)


def restart(name: str) -> Fault:
    """A clean stop, and the way back."""
    return Fault(f"restart {name}", lambda stack: stack.restart(name, within=PATIENCE_SECONDS), name)


def skew(name: str, by: float, seconds: float) -> Fault:
    """The clock of one process goes wrong by so many seconds, for so long: it restarts with it, and again without."""

    def strike(stack: Stack) -> None:
        set_clock(stack, name, by)
        time.sleep(seconds)
        set_clock(stack, name, 0)

    return Fault(f"skew {name} {by:+g}", strike, name, lasts=seconds > LONG_SECONDS)


def set_clock(stack: Stack, name: str, by: float) -> None:
    """Restart one of our processes with a clock that is so many seconds ahead of all others."""
    give_clock(stack, name, by)
    stack.restart(name, within=PATIENCE_SECONDS)


def give_clock(stack: Stack, name: str, by: float) -> None:
    """The same from its next start on."""
    program = stack.keeper(name).unit
    assert isinstance(program, Program)
    rest = [part for part in program.env["PYTHONPATH"].split(os.pathsep) if part != str(SKEWED)]
    path = os.pathsep.join([str(SKEWED), *rest] if by else rest)
    program.env = {**program.env, "PYTHONPATH": path, "CLOCK_SKEW_SECONDS": f"{by:g}"}


def empty_redis() -> Fault:
    return Fault("empty redis", lambda stack: _redis(stack).empty(), "redis")


def cut_off_redis(seconds: float) -> Fault:
    """Redis is gone at once and with all it held, for so long."""

    def strike(stack: Stack) -> None:
        keeper = stack.keeper("redis")
        keeper.hold(kill=True)
        time.sleep(seconds)
        keeper.release()
        wait_for_redis(stack)

    return Fault("cut off redis", strike, "redis")


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

    return Fault("slow redis", strike, "redis")


def forget_listeners() -> Fault:
    """Redis drops every subscriber's connection."""

    def strike(stack: Stack) -> None:
        wait_for_redis(stack)  # the fault before may have been a restart
        with redis.Redis.from_url(_redis(stack).url) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    return Fault("forget listeners", strike, "redis")


def restart_postgres() -> Fault:
    """`pg_ctl restart -m immediate`: every session is cut, and the log is replayed."""

    def strike(stack: Stack) -> None:
        child = _child(stack, "postgres")
        os.kill(child.pid, signal.SIGQUIT)
        while child.is_alive():
            time.sleep(0.02)
        wait_for_postgres(stack)

    return Fault("restart postgres", strike, "postgres")


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


def every_fault(names: Sequence[str], *, freeze_seconds: float, short_seconds: float) -> list[Fault]:
    """All there are, for the processes of these names; what befalls the servers takes the short time."""
    return [
        *(kill(name) for name in names),
        *(freeze(name, freeze_seconds) for name in names),
        *(restart(name) for name in names),
        *(skew(name, by, short_seconds) for name in names for by in (SKEW_SECONDS, -SKEW_SECONDS)),
        empty_redis(),
        restart("redis"),
        cut_off_redis(short_seconds),
        freeze("redis", short_seconds),
        slow_redis(short_seconds),
        forget_listeners(),
        restart_postgres(),
        freeze("postgres", FROZEN_POSTGRES_SECONDS),
    ]


def endless(faults: Sequence[Fault], rng: random.Random) -> Callable[[Collection[str]], Fault]:
    """Each fault once in every round, in an order of its own. It is told which parts are in harm's way already."""
    left: list[Fault] = []

    def following(busy: Collection[str]) -> Fault:
        if all(fault.part in busy for fault in left):
            left.extend(rng.sample(faults, len(faults)))
        return left.pop(next(index for index, fault in enumerate(left) if fault.part not in busy))

    return following


def _child(stack: Stack, name: str) -> Child:
    child = stack.keeper(name).unit.child
    assert child is not None
    return child


def _redis(stack: Stack) -> EmbeddedRedis:
    unit = stack.keeper("redis").unit
    assert isinstance(unit, EmbeddedRedis)
    return unit
