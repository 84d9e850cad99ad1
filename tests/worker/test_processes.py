"""The two processes as the supervisor meets them."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from backend.core.clock import now
from backend.core.models import JobRow
from shared_contracts.events import PositionReport
from shared_contracts.jobs import Queue
from shared_contracts.redis_keys import POSITIONS_PENDING, room_channel
from tests.worker.conftest import Listener, execute, relay_sessions, until, write, write_job
from worker.broker import make_broker, send
from worker.jobs import threads_of
from worker.process import Process

PORTS = {"worker.relay": "RELAY_HEALTH_PORT", "worker.jobs": "WORKER_HEALTH_PORT"}


class Started:
    """One of our processes and its health page."""

    def __init__(self, module: str, *arguments: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        env = {**os.environ, PORTS[module]: str(self.port), "LOG_LEVEL": "INFO", "LOG_FORMAT": "json"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], env=env, stderr=subprocess.PIPE, text=True
        )

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def ready(self) -> dict[str, Any]:
        assert self.process.poll() is None, self.process.communicate()[1]
        code, text = self.get("/readyz")
        return json.loads(text) if code == 200 else {}

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float, str]:
        """Exit code, seconds it took, what was said."""
        began = time.monotonic()
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=25)
        return self.process.returncode, time.monotonic() - began, said


@pytest.fixture
def start(spine: None) -> Iterator[Callable[..., Started]]:
    started: list[Started] = []

    def make(module: str, *arguments: str) -> Started:
        started.append(Started(module, *arguments))
        return started[-1]

    yield make
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


class TestRelayProcess:
    def test_works_and_stops_at_once(
        self, start: Callable[..., Started], room: str, listen: Callable[..., Listener]
    ) -> None:
        listener = listen(room_channel(room))
        relay = start("worker.relay")
        until(lambda: relay.ready().get("partitions") == list(range(16)), seconds=20)
        write(room)
        assert [message["number"] for message in listener.hear()] == [1]
        assert relay.ready()["relay_lag_seconds"] == 0
        assert relay.get("/healthz") == (200, '{"status": "alive"}')
        assert "callout_events_numbered_total 1.0" in relay.get("/metrics")[1]
        assert relay.get("/elsewhere")[0] == 404
        code, took, said = relay.end()
        assert (code, took < 3) == (0, True), said  # some 0.4 s on a machine with nothing else to do
        assert '"level": "error"' not in said
        assert relay_sessions() == []

    def test_hands_out_the_timetable_s_jobs_and_writes_positions(
        self, start: Callable[..., Started], client: redis.Redis
    ) -> None:
        client.hset(POSITIONS_PENDING, "1", PositionReport(lat=36.7, lng=3.06, at=now()).model_dump_json())
        relay = start("worker.relay")
        until(relay.ready, seconds=20)
        until(lambda: JobRow.objects.filter(name="core.purge").exclude(sent_at=None).exists())
        until(lambda: not client.keys("callout:positions:*"))
        assert "callout_positions_flushed_total 1.0" in relay.get("/metrics")[1]

    def test_comes_back_with_its_partitions_when_its_connection_is_cut(self, start: Callable[..., Started]) -> None:
        relay = start("worker.relay")
        until(lambda: len(relay.ready().get("partitions", [])) == 16, seconds=20)
        [before] = relay_sessions()
        execute("SELECT pg_terminate_backend(%s)", before)
        until(lambda: relay_sessions() not in ([], [before]))
        until(lambda: len(relay.ready().get("partitions", [])) == 16)
        assert relay.end(signal.SIGINT)[0] == 0


class TestWorkerProcess:
    def test_works_and_stops(self, start: Callable[..., Started]) -> None:
        worker = start("worker.jobs", "--threads", "2")
        ready = until(worker.ready, seconds=20)
        job_id = write_job("core.purge")
        JobRow.objects.update(sent_at=now())
        send(make_broker(), Queue.BULK, job_id)
        until(lambda: JobRow.objects.get().status == "done")
        assert (ready["threads"], ready["running"]) == ({"critical": 2, "prompt": 1, "bulk": 1}, 0)
        code, _, said = worker.end()
        assert code == 0, said


class TestThreadsOf:
    def test_gives_all_but_critical_work_half(self) -> None:
        assert threads_of(["--threads", "5"]) == {"critical": 5, "prompt": 2, "bulk": 2}
        assert threads_of(["--queues", "bulk", "--threads", "1"]) == {"bulk": 1}

    @pytest.mark.parametrize("arguments", [["--threads", "0"], ["--threads", "many"], ["--queues", "fast"]])
    def test_refuses_what_makes_no_sense(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            threads_of(arguments)
        assert ended.value.code == 2
        assert "error: argument --" in capsys.readouterr().err


def _wait(stopping: threading.Event) -> None:
    stopping.wait()


class TestProcess:
    @pytest.fixture(autouse=True)
    def _handlers(self) -> Iterator[None]:
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        yield
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def test_ends_with_1_when_a_part_fails_or_merely_ends(self) -> None:
        def fail(_: object) -> None:
            raise ZeroDivisionError

        for part in (fail, lambda _: None):
            process = Process()
            process.start("steady", _wait)
            process.start("part", part)
            assert process.wait() == 1
            process.stop()

    def test_ends_with_0_when_asked_to(self) -> None:
        process = Process()
        process.start("steady", _wait)
        os.kill(os.getpid(), signal.SIGTERM)
        assert process.wait() == 0
        process.stop()
