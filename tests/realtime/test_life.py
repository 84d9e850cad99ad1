"""The node's life: its pages, its readiness, its metrics, its end; once as a real process."""

import asyncio
import contextlib
import gc
import json
import os
import re
import signal
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from realtime import server
from realtime.__main__ import main
from realtime.docs import build_asyncapi, render_page
from realtime.environment import Environment
from realtime.limits import Bucket, Proxies, address_key
from shared_contracts.commands import COMMANDS
from shared_contracts.errors import ErrorCode
from shared_contracts.events import NUMBERED
from tests.realtime.clients import KEY, KID, Client, make_token, until
from tests.realtime.conftest import QUICK, RunningNode, World
from tests.realtime.standin import CREDENTIAL, StandIn
from tests.realtime.valkey import Valkey

ROOT = Path(__file__).resolve().parents[2]


def stop_for_good(process: asyncio.subprocess.Process) -> None:
    """A process that outlives its test would keep the suite waiting."""
    if process.returncode is None:
        process.kill()


@pytest.mark.asyncio
class TestIdleConnections:
    async def test_are_pinged_and_closed_when_they_do_not_answer(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Seen red with a pulse that forgets whom it has pinged, and with one that pings a connection once only."""
        monkeypatch.setattr(server, "PING_INTERVAL_SECONDS", 0.2)
        monkeypatch.setattr(server, "PING_TIMEOUT_SECONDS", 0.4)
        node = await world.node()
        silent, lively = await (await node.raw()).let_in(1), await (await node.raw()).let_in(2)
        for _ in range(5):
            assert await asyncio.wait_for(lively.read(), 1) == "2"
            await lively.socket.send_str("3")
        texts = await asyncio.wait_for(silent.read_to_end(), 2)
        assert texts.count("2") == 1
        assert [client.user_id for client in node.node.clients] == [2]

    async def test_are_freed_at_once_when_they_are_gone(self, world: World) -> None:
        """`realtime.garbage` builds on it.

        Seen red where their last error keeps its frames, where their WebSocket keeps its handler, and where who looked
        through the clients sleeps with the last of them in hand.
        """
        node = await world.node(replace(QUICK, deaf=60, connect=5, send=30, linger=1))
        was_on = gc.isenabled()
        gc.disable()
        try:
            kept = [one for rude in (False, True) for one in await _come_and_go(node, rude=rude)]
            await until(lambda: not any(one() for one in kept), 20)
        finally:
            if was_on:
                gc.enable()

    async def test_are_not_looked_through_for_garbage(self) -> None:
        """Seen red with Python's own third threshold."""
        program = (
            "import gc; from realtime.garbage import leave_the_old_alone; leave_the_old_alone();"
            "before = gc.get_stats()[2]['collections']; kept = [[] for _ in range(200_000)];"
            "print(gc.get_stats()[2]['collections'] - before, gc.get_stats()[1]['collections'] > 10)"
        )
        run = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert run.stdout.split() == ["0", "True"]


async def _come_and_go(node: RunningNode, *, rude: bool) -> list["weakref.ref[Any]"]:
    raw = await (await node.raw()).let_in(1)
    (connection,) = node.node.sockets.eio.sockets.values()
    assert connection.websocket is not None
    kept = [weakref.ref(one) for one in (connection, connection.websocket, connection.websocket._sock)]
    if rude:
        raw.socket._response.connection.transport.abort()  # type: ignore[union-attr]
    else:
        await raw.socket.close()
    await until(lambda: not node.node.sockets.eio.sockets)
    return kept


@pytest.mark.asyncio
class TestPages:
    async def test_docs_need_no_other_host(self, node: RunningNode) -> None:
        async with node.world.http.get(f"{node.url}/docs") as response:
            page = await response.text()
            assert response.status == 200
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert re.findall(r'(?:src|href)="(?!/)', page) == []
        assert "location.update" in page
        async with node.world.http.get(f"{node.url}/asyncapi.json") as response:
            assert await response.json() == json.loads(json.dumps(build_asyncapi()))

    async def test_metrics_are_for_this_machine_only(self, node: RunningNode, backend: StandIn) -> None:
        client = await node.client().connect(1)
        await node.hearing("user:1")
        await backend.emit("user:1")
        await client.wait_for("message.created")
        async with node.world.http.get(f"{node.url}/metrics") as response:
            lines = (await response.text()).splitlines()
        assert "callout_realtime_sockets 1.0" in lines
        assert "callout_realtime_rooms 1.0" in lines
        assert "callout_realtime_events_total 1.0" in lines
        assert "callout_realtime_delivery_seconds_count 1.0" in lines
        headers = {"X-Forwarded-For": "9.9.9.9"}
        async with node.world.http.get(f"{node.url}/metrics", headers=headers) as response:
            assert response.status == 404

    async def test_readiness_tells_the_truth(self, node: RunningNode, backend: StandIn) -> None:
        async with node.world.http.get(f"{node.url}/readyz") as response:
            assert (response.status, await response.json()) == (
                200,
                {"status": "ok", "node": "ok", "listener": "ok", "backend": "ok", "redis": "ok"},
            )
        backend.away = True
        async with node.world.http.get(f"{node.url}/readyz") as response:
            assert (response.status, (await response.json())["backend"]) == (503, "away")
        async with node.world.http.get(f"{node.url}/healthz") as response:
            assert response.status == 200


@pytest.mark.asyncio
class TestDraining:
    async def test_sends_everyone_away_with_a_time_to_come_back(self, node: RunningNode) -> None:
        clients = [await node.client().connect(user_id) for user_id in range(1, 4)]
        raw = await node.raw()
        await node.node.drain()
        for client in clients:
            await asyncio.wait_for(client.closed.wait(), 1)
            (closing,) = client.named("closing")
            assert closing["code"] == ErrorCode.SERVER_DRAINING
            assert 0 <= closing["reconnect_in_ms"] < 5000
        assert (await raw.read_to_end())[-1] == "1"
        refusal = await node.client().refused({"token": make_token(1)})
        assert refusal["data"]["code"] == ErrorCode.SERVER_DRAINING
        async with node.world.http.get(f"{node.url}/readyz") as response:
            assert response.status == 503

    async def test_leaves_no_task_behind(self, node: RunningNode, backend: StandIn) -> None:
        before = asyncio.all_tasks()
        other = await node.world.node()
        client = await other.client().connect(1)
        await client.socket.disconnect()
        await other.runner.cleanup()
        await until(lambda: not {task for task in asyncio.all_tasks() - before if "realtime" in repr(task.get_coro())})

    async def test_waits_for_nobody_whose_cancellation_is_lost(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As up to Python 3.11 in `asyncio.wait_for`, with which redis-py sends. Seen red with one cancellation."""
        node = await world.node()
        sending: asyncio.Future[asyncio.Task[None]] = asyncio.Future()

        async def send(*_: object) -> None:
            sending.set_result(cast("asyncio.Task[None]", asyncio.current_task()))
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

        monkeypatch.setattr(node.node.subscriber, "_send", send)
        node.node.subscriber.subscribe("conversation:9")
        sender = await sending
        stopping = asyncio.create_task(node.runner.cleanup())
        _, going_on = await asyncio.wait({stopping}, timeout=3)
        sender.cancel()
        await stopping
        assert not going_on

    async def test_a_process_stops_at_sigterm(self, node: RunningNode, shared_valkey: Valkey) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "ENVIRONMENT": "test",
            "REDIS_URL": shared_valkey.url,
            "TOKEN_KEYS": json.dumps({KID: KEY}),
            "REALTIME_CREDENTIAL": CREDENTIAL,
            "REALTIME_PORT": "0",
            "INTERNAL_URL": node.world.environment.internal_url,
            "LOG_FORMAT": "json",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "realtime", cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        token = make_token(1)
        try:
            line: dict[str, Any] = {}
            while line.get("event") != "node.listening":
                line = json.loads(await asyncio.wait_for(process.stderr.readline(), 10))
            client = Client(f"http://{line['addresses'][0]}")
            await client.connect(auth={"token": token})
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 10) == 0
        finally:
            stop_for_good(process)
        await asyncio.wait_for(client.closed.wait(), 1)
        assert client.named("closing")[0]["code"] == ErrorCode.SERVER_DRAINING
        rest = (await process.stderr.read()).decode()
        assert token not in rest
        assert json.loads(rest.splitlines()[-1])["event"] == "node.stopped"

    @pytest.mark.parametrize(
        ("setting", "value", "sentence"),
        [
            ("REALTIME_PORT", "99999", "The setting REALTIME_PORT is wrong"),
            ("TRUSTED_PROXIES", "nonsense", "The setting TRUSTED_PROXIES is wrong"),
            ("TOKEN_KEYS", "nonsense", "The setting TOKEN_KEYS is wrong"),
            ("TOKEN_PUBLIC_KEYS", '{"a": "a secret that is long enough to sign with"}', "a is no public key"),
            ("ENVIRONMENT", "production", "TOKEN_PUBLIC_KEYS must hold"),
        ],
    )
    async def test_a_wrong_setting_is_named(
        self,
        setting: str,
        value: str,
        sentence: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        for known in Environment.model_fields:
            monkeypatch.delenv(known.upper(), raising=False)
        monkeypatch.setenv(setting, value)
        assert main() == 1
        assert sentence in capsys.readouterr().err

    async def test_a_wrong_setting_stops_the_start(self) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "realtime",
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "REALTIME_PORT": "99999"},
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, said = await asyncio.wait_for(process.communicate(), 10)
        finally:
            stop_for_good(process)
        assert process.returncode == 1
        assert said.decode().startswith("The setting REALTIME_PORT is wrong")
        assert said.count(b"\n") == 1


class TestLogs:
    @pytest.mark.parametrize("log_format", ["json", "console"])
    def test_show_no_local_variables(self, log_format: str) -> None:
        """A traceback with its variables would show tokens."""
        program = f"""
import structlog
from realtime.logs import configure_logs
configure_logs("{log_format}", "INFO")
def fail(token):
    raise ValueError("bad")
try:
    fail("a" * 4 + "secret")
except ValueError:
    structlog.get_logger("x").exception("it.failed", user_id=1)
"""
        run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
        assert "ValueError: bad" in run.stderr
        assert "aaaasecret" not in run.stderr


class TestAsyncApi:
    def test_names_every_command_and_event(self) -> None:
        """Seen red with keys that are names alone: an event then takes the place of the command of its name."""
        document = build_asyncapi()
        named: dict[str, set[str]] = {"receive": set(), "send": set()}
        for key, operation in document["operations"].items():
            [message] = operation["messages"]
            assert message == {"$ref": f"#/channels/socket/messages/{key}"}
            named[operation["action"]].add(document["components"]["messages"][key]["name"])
        assert named["receive"] == {command.name for command in COMMANDS}
        momentary = {"assistance.location", "typing", "presence", "ready", "closing", "resync_required"}
        assert named["send"] == {event.type for event in NUMBERED} | momentary

    def test_has_no_loose_reference(self) -> None:
        document = build_asyncapi()
        for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
            place = document
            for step in reference.split("/"):
                place = place[step]

    def test_page_shows_every_operation(self) -> None:
        document = build_asyncapi()
        page = render_page(document)
        names = [document["components"]["messages"][key]["name"] for key in document["operations"]]
        assert [page.count(f"<h3>{name}</h3>") for name in names] == [names.count(name) for name in names]


class TestLimits:
    def test_a_bucket_lets_a_burst_pass_and_then_its_rate(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [100.0]
        monkeypatch.setattr("realtime.limits.time.monotonic", lambda: now[0])
        bucket = Bucket(2, 4)
        assert [bucket.take() for _ in range(5)] == [True] * 4 + [False]
        now[0] += 0.5
        assert [bucket.take(), bucket.take()] == [True, False]
        now[0] += 3600
        assert [bucket.take() for _ in range(5)] == [True] * 4 + [False]

    @pytest.mark.parametrize(
        ("address", "key"),
        [
            ("9.9.9.9", "9.9.9.9"),
            ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
            ("::ffff:9.9.9.9", "9.9.9.9"),
            ("odd", "odd"),
        ],
    )
    def test_addresses_are_counted_by_subscriber(self, address: str, key: str) -> None:
        assert address_key(address) == key

    def test_a_peer_without_address_is_this_machine(self) -> None:
        assert Proxies([]).client_address(None, ["9.9.9.9"]) == "127.0.0.1"
