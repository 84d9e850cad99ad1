"""The supervisor and the stack: real servers, stand-ins for the four processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from backend.cli.errors import UserError
from backend.cli.stack import ROOT, SECRETS, running_stack
from backend.cli.supervisor import fetch
from tests.backend.cli.dummies import FREE_PORTS, PROGRAM, DummyStack, own_servers, soon

Lines = list[tuple[str, str]]


def is_running(pid: int) -> bool:
    """Whether this process exists and is more than a dead one that nobody has read the end of."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(found.strip()) and not found.startswith("Z")


def without_servers(home: Path, lines: Lines, **options: object) -> DummyStack:
    """Processes only: the servers' URLs are given, and nobody asks them."""
    env = {
        "DATABASE_URL": "postgresql://nobody@localhost/none",
        "REDIS_URL": "redis://localhost:9",
        "ENVIRONMENT": "test",
    }
    chosen: dict[str, object] = {"ports": FREE_PORTS, "env": env, "migrate": False, **options}
    return DummyStack(home, log=lambda process, line: lines.append((process, line)), **chosen)  # type: ignore[arg-type]


def sentences(lines: Lines) -> list[str]:
    return [line for process, line in lines if process == "callout"]


class TestStack:
    def test_starts_everything_and_leaves_nothing(self, used_home: Path) -> None:
        done: list[str] = []
        stack = DummyStack(
            used_home, ports=FREE_PORTS, env=own_servers(), migrate=False, durable=False, on_step=done.append
        )
        with stack:
            assert done == stack.steps == ["postgres", "redis", "backend", "worker", "relay", "realtime"]
            children = [stack.keeper(name).unit.child for name in done]
            with psycopg.connect(stack.environment["DATABASE_URL"]) as connection:
                assert connection.info.user == "callout_app"
            with redis.Redis.from_url(stack.environment["REDIS_URL"]) as client:
                assert client.ping()
            assert stack.environment["INTERNAL_URL"] == stack.url("backend")
            described = running_stack(used_home)
            assert described is not None
            assert described["addresses"]["relay"] == ["127.0.0.1", stack.ports["relay"]]
            assert (used_home / "running.json").stat().st_mode & 0o777 == 0o600

            with pytest.raises(UserError, match="Callout runs already on"):
                DummyStack(used_home, ports=FREE_PORTS, env=own_servers()).start()
        assert not any(is_running(child.pid) for child in children if child)
        assert running_stack(used_home) is None
        assert not (used_home / "running.json").exists()

    def test_makes_its_secrets_once_and_none_for_production(self, home: Path) -> None:
        seen = []
        bare = {"DATABASE_URL": "x", "REDIS_URL": "x", "ENVIRONMENT": "test", **dict.fromkeys(SECRETS, "")}
        for _ in range(2):
            with without_servers(home, [], processes=(), env=bare) as stack:
                seen.append({name: stack.environment[name] for name in ("SECRET_KEY", "TOKEN_KEYS")})
        assert seen[0] == seen[1]
        assert (home / "secrets.json").stat().st_mode & 0o777 == 0o600
        env = {**bare, "ENVIRONMENT": "production"}
        with without_servers(home, [], processes=(), env=env) as stack:
            assert not any(stack.environment[name] for name in SECRETS)

    def test_leaves_no_trace_when_only_the_settings_are_wanted(self, home: Path) -> None:
        secrets = {"SECRET_KEY": "s" * 32, "TOKEN_KEYS": '{"k": "s"}', "REALTIME_CREDENTIAL": "s" * 32}
        env = {"DATABASE_URL": "x", "REDIS_URL": "x", "ENVIRONMENT": "test", **secrets}
        with without_servers(home, [], processes=(), env=env) as stack:
            assert stack.environment["SECRET_KEY"] == "s" * 32
        assert list(home.iterdir()) == []

    def test_names_the_port_in_use_and_the_variable_that_changes_it(self, home: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(UserError) as refused:
                without_servers(home, [], ports={**FREE_PORTS, "realtime": port}).start()
        assert str(refused.value) == (
            f"Port {port} is in use: stop what uses it, or choose another with REALTIME_PORT."
        )
        assert running_stack(home) is None

    def test_refuses_a_port_that_is_no_number(self, home: Path) -> None:
        env = {"BACKEND_PORT": "http", "DATABASE_URL": "x", "REDIS_URL": "x"}
        with pytest.raises(
            UserError, match=r"The setting BACKEND_PORT is wrong: 'http' is no number from 0 to 65535\."
        ):
            without_servers(home, [], ports=None, env=env, processes=("backend",)).start()

    def test_brings_a_killed_process_back_within_five_seconds_and_says_so(self, home: Path) -> None:
        lines: Lines = []
        with without_servers(home, lines, processes=("backend",)) as stack:
            stack.kill("backend")
            began = time.monotonic()
            assert soon(lambda: fetch(*stack.address("backend"), "/readyz")[0] == 200)
            assert time.monotonic() - began < 5
            assert soon(lambda: len(sentences(lines)) == 2)
        died, back = sentences(lines)
        assert died == "backend was killed by SIGKILL; it starts again in 0.5 s."
        assert back.startswith("backend is back after ")

    def test_brings_the_servers_back_under_the_same_address(self, used_home: Path) -> None:
        lines: Lines = []
        with without_servers(used_home, lines, env=own_servers(), processes=(), durable=False) as stack:
            for name in ("postgres", "redis"):
                stack.kill(name)
            assert soon(lambda: sum("is back after" in sentence for sentence in sentences(lines)) == 2)
            psycopg.connect(stack.environment["DATABASE_URL"]).close()
            with redis.Redis.from_url(stack.environment["REDIS_URL"]) as client:
                assert client.ping()

    def test_holds_a_process_down_and_runs_a_second_one_of_a_kind(self, home: Path) -> None:
        lines: Lines = []
        with without_servers(home, lines, processes=("relay",)) as stack:
            stack.add("relay-2")
            assert stack.ports["relay"] != stack.ports["relay-2"]
            stack.keeper("relay").hold(kill=True)
            time.sleep(1)
            assert not stack.keeper("relay").is_alive()
            assert fetch(*stack.address("relay-2"), "/readyz")[0] == 200
            stack.keeper("relay").release()
            assert fetch(*stack.address("relay"), "/readyz")[0] == 200
        assert not any("starts again" in sentence for sentence in sentences(lines))

    def test_says_why_a_process_does_not_start(self, home: Path) -> None:
        class Broken(DummyStack):
            program = "import sys; sys.exit('The setting WAVE_SIZE is wrong: too large')"

        env = {"DATABASE_URL": "x", "REDIS_URL": "x"}
        with pytest.raises(UserError) as refused:
            Broken(home, ports=FREE_PORTS, env=env, migrate=False, processes=("worker",)).start()
        assert str(refused.value) == (
            "worker did not start: ended with exit code 1, saying: The setting WAVE_SIZE is wrong: too large"
        )

    def test_ends_a_process_that_will_not(self, home: Path) -> None:
        class Stubborn(DummyStack):
            program = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PROGRAM

        env = {"DATABASE_URL": "x", "REDIS_URL": "x"}
        stack = Stubborn(home, ports=FREE_PORTS, env=env, migrate=False, processes=("worker",))
        stack.start()
        child = stack.keeper("worker").unit.child
        assert child is not None
        stack.stop(grace=0.2)
        assert not is_running(child.pid)


@contextmanager
def supervisor(home: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A supervisor in a process of its own, and the ids of its six children."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.backend.cli.dummies", str(home)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(7)]
        assert lines[-1] == "up", lines
        try:
            yield process, [int(line) for line in lines[:-1]]
        finally:
            process.kill()


class TestEnding:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_stops_everything(self, used_home: Path, number: signal.Signals) -> None:
        with supervisor(used_home) as (process, children):
            os.killpg(process.pid, number)
            out, _ = process.communicate(timeout=20)
            assert (process.returncode, out) == (0, "stopped\n")
            assert not any(map(is_running, children))
            assert running_stack(used_home) is None

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
    def test_a_killed_supervisor_leaves_nothing(self, used_home: Path) -> None:
        with supervisor(used_home) as (process, children):
            process.kill()
            assert soon(lambda: not any(map(is_running, children)))
        with supervisor(used_home) as (process, _):
            os.killpg(process.pid, signal.SIGINT)
            assert process.communicate(timeout=20)[0] == "stopped\n", "the next start finds nothing in its way"
